"""The command that uses an exported file: predict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.app import AsJson, app
from paretonas.errors import UsageError

RUNTIMES = {".onnx": "onnxruntime", ".safetensors": "torch"}
"""Of a file by its suffix, where no device is named."""


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A file that `train` wrote: trial-N.onnx, trial-N.safetensors.")],
    inputs: Annotated[list[Path], typer.Argument(help="What to look at: images.")],
    device: Annotated[str | None, typer.Option(help="Where to run it; by the file's format.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a trained and exported network sees in each input.

    Example: paretonas predict paretonas-runs/cats/trial-17.onnx photo.jpg
    """
    from paretonas.device import parse_device
    from paretonas.evaluation.measure import Subject
    from paretonas.task.decode import decode, encode

    metadata = _metadata(model)
    chosen = parse_device(device or RUNTIMES.get(model.suffix, "onnxruntime"))
    file = Subject(str(model)).file(chosen)
    run = chosen.open(file)
    rows = [{"input": str(one), **decode(run(encode(one, metadata, file.interface)), metadata)[0]} for one in inputs]
    if as_json:
        console.print_json(rows)
        return
    console.table(rows[0].keys(), (row.values() for row in rows))


def _metadata(model: Path) -> Mapping[str, Any]:
    """What the file's network needs to be used, from the JSON beside it."""
    beside = model.with_suffix(".json")
    try:
        metadata = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"Beside an exported file, {beside} tells how it is used, but it cannot be read: {error}"
        ) from None
    if not isinstance(metadata, dict) or not {"kind", "classes", "mean", "std"} <= metadata.keys():
        raise UsageError(
            f"Beside an exported file, {beside} has kind, classes, mean and std, but it lacks one of them."
        )
    return metadata
