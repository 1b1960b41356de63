"""Networks of repeated cells: NASNet's, PNASNet's and AmoebaNet's.

A cell is fed the outputs of the two cells before it, and makes blocks, each of which joins what two ops make of two
earlier states. State 0 is the current input, the output of the cell before; state 1 the previous one, of the cell
before that; states 2, 3, … are the blocks. In a cell of stride 2 the ops on states 0 and 1 have that stride.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018; Liu et al.,
Progressive Neural Architecture Search, ECCV 2018; Real et al., Regularized Evolution for Image Classifier Architecture
Search, AAAI 2019; released code in tensorflow/models, slim/nets/nasnet, and tensorflow/tpu, amoeba_net.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, groupby, permutations, product
from typing import Any, ClassVar, Literal, get_args

from paretonas.errors import SpecError
from paretonas.space.cell_graph import cell_graph
from paretonas.space.graph import Graph
from paretonas.space.spec import Part, Spec, check_multipliers, strides_to_drop

Op = Literal[
    "identity", "conv1x1", "conv3x3", "conv1x3_3x1", "conv1x7_7x1", "dil3x3", "dil_sep3x3", "sep3x3", "sep5x5",
    "sep7x7", "avg3x3", "max2x2", "max3x3", "max5x5", "max7x7", "bottleneck3x3", "bottleneck1x7_7x1",
]  # fmt: skip
Combine = Literal["add", "concat"]
Skeleton = Literal["cifar", "imagenet"]
Padding = Literal["symmetric", "same"]

INPUTS = ("current", "previous")
"""States 0 and 1, which every cell is fed."""
MOST_BLOCKS, MOST_CELLS, MOST_FILTERS = 10, 100, 4096


@dataclass(frozen=True, order=True)
class Block:
    """Two ops on two states, joined.

    Args:
        inputs: Two states.
        ops: Two.
        combine: How their results become one.

    Raises:
        SpecError: Not two.
    """

    inputs: tuple[int, ...]
    ops: tuple[Op, ...]
    combine: Combine = "add"

    def __post_init__(self) -> None:
        if not len(self.inputs) == len(self.ops) == 2:
            raise SpecError(f"A block has two inputs and two ops, but got {self.inputs} and {self.ops}.")


@dataclass(frozen=True)
class Cell:
    """A graph of blocks.

    Args:
        blocks: In an order in which each takes only states before it.
        outputs: The states that are concatenated, rising. Empty: the blocks that no other block takes.

    Raises:
        SpecError: No blocks, too many, a state that comes later or is none, or outputs that do not rise.
    """

    blocks: tuple[Block, ...]
    outputs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.blocks) <= MOST_BLOCKS:
            raise SpecError(f"`1 <= blocks <= {MOST_BLOCKS}` must hold for a cell, but got {len(self.blocks)}.")
        for state, block in enumerate(self.blocks, len(INPUTS)):
            if not all(0 <= source < state for source in block.inputs):
                raise SpecError(f"Block {state} takes states from 0 to {state - 1}, but got {block.inputs}.")
        states = len(INPUTS) + len(self.blocks)
        outputs = self.outputs or tuple(sorted(set(range(len(INPUTS), states)) - self.used))
        if list(outputs) != sorted(set(outputs)) or not all(0 <= state < states for state in outputs):
            raise SpecError(f"A cell gives states from 0 to {states - 1}, rising, but got {outputs}.")
        object.__setattr__(self, "outputs", outputs)

    @property
    def used(self) -> frozenset[int]:
        """The states that blocks take."""
        return frozenset(source for block in self.blocks for source in block.inputs)

    def canonical(self) -> Cell:
        """The cell that stands for all which differ from it in the order of pairs and of blocks alone.

        Blocks come by height above the inputs, then by what they compute; pairs by their inputs. Where blocks compute
        the same for different others, the order is taken in which the whole cell comes first. What reaches no output
        is left out.
        """
        return _canonical(self)


@lru_cache(maxsize=65536)
def _canonical(cell: Cell) -> Cell:
    first = len(INPUTS)
    needed = set(cell.outputs)
    for state in reversed(range(first, first + len(cell.blocks))):
        if state in needed:
            needed |= set(cell.blocks[state - first].inputs)
    keys: dict[int, tuple[Any, ...]] = {state: (0, state) for state in range(first)}  # height, and what is computed
    for state, block in enumerate(cell.blocks, first):
        pair = sorted((keys[source], op) for source, op in zip(block.inputs, block.ops, strict=True))
        keys[state] = (1 + max(keys[source][0] for source in block.inputs), block.combine, pair, state in cell.outputs)
    ranked = sorted((state for state in keys if state in needed and state >= first), key=keys.__getitem__)
    alike = [list(group) for _, group in groupby(ranked, key=keys.__getitem__)]
    orders = (list(chain(*chosen)) for chosen in product(*map(permutations, alike)))
    return min((_in_order(cell, order) for order in orders), key=lambda one: (one.blocks, one.outputs))


def _in_order(cell: Cell, order: Sequence[int]) -> Cell:
    first = len(INPUTS)
    place = {state: state for state in range(first)} | {state: i for i, state in enumerate(order, first)}
    blocks = []
    for state in order:
        block = cell.blocks[state - first]
        pairs = sorted((place[source], op) for source, op in zip(block.inputs, block.ops, strict=True))
        inputs, ops = zip(*pairs, strict=True)
        blocks.append(Block(inputs, ops, block.combine))
    return Cell(tuple(blocks), tuple(sorted(place[state] for state in cell.outputs)))


@dataclass(frozen=True)
class CellSpec(Spec):
    """A network of cells in three stacks; the filters double from one to the next.

    Args:
        normal: The cell of stride 1.
        reduction: The cell of stride 2 that is put between stacks. None: each stack but the first begins with the
            normal cell at stride 2.
        cells: Of the stacks together, without cells that are put between them.
        filters: F, of each op in the first stack.
        stem: Filters of the first convolution.
        skeleton: `cifar`: stride 1 in the stem. `imagenet`: stride 2, then two cells of stride 2, of F/4 and F/2.
        is_skipping: Whether the cell after one that was put in takes as its previous input what that one took.
        padding: Of layers with a stride: as much before as after, or TensorFlow's, for weights that were trained so.

    Raises:
        SpecError: A size out of its range, or filters that the stem cannot quarter and halves cannot divide.
    """

    kind: ClassVar[str] = "cell"
    normal: Cell
    reduction: Cell | None
    cells: int
    filters: int
    stem: int
    skeleton: Skeleton = "cifar"
    is_skipping: bool = False
    padding: Padding = "symmetric"

    def __post_init__(self) -> None:
        if not (3 <= self.cells <= MOST_CELLS and 1 <= self.stem <= MOST_FILTERS):
            raise SpecError(
                f"`3 <= cells <= {MOST_CELLS}` and `1 <= stem <= {MOST_FILTERS}` must hold, but got "
                f"(cells={self.cells}, stem={self.stem})."
            )
        least = 4 if self.skeleton == "imagenet" else 2
        if not least <= self.filters <= MOST_FILTERS or self.filters % 2:
            raise SpecError(f"`{least} <= filters <= {MOST_FILTERS}` must hold, even, but got {self.filters}.")

    @property
    def reductions(self) -> tuple[int, ...]:
        """Before which cells the filters double.

        Source: tensorflow/models, slim/nets/nasnet/nasnet_utils.py, `calc_reduction_layers`.
        """
        return tuple(int(i / 3 * self.cells) for i in (1, 2))

    @property
    def middle(self) -> int:
        """Index, among all places, of the last cell of the second stack: an auxiliary classifier follows it."""
        before = (2 if self.skeleton == "imagenet" else 0) + (0 if self.reduction is None else 1)
        return before + self.reductions[1] - 1

    def parts(self) -> tuple[Part, ...]:
        """Stem, cells and classifier."""
        parts = [Part("stem", ("stem",), "conv 3x3", self.stem, 2 if self.skeleton == "imagenet" else 1)]
        for place in self.places():
            name = f"cell{len(parts) - 1}"
            inputs = tuple(dict.fromkeys(parts[i].name for i in (-1, -2) if len(parts) >= -i))
            words = "; ".join(_words(block) for block in place.cell.blocks)
            parts.append(Part(name, (f"cells.{len(parts) - 1}",), words, place.width, place.stride, inputs))
        return (*parts, Part("classifier", ("pool", "flatten", "dropout", "classifier"), "ReLU, mean, linear",
                             inputs=(parts[-1].name,)))  # fmt: skip

    def graphs(self) -> tuple[Graph, ...]:
        """The cells."""
        if self.reduction is None:
            return (cell_graph("cell", self.normal),)
        return cell_graph("normal cell", self.normal), cell_graph("reduction cell", self.reduction)

    def places(self) -> tuple[Place, ...]:
        """All cells in their order."""
        places = []
        striding = self.normal if self.reduction is None else self.reduction
        if self.skeleton == "imagenet":
            places = [Place(striding, self.filters // n, 2, is_inserted=True) for n in (4, 2)]
        filters = self.filters
        for i in range(self.cells):
            is_reduced = i in self.reductions
            filters *= 2 if is_reduced else 1
            if is_reduced and self.reduction is not None:
                places.append(Place(self.reduction, filters, 2, is_inserted=True))
            is_striding = is_reduced and self.reduction is None
            is_skipping = is_reduced and not is_striding and self.is_skipping
            places.append(Place(self.normal, filters, 2 if is_striding else 1, is_skipping))
        return tuple(places)

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> CellSpec:
        """With so many times the filters and cells, in the skeleton for the resolution.

        Filters are rounded to even numbers, cells up.

        Raises:
            SpecError: `width` or `depth` is not in (0, 10].
        """
        check_multipliers(width, depth)
        skeleton = self.skeleton if resolution is None else skeleton_for(resolution)
        filters, stem = (max(2, 2 * round(width * n / 2)) for n in (self.filters, self.stem))
        return replace(self, filters=filters, stem=stem, cells=math.ceil(self.cells * depth), skeleton=skeleton)

    def transferred(self, skeleton: str | None, cells: int | None, filters: int | None) -> CellSpec:
        """Its cells in a network of another size; the stem is the usual one for the new skeleton or filters.

        Raises:
            SpecError: No such skeleton, or a size out of its range.
        """
        if skeleton not in (None, *get_args(Skeleton)):
            raise SpecError(f"A skeleton is one of {', '.join(get_args(Skeleton))}, but got {skeleton!r}.")
        found: Skeleton = skeleton or self.skeleton  # type: ignore[assignment]
        width = self.filters if filters is None else filters
        is_same = (found, width) == (self.skeleton, self.filters)
        stem = self.stem if is_same else usual_stem(found, width)
        return replace(self, skeleton=found, cells=self.cells if cells is None else cells, filters=width, stem=stem)


@dataclass(frozen=True)
class Place:
    """A cell in its network.

    Args:
        cell: Which.
        filters: Of each of its ops.
        stride: Of ops on its inputs.
        is_skipping: Whether its previous input is that of the cell before.
        is_inserted: Whether it is not counted among the network's cells.
    """

    cell: Cell
    filters: int
    stride: int
    is_skipping: bool = False
    is_inserted: bool = False

    @property
    def width(self) -> int:
        """Channels that it gives, where no block concatenates."""
        return self.filters * len(self.cell.outputs)


def skeleton_for(resolution: int) -> Skeleton:
    """The skeleton for square images of so many pixels a side.

    Raises:
        SpecError: There are no such images.
    """
    strides_to_drop(resolution)  # says what sides images have
    return "cifar" if resolution < 128 else "imagenet"


def usual_stem(skeleton: Skeleton, filters: int) -> int:
    """Filters of the first convolution where nothing else is said: three times those of an op, or 32 for ImageNet."""
    return 3 * filters if skeleton == "cifar" else 32


def _words(block: Block) -> str:
    names = [INPUTS[i] if i < len(INPUTS) else f"block {i - len(INPUTS)}" for i in block.inputs]
    one, two = (f"{op} of {name}" for op, name in zip(block.ops, names, strict=True))
    return f"{one} {'+' if block.combine == 'add' else '|'} {two}"
