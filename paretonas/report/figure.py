"""The front as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt

from paretonas.errors import UsageError
from paretonas.report.table import front_trials
from paretonas.trial import State, Trial

SUFFIXES = (".png", ".svg", ".html")
FRONT, OTHER, LATEST = "#c0392b", "#9db2c4", "#2c3e50"


def front_figure(trials: Sequence[Trial], title: str, target_ms: float | None = None) -> alt.LayerChart:
    """Accuracy over latency: every complete trial a dot, the front a line, the target a dashed rule.

    Dots darken with the order in which the trials ended, so that one sees where the strategy went.
    """
    complete = [t for t in trials if t.state is State.COMPLETE and {"accuracy", "latency_ms"} <= t.metrics.keys()]
    if not complete:
        raise UsageError("A figure of the front needs a complete trial, but this search has none yet.")
    best = {trial.number for trial in front_trials(complete)}
    rows = [
        {
            "trial": trial.number,
            "latency_ms": trial.metrics["latency_ms"],
            "accuracy": 100 * trial.metrics["accuracy"],
            "order": trial.told,
            "is_front": trial.number in best,
        }
        for trial in complete
    ]
    x = alt.X("latency_ms:Q", title="latency (ms)", scale=alt.Scale(zero=False, nice=True))
    y = alt.Y("accuracy:Q", title="validation accuracy (%)", scale=alt.Scale(zero=False, nice=True))
    data = alt.Data(values=rows)
    dots = (
        alt.Chart(data)
        .mark_circle(size=55, opacity=0.85)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "order:Q", title="trial", scale=alt.Scale(range=[OTHER, LATEST]), legend=alt.Legend(gradientLength=90)
            ),
            tooltip=["trial:Q", "latency_ms:Q", "accuracy:Q"],
        )
    )
    chosen = alt.Chart(data).transform_filter("datum.is_front")
    line = chosen.mark_line(color=FRONT, strokeWidth=1.5, interpolate="step-after").encode(x=x, y=y)
    points = chosen.mark_point(color=FRONT, size=90, strokeWidth=2).encode(x=x, y=y)
    layers: list[alt.Chart] = [dots, line, points]
    if target_ms is not None:
        rule = alt.Chart(alt.Data(values=[{"target": target_ms}]))
        layers.append(rule.mark_rule(strokeDash=[5, 4], color="#555").encode(x=alt.X("target:Q")))
        title = f"{title} · dashed: target {target_ms:.3g} ms"
    return alt.layer(*layers).properties(width=560, height=340, title=title).configure_title(fontSize=13)


def save_figure(figure: alt.LayerChart, path: Path) -> None:
    """Write a figure as PNG, SVG or HTML (which needs no network), by its suffix.

    Raises:
        UsageError: Another suffix, or a folder that does not exist.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"A figure is written as {', '.join(SUFFIXES)}, but got {path.name!r}.")
    if not path.parent.exists():
        raise UsageError(f"A figure is written to a folder that exists, but there is no {path.parent}.")
    options = {"inline": True} if path.suffix.lower() == ".html" else {"scale_factor": 2.0}
    figure.save(str(path), **options)
