"""The command `measure`: one model on one device."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.alone import alone
from paretonas.cli.app import AsJson, Channels, Classes, Place, Resolution, SmallImage, Trust, Width, app
from paretonas.cli.reading import read_pause, read_seconds
from paretonas.errors import MeasureError, UsageError, WorkerError
from paretonas.space import Interface, read_json, spec_from_json


@app.command()
def measure(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(help="A file (.onnx, .tflite, …), a spec (.json), or a name of the zoo."),
    ],
    device: Annotated[str, typer.Option(help="runtime\\[:options]\\[@transport:address].")] = "onnxruntime",
    width: Width = 1.0,
    resolution: Resolution = None,
    small_image: SmallImage = False,
    classes: Classes = None,
    channels: Channels = 3,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Say which parts of a spec take how much of the time.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(help="Run it as an app does, in a fresh process, once in that time: 200ms, 2s; 0: at once."),
    ] = None,
    runs: Annotated[int, typer.Option(help="Of --every.", min=1, max=100_000)] = 50,
    time_limit: Annotated[
        str, typer.Option(help="Longest time that it may take, waiting included: 90s, 10m, 1h30m.")
    ] = "20m",
    _trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Time a model on a device, one image at a time, against the device's reference network."""
    subject = (model, width, resolution, classes, channels, small_image)
    if every is not None and blocks:
        raise UsageError("A model is run as an app does, or looked at by its blocks; give --every or --blocks.")
    pause = None if every is None else read_pause(every)
    try:
        how = (time_subject, subject, device, blocks) if pause is None else (run_subject, subject, device, runs, pause)
        found = alone(*how, context.obj, seconds=read_seconds(time_limit))
    except WorkerError as error:
        raise MeasureError(f"{model} cannot be timed on {device} with --time-limit {time_limit}: {error}") from error
    if as_json:
        console.print_json(found)
        return
    if pause is not None:
        _print_as_app(found)
        return
    milliseconds = console.styled(f"{found['latency_ms']:.4g} ms", "bold")
    console.out.print(f"{model}:", milliseconds, f" (spread {100 * found['spread']:.1f} %)")
    reference = found["reference"]
    console.out.print(
        f"  {found['ratio']:.3f} x the reference, {reference['name']} x{reference['width']} at "
        f"{reference['inputs'][0]['shape'][-1]} px ({reference['latency_ms']:.4g} ms)"
    )
    console.out.print(f"  fastest of {found['pairs']} pairs in {found['loads']} loads, {found['clock']} clock")
    console.out.print("  " + ", ".join(f"{k} {v}" for k, v in found["conditions"].items()))
    if "boxes" in found:
        console.out.print(
            f"  with decoding and suppression, of {found['boxes']} boxes in the noise that it is fed: the more there "
            "are in an image, the longer they take"
        )
    if found["flags"]:
        console.out.print(f"  flagged after {found['attempts']} attempts: {', '.join(found['flags'])}")
    if blocks:
        _print_blocks(found)


def time_subject(subject: tuple[Any, ...], device: str, is_by_blocks: bool, here: Place) -> dict[str, Any]:
    """Time it as a whole or block by block; runs in a process of its own."""
    from paretonas.evaluation.measure import Subject, measure_blocks, measure_model

    measure = measure_blocks if is_by_blocks else measure_model
    return measure(Subject(*subject), device, here.new_store(), here.home / "cache")


def run_subject(subject: tuple[Any, ...], device: str, runs: int, pause: float, here: Place) -> dict[str, Any]:
    """Run it as an app does; runs in a process of its own."""
    from paretonas.evaluation.measure import Subject, measure_as_app

    return measure_as_app(Subject(*subject), device, here.home / "cache", runs, pause)


def _print_as_app(found: dict[str, Any]) -> None:
    milliseconds = console.styled(f"{found['median_ms']:.4g} ms", "bold")
    pause = f"every {found['every_ms']:g} ms" if found["every_ms"] else "one after the other"
    how = f" on the wall clock, median of {len(found['wall'])} runs {pause}"
    console.out.print(f"{found['model']}:", milliseconds, how)
    console.out.print(f"  fastest {found['fastest_ms']:.4g} ms, nine in ten below {found['p90_ms']:.4g} ms")
    console.out.print(f"  loaded in {found['load_ms']:.4g} ms, first run {found['first_ms']:.4g} ms")
    if found["rss_mb"] is not None:
        console.out.print(f"  at most {found['rss_mb']:.0f} MB, {found['rss_before_mb']:.0f} MB without the model")
    if found["energy_mj"] is not None:
        console.out.print(f"  {found['energy_mj']:.3g} mJ of the device a run, pauses and all that ran beside included")
    console.out.print("  " + ", ".join(f"{k} {v}" for k, v in found["conditions"].items()))


def _print_blocks(found: dict[str, Any]) -> None:
    """The parts of a network with their shares of time and of MACs."""
    from paretonas.network.cost import spec_cost
    from paretonas.report.describe import describe as rows_of

    spec, interface = spec_from_json(found["spec"]), read_json(Interface, found["interface"], "interface")
    words = {row.name: row.what for row in rows_of(spec, spec_cost(spec, interface), interface)}
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
