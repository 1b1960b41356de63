"""A network block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from paretonas.space import Spec
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec

if TYPE_CHECKING:
    from paretonas.network.cost import Cost


@dataclass(frozen=True)
class Row:
    """One part of a network.

    Args:
        name: "block3".
        what: What it consists of, in words.
        filters: Output channels; None where unknown.
        side: Side of its output in pixels; None where unknown.
        params: Of all its layers.
        macs: Of all its layers.
    """

    name: str
    what: str
    filters: int | None
    side: int | None
    params: int
    macs: int


def describe(spec: Spec, cost: Cost, resolution: int) -> list[Row]:
    """The parts of a network from the image to the classifier; for foreign models, their top modules."""
    if not isinstance(spec, MnasNetSpec):
        tops = [name for name in cost.by_module if "." not in name]
        return [Row(name, "", None, None, *cost.by_module[name]) for name in tops if any(cost.by_module[name])]
    side = _down(resolution, spec.stem_stride)
    rows = [Row("stem", f"conv 3x3{_stride(spec.stem_stride)}", spec.stem_filters, side, *cost.by_module["stem"])]
    for i, block in enumerate(spec.blocks):
        side = _down(side, block.stride)
        rows.append(Row(f"block{i + 1}", words(block), block.filters, side, *cost.by_module[f"blocks.{i}"]))
    rows.append(Row("head", "conv 1x1", spec.head_filters, side, *cost.by_module["head"]))
    rows.append(Row("classifier", "mean, linear", None, 1, *cost.by_module["classifier"]))
    return rows


def words(block: BlockSpec) -> str:
    """A block in words.

    >>> words(BlockSpec("mbconv", 5, 40, layers=3, stride=2, expansion=3, se_ratio=0.25, skip="identity"))
    '3 x mbconv3 5x5, se 0.25, stride 2, skip identity'
    """
    op = "conv" if block.op == "conv" else "dconv" if block.expansion == 1 else f"mbconv{block.expansion}"
    parts = [f"{block.layers} x {op} {block.kernel}x{block.kernel}"]
    if block.se_ratio:
        parts.append(f"se {block.se_ratio:g}")
    parts[-1] += _stride(block.stride)
    if block.skip != "none":
        parts.append(f"skip {block.skip}")
    return ", ".join(parts)


def _stride(stride: int) -> str:
    return f", stride {stride}" if stride > 1 else ""


def _down(side: int, stride: int) -> int:
    return -(-side // stride)
