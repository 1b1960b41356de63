"""The front as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import vl_convert

from paretonas.errors import UsageError
from paretonas.files import write_text, written_aside
from paretonas.report.aims import Aims, Pair
from paretonas.report.frontier import HEIGHT, WIDTH, front_chart, groups_of
from paretonas.report.html import VEGA_LITE, chart_spec, html
from paretonas.report.output import check_output
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
        chart = _sized(front_chart(groups, pair), f"{title}{_marks(pair)}")
    else:
        panels = [
            _sized(front_chart(groups, pair, view=f"panel{i}"), f"on {pair.device}{_marks(pair)}")
            for i, (pair, groups) in enumerate(drawn)
        ]
        chart = alt.vconcat(*panels).resolve_scale(color="independent", shape="independent").properties(title=title)
    return chart.properties(background="white").configure_title(fontSize=13)


def check_figure_path(path: Path) -> None:
    """Whether a figure can be written there, before work is spent on it.

    Raises:
        UsageError: Another suffix, or a folder that does not exist.
        MachineError: The system takes no file there.
    """
    check_output(path, "A figure", SUFFIXES)


def save_figure(figure: alt.TopLevelMixin, path: Path) -> None:
    """Write a figure as PNG, SVG or HTML (which needs no network), by its suffix.

    Raises:
        UsageError: Another suffix, or a folder that does not exist.
        MachineError: The system refuses the file.
    """
    check_figure_path(path)
    spec, kind = chart_spec(figure), path.suffix.lower()
    if kind == ".html":
        write_text(path, html("figure.html", {"title": path.stem}, {"figure": figure}))
    elif kind == ".svg":
        write_text(path, vl_convert.vegalite_to_svg(spec, VEGA_LITE))
    else:
        with written_aside(path) as draft:
            draft.write_bytes(vl_convert.vegalite_to_png(spec, VEGA_LITE, scale=2.0))


def _sized(chart: alt.LayerChart, title: str) -> alt.LayerChart:
    return chart.properties(width=WIDTH, height=HEIGHT, title=title)


def _marks(pair: Pair) -> str:
    """What is marked beside the trials."""
    target = "" if pair.target_ms is None else f" · dashed: target {milliseconds(pair.target_ms)}"
    return f"{target} · ring: recommended"
