"""Commands about single networks: measure, zoo, describe."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.app import AsJson, Channels, Classes, Resolution, SmallImage, Width, app
from paretonas.cli.reading import read_indices
from paretonas.errors import UsageError
from paretonas.space import Spec, load_spec, spaces, spec_from_json, spec_hash, spec_to_json


@app.command()
def measure(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="An .onnx or .safetensors file, a spec (.json), or a name of the zoo.")],
    device: Annotated[str, typer.Option(help="runtime\\[:options]\\[@transport:address].")] = "onnxruntime",
    width: Width = 1.0,
    resolution: Resolution = None,
    small_image: SmallImage = False,
    classes: Classes = 1000,
    channels: Channels = 3,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Say which parts of a spec take how much of the time.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Time a model on a device, one image at a time, against the device's reference network."""
    from paretonas.evaluation.measure import measure_blocks, measure_model

    here = context.obj
    found = (measure_blocks if blocks else measure_model)(
        model, device, here.store(), here.home / "cache", width, resolution, classes, channels, small_image
    )
    if as_json:
        console.print_json(found)
        return
    console.out.print(f"{model}: [bold]{found['latency_ms']:.4g} ms[/]  (spread {100 * found['spread']:.1f} %)")
    reference = found["reference"]
    console.out.print(
        f"  {found['ratio']:.3f} x the reference, {reference['name']} x{reference['width']} at "
        f"{reference['input_shape'][-1]} px ({reference['latency_ms']:.4g} ms)"
    )
    console.out.print(f"  fastest of {found['pairs']} pairs in {found['loads']} loads, {found['clock']} clock")
    console.out.print("  " + ", ".join(f"{k} {v}" for k, v in found["conditions"].items()))
    if found["flags"]:
        console.out.print(f"  flagged after {found['attempts']} attempts: {', '.join(found['flags'])}")
    if blocks:
        _print_blocks(found)


def _print_blocks(found: dict[str, Any]) -> None:
    """The parts of a network with their shares of time and of MACs."""
    from paretonas.network.cost import spec_cost
    from paretonas.report.describe import describe as rows_of

    spec, (_, channels, _, side) = spec_from_json(found["spec"]), found["input_shape"]
    words = {row.name: row.what for row in rows_of(spec, spec_cost(spec, side, found["classes"], channels), side)}
    console.table(
        ["part", "layers", "latency", "time", "MACs", "ms / M MACs"],
        [
            [
                block["name"],
                words.get(block["name"]),
                f"{block['latency_ms']:.3f} ms",
                f"{100 * block['share']:.1f} %",
                None if block["macs_share"] is None else f"{100 * block['macs_share']:.1f} %",
                None if block["ms_per_mmac"] is None else f"{block['ms_per_mmac']:.4f}",
            ]
            for block in found["blocks"]
        ],
    )


@app.command()
def zoo(
    name: Annotated[str | None, typer.Argument(help="A published network; none lists them.")] = None,
    width: Width = 1.0,
    resolution: Resolution = None,
    small_image: SmallImage = False,
    classes: Classes = 1000,
    as_json: AsJson = False,
) -> None:
    """List the published networks, or describe one at any width, resolution and number of classes."""
    from paretonas.network.cost import spec_cost
    from paretonas.zoo.zoo import ZOO, zoo_entry, zoo_spec

    if name is not None:
        side = resolution or zoo_entry(name).resolution
        spec = zoo_spec(name, width, side if small_image else None)
        _print_network(spec, side, classes, 3, as_json, {"name": name, "width": width})
        return
    costs = {key: spec_cost(entry.spec, entry.resolution, 1000) for key, entry in ZOO.items()}
    if as_json:
        console.print_json(
            [
                {"name": key, "about": ZOO[key].about, "resolution": ZOO[key].resolution, **_totals(cost)}
                for key, cost in costs.items()
            ]
        )
        return
    rows = [
        [key, f"{c.params / 1e6:.2f} M", f"{c.macs / 1e6:.1f} M", ZOO[key].resolution, ZOO[key].about]
        for key, c in costs.items()
    ]
    console.table(["network", "params", "MACs", "pixels", "about"], rows)


@app.command()
def describe(
    spec: Annotated[Path | None, typer.Argument(help="A spec as a JSON file.")] = None,
    space: Annotated[str | None, typer.Option(help="Instead of a file: a space, with --choices.")] = None,
    choices: Annotated[str | None, typer.Option(help="One index for every decision of the space: 0,2,1,…")] = None,
    width: Width = 1.0,
    resolution: Resolution = None,
    classes: Classes = 1000,
    channels: Channels = 3,
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
        from paretonas.zoo.zoo import scaled_spec

        found = scaled_spec(load_spec(spec), width)
    _print_network(found, side, classes, channels, as_json, {})


def _print_network(
    spec: Spec, resolution: int, classes: int, channels: int, as_json: bool, extra: dict[str, Any]
) -> None:
    from paretonas.network.cost import spec_cost
    from paretonas.report.describe import describe as rows_of

    cost = spec_cost(spec, resolution, classes, channels)
    rows = rows_of(spec, cost, resolution)
    if as_json:
        console.print_json(
            {
                **extra,
                **_totals(cost),
                "resolution": resolution,
                "classes": classes,
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
    console.out.print(
        f"\n{cost.params:,} params, {cost.macs:,} MACs, {cost.weight_bytes / 1e6:.2f} MB of weights, "
        f"{cost.peak_memory_bytes / 1e6:.2f} MB of activations at most, at {resolution} px with {classes} classes"
    )


def _totals(cost: Any) -> dict[str, int]:
    return {name: int(value) for name, value in cost.metrics().items()}
