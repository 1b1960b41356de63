"""The report: one HTML file about one search, which needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from paretonas.errors import UsageError
from paretonas.objective.metric import metric
from paretonas.registry import Selection
from paretonas.report.aims import data_name, device_names
from paretonas.report.charts import series_of
from paretonas.report.drawing import PartLatencies
from paretonas.report.evidence import read_calibrations
from paretonas.report.headline import overall, verdicts
from paretonas.report.networks import drawn_networks
from paretonas.report.searched import Searched, read_searches
from paretonas.report.table import config_toml, settings
from paretonas.report.timings import calibration_rows, conditions, quality, timing_rows, timings_of
from paretonas.report.totals import nearness, totals
from paretonas.report.views import PER_DEVICE, charts_of, legend_of, sequences, views_of
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
    """
    if path.suffix.lower() != ".html":
        raise UsageError(f"A report is written as .html, but got {path.name!r}.")
    if not path.parent.exists():
        raise UsageError(f"A report is written to a folder that exists, but there is no {path.parent}.")
    text = report_html(read_searches(store, name, home, compare), store, part_latencies or {})
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


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
    return _render({**_about(search), **_found(searches, part_latencies), **_measured(searches, store)})


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
    charts = {key: chart for key, chart in charts_of(searches, views).items() if chart is not None}
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
        "charts": {key: _embedded(chart) for key, chart in charts.items()},
        "totals": near or [(s, totals(s), None, None) for s in searches],
        "overall": overall(search),
        "verdicts": verdicts(searches),
        "networks": drawn_networks(search, part_latencies),
        "unfinished": [(s, t) for s in searches for t in s.trials if t.state in (State.PRUNED, State.FAILED)],
    }


def _measured(searches: Sequence[Searched], store: Store) -> dict[str, Any]:
    """Where latencies come from, and how good they are."""
    names = list(searches[0].aims.latencies)
    timings = {name: timings_of(searches, name) for name in names}
    used = [timing for each in timings.values() for timing in each]
    return {
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


def _embedded(chart: alt.LayerChart) -> dict[str, Any]:
    """A chart as the page holds it: as wide as its place."""
    sized = chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    spec: dict[str, Any] = sized.configure_view(stroke=None).configure_axis(gridColor="#e6e6e6").to_dict()
    return spec


@lru_cache(maxsize=1)
def _javascript() -> Markup:
    """Vega, Vega-Lite and Vega-Embed, the versions that Altair writes for."""
    return Markup(
        vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", ".".join(alt.SCHEMA_VERSION.split(".")[:2]))
    )


def _render(context: Mapping[str, Any]) -> str:
    """The template, filled. Everything is escaped but our own scripts and pictures.

    The page forbids the browser to load anything or to run any script but its own two, which it names by their hashes.
    """
    environment = Environment(
        loader=PackageLoader("paretonas", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    scripts = {"javascript": _javascript(), "start": Markup(START)}
    charts = json.dumps(context["charts"]).replace("<", "\\u003c")
    policy = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts.values())
    template = environment.get_template("page.html")
    return template.render({**context, **scripts, "chart_specs": Markup(charts), "policy": Markup(policy)})


START = """
const specs = JSON.parse(document.getElementById("chart-specs").textContent);
for (const [name, spec] of Object.entries(specs)) {
  vegaEmbed(document.getElementById(`chart-${name}`), spec, {actions: false, renderer: "svg", ast: true});
}
"""


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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


FILTERS = {
    "text": _text,
    "title_of": lambda name: metric(name).title,
    "ms": milliseconds,
    "percent": _percent,
    "count": _count,
    "number": _number,
    "reason": _reason,
    "faster": faster,
    "numbers": numbers,
}
