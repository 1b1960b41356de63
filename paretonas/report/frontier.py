"""The chart of accuracy over latency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from paretonas.objective import front
from paretonas.report.labels import Label, place_labels
from paretonas.report.table import front_trials
from paretonas.trial import State, Trial

FRONT, SEARCH, NAMED, DARK = "#c0392b", "#4a7ab5", "#222222", "#333333"
BESIDE = (
    ("#e08a1e", "triangle-up"),
    ("#2a9d8f", "square"),
    ("#8e5ea2", "triangle-down"),
    ("#8c6d46", "cross"),
    ("#d4619b", "triangle-right"),
)
"""Colours of a search's front, of its other trials and of published networks; colours and marks of other searches."""
WIDTH, HEIGHT = 640, 380
"""Of the plot in pixels, for which names are placed; in a wider one they are further apart."""
NARROW = 520
"""Names are left out of plots that are narrower; tooltips and tables have them."""
LOGARITHMIC = 6.0
"""From this ratio of the largest latency to the smallest on, the axis is logarithmic."""
TOOLTIP = (
    ("search", "N", ""), ("name", "N", ""), ("trial", "Q", ""), ("accuracy %", "Q", ".2f"), ("latency ms", "Q", ".4f"),
    ("spread %", "Q", ".1f"), ("flags", "Q", ""), ("reward", "Q", ".4f"), ("params", "Q", ","), ("MACs", "Q", ","),
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Trials that a chart marks alike.

    Args:
        name: In the legend.
        color: As `#rrggbb`.
        shape: Of the mark, one of Vega's.
        rows: One for each point: its numbers, by the names of `TOOLTIP`, and its opacity.
        has_front: Whether a line joins the front of these points.
    """

    name: str
    color: str
    shape: str
    rows: Sequence[Mapping[str, Any]]
    has_front: bool = False


def groups_of(
    trials: Sequence[Trial],
    beside: Mapping[str, Sequence[Trial]],
    names: Mapping[str, str],
    metrics: tuple[str, str] = ("accuracy", "latency_ms"),
) -> list[Group]:
    """A search's front, its other trials, and other searches, as groups of marks; empty ones are left out.

    Args:
        trials: Of the search; the later one ended, the darker its mark.
        beside: Other searches, by what the legend calls them.
        names: Spec hash -> name of published networks; a search beside that has one is of such.
        metrics: Which accuracy and which latency.
    """
    best = {trial.number for trial in front_trials(trials, *metrics)}
    mine = _with_points(trials, metrics)
    groups = [
        Group("front of the search", FRONT, "circle", _rows(mine, "search", metrics, only=best), has_front=True),
        Group("its other trials", SEARCH, "circle", _rows(mine, "search", metrics, without=best)),
    ]
    unnamed = 0
    for label, others in beside.items():
        rows = _rows(_with_points(others, metrics), label, metrics, names)
        is_named = any(row["name"] for row in rows)
        color, shape = (NAMED, "diamond") if is_named else BESIDE[unnamed % len(BESIDE)]
        unnamed += not is_named
        groups.append(Group(label, color, shape, rows, has_front=not is_named))
    return [group for group in groups if group.rows]


def front_chart(
    groups: Sequence[Group], accuracy: str, target_ms: float | None, has_legend: bool = True
) -> alt.LayerChart:
    """Accuracy over latency of groups of marks; the size is the caller's, names are placed for `WIDTH` x `HEIGHT`.

    Args:
        groups: At least one, each with a row.
        accuracy: Title of that axis.
        target_ms: Drawn as a dashed rule, if given.
        has_legend: Explain the marks.
    """
    rows = [{**row, "group": group.name} for group in groups for row in group.rows]
    latencies = [row["latency ms"] for row in rows] + ([target_ms] if target_ms else [])
    is_log = max(latencies) > LOGARITHMIC * min(latencies) > 0
    x_range, y_range = _range(latencies, is_log), _range([row["accuracy %"] for row in rows])
    scale = alt.Scale(domain=x_range, type="log" if is_log else "linear", nice=False)
    x = alt.X("latency ms:Q", title="latency (ms)", scale=scale, axis=alt.Axis(tickCount=8))
    y = alt.Y("accuracy %:Q", title=accuracy, scale=alt.Scale(domain=y_range, nice=False))
    layers = [_line(group).encode(x=x, y=y) for group in groups if group.has_front]
    if target_ms is not None:
        rule = alt.Chart(alt.Data(values=[{"latency ms": target_ms}]))
        layers.insert(0, rule.mark_rule(strokeDash=[5, 4], color="#777", strokeWidth=1.2).encode(x=x))
    layers += [layer.encode(x=x, y=y) for layer in _names(rows, x_range, y_range, is_log)]
    layers.append(_marks(rows, groups, has_legend).encode(x=x, y=y))
    return alt.LayerChart(layer=layers)


def _with_points(trials: Sequence[Trial], metrics: tuple[str, str]) -> list[Trial]:
    return [t for t in trials if t.state is State.COMPLETE and set(metrics) <= t.metrics.keys()]


def _rows(
    trials: Sequence[Trial],
    search: str,
    metrics: tuple[str, str],
    names: Mapping[str, str] = {},
    only: set[int] | None = None,
    without: set[int] | None = None,
) -> list[dict[str, Any]]:
    last = max((t.told or 0 for t in trials), default=0) or 1
    is_final = metrics[1] != "latency_ms"
    rows = []
    for trial in trials:
        if (only is not None and trial.number not in only) or (without is not None and trial.number in without):
            continue
        spread = trial.metrics.get("final_latency_spread" if is_final else "latency_spread")
        rows.append(
            {
                "search": search,
                "name": names.get(trial.spec_hash, ""),
                "trial": trial.number,
                "accuracy %": 100 * trial.metrics[metrics[0]],
                "latency ms": trial.metrics[metrics[1]],
                "spread %": None if spread is None else 100 * spread,
                "flags": trial.metrics.get("final_latency_flags" if is_final else "latency_flags"),
                "reward": trial.reward,
                "params": trial.metrics.get("params"),
                "MACs": trial.metrics.get("macs"),
                "opacity": 0.35 + 0.6 * (trial.told or 0) / last if without is not None else 0.95,
            }
        )
    return rows


def _marks(rows: Sequence[Mapping[str, Any]], groups: Sequence[Group], has_legend: bool) -> alt.Chart:
    order = [group.name for group in groups]
    legend = alt.Legend(title=None, orient="top", columns=4, labelLimit=240, symbolSize=90) if has_legend else None
    colors = alt.Scale(domain=order, range=[group.color for group in groups])
    shapes = alt.Scale(domain=order, range=[group.shape for group in groups])
    return (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_point(filled=True, size=70, stroke="white", strokeWidth=0.5)
        .encode(
            color=alt.Color("group:N", scale=colors, legend=legend),
            shape=alt.Shape("group:N", scale=shapes, legend=legend),
            opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
            tooltip=[alt.Tooltip(f"{name}:{kind}", format=form) for name, kind, form in TOOLTIP],
        )
    )


def _line(group: Group) -> alt.Chart:
    """The front of a group as steps: the accuracy that a latency budget buys."""
    best = front([(row["accuracy %"], -row["latency ms"]) for row in group.rows])
    chart = alt.Chart(alt.Data(values=[dict(group.rows[i]) for i in best]))
    return chart.mark_line(color=group.color, strokeWidth=1.6, opacity=0.75, interpolate="step-after")


def _names(
    rows: Sequence[Mapping[str, Any]], x_range: tuple[float, float], y_range: tuple[float, float], is_log: bool
) -> list[alt.Chart]:
    """Layers with the names of rows that have one."""

    def pixel(row: Mapping[str, Any]) -> tuple[float, float]:
        scale = math.log if is_log else float
        low, high, value = scale(x_range[0]), scale(x_range[1]), scale(row["latency ms"])
        return (
            WIDTH * (value - low) / (high - low),
            HEIGHT * (y_range[1] - row["accuracy %"]) / (y_range[1] - y_range[0]),
        )

    named = list({row["name"]: row for row in rows if row["name"]}.values())
    others = [pixel(row) for row in rows if not row["name"]]
    labels = place_labels([pixel(row) for row in named], [row["name"] for row in named], others, WIDTH, HEIGHT)
    return [layer for row, label in zip(named, labels, strict=True) for layer in _name(row, label)]


def _name(row: Mapping[str, Any], label: Label) -> list[alt.Chart]:
    """White under dark, so that a name is read on a line too; a thin line leads to a point that is not next to it."""
    chart = alt.Chart(alt.Data(values=[{key: row[key] for key in ("name", "latency ms", "accuracy %")}]))
    place: dict[str, Any] = {"dx": label.dx, "dy": label.dy, "align": label.align, "baseline": "middle"}
    name = alt.TextValue(alt.expr(f"width < {NARROW} ? '' : datum.name"))  # hidden text would still take room
    halo = chart.mark_text(**place, fontSize=10.5, stroke="white", strokeWidth=3).encode(text=name)
    text = chart.mark_text(**place, fontSize=10.5, color=DARK).encode(text=name)
    if not label.is_far:
        return [halo, text]
    is_wide = alt.expr(f"width < {NARROW} ? 0 : 1")
    lead = chart.mark_rule(color="#999", opacity=is_wide).encode(
        x2=alt.X2Value(alt.expr(f"scale('x', {row['latency ms']}) + {label.dx}")),
        y2=alt.Y2Value(alt.expr(f"scale('y', {row['accuracy %']}) + {label.dy}")),
    )
    return [lead, halo, text]


def _range(values: Sequence[float], is_log: bool = False) -> tuple[float, float]:
    """A little more than the values cover; on a logarithmic axis a little is a factor."""
    low, high = min(values), max(values)
    if is_log:
        return low / 1.1, high * 1.1
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return max(0.0, low - margin), high + margin
