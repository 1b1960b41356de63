"""The one writer of HTML: a template filled with text of others, which stays text, and charts that need no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from paretonas.report.plain import shown

START = """
const specs = JSON.parse(document.getElementById("chart-specs").textContent);
for (const [name, spec] of Object.entries(specs)) {
  vegaEmbed(document.getElementById(`chart-${name}`), spec, {actions: false, renderer: "svg", ast: true});
}
"""
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
"""The version that Altair writes for."""


def html(
    template: str,
    context: Mapping[str, Any],
    charts: Mapping[str, alt.TopLevelMixin],
    filters: Mapping[str, Callable[..., Any]] = {},
) -> str:
    """A page that loads nothing and runs no script but the two that draw its charts, which it names by their hashes.

    Everything in it is escaped but these and what is `Markup`; characters that are not seen are shown.

    Args:
        template: Of this package; extends `base.html`.
        context: What it shows.
        charts: By the name of their place, the element `chart-NAME`.
        filters: Of the template.
    """
    environment = Environment(
        loader=PackageLoader("paretonas", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_as_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    scripts = [_javascript(), Markup(START)] if charts else []
    specs = json.dumps({shown(name): chart_spec(chart) for name, chart in charts.items()}).replace("<", "\\u003c")
    policy = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts) or "'none'"
    written = {**context, "scripts": scripts, "chart_specs": Markup(specs), "policy": Markup(policy)}
    return environment.get_template(template).render(written)


def chart_spec(chart: alt.TopLevelMixin) -> Any:
    """A chart as data, in which text of others is shown."""
    return _shown_within(chart.to_dict())


def _shown_within(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _shown_within(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_shown_within(item) for item in data]
    return shown(data) if isinstance(data, str) else data


def _as_shown(value: Any) -> Any:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=1)
def _javascript() -> Markup:
    """Vega, Vega-Lite and Vega-Embed."""
    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE))


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
