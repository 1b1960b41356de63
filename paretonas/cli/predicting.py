"""The command that uses an exported file: predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.alone import alone
from paretonas.cli.app import AsJson, Trust, app

RUNTIMES = {".onnx": "onnxruntime", ".safetensors": "torch"}
"""Of a file by its suffix, where no device is named."""


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A file that `train` or `export` wrote: .onnx, .safetensors.")],
    inputs: Annotated[list[Path], typer.Argument(help="What to look at: images, or texts to go on.")],
    device: Annotated[str | None, typer.Option(help="Where to run it; by the file's format.")] = None,
    _trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Say what a trained and exported network sees in each input.

    Example: paretonas predict paretonas-runs/cats/trial-17.onnx photo.jpg
    """
    rows = alone(predictions, model, inputs, device or RUNTIMES.get(model.suffix, "onnxruntime"))
    if as_json:
        console.print_json(rows)
        return
    console.table(rows[0].keys(), (row.values() for row in rows))


def predictions(model: Path, inputs: list[Path], device: str) -> list[dict[str, Any]]:
    """What a file sees in each input, by what the file itself says; runs in a process of its own."""
    from paretonas.device import parse_device
    from paretonas.evaluation.measure import Subject
    from paretonas.export import formats
    from paretonas.task.decode import predict as look_at
    from paretonas.task.metadata import check_metadata

    chosen = parse_device(device)
    file = Subject(str(model)).file(chosen)
    metadata = formats.create(chosen.runtime.format).metadata(model)
    check_metadata(metadata, file.interface)
    run = chosen.open(file)
    return [{"input": str(one), **look_at(run, one, metadata, file.interface)} for one in inputs]
