"""NAS-FPN's space: which features of a pyramid are merged, how, and into which level.

Two merging cells come between, each of one of the levels but the finest; then one for each level, in an order that is
chosen too. Every unordered pair of inputs is one decision, and the order of the outputs is written as a Lehmer code, so
that every combination of choices is an architecture.

Source: Ghiasi et al., NAS-FPN, CVPR 2019, section 3.1; google/vertex-ai-nas (its released space).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import get_args

from paretonas.errors import SpecError
from paretonas.space.detector import LEVELS, DetectorSpec, MergingCell, MergingOp, NeckSpec
from paretonas.space.mnasnet import REFERENCES, STRIDES, BlockSpec, MnasNetSpec, round_filters
from paretonas.space.space import Choice, Decision, SearchSpace, name_with_options
from paretonas.space.spec import Spec, strides_to_drop

BETWEEN = 2
"""Merging cells before those that give the levels."""


@dataclass(frozen=True)
class FpnSpace:
    """RetinaNet with NAS-FPN's merging cells; the backbone is MobileNetV2.

    Args:
        resolution: Side of the images in pixels, a multiple of 128; that of the task.
        width: Of the backbone.
        filters: Of the pyramid.
        stacks: How often the cells follow one another.
        separable: Whether neck and heads have depthwise separable convolutions, as NAS-FPN-Lite.
        head_layers: Convolutions of the heads before the last.
    """

    resolution: int = 512
    width: float = 1.0
    filters: int = 64
    stacks: int = 3
    separable: bool = True
    head_layers: int = 4

    def __post_init__(self) -> None:
        strides_to_drop(self.resolution)  # a side that is none is refused
        if self.resolution % 2 ** LEVELS[-1]:
            raise SpecError(f"A pyramid has images of a multiple of 128 pixels a side, but got {self.resolution}.")
        self.detector((MergingCell(3, "sum", (0, 1)), *(MergingCell(n, "sum", (0, 1)) for n in LEVELS[1:])))

    def build(self) -> SearchSpace:
        """The space that these options describe."""

        def decode(values: Mapping[str, Choice]) -> Spec:
            return self.detector(merging_cells(values))

        return SearchSpace(name_with_options("nas-fpn", self), merging_decisions(), decode, width=self.width)

    def detector(self, cells: tuple[MergingCell, ...]) -> DetectorSpec:
        """RetinaNet with these cells in its neck; without any, FPN."""
        neck = NeckSpec(self.filters, LEVELS, cells, self.stacks if cells else 1, self.separable)
        return DetectorSpec(mobilenet_v2(self.width), "retinanet", neck, self.head_layers)


def mobilenet_v2(width: float) -> MnasNetSpec:
    """MobileNetV2's stem and blocks; its head is not used in a detector."""
    layers, filters = REFERENCES["mobilenet-v2"]
    blocks = (
        BlockSpec("mbconv", 3, round_filters(f, width), n, stride, 1 if i == 0 else 6, skip="identity")
        for i, (n, f, stride) in enumerate(zip(layers, filters, STRIDES, strict=True))
    )
    return MnasNetSpec(tuple(blocks), round_filters(32, width), activation="relu6")


def merging_decisions() -> tuple[Decision, ...]:
    """All decisions of the neck.

    >>> from math import prod
    >>> prod(len(decision.choices) for decision in merging_decisions())
    1931334451200000
    """
    decisions = []
    for i in range(BETWEEN + len(LEVELS)):
        if i < BETWEEN:
            decisions.append(Decision(f"cell{i}.level", LEVELS[1:], "level"))
        decisions.append(Decision(f"cell{i}.op", get_args(MergingOp), "op"))
        pairs = tuple(f"{a}+{b}" for a, b in combinations(range(len(LEVELS) + i), 2))
        decisions.append(Decision(f"cell{i}.inputs", pairs))
    orders = (Decision(f"order{i}", tuple(range(len(LEVELS) - i))) for i in range(len(LEVELS) - 1))
    return (*decisions, *orders)


def merging_cells(values: Mapping[str, Choice]) -> tuple[MergingCell, ...]:
    """The cells that these choices stand for."""
    left = list(LEVELS)
    order = [left.pop(int(values[f"order{i}"])) for i in range(len(LEVELS) - 1)] + left
    levels = [int(values[f"cell{i}.level"]) for i in range(BETWEEN)] + order
    cells = []
    for i, level in enumerate(levels):
        first, second = str(values[f"cell{i}.inputs"]).split("+")
        op: MergingOp = "sum" if values[f"cell{i}.op"] == "sum" else "attention"
        cells.append(MergingCell(level, op, (int(first), int(second))))
    return tuple(cells)


def merging_choices(cells: tuple[MergingCell, ...]) -> tuple[int, ...]:
    """The choices that stand for these cells; the other way round than `merging_cells`.

    Raises:
        SpecError: They are none of the space's.
    """
    values: dict[str, Choice] = {}
    left = list(LEVELS)
    try:
        for i, cell in enumerate(cells):
            values |= {f"cell{i}.level": cell.level, f"cell{i}.op": cell.op}
            values[f"cell{i}.inputs"] = f"{cell.inputs[0]}+{cell.inputs[1]}"
            if i >= BETWEEN:
                values[f"order{i - BETWEEN}"] = left.index(cell.level)
                left.remove(cell.level)
        return tuple(decision.choices.index(values[decision.name]) for decision in merging_decisions())
    except (KeyError, ValueError):
        raise SpecError(f"NAS-FPN's space has seven merging cells of its kind, but got {cells}.") from None
