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
from paretonas.latency import latency_from_json
from paretonas.report.charts import order_chart, ratio_chart, reward_chart, series_of, spread_chart
from paretonas.report.drawing import BlockLatencies, dearest_and_cheapest, draw
from paretonas.report.frontier import front_chart, groups_of
from paretonas.report.headline import faster, numbers, verdicts
from paretonas.report.searched import LATENCY_OF, Kind, Searched, decoded, network_names, read_searches
from paretonas.report.table import config_toml, drawn_trials
from paretonas.report.timings import all_timings, calibration_rows, conditions, quality, timing_rows
from paretonas.report.totals import totals
from paretonas.store import Store
from paretonas.trial import State, Trial

PACKAGES = ("paretonas", "torch", "torchvision", "timm", "onnxruntime", "onnx", "numpy", "altair", "sqlalchemy")
ACCURACY_TITLES: dict[Kind, str] = {"accuracy": "validation accuracy (%)", "test_accuracy": "test accuracy (%)"}


def write_report(
    path: Path,
    store: Store,
    name: str,
    home: Path,
    compare: Sequence[str] = (),
    block_latencies: BlockLatencies | None = None,
) -> None:
    """Write the report of the search `name` as one HTML file.

    The searches `NAME.random` and `NAME.zoo`, where the store has them, stand beside it.

    Args:
        path: Of the file, `.html`; is replaced if it exists.
        store: Of the search.
        name: Of the search.
        home: Where the files of finalists lie.
        compare: More searches of the store to show beside it.
        block_latencies: Spec hash -> latency of each part, for the networks that are drawn.

    Raises:
        UsageError: Another suffix, no such folder, or a search in which no trial has ended.
        StoreError: No such search, or a damaged row or file.
    """
    if path.suffix.lower() != ".html":
        raise UsageError(f"A report is written as .html, but got {path.name!r}.")
    if not path.parent.exists():
        raise UsageError(f"A report is written to a folder that exists, but there is no {path.parent}.")
    text = report_html(read_searches(store, name, home, compare), store, block_latencies or {})
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def report_html(searches: Sequence[Searched], store: Store, block_latencies: BlockLatencies) -> str:
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
    charts = {key: chart for key, chart in _charts(searches).items() if chart is not None}
    calibrations = [(key, latency_from_json(value)) for key, value in store.evaluations("calibration")]
    timings = all_timings(searches)
    context = {
        "search": search,
        "searches": searches,
        "legend": _legend(searches),
        "series": [(one.name, one.color, "●") for one in series_of(_sequences(searches))],
        "settings": list(dict.fromkeys(key for s in searches for key in s.config if key != "name")),
        "charts": {key: _embedded(chart) for key, chart in charts.items()},
        "totals": [(s, totals(s, search.target_ms)) for s in searches],
        "verdicts": verdicts(searches),
        "networks": _drawn(search, block_latencies),
        "quality": [quality(s) for s in searches],
        "timings": timing_rows(searches),
        "conditions": conditions(timings),
        "calibrations": calibration_rows(calibrations, {timing.latency.calibrated for timing in timings}),
        "unfinished": [(s, t) for s in searches for t in s.trials if t.state in (State.PRUNED, State.FAILED)],
        "versions": {package: found for package in PACKAGES if (found := _version(package))},
        "python": sys.version.split()[0],
        "toml": config_toml(search.config),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return _render(context)


def _charts(searches: Sequence[Searched]) -> dict[str, alt.LayerChart | None]:
    """All charts by the place that they have in the page; None where there is nothing to show."""
    search, series = searches[0], series_of(_sequences(searches))
    return {
        "front": _front(searches, "accuracy"),
        "finals": _front(searches, "test_accuracy"),
        "latency": order_chart(series, "latency_ms", "latency (ms)"),
        "accuracy": order_chart(series, "accuracy", ACCURACY_TITLES["accuracy"], 100.0),
        "reward": reward_chart(series),
        "ratio": ratio_chart(series, search.target_ms) if search.target_ms is not None else None,
        "spread": spread_chart(timing_rows(searches)),
    }


def _sequences(searches: Sequence[Searched]) -> dict[str, Sequence[Trial]]:
    """The searches in which the order means something, with their trials in it; the first one by its own name."""
    return {s.label: s.in_order for s in searches if s.role != "zoo"}


def _front(searches: Sequence[Searched], kind: Kind) -> alt.LayerChart | None:
    search = searches[0]
    if not search.points(kind):
        return None
    names = {spec: name for s in searches[1:] for spec, name in network_names(s.trials).items()}
    beside = {s.label: s.trials for s in searches[1:]}
    groups = groups_of(search.trials, beside, names, (kind, LATENCY_OF[kind]))
    return front_chart(groups, ACCURACY_TITLES[kind], search.target_ms, has_legend=False).properties(height=400)


def _legend(searches: Sequence[Searched]) -> list[tuple[str, str, str]]:
    """Name, colour and mark of every group of the front, for all charts."""
    names = {spec: name for s in searches[1:] for spec, name in network_names(s.trials).items()}
    groups = groups_of(searches[0].trials, {s.label: s.trials for s in searches[1:]}, names)
    return [(group.name, group.color, _MARKS[group.shape]) for group in groups]


_MARKS = {
    "circle": "●", "diamond": "◆", "triangle-up": "▲", "square": "■", "triangle-down": "▼", "cross": "✚",
    "triangle-right": "▶",
}  # fmt: skip


def _drawn(search: Searched, block_latencies: BlockLatencies) -> list[dict[str, Any]]:
    """The networks that are drawn, with their parts as far as sizes are known."""
    networks = []
    for trial in drawn_trials(search.trials):
        spec, timing = decoded(trial), (search.timings or {}).get(trial.number)
        parts = None
        if spec is not None and timing is not None and timing.input_shape and timing.classes:
            latencies = block_latencies.get(trial.spec_hash, ())
            parts = draw(spec, timing.input_shape[2], timing.classes, timing.input_shape[1], latencies)
        prices = dearest_and_cheapest(parts or ())
        shape = timing.input_shape if timing else None
        networks.append({"trial": trial, "parts": parts, "prices": prices, "shape": shape})
    return networks


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
  vegaEmbed(`#chart-${name}`, spec, {actions: false, renderer: "svg", ast: true});
}
"""


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"


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
    "ms": _milliseconds,
    "percent": _percent,
    "count": _count,
    "number": _number,
    "reason": _reason,
    "faster": faster,
    "numbers": numbers,
}
