"""The chart of quality over latency, on one device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from paretonas.objective import front, front_trials, metric, recommend
from paretonas.report.aims import Pair
from paretonas.report.labels import Label, place_labels
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
OPAQUE = 0.95
"""Of marks that do not tell the order."""
LOGARITHMIC = 6.0
"""From this ratio of the largest latency to the smallest on, the axis is logarithmic."""


@dataclass(frozen=True)
class Group:
    """Trials that a chart marks alike.

    Args:
        name: In the legend.
        color: As `#rrggbb`.
        shape: Of the mark, one of Vega's.
        rows: One for each point: what its tooltip shows, and its opacity; `quality` is as it is printed.
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
    pair: Pair,
) -> list[Group]:
    """A search's front, its other trials, and other searches, as groups of marks; empty ones are left out.

    The row of what is recommended on the device says so.

    Args:
        trials: Of the search; the later one ended, the darker its mark.
        beside: Other searches, by what the legend calls them.
        names: Spec hash -> name of published networks; a search beside that has one is of such.
        pair: Which quality and which latency.
    """
    best = {trial.number for trial in front_trials(trials, pair.quality, [pair.latency])}
    mine = _with_points(trials, pair)
    last = max((t.told or 0 for t in mine), default=0) or 1
    own = {t.number: {**_row(t, "search", pair), "opacity": 0.35 + 0.6 * (t.told or 0) / last} for t in mine}
    for one in recommend(trials, pair.quality.removeprefix("test_"), {pair.searched: pair.target_ms}):
        if one.trial in own:
            own[one.trial]["is_recommended"] = True
    front_rows = [{**row, "opacity": OPAQUE} for number, row in own.items() if number in best]
    other_rows = [row for number, row in own.items() if number not in best]
    groups = [
        Group("front of the search", FRONT, "circle", front_rows, has_front=True),
        Group("its other trials", SEARCH, "circle", other_rows),
    ]
    unnamed = 0
    for label, others in beside.items():
        rows = [_row(t, label, pair, names.get(t.spec_hash, "")) for t in _with_points(others, pair)]
        is_named = any(row["name"] for row in rows)
        color, shape = (NAMED, "diamond") if is_named else BESIDE[unnamed % len(BESIDE)]
        unnamed += not is_named
        groups.append(Group(label, color, shape, rows, has_front=not is_named))
    return [group for group in groups if group.rows]


def front_chart(groups: Sequence[Group], pair: Pair, has_legend: bool = True, view: str = "") -> alt.LayerChart:
    """Quality over latency of groups of marks; the size is the caller's, names are placed for `WIDTH` x `HEIGHT`.

    Args:
        groups: At least one, each with a row.
        pair: Which quality and latency; its target is drawn as a dashed rule.
        has_legend: Explain the marks.
        view: Name of the chart where it is one of several in a figure; letters and digits.
    """
    rows = [{**row, "group": group.name} for group in groups for row in group.rows]
    latencies = [row["latency"] for row in rows] + ([pair.target_ms] if pair.target_ms else [])
    is_log = max(latencies) > LOGARITHMIC * min(latencies) > 0
    x_range, quality = axis_range(latencies, is_log), metric(pair.quality)
    y_range = axis_range([row["quality"] for row in rows], most=quality.scale * quality.most)
    scale = alt.Scale(domain=x_range, type="log" if is_log else "linear", nice=False)
    x = alt.X("latency:Q", title=metric(pair.latency).axis, scale=scale, axis=alt.Axis(tickCount=8))
    y = alt.Y("quality:Q", title=quality.axis, scale=alt.Scale(domain=y_range, nice=False))
    layers = [_line(group, pair).encode(x=x, y=y) for group in groups if group.has_front]
    if pair.target_ms is not None:
        rule = alt.Chart(alt.Data(values=[{"latency": pair.target_ms}]))
        layers.insert(0, rule.mark_rule(strokeDash=[5, 4], color="#777", strokeWidth=1.2).encode(x=x))
    layers += [layer.encode(x=x, y=y) for layer in _rings(rows)]
    names = _names(rows, x_range, y_range, is_log, f"{view}_" if view else "")
    layers += [layer.encode(x=x, y=y) for layer in names]
    layers.append(_marks(rows, groups, pair, has_legend).encode(x=x, y=y))
    chart = alt.LayerChart(layer=layers)
    return chart.properties(name=view) if view else chart


def _with_points(trials: Sequence[Trial], pair: Pair) -> list[Trial]:
    return [t for t in trials if t.state is State.COMPLETE and pair.is_in(t.metrics)]


def _row(trial: Trial, search: str, pair: Pair, name: str = "") -> dict[str, Any]:
    spread = trial.metrics.get(pair.beside("spread"))
    return {
        "search": search,
        "name": name,
        "trial": trial.number,
        "quality": metric(pair.quality).scale * trial.metrics[pair.quality],
        "latency": trial.metrics[pair.latency],
        "spread": None if spread is None else metric("latency_spread").scale * spread,
        "flags": trial.metrics.get(pair.beside("flags")),
        "reward": trial.reward,
        "params": trial.metrics.get("params"),
        "macs": trial.metrics.get("macs"),
        "opacity": OPAQUE,
    }


def _tooltips(pair: Pair) -> list[alt.Tooltip]:
    """What a mark says of its trial."""
    words = [alt.Tooltip(f"{field}:N") for field in ("search", "name")]
    named = {"quality": pair.quality, "latency": pair.latency, "spread": pair.beside("spread")}
    measured = [
        alt.Tooltip(f"{field}:Q", title=metric(name).axis, format=".4f" if field == "latency" else metric(name).form)
        for field, name in named.items()
    ]
    flags = [] if pair.is_estimated else [alt.Tooltip("flags:Q", title=metric(pair.beside("flags")).title)]
    reward = alt.Tooltip("reward:Q", format=metric("reward").form)
    costs = [alt.Tooltip(f"{field}:Q", title=metric(field).title, format=",") for field in ("params", "macs")]
    return [*words, alt.Tooltip("trial:Q"), *measured, *flags, reward, *costs]


def _marks(rows: Sequence[Mapping[str, Any]], groups: Sequence[Group], pair: Pair, has_legend: bool) -> alt.Chart:
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
            tooltip=_tooltips(pair),
        )
    )


def _rings(rows: Sequence[Mapping[str, Any]]) -> list[alt.Chart]:
    """A ring around what is recommended."""
    places = [{key: row[key] for key in ("latency", "quality")} for row in rows if row.get("is_recommended")]
    chart = alt.Chart(alt.Data(values=places))
    return [chart.mark_point(shape="circle", size=260, filled=False, color=DARK, strokeWidth=1.8)] if places else []


def _line(group: Group, pair: Pair) -> alt.Chart:
    """The front of a group as steps: the quality that a latency budget buys."""
    quality = metric(pair.quality)
    best = front([(quality.at_best(row["quality"]), -row["latency"]) for row in group.rows])
    chart = alt.Chart(alt.Data(values=[dict(group.rows[i]) for i in best]))
    return chart.mark_line(color=group.color, strokeWidth=1.6, opacity=0.75, interpolate="step-after")


def _names(
    rows: Sequence[Mapping[str, Any]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    is_log: bool,
    prefix: str,
) -> list[alt.Chart]:
    """Layers with the names of rows that have one."""

    def pixel(row: Mapping[str, Any]) -> tuple[float, float]:
        scale = math.log if is_log else float
        low, high, value = scale(x_range[0]), scale(x_range[1]), scale(row["latency"])
        return WIDTH * (value - low) / (high - low), HEIGHT * (y_range[1] - row["quality"]) / (y_range[1] - y_range[0])

    named = list({row["name"]: row for row in rows if row["name"]}.values())
    others = [pixel(row) for row in rows if not row["name"]]
    labels = place_labels([pixel(row) for row in named], [row["name"] for row in named], others, WIDTH, HEIGHT)
    return [layer for row, label in zip(named, labels, strict=True) for layer in _name(row, label, prefix)]


def _name(row: Mapping[str, Any], label: Label, prefix: str) -> list[alt.Chart]:
    """White under dark, so that a name is read on a line too; a thin line leads to a point that is not next to it.

    Args:
        row: With the name.
        label: Where it stands.
        prefix: Of the names of the chart's own scales.
    """
    chart = alt.Chart(alt.Data(values=[{key: row[key] for key in ("name", "latency", "quality")}]))
    place: dict[str, Any] = {"dx": label.dx, "dy": label.dy, "align": label.align, "baseline": "middle"}
    is_narrow = f"width < {NARROW}"
    name = alt.TextValue(alt.expr(f"{is_narrow} ? '' : datum.name"))  # hidden text would still take room
    halo = chart.mark_text(**place, fontSize=10.5, stroke="white", strokeWidth=3).encode(text=name)
    text = chart.mark_text(**place, fontSize=10.5, color=DARK).encode(text=name)
    if not label.is_far:
        return [halo, text]
    lead = chart.mark_rule(color="#999", opacity=alt.expr(f"{is_narrow} ? 0 : 1")).encode(
        x2=alt.X2Value(alt.expr(f"scale('{prefix}x', {row['latency']}) + {label.dx}")),
        y2=alt.Y2Value(alt.expr(f"scale('{prefix}y', {row['quality']}) + {label.dy}")),
    )
    return [lead, halo, text]


def axis_range(values: Sequence[float], is_log: bool = False, most: float = math.inf) -> tuple[float, float]:
    """A little more than the values cover, not below 0 if none is; on a logarithmic axis a little is a factor.

    Args:
        values: At least one.
        is_log: Whether the axis is logarithmic.
        most: Larger values there cannot be.

    >>> axis_range([90.0, 100.0], most=100.0)
    (89.4, 100.0)
    """
    low, high = min(values), max(values)
    if is_log:
        return low / 1.1, high * 1.1
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return (max(0.0, low - margin) if low >= 0 else low - margin), max(high, min(high + margin, most))
