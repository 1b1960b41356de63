"""The spaces of NASNet, PNASNet and AmoebaNet: which blocks a cell may have. Sizes of the network are options.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, section 3 and
appendix A; Liu et al., Progressive Neural Architecture Search, ECCV 2018, section 3; Real et al., Regularized Evolution
for Image Classifier Architecture Search, AAAI 2019, methods.
Differs: a spec's blocks are in canonical order, so that cells which differ in their order alone are one network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from paretonas.errors import SpecError
from paretonas.space.cell import INPUTS, MOST_BLOCKS, Block, Cell, CellSpec, Combine, Op, skeleton_for, usual_stem
from paretonas.space.space import Choice, Decision, SearchSpace


@dataclass(frozen=True)
class CellSpace:
    """Cells of B blocks, each of two ops on earlier states.

    Args:
        blocks: B.
        cells: Of the network, as its authors count; the search of the paper has three stacks of N.
        filters: F, of an op in the first stack.
        stem: Filters of the first convolution; 0: 3 F, or 32 in the skeleton for large images.
        resolution: Side of the images in pixels; from 128 on the skeleton is that for ImageNet.

    Raises:
        SpecError: A number out of its range.
    """

    blocks: int = 5
    cells: int = 6
    filters: int = 24
    stem: int = 0
    resolution: int = 32
    ops: ClassVar[tuple[Op, ...]]
    combines: ClassVar[tuple[Combine, ...]] = ("add",)
    has_reduction: ClassVar[bool] = True
    name: ClassVar[str]

    def __post_init__(self) -> None:
        if not 1 <= self.blocks <= MOST_BLOCKS:
            raise SpecError(f"`1 <= blocks <= {MOST_BLOCKS}` must hold, but got (blocks={self.blocks}).")
        self._network(*[Cell((Block((0, 0), (self.ops[0],) * 2),))] * 2)

    def build(self) -> SearchSpace:
        """The space; decisions are block by block: two inputs, two ops and, where there are several, how to combine."""
        kinds = ("normal", "reduction") if self.has_reduction else ("cell",)
        decisions = tuple(d for kind in kinds for block in range(self.blocks) for d in self._decisions(kind, block))

        def decode(values: Mapping[str, Choice]) -> CellSpec:
            cells = [self._cell(kind, values).canonical() for kind in kinds]
            return self._network(cells[0], cells[-1])

        step = len(self._decisions("", 0))
        lengths = () if self.has_reduction else tuple(step * (b + 1) for b in range(self.blocks))
        given = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) != f.default]
        name = self.name + (":" + ",".join(given) if given else "")
        return SearchSpace(name, decisions, decode, lengths=lengths)

    def _decisions(self, cell: str, block: int) -> tuple[Decision, ...]:
        states = (*INPUTS, *(f"block{i}" for i in range(block)))
        at = f"{cell}.block{block}"
        combine = (Decision(f"{at}.combine", self.combines, "combine"),) if len(self.combines) > 1 else ()
        inputs = (Decision(f"{at}.input{i}", states, "state") for i in (1, 2))
        ops = (Decision(f"{at}.op{i}", self.ops, "op") for i in (1, 2))
        return (*inputs, *ops, *combine)

    def _cell(self, cell: str, values: Mapping[str, Choice]) -> Cell:
        states = (*INPUTS, *(f"block{i}" for i in range(self.blocks)))
        blocks = []
        for i in range(self.blocks):
            at = f"{cell}.block{i}"
            if f"{at}.op1" not in values:  # a shorter architecture
                break
            inputs = tuple(states.index(str(values[f"{at}.input{side}"])) for side in (1, 2))
            ops = (values[f"{at}.op1"], values[f"{at}.op2"])
            blocks.append(Block(inputs, ops, values.get(f"{at}.combine", "add")))  # type: ignore[arg-type]
        return Cell(tuple(blocks))

    def _network(self, normal: Cell, reduction: Cell) -> CellSpec:
        skeleton = skeleton_for(self.resolution)
        stem = self.stem or usual_stem(skeleton, self.filters)
        return CellSpec(normal, reduction if self.has_reduction else None, self.cells, self.filters, stem, skeleton)


class NASNetSpace(CellSpace):
    """NASNet: a normal and a reduction cell, 13 ops, joined by addition or concatenation."""

    ops = (
        "identity", "conv1x3_3x1", "conv1x7_7x1", "dil3x3", "avg3x3", "max3x3", "max5x5", "max7x7", "conv1x1",
        "conv3x3", "sep3x3", "sep5x5", "sep7x7",
    )  # fmt: skip
    combines = ("add", "concat")
    name = "nasnet"


class PNASNetSpace(CellSpace):
    """PNASNet: one cell, 8 ops, joined by addition; shorter cells are architectures too."""

    ops = ("sep3x3", "sep5x5", "sep7x7", "conv1x7_7x1", "identity", "avg3x3", "max3x3", "dil3x3")
    has_reduction = False
    name = "pnasnet"


class AmoebaNetSpace(CellSpace):
    """AmoebaNet: a normal and a reduction cell, 8 ops, joined by addition."""

    ops = ("identity", "sep3x3", "sep5x5", "sep7x7", "avg3x3", "max3x3", "dil_sep3x3", "bottleneck1x7_7x1")
    name = "amoebanet"
