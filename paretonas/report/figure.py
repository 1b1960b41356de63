"""The front as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from paretonas.errors import UsageError
from paretonas.report.frontier import HEIGHT, WIDTH, front_chart, groups_of
from paretonas.report.table import front_trials
from paretonas.trial import Trial

SUFFIXES = (".png", ".svg", ".html")


def front_figure(
    trials: Sequence[Trial],
    title: str,
    target_ms: float | None = None,
    beside: Mapping[str, Sequence[Trial]] = {},
    names: Mapping[str, str] = {},
) -> alt.LayerChart:
    """Accuracy over latency: every complete trial a mark, the front a line, the target a dashed rule.

    The search's own marks darken with the order in which the trials ended, so that one sees where the strategy went.

    Args:
        trials: Of the search.
        title: Of the figure.
        target_ms: Latency to aim at, if any.
        beside: Other searches by what the legend calls them; `companions` gives those of a search.
        names: Spec hash -> name, written beside the marks of searches of published networks.

    Raises:
        UsageError: No complete trial.
    """
    if not front_trials(trials):
        raise UsageError("A figure of the front needs a complete trial, but this search has none yet.")
    if target_ms is not None:
        title = f"{title} · dashed: target {target_ms:.3g} ms"
    chart = front_chart(groups_of(trials, beside, names), "validation accuracy (%)", target_ms)
    return chart.properties(width=WIDTH, height=HEIGHT, title=title, background="white").configure_title(fontSize=13)


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
