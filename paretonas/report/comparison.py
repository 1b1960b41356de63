"""What `compare` found, as a figure: best so far, and the share of the front, over the number of evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

PANEL, HEIGHT = 460, 320
"""Of a panel, in pixels."""
SKIPPED = 10, 0.05
"""So many evaluations, or such a share of all, are left out of the vertical axis: nobody has found anything yet."""
FEW = 5
"""The bands of more strategies than these are paler, as they cover each other."""
LONGEST_NAME = 330
"""Of a strategy in the legend, in pixels."""


def comparison_figure(summary: Mapping[str, Any]) -> alt.HConcatChart:
    """A line for each strategy's median with a band between its quartiles.

    Args:
        summary: What `compare.summary` gives.
    """
    panels = [_panel(summary, None, f"best {summary['judge']} so far")]
    if summary["latency"]:
        panels.append(_panel(summary, "hypervolume", f"share of the front's hypervolume ({summary['latency']})"))
    counts = sorted({one["seeds"] for one in summary["strategies"].values()})
    seeds = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    title = f"{summary['table']}: {summary['metric']}, {seeds} seeds · lines: medians, bands: quartiles"
    chart: alt.HConcatChart = alt.hconcat(*panels).properties(title=title, background="white")
    return chart.configure_title(fontSize=13)


def _panel(summary: Mapping[str, Any], part: str | None, title: str) -> alt.LayerChart:
    rows = []
    for name, one in summary["strategies"].items():
        spread = one[part] if part else one
        for i, (middle, low, high) in enumerate(zip(spread["median"], *spread["quartiles"], strict=True)):
            if middle is not None:
                rows.append({"strategy": name, "evaluations": i + 1, "median": middle, "low": low, "high": high})
    first = min(max(SKIPPED[0], int(SKIPPED[1] * summary["trials"])), summary["trials"])
    begin = [row for row in rows if row["evaluations"] == first]
    if part or summary["is_rising"]:
        domain = [min((row["low"] for row in begin), default=0.0), 1.0 if part else summary["best"]]
    else:
        domain = [summary["best"], max((row["high"] for row in begin), default=summary["best"])]
    scale = alt.Scale(domain=domain, nice=False, clamp=True)
    opacity = 0.15 if len(summary["strategies"]) <= FEW else 0.05
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("evaluations:Q", title="evaluations", scale=alt.Scale(domain=[1, summary["trials"]], nice=False)),
        color=alt.Color(
            "strategy:N",
            title=None,
            sort=list(summary["strategies"]),
            scale=alt.Scale(scheme="tableau10" if len(summary["strategies"]) <= 10 else "tableau20"),
            legend=alt.Legend(orient="bottom", symbolOpacity=1, columns=2, labelLimit=LONGEST_NAME),
        ),
    )
    band = base.mark_area(opacity=opacity).encode(y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=alt.Y("median:Q", scale=scale, title=title))
    layered: alt.LayerChart = (band + line).properties(width=PANEL, height=HEIGHT)
    return layered
