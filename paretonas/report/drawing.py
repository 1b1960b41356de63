"""Networks drawn part by part, with what each part costs beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from paretonas.report.describe import describe
from paretonas.space import Spec
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec

BlockLatencies = Mapping[str, Sequence[tuple[str, float, float]]]
"""Spec hash -> parts of the network as (name, latency in ms, share of the network's latency)."""

COLORS = {"conv": "#c98b3f", "dconv": "#6f9e6a", "mbconv": "#5b84b1", "other": "#8a8f98"}
WIDEST, TALLEST, SMALLEST = 56.0, 36.0, 6.0
MATTERS = 0.01
"""Share of the MACs from which on a part's time for a million of them is worth a word."""


@dataclass(frozen=True)
class Part:
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
        latency_ms: As measured inside the network; None if it was not.
        latency_share: Of the network's latency; None likewise.
    """

    name: str
    what: str
    output: str
    picture: Markup
    params: int
    params_share: float
    macs: int
    macs_share: float
    latency_ms: float | None
    latency_share: float | None


def draw(
    spec: Spec,
    resolution: int,
    classes: int,
    channels: int,
    latencies: Sequence[tuple[str, float, float]] = (),
) -> list[Part]:
    """The parts of a network from the image to the classifier."""
    from paretonas.network.cost import spec_cost  # brings torch

    cost = spec_cost(spec, resolution, classes, channels)
    rows = describe(spec, cost, resolution)
    measured = {name: (latency, share) for name, latency, share in latencies}
    blocks = {f"block{i + 1}": b for i, b in enumerate(spec.blocks)} if isinstance(spec, MnasNetSpec) else {}
    widest = max((block.filters for block in blocks.values()), default=1)
    parts = []
    for row in rows:
        latency, share = measured.get(row.name, (None, None))
        is_known = bool(row.filters and row.side)
        picture = _picture(row.filters or 1, widest, (row.side or 1) / resolution, blocks.get(row.name))
        parts.append(
            Part(
                name=row.name,
                what=row.what,
                output=f"{row.filters} x {row.side} x {row.side}" if is_known else "",
                picture=Markup(picture if is_known else ""),
                params=row.params,
                params_share=row.params / max(1, cost.params),
                macs=row.macs,
                macs_share=row.macs / max(1, cost.macs),
                latency_ms=latency,
                latency_share=share,
            )
        )
    return parts


def dearest_and_cheapest(parts: Sequence[Part]) -> tuple[tuple[str, float], tuple[str, float]] | None:
    """The parts in which a million MACs take the longest and the shortest, with these milliseconds.

    Parts with less than a hundredth of the MACs are passed over; None if fewer than two are left with a latency.
    """
    priced = [
        (part.name, part.latency_ms / part.macs * 1e6)
        for part in parts
        if part.latency_ms is not None and part.macs_share >= MATTERS
    ]
    if len(priced) < 2:
        return None
    return max(priced, key=lambda p: p[1]), min(priced, key=lambda p: p[1])


def _picture(filters: int, widest: int, height_share: float, block: BlockSpec | None) -> str:
    """Sheets of an output, one a layer; only numbers and our own colours get into it."""
    width = max(SMALLEST, WIDEST * math.sqrt(min(1.0, filters / widest)))
    height = max(SMALLEST, TALLEST * height_share)
    sheets = min(block.layers, 6) if block else 1
    color = COLORS[_op(block)]
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


def _op(block: BlockSpec | None) -> str:
    if block is None:
        return "other"
    return "conv" if block.op == "conv" else "dconv" if block.expansion == 1 else "mbconv"
