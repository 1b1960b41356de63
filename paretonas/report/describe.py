"""A network part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from paretonas.space import Interface, Part, Spec

if TYPE_CHECKING:
    from paretonas.network.cost import Cost


@dataclass(frozen=True)
class Row:
    """One part of a network.

    Args:
        name: "block3".
        what: What it consists of, in words.
        filters: Output channels; None where unknown.
        side: Side of its output in pixels; None where unknown, or if the output is no square image.
        params: Of all its modules.
        macs: Of all its modules.
        op: Its kind, as `Part` has it.
        layers: How many, one after the other.
    """

    name: str
    what: str
    filters: int | None
    side: int | None
    params: int
    macs: int
    op: str = "other"
    layers: int = 1


def describe(spec: Spec, cost: Cost, interface: Interface) -> list[Row]:
    """The parts of a network from its input to its output; where the spec tells none, the top modules.

    Args:
        spec: Of the network.
        cost: `spec_cost(spec, interface)`.
        interface: What it is fed; parts have sides if that is one square image.
    """
    parts = spec.parts()
    if not parts:
        tops = [name for name in cost.by_module if "." not in name]
        return [Row(name, "", None, None, *cost.by_module[name]) for name in tops if any(cost.by_module[name])]
    sides: dict[str, int | None] = {}
    rows = []
    for part in parts:
        sides[part.name] = _side(part, sides, interface)
        counts = [cost.by_module.get(module, (0, 0)) for module in part.modules]
        params, macs = (sum(column) for column in zip(*counts, strict=True))
        side = sides[part.name] if part.filters else None
        rows.append(Row(part.name, part.words, part.filters, side, params, macs, part.op, part.layers))
    return rows


def image_side(interface: Interface) -> int | None:
    """Side of the square images that a network is fed; None if it is fed anything else."""
    shape = interface.image_shape
    return shape[1] if shape is not None and shape[1] == shape[2] else None


def _side(part: Part, sides: dict[str, int | None], interface: Interface) -> int | None:
    """That of its first input over its stride, rounded up; None where that is no square."""
    side = sides.get(part.inputs[0]) if part.inputs else image_side(interface)
    return None if side is None or not part.stride else -(-side // part.stride)
