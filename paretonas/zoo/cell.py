"""What published networks of cells have in common: how their cells are written down, and their sizes.

Source: tensorflow/models, slim/nets/nasnet; tensorflow/tpu, models/official/amoeba_net/model_specs.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from paretonas.space.cell import Block, Cell, CellSpec, Skeleton, skeleton_for
from paretonas.zoo.zoo import Published


def read_cell(blocks: str, outputs: str) -> Cell:
    """A cell in a short form of the released notation.

    Args:
        blocks: `op:state+op:state` each; state 0 is the current input, 1 the previous one, 2 the first block.
        outputs: Digits of the states that are concatenated.

    >>> read_cell("sep3x3:0+identity:1 avg3x3:2+max3x3:0", "3").blocks[1].inputs
    (2, 0)
    """
    read = []
    for text in blocks.split():
        ops, states = zip(*(half.split(":") for half in text.split("+")), strict=True)
        read.append(Block(tuple(map(int, states)), ops))
    return Cell(tuple(read), tuple(map(int, outputs)))


class Size(NamedTuple):
    """How large a network is; see `CellSpec`. The stem is for ImageNet; for CIFAR it has three times the filters."""

    cells: int
    filters: int
    stem: int = 32
    is_skipping: bool = False


@dataclass(frozen=True)
class CellFamily(Published):
    """A published cell in a network of any size.

    Args:
        width: Multiplier of the filters.
        resolution: Side of the images in pixels: below 128 the skeleton is `cifar`. None: as published.
        skeleton: `cifar` or `imagenet`; None: what suits the resolution.
        cells: In the three stacks, as the authors count. None: as published for the skeleton; so are the next two.
        filters: Of an op in the first stack.
        stem: Of the first convolution.

    Raises:
        SpecError: A size out of its range.
    """

    width: float = 1.0
    resolution: int | None = None
    skeleton: Skeleton | None = None
    cells: int | None = None
    filters: int | None = None
    stem: int | None = None
    normal: ClassVar[Cell]
    reduction: ClassVar[Cell | None]
    small: ClassVar[Size]
    large: ClassVar[Size]

    def spec(self) -> CellSpec:
        skeleton = self.skeleton or skeleton_for(self.resolution or self.published_resolution)
        size = self.small if skeleton == "cifar" else self.large
        filters = size.filters if self.filters is None else self.filters
        usual_stem = 3 * filters if skeleton == "cifar" else size.stem
        spec = CellSpec(
            self.normal,
            self.reduction,
            size.cells if self.cells is None else self.cells,
            filters,
            usual_stem if self.stem is None else self.stem,
            skeleton,
            size.is_skipping,
        )
        return spec if self.width == 1 else spec.scaled(self.width)
