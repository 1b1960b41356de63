"""The front as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from paretonas.errors import UsageError
from paretonas.report.aims import Aims, Pair
from paretonas.report.frontier import HEIGHT, WIDTH, front_chart, groups_of
from paretonas.report.words import milliseconds
from paretonas.trial import State, Trial

SUFFIXES = (".png", ".svg", ".html")


def front_figure(
    trials: Sequence[Trial],
    title: str,
    aims: Aims,
    beside: Mapping[str, Sequence[Trial]] = {},
    names: Mapping[str, str] = {},
) -> alt.LayerChart | alt.VConcatChart:
    """Quality over latency: every complete trial a mark, the front a line, the target a dashed rule; a panel a device.

    The search's own marks darken with the order in which the trials ended, so that one sees where the strategy went.

    Args:
        trials: Of the search.
        title: Of the figure.
        aims: Of the search: its quality, latencies and targets.
        beside: Other searches by what the legend calls them; `companions` gives those of a search.
        names: Spec hash -> name, written beside the marks of searches of published networks.

    Raises:
        UsageError: No complete trial, or no latency.
    """
    if not aims.latencies:
        raise UsageError("A figure of the front is of quality over latency, but this search has no latencies.")
    drawn = [(pair, groups) for pair in aims.pairs() if (groups := groups_of(trials, beside, names, pair))]
    if not any(t.state is State.COMPLETE and pair.is_in(t.metrics) for t in trials for pair, _ in drawn):
        raise UsageError("A figure of the front needs a complete trial, but this search has none yet.")
    chart: alt.LayerChart | alt.VConcatChart
    if len(aims.latencies) == 1:
        pair, groups = drawn[0]
        chart = _sized(front_chart(groups, pair), f"{title}{_target(pair, ' · ')}")
    else:
        panels = [
            _sized(front_chart(groups, pair, view=f"panel{i}"), f"on {pair.device}{_target(pair, ' · ')}")
            for i, (pair, groups) in enumerate(drawn)
        ]
        chart = alt.vconcat(*panels).resolve_scale(color="independent", shape="independent").properties(title=title)
    return chart.properties(background="white").configure_title(fontSize=13)


def check_figure_path(path: Path) -> None:
    """Whether a figure can be written there, before work is spent on it.

    Raises:
        UsageError: Another suffix, or a folder that does not exist.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"A figure is written as {', '.join(SUFFIXES)}, but got {path.name!r}.")
    if not path.parent.exists():
        raise UsageError(f"A figure is written to a folder that exists, but there is no {path.parent}.")


def save_figure(figure: alt.TopLevelMixin, path: Path) -> None:
    """Write a figure as PNG, SVG or HTML (which needs no network), by its suffix.

    Raises:
        UsageError: Another suffix, or a folder that does not exist.
    """
    check_figure_path(path)
    options = {"inline": True} if path.suffix.lower() == ".html" else {"scale_factor": 2.0}
    figure.save(str(path), **options)


def _sized(chart: alt.LayerChart, title: str) -> alt.LayerChart:
    return chart.properties(width=WIDTH, height=HEIGHT, title=title)


def _target(pair: Pair, before: str) -> str:
    return "" if pair.target_ms is None else f"{before}dashed: target {milliseconds(pair.target_ms)}"
