"""The report: one HTML file about one search, which needs nothing but itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import altair as alt
from markupsafe import Markup

from paretonas.errors import UsageError
from paretonas.files import write_text
from paretonas.objective.metric import metric
from paretonas.registry import Selection
from paretonas.report.advice import advice
from paretonas.report.aims import data_name, device_names
from paretonas.report.charts import series_of
from paretonas.report.confusion import confusion_of
from paretonas.report.drawing import PartLatencies
from paretonas.report.estimated import estimates_of, timed_names
from paretonas.report.evidence import read_calibrations
from paretonas.report.foretold import foretold
from paretonas.report.headline import verdicts
from paretonas.report.html import html
from paretonas.report.networks import drawn_networks
from paretonas.report.output import check_output
from paretonas.report.plain import shown_lines
from paretonas.report.scored import scores_of
from paretonas.report.searched import Searched, read_searches
from paretonas.report.table import config_toml, settings
from paretonas.report.timings import calibration_rows, conditions, quality, timing_rows, timings_of
from paretonas.report.totals import nearness, totals
from paretonas.report.views import PER_DEVICE, charts_of, legend_of, sequences, views_of
from paretonas.report.widths import curve_chart, steps_of
from paretonas.report.words import faster, milliseconds, numbers
from paretonas.store import Store
from paretonas.trial import State

PACKAGES = ("paretonas", "torch", "torchvision", "timm", "onnxruntime", "onnx", "numpy", "altair", "sqlalchemy")


def write_report(
    path: Path,
    store: Store,
    name: str,
    home: Path,
    compare: Sequence[str] = (),
    part_latencies: PartLatencies | None = None,
) -> None:
    """Write the report of the search `name` as one HTML file.

    Its baselines, where the store has them, stand beside it.

    Args:
        path: Of the file, `.html`; is replaced if it exists.
        store: Of the search.
        name: Of the search.
        home: Where the files of finalists lie.
        compare: More searches of the store to show beside it.
        part_latencies: Latencies of the parts of networks that are drawn, `drawn_trials`.

    Raises:
        UsageError: Another suffix, no such folder, or a search in which no trial has ended.
        StoreError: No such search, or a damaged row or file.
        MachineError: The system refuses the file.
    """
    check_output(path, "A report", (".html",))
    write_text(path, report_html(read_searches(store, name, home, compare), store, part_latencies or {}))


def report_html(searches: Sequence[Searched], store: Store, part_latencies: PartLatencies) -> str:
    """The report as text; the first search is what it is about.

    Raises:
        UsageError: No trial of it has ended.
    """
    search = searches[0]
    if not any(trial.state.is_final for trial in search.trials):
        raise UsageError(
            f"A report needs a trial that has ended, but search {search.name!r} has none of its {len(search.trials)}: "
            f"`paretonas resume {search.name}` first."
        )
    found = _found(searches, part_latencies)
    charts = found.pop("charts")
    context = {**_about(search), **found, **_measured(searches, store), "charts": frozenset(charts)}
    return html("page.html", context, charts, FILTERS)


def _about(search: Searched) -> dict[str, Any]:
    """What was searched, and where this is written."""
    return {
        "search": search,
        "data": data_name(search.config),
        "devices": device_names(search.config),
        "strategy": _plugin(search.config.get("strategy"), without=("goals", "prior")),
        "space": "the table's own" if search.is_table else _plugin(search.config.get("space")),
        "quality_title": metric(search.aims.quality).title,
        "is_rising": metric(search.aims.quality).is_rising,
        "is_aimed": any(target is not None for target in search.aims.latencies.values()),
        "toml": config_toml(search.config),
        "versions": {package: number for package in PACKAGES if (number := _version(package))},
        "python": sys.version.split()[0],
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _found(searches: Sequence[Searched], part_latencies: PartLatencies) -> dict[str, Any]:
    """What the searches found."""
    search, views = searches[0], views_of(searches[0])
    steps = steps_of(search.trials)
    drawn = charts_of(searches, views) | {f"morph-{step.trial}": curve_chart(step) for step in steps}
    charts = {key: chart for key, chart in drawn.items() if chart is not None}
    near = [(s, totals(s), view, nearness(s, view.pair)) for s in searches for view in views]
    plain = {s.name: settings(s.config) for s in searches}
    return {
        "searches": searches,
        "views": views,
        "legend": legend_of(searches),
        "series": [(one.name, one.color, "●") for one in series_of(sequences(searches))],
        "settings": plain,
        "setting_names": list(dict.fromkeys(key for each in plain.values() for key in each if key != "name")),
        "shown": {name: [view for view in views if f"{name}{view.key}" in charts] for name in PER_DEVICE},
        "charts": {key: _stretched(chart) for key, chart in charts.items()},
        "totals": near or [(s, totals(s), None, None) for s in searches],
        "advice": advice(search.trials, search.config),
        "verdicts": verdicts(searches),
        "foretold": foretold(search.trials),
        "networks": drawn_networks(search, part_latencies),
        "steps": steps,
        "confusions": [
            confusion
            for number, final in search.finals.items()
            if (confusion := confusion_of(number, final.classes, final.confused))
        ],
        "detectors": [(number, final.boxes) for number, final in search.finals.items() if final.boxes is not None],
        "unfinished": [(s, t) for s in searches for t in s.trials if t.state in (State.PRUNED, State.FAILED)],
    }


def _measured(searches: Sequence[Searched], store: Store) -> dict[str, Any]:
    """Where latencies come from, and how good they are."""
    names = timed_names(list(searches[0].aims.latencies))
    timings = {name: timings_of(searches, name) for name in names}
    used = [timing for each in timings.values() for timing in each]
    return {
        "scores": [(s, one) for s in searches if (one := scores_of(s, store)) is not None],
        "estimates": [(s, one) for s in searches for one in estimates_of(s, store)],
        "quality": [quality(s, name) for s in searches for name in names],
        "timings": timing_rows(searches, names),
        "conditions": [(metric(name).title, each) for name in names if (each := conditions(timings[name]))],
        "calibrations": calibration_rows(read_calibrations(store, used)),
    }


def _plugin(section: Mapping[str, Any] | None, without: Sequence[str] = ()) -> str:
    """A plugin with its options, as users write it."""
    options = {key: value for key, value in (section or {}).items() if key not in ("name", *without)}
    return str(Selection(str((section or {}).get("name", "unknown")), options))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _stretched(chart: alt.LayerChart) -> alt.LayerChart:
    """A chart as wide as its place."""
    sized = chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    stretched: alt.LayerChart = sized.configure_view(stroke=None).configure_axis(gridColor="#e6e6e6")
    return stretched


def _text(value: float | None, name: str) -> str:
    return "-" if value is None else metric(name).text(value)


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value < 1e3 else f"{value / 1e3:.1f} k" if value < 1e6 else f"{value / 1e6:.2f} M"


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _reason(error: str | None) -> str:
    """The last line of a traceback, which says what went wrong."""
    lines = [line for line in (error or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no reason was kept"


def _lines(text: str) -> Markup:
    return Markup("\n").join(shown_lines(text))


FILTERS: dict[str, Callable[..., Any]] = {
    "text": _text,
    "title_of": lambda name: metric(name).title,
    "ms": milliseconds,
    "percent": _percent,
    "count": _count,
    "number": _number,
    "reason": _reason,
    "faster": faster,
    "numbers": numbers,
    "lines": _lines,
}
