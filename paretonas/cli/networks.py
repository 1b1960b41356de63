"""Commands about single networks: zoo, describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.app import AsJson, Channels, Classes, Resolution, SmallImage, Trust, Width, app
from paretonas.cli.reading import read_indices
from paretonas.errors import UsageError
from paretonas.objective.metric import MACS, PARAMS
from paretonas.space import (
    Interface,
    Spec,
    load_spec,
    spaces,
    spec_hash,
    spec_to_json,
)

Plot = Annotated[Path | None, typer.Option(help="Draw its cells too: .png, .svg or .html.")]


@app.command()
def zoo(
    name: Annotated[str | None, typer.Argument(help="A published network; none lists them.")] = None,
    width: Width = 1.0,
    resolution: Resolution = None,
    small_image: SmallImage = False,
    classes: Classes = None,
    skeleton: Annotated[str | None, typer.Option(help="Of a network of cells: cifar or imagenet.")] = None,
    cells: Annotated[int | None, typer.Option(help="Of a network of cells, as its authors count.")] = None,
    filters: Annotated[int | None, typer.Option(help="Of a network of cells: of an op in the first stack.")] = None,
    stem: Annotated[int | None, typer.Option(help="Of a network of cells: filters of the first convolution.")] = None,
    auxiliary: Annotated[
        bool, typer.Option("--auxiliary", help="Count the auxiliary classifier too, which serves training alone.")
    ] = False,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """List the published networks, or describe one at any width, resolution and number of classes."""
    from paretonas.zoo import zoo_network, zoo_spec

    sizes = {"skeleton": skeleton, "cells": cells, "filters": filters, "stem": stem}
    if name is not None:
        name = _with_options(name, sizes)
        published = zoo_network(name, width, resolution if small_image else None)
        side = resolution or getattr(published, "resolution", None) or published.published_resolution
        spec = zoo_spec(name, width, side) if small_image else published.spec()
        about = {"name": name, "width": getattr(published, "width", width)}
        _plot(spec, plot)
        told = classes or spec.usual_classes
        interface = spec.usual_interface(3, side, told)
        if auxiliary:
            about["params_in_training"] = _params_in_training(spec, interface)
        _print_network(spec, interface, as_json, {**about, "classes": told})
        return
    if plot is not None or auxiliary or any(value is not None for value in sizes.values()):
        raise UsageError("A picture and sizes are of one network: `paretonas zoo NAME --plot FILE`.")
    rows = _list_networks()
    if as_json:
        console.print_json(rows)
        return
    shown = [
        [r["name"], PARAMS.text(r["params"]), MACS.text(r["macs"]), r["resolution"], r["about"].rstrip(".")]
        for r in rows
    ]
    console.table(["network", "params", "MACs", "pixels", "about"], shown)


def _list_networks() -> list[dict[str, Any]]:
    """What is known of each; what nobody has counted before is counted now."""
    from paretonas.report.describe import image_side
    from paretonas.zoo import zoo as networks
    from paretonas.zoo import zoo_network
    from paretonas.zoo.counts import COUNTS

    rows = []
    for name in networks:
        network = zoo_network(name)
        spec = network.spec()
        interface = spec.usual_interface(3, network.published_resolution, spec.usual_classes)
        totals = COUNTS[name].metrics() if name in COUNTS else _count(spec, interface)
        side, classes = image_side(interface), spec.usual_classes
        rows.append({"name": name, "about": networks.summary(name), "resolution": side, "classes": classes, **totals})
    return rows


def _count(spec: Spec, interface: Interface) -> dict[str, int]:
    from paretonas.network.cost import spec_cost

    return _totals(spec_cost(spec, interface))


def _with_options(name: str, options: dict[str, Any]) -> str:
    """A name of the zoo with what else was given after it."""
    given = ",".join(f"{key}={value}" for key, value in options.items() if value is not None)
    return f"{name}{',' if ':' in name else ':'}{given}" if given else name


def _params_in_training(spec: Spec, interface: Interface) -> int:
    """Parameters with those of the auxiliary classifier."""
    import torch

    from paretonas.network import build
    from paretonas.network.auxiliary import WithAuxiliary

    with torch.device("meta"):
        network = build(spec, interface)
        if not isinstance(network, WithAuxiliary):
            raise UsageError(f"Networks of cells have an auxiliary classifier, but not one of kind {spec.kind!r}.")
        network.add_auxiliary(interface)
    return sum(parameter.numel() for parameter in network.parameters())


@app.command()
def describe(
    spec: Annotated[Path | None, typer.Argument(help="A spec as a JSON file.")] = None,
    space: Annotated[str | None, typer.Option(help="Instead of a file: a space, with --choices.")] = None,
    choices: Annotated[str | None, typer.Option(help="One index for every decision of the space: 0,2,1,…")] = None,
    width: Width = 1.0,
    resolution: Resolution = None,
    classes: Classes = None,
    channels: Channels = 3,
    plot: Plot = None,
    _trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Draw a network block by block: a spec, or a point of a space."""
    if (spec is None) == (space is None) or (space is None) != (choices is None):
        raise UsageError("Describe a spec (paretonas describe SPEC.json) or a point (--space SPACE --choices 0,2,1,…).")
    side = resolution or 224
    if space is not None and choices is not None:
        built = spaces.create(space, {"resolution": side, "width": width}).build()
        found = built.decode(built.architecture(read_indices(choices)))
    else:
        assert spec is not None
        found = load_spec(spec).scaled(width)
    _plot(found, plot)
    told = classes or found.usual_classes
    _print_network(found, found.usual_interface(channels, side, told), as_json, {"classes": told})


def _plot(spec: Spec, plot: Path | None) -> None:
    """Write a picture of a network's cells, if one is asked for."""
    if plot is not None:
        from paretonas.report.graphs import save_graphs

        save_graphs(spec, plot)
        console.err.print(f"Wrote {plot}.")


def _as_backbone(cost: Any, rows: Sequence[Any]) -> dict[str, dict[str, int]]:
    """What of a classifier a detector keeps, and the whole, as papers on detection count them; nothing of others."""
    last = [row for row in rows if row.name in ("head", "classifier")]
    if len(last) != 2:
        return {}
    params, macs = (sum(getattr(row, name) for row in last) for name in ("params", "macs"))
    return {
        "backbone": {"params": cost.params - params, "macs": cost.macs - macs},
        "classifier": {"params": cost.params, "macs": cost.macs},
    }


def _print_network(spec: Spec, interface: Interface, as_json: bool, extra: dict[str, Any]) -> None:
    from paretonas.network.cost import spec_cost
    from paretonas.report.describe import describe as rows_of
    from paretonas.report.describe import image_side

    cost = spec_cost(spec, interface)
    rows = rows_of(spec, cost, interface)
    side = image_side(interface)
    if as_json:
        console.print_json(
            {
                **extra,
                **_totals(cost),
                **_as_backbone(cost, rows),
                "resolution": side,
                "spec_hash": spec_hash(spec),
                "spec": spec_to_json(spec),
                "blocks": [asdict(row) for row in rows],
            }
        )
        return
    console.table(
        ["part", "layers", "output", "params", "MACs", ""],
        [
            [
                row.name,
                row.what,
                f"{row.filters or '?'} x {row.side} x {row.side}" if row.side and row.filters else None,
                f"{row.params:,}",
                f"{row.macs:,}",
                "█" * round(30 * row.macs / max(1, cost.macs)),
            ]
            for row in rows
        ],
    )
    console.out.print()
    console.out.print(
        f"{cost.params:,} params, {cost.macs:,} MACs, {cost.weight_bytes / 1e6:.2f} MB of weights, "
        f"{cost.peak_memory_bytes / 1e6:.2f} MB of activations at most, "
        + (f"at {side} px with {extra['classes']} classes" if side else f"for one of {extra['classes']} words")
    )
    if "params_in_training" in extra:
        console.out.print(f"{extra['params_in_training']:,} params in training, with the auxiliary classifier")


def _totals(cost: Any) -> dict[str, int]:
    return {name: int(value) for name, value in cost.metrics().items()}
