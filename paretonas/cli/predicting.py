"""The command that uses an exported file: predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.alone import alone
from paretonas.cli.app import AsJson, Trust, app
from paretonas.errors import DataError, UsageError


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A file that `train` or `export` wrote: .onnx, .safetensors, …")],
    inputs: Annotated[list[Path], typer.Argument(help="What to look at: images, or texts to go on.")],
    device: Annotated[str | None, typer.Option(help="Where to run it; by the file's format.")] = None,
    score: Annotated[
        float | None,
        typer.Option(help="Of boxes that are told of, at least; the file's threshold, or 0.3.", min=0, max=1),
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="Folder for the images with what was seen in them: boxes, or the class.")
    ] = None,
    _trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Say what a trained and exported network sees in each input.

    Example: paretonas predict paretonas-runs/cats/trial-17.onnx photo.jpg
    """
    told = alone(predictions, model, inputs, device, score)
    rows, unread = [row for row in told if "error" not in row], [row["error"] for row in told if "error" in row]
    if draw is not None:
        drawn = [str(path) for path in draw_all(rows, draw)]
        rows = [{**row, "drawn": path} for row, path in zip(rows, drawn, strict=True)]
    if as_json and rows:
        console.print_json(rows)
    elif rows:
        shown = [flat for row in rows for flat in in_lines(row)]
        console.table(shown[0].keys(), (row.values() for row in shown))
    if unread:
        raise DataError(" ".join(unread))


def in_lines(row: dict[str, Any]) -> list[dict[str, Any]]:
    """What was seen in an input, a line each: its boxes, or one line.

    >>> in_lines({"input": "a.jpg", "boxes": []})
    [{'input': 'a.jpg', 'class': 'nothing', 'score': '', 'box': ''}]
    """
    if "boxes" not in row:
        return [row]
    nothing = {"class": "nothing", "score": "", "box": ""}
    rest = {name: value for name, value in row.items() if name not in ("input", "boxes")}
    return [
        {"input": row["input"], **box, "box": " ".join(f"{x:g}" for x in box["box"]), **rest}
        for box in row["boxes"] or [nothing]
    ]


def draw_all(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Images with what was seen in them; their files.

    Raises:
        UsageError: What was seen was no image.
        MachineError: The system refuses to write.
    """
    from paretonas.data.pixels import guarded, to_upright
    from paretonas.data.source import MOST_PIXELS
    from paretonas.files import refusals
    from paretonas.report.marking import marked

    if any("next" in row for row in rows):
        raise UsageError("What is drawn is what was seen in images, but the network goes on with texts.")
    inputs = [Path(row["input"]) for row in rows]
    files = [folder / f"{i + 1:03d}-{path.stem}.png" for i, path in enumerate(inputs)]
    with refusals(f"{folder} takes no images"), guarded(MOST_PIXELS):  # they were looked at within the file's own
        folder.mkdir(parents=True, exist_ok=True)
        for row, path, file in zip(rows, inputs, files, strict=True):
            marked(to_upright(path)[0], row).save(file)
    return files


def predictions(
    model: Path, inputs: list[Path], device: str | None, least_score: float | None = None
) -> list[dict[str, Any]]:
    """What a file sees in each input, by what it says itself, or the input's `error`; runs in a process of its own."""
    from paretonas.device import parse_device
    from paretonas.evaluation.measure import Subject
    from paretonas.export import formats
    from paretonas.task.decode import predict as look_at
    from paretonas.task.metadata import check_metadata

    chosen = parse_device(device or usual_runtime(model))
    file = Subject(str(model)).file(chosen)
    metadata = formats.create(chosen.runtime.format).metadata(model)
    check_metadata(metadata, file.interface)
    run = chosen.open(file)

    def seen(one: Path) -> dict[str, Any]:
        try:
            return look_at(run, one, metadata, file.interface, least_score)
        except DataError as error:
            return {"error": str(error)}

    return [{"input": str(one), **seen(one)} for one in inputs]


def usual_runtime(model: Path) -> str:
    """Of a file whose device nobody names, by its format; the usual one's where no format has that suffix."""
    from paretonas.export import formats

    found = (formats.load(name) for name in formats)
    return next((one.runtime for one in found if one.suffix == model.suffix), "onnxruntime")
