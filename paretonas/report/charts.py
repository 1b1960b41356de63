"""The charts of a report but for the front: what happened in which order, how latencies spread, how good timings are.

Each takes the searches as `Series`, and a chart of latencies is of one device; widths are left to the page, which
stretches charts to its own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from paretonas.objective.metric import metric
from paretonas.report.aims import Pair
from paretonas.report.frontier import BESIDE, FRONT, SEARCH, axis_range
from paretonas.trial import Trial

WINDOW = 10
"""Trials of a moving mean."""
BINS_AN_OCTAVE = 4
LOW_HEIGHT = 190
TIMED = ("search:N", "what:N", "device:N", "flags:N", "latency ms:Q", "spread %:Q", "attempts:Q", "pairs:Q")
"""What the mark of a timing says."""


@dataclass(frozen=True)
class Series:
    """A search as a line of its own.

    Args:
        name: In the legend.
        color: As `#rrggbb`.
        trials: Those that have ended, in their order.
    """

    name: str
    color: str
    trials: Sequence[Trial]


def series_of(searches: Mapping[str, Sequence[Trial]]) -> list[Series]:
    """The first search in the colour of the search, the others in the colours that they have beside its front."""
    colors = [SEARCH, *(BESIDE[i % len(BESIDE)][0] for i in range(len(searches)))]
    return [Series(name, color, trials) for (name, trials), color in zip(searches.items(), colors, strict=False)]


def order_chart(series: Sequence[Series], name: str) -> alt.LayerChart | None:
    """A metric over the order in which trials ended: a dot a trial, the moving mean a line. None without a value."""
    declared = metric(name)

    def value(trial: Trial) -> float | None:
        measured = trial.metrics.get(name)
        return None if measured is None else declared.scale * measured

    values = [reached for one in series for trial in one.trials if (reached := value(trial)) is not None]
    if not values or declared.most == math.inf:
        return _over_order(series, value, declared.axis)
    domain = axis_range(values, most=declared.scale * declared.most)
    return _over_order(series, value, declared.axis, alt.Scale(domain=domain, nice=False))


def reward_chart(series: Sequence[Series]) -> alt.LayerChart | None:
    """Rewards over the order: the moving mean a line, the best so far steps. None without a reward.

    The reward 0 of pruned trials lies at the lower edge, so that it does not press the others together.
    """
    steps = []
    for one in series:
        best = -math.inf
        for i, trial in enumerate(one.trials):
            best = max(best, trial.usable_reward if trial.usable_reward is not None else -math.inf)
            if best > -math.inf:
                steps.append({"search": one.name, "ended": i + 1, "value": best})
    rewards = [r for one in series for t in one.trials if (r := t.usable_reward)]
    if not rewards:
        return None
    margin = 0.04 * (max(rewards) - min(rewards)) or 0.01
    scale = alt.Scale(domain=[min(rewards) - margin, max(rewards) + margin], clamp=True, nice=False)
    chart = _over_order(series, lambda trial: trial.usable_reward, metric("reward").axis, scale)
    best_steps = alt.Chart(alt.Data(values=steps)).mark_line(interpolate="step-after", strokeWidth=2, strokeDash=[6, 3])
    assert chart is not None
    drawn = best_steps.encode(x=_ORDER, y=alt.Y("value:Q", scale=scale), color=_color(series))
    return alt.LayerChart(layer=[chart, drawn])


def ratio_chart(series: Sequence[Series], pair: Pair) -> alt.LayerChart | None:
    """Latency over the target: the share of a search's timed trials in each bin of a logarithmic axis.

    Bins are quarters of an octave, and the target is the edge of two. None without a target or a latency.
    """
    rows = [row for one in series for row in _shares(one, pair)]
    if not rows:
        return None
    ratios = [1.0, *(row["ratio"] for row in rows)]  # with the target, even if all miss it
    low, high = min(ratios), max(ratios)
    octaves = [2.0**i for i in range(math.floor(math.log2(low)), math.ceil(math.log2(high)) + 1)]
    scale = alt.Scale(type="log", nice=False, domain=[low, high])
    x = alt.X("ratio:Q", title="latency over target", scale=scale, axis=alt.Axis(values=octaves, format="~g"))
    y = alt.Y("share %:Q", title="share of trials (%)", stack=None)
    tooltip = ["search:N", alt.Tooltip("ratio:Q", title="from ratio", format=".3f"), "trials:Q"]
    steps = alt.Chart(alt.Data(values=rows)).mark_area(interpolate="step-after", fillOpacity=0.13, line=True)
    rule = alt.Chart(alt.Data(values=[{"ratio": 1.0}])).mark_rule(strokeDash=[5, 4], color="#777").encode(x=x)
    marks = steps.encode(x=x, y=y, color=_color(series), tooltip=tooltip)
    return alt.LayerChart(layer=[marks, rule]).properties(height=LOW_HEIGHT)


def _shares(one: Series, pair: Pair) -> list[dict[str, Any]]:
    """Lower edge and share of each bin, with an empty one before the first filled and one after the last."""
    if pair.target_ms is None:
        return []
    latencies = [t.metrics[pair.latency] for t in one.trials if t.metrics.get(pair.latency, 0.0) > 0]
    bins = [math.floor(BINS_AN_OCTAVE * math.log2(latency / pair.target_ms)) for latency in latencies]
    return [
        {
            "search": one.name,
            "ratio": 2 ** (i / BINS_AN_OCTAVE),
            "share %": 100 * bins.count(i) / len(bins),
            "trials": bins.count(i),
        }
        for i in (range(min(bins) - 1, max(bins) + 2) if bins else ())
    ]


def spread_chart(rows: Sequence[Mapping[str, Any]]) -> alt.LayerChart | None:
    """The spread of every timing over its date; flagged ones stand out.

    Args:
        rows: With `date` (ISO 8601), `spread` (a fraction), `flags` and `attempts`; those without a date are left out.
    """
    when = alt.Axis(labelOverlap=True, tickCount=6, format="%m-%d %H:%M")
    dated = [{**row, "spread %": 100 * row["spread"]} for row in rows if row["date"]]
    if not dated:
        return None
    kinds = alt.Scale(domain=["without flags", "flagged"], range=[SEARCH, FRONT])
    shapes = alt.Scale(domain=["without flags", "flagged"], range=["circle", "triangle-up"])
    marks = (
        alt.Chart(alt.Data(values=dated))
        .mark_point(filled=True, size=45, opacity=0.8)
        .encode(
            x=alt.X("date:T", title="when (UTC)", scale=alt.Scale(type="utc"), axis=when),
            y=alt.Y("spread %:Q", title="spread (%)", scale=alt.Scale(zero=True)),
            color=alt.Color("state:N", scale=kinds, legend=None),
            shape=alt.Shape("state:N", scale=shapes, legend=None),
            tooltip=list(TIMED),
        )
    )
    return alt.LayerChart(layer=[marks]).properties(height=LOW_HEIGHT)


_ORDER = alt.X("ended:Q", title="trials that have ended", axis=alt.Axis(format="d", tickMinStep=1))


def _over_order(
    series: Sequence[Series],
    value: Callable[[Trial], float | None],
    title: str,
    scale: alt.Scale | None = None,
) -> alt.LayerChart | None:
    """A dot a trial, and the mean of the last ten."""
    dots, means = [], []
    for one in series:
        last: list[float] = []
        for i, trial in enumerate(one.trials):
            reached = value(trial)
            if reached is None:
                continue
            last = [*last[-(WINDOW - 1) :], reached]
            dots.append({"search": one.name, "ended": i + 1, "trial": trial.number, "value": reached})
            if len(last) == WINDOW:
                means.append({"search": one.name, "ended": i + 1, "value": statistics.fmean(last)})
    if not dots:
        return None
    y = alt.Y("value:Q", title=title, scale=scale or alt.Scale(zero=False))
    tooltip = ["search:N", "trial:Q", alt.Tooltip("value:Q", title=title, format=".4f")]
    color = _color(series)
    marks = alt.Chart(alt.Data(values=dots)).mark_circle(size=26, opacity=0.55)
    lines = alt.Chart(alt.Data(values=means)).mark_line(strokeWidth=2)
    layers = [marks.encode(x=_ORDER, y=y, color=color, tooltip=tooltip), lines.encode(x=_ORDER, y=y, color=color)]
    return alt.LayerChart(layer=layers).properties(height=LOW_HEIGHT)


def _color(series: Sequence[Series]) -> alt.Color:
    scale = alt.Scale(domain=[one.name for one in series], range=[one.color for one in series])
    return alt.Color("search:N", scale=scale, legend=None)
