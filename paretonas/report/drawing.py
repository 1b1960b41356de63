"""Networks drawn part by part, with what each part costs beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from paretonas.report.describe import Row, describe, image_side
from paretonas.space import Interface, Spec

PartLatency = tuple[str, float, float]
"""Name of a part, its latency in ms, and its share of the network's latency."""
PartLatencies = Mapping[str, Mapping[str, Sequence[PartLatency]]]
"""Name of a latency's metric (`latency_ms.phone`) -> spec hash -> the parts of the network."""

COLORS = {"conv": "#c98b3f", "dconv": "#6f9e6a", "mbconv": "#5b84b1", "fused": "#9a7bb0", "other": "#8a8f98"}
WIDEST, TALLEST, SMALLEST = 56.0, 36.0, 6.0
MATTERS = 0.01
"""Share of the MACs from which on a part's time for a million of them is worth a word."""


@dataclass(frozen=True)
class DrawnPart:
    """One part of a drawn network; shares are of the whole network, in [0, 1].

    Args:
        name: "block3".
        what: Its layers in words.
        output: "24 x 16 x 16", or empty where unknown.
        picture: Its output as SVG: the wider the more filters, the higher the larger, a sheet a layer.
        params: Of its layers.
        params_share: Of all parameters.
        macs: Of its layers.
        macs_share: Of all MACs.
        latencies: Name of a latency's metric -> milliseconds as measured inside the network, and their share of its
            latency; without those devices on which they were not measured.
    """

    name: str
    what: str
    output: str
    picture: Markup
    params: int
    params_share: float
    macs: int
    macs_share: float
    latencies: Mapping[str, tuple[float, float]]


def draw(spec: Spec, interface: Interface, latencies: Mapping[str, Sequence[PartLatency]]) -> list[DrawnPart]:
    """The parts of a network from its input to its output.

    Args:
        spec: Of the network.
        interface: What it is fed and gives.
        latencies: Name of a latency's metric -> latencies of parts.
    """
    from paretonas.network.cost import spec_cost  # brings torch

    cost = spec_cost(spec, interface)
    rows, side = describe(spec, cost, interface), image_side(interface)
    ops = [row.filters for row in rows if row.filters and row.op != "other"]
    widest = max(ops or [row.filters for row in rows if row.filters], default=1)
    measured = {name: {part: (ms, share) for part, ms, share in parts} for name, parts in latencies.items()}
    return [
        DrawnPart(
            name=row.name,
            what=row.what,
            output=f"{row.filters} x {row.side} x {row.side}" if row.filters and row.side else "",
            picture=Markup(_picture(row, widest, side)),
            params=row.params,
            params_share=row.params / max(1, cost.params),
            macs=row.macs,
            macs_share=row.macs / max(1, cost.macs),
            latencies={name: parts[row.name] for name, parts in measured.items() if row.name in parts},
        )
        for row in rows
    ]


def dearest_and_cheapest(
    parts: Sequence[DrawnPart], latency: str
) -> tuple[tuple[str, float], tuple[str, float]] | None:
    """The parts in which a million MACs take the longest and the shortest, with these milliseconds.

    Parts with less than a hundredth of the MACs are passed over, as are those too quick for the profiler's clock; None
    if fewer than two are left with a latency.

    Args:
        parts: Of one network.
        latency: Name of the latency's metric.
    """
    priced = [
        (part.name, part.latencies[latency][0] / part.macs * 1e6)
        for part in parts
        if part.macs_share >= MATTERS and part.latencies.get(latency, (0.0, 0.0))[0] > 0
    ]
    if len(priced) < 2:
        return None
    return max(priced, key=lambda p: p[1]), min(priced, key=lambda p: p[1])


def _picture(row: Row, widest: int, image: int | None) -> str:
    """Sheets of an output, one a layer; only numbers and our own colours get into it. Empty where sizes are unknown."""
    if not (row.filters and row.side and image):
        return ""
    width = max(SMALLEST, WIDEST * math.sqrt(min(1.0, row.filters / widest)))
    height = max(SMALLEST, TALLEST * row.side / image)
    sheets = min(row.layers, 6)
    color = COLORS.get(row.op, COLORS["other"])
    back = 2.5 * (sheets - 1)
    rects = "".join(
        f'<rect x="{back - 2.5 * i + 0.5:.1f}" y="{2.5 * i + 0.5:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="1.5" fill="{color}" stroke="#fff" stroke-width="0.8"/>'
        for i in range(sheets)
    )
    full = (width + back + 1, height + back + 1)
    return (
        f'<svg width="{full[0]:.0f}" height="{full[1]:.0f}" viewBox="0 0 {full[0]:.1f} {full[1]:.1f}" '
        f'aria-hidden="true">{rects}</svg>'
    )
