"""Commands about finalists: train, export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from paretonas.cli import console
from paretonas.cli.app import AsJson, Name, app


@app.command()
def train(
    context: typer.Context,
    name: Name,
    trial: Annotated[list[int] | None, typer.Option(help="Which trial; may be repeated.")] = None,
    top: Annotated[int, typer.Option(help="Without --trial: the best so many by reward.", min=1)] = 1,
    final: Annotated[
        bool, typer.Option("--final", help="Train on all training images and score the test images, once.")
    ] = False,
    recipe: Annotated[str, typer.Option(help="How: `small-image`, `small-image:epochs=30`, …")] = "small-image",
    seed: Annotated[int | None, typer.Option(help="Of weights and training; the search's if none is given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train trials to the end, export them, and score and time the exported files.

    Interrupted, it goes on where it was when it is called again.

    Without --final they are trained on the search's training images and scored on its validation images.
    """
    from paretonas.search.finalists import choose, train_trials
    from paretonas.search.search import open_search
    from paretonas.task import recipes

    here = context.obj
    checked = recipes.create(recipe)
    with console.search_listener(as_json) as listener:
        found = open_search(name, here.store(), here.home, listener)
    chosen = choose(found.store.trials(name), trial or (), top)
    if not as_json:
        numbers = ", ".join(str(t.number) for t in chosen)
        console.out.print(f"Training trial {numbers} of {name} for {checked.epochs:g} epochs, recipe {recipe}.")
    with console.training_bars([t.number for t in chosen] if not as_json else []) as show_shares:
        finalists = train_trials(
            found, chosen, checked, is_final=final, seed=seed, on_progress=(lambda _: None) if as_json else show_shares
        )
    if as_json:
        console.print_json([asdict(finalist) for finalist in finalists])
        return
    scored = "test_accuracy" if final else "accuracy"
    console.table(
        ["trial", scored.replace("_", " "), "exported", "latency", "spread", "params", "MACs", "file"],
        [
            [
                f.trial,
                f"{100 * f.metrics[scored]:.2f} %",
                f"{100 * f.metrics['exported_accuracy']:.2f} %",
                f"{f.metrics['latency_ms']:.3g} ms",
                f"{100 * f.metrics['latency_spread']:.1f} %",
                f"{f.metrics['params'] / 1e6:.2f} M",
                f"{f.metrics['macs'] / 1e6:.1f} M",
                f.onnx,
            ]
            for f in finalists
        ],
    )
    for flagged in (f for f in finalists if f.flags):
        console.out.print(f"The timing of trial {flagged.trial} is flagged: {', '.join(flagged.flags)}.")


@app.command()
def export(
    context: typer.Context,
    name: Name,
    trial: Annotated[int, typer.Option(help="Which trial; trained before.")],
    format: Annotated[str, typer.Option(help="onnx or safetensors.")] = "onnx",
    output: Annotated[Path | None, typer.Option(help="File to write; beside the weights if none is given.")] = None,
) -> None:
    """Export a trained trial to a file."""
    from paretonas.search.finalists import export_trial

    here = context.obj
    here.store().config(name)  # says so if there is no such search
    path = export_trial(name, here.home, trial, format, output)
    console.out.print(f"Wrote {path}.")
