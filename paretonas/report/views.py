"""What a page shows of each device, and all its charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from paretonas.report.aims import Pair
from paretonas.report.charts import order_chart, ratio_chart, reward_chart, series_of, spread_chart
from paretonas.report.estimated import timed_names
from paretonas.report.frontier import FRONT, SEARCH, Group, front_chart, groups_of
from paretonas.report.searched import Searched
from paretonas.report.timings import timing_rows
from paretonas.trial import Trial

PER_DEVICE = ("front", "finals", "latency", "ratio")
"""Charts that there are of each device."""


@dataclass(frozen=True)
class View:
    """What the page shows of one device.

    Args:
        key: Behind the names of its charts; empty where it is the only device.
        on: " on phone"; empty likewise.
        pair: The search's quality and its latency.
        final: Those of finalists.
    """

    key: str
    on: str
    pair: Pair
    final: Pair


def views_of(search: Searched) -> list[View]:
    """One for each device of a search."""
    both = zip(search.aims.pairs(), search.aims.pairs(is_final=True), strict=True)
    return [
        View(f"-{pair.device}" if pair.device else "", f" on {pair.device}" if pair.device else "", pair, final)
        for pair, final in both
    ]


def charts_of(searches: Sequence[Searched], views: Sequence[View]) -> dict[str, alt.LayerChart | None]:
    """All charts by the place that they have in the page; None where there is nothing to show."""
    series, names = series_of(sequences(searches)), timed_names(list(searches[0].aims.latencies))
    charts = {
        "quality": order_chart(series, searches[0].aims.quality),
        "reward": reward_chart(series),
        "spread": spread_chart(timing_rows(searches, names)),
    }
    for view in views:
        charts |= {
            f"front{view.key}": _front(searches, view.pair),
            f"finals{view.key}": _front(searches, view.final),
            f"latency{view.key}": order_chart(series, view.pair.latency),
            f"ratio{view.key}": ratio_chart(series, view.pair),
        }
    return charts


def sequences(searches: Sequence[Searched]) -> dict[str, Sequence[Trial]]:
    """The searches in which the order means something, with their trials in it; the first one by its own name."""
    return {s.label: s.in_order for s in searches if s.role != "zoo"}


def legend_of(searches: Sequence[Searched]) -> list[tuple[str, str, str]]:
    """Name, colour and mark of every group of the fronts, for all charts."""
    groups = [group for pair in searches[0].aims.pairs() for group in _groups(searches, pair)]
    groups.sort(key=lambda group: group.color not in (FRONT, SEARCH))  # the search's own first
    return list(dict.fromkeys((group.name, group.color, _MARKS[group.shape]) for group in groups))


def _front(searches: Sequence[Searched], pair: Pair) -> alt.LayerChart | None:
    search = searches[0]
    if not search.points(pair):
        return None
    return front_chart(_groups(searches, pair), pair, has_legend=False).properties(height=400)


def _groups(searches: Sequence[Searched], pair: Pair) -> list[Group]:
    names = {spec: name for s in searches[1:] for spec, name in s.names.items()}
    return groups_of(searches[0].trials, {s.label: s.trials for s in searches[1:]}, names, pair)


_MARKS = {
    "circle": "●", "diamond": "◆", "triangle-up": "▲", "square": "■", "triangle-down": "▼", "cross": "✚",
    "triangle-right": "▶",
}  # fmt: skip
