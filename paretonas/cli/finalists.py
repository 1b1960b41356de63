"""Commands about finalists: train, export."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paretonas.cli import console, ongoing
from paretonas.cli.app import AsJson, Name, Trust, app
from paretonas.cli.bringing import export_timm
from paretonas.cli.reading import moved_data, with_data
from paretonas.cli.results import print_advice, recommended
from paretonas.cli.scaling import FACTORS, read_scaled
from paretonas.cli.stopping import say_when_stopped
from paretonas.errors import UsageError
from paretonas.objective.metric import LATENCY, LATENCY_SPREAD, MACS, PARAMS, metric, of_kind

if TYPE_CHECKING:
    from paretonas.search.finish import Finalist

SPREAD = LATENCY_SPREAD.name


@app.command()
def train(
    context: typer.Context,
    name: Name,
    trial: Annotated[list[int] | None, typer.Option(help="Which trial; may be repeated.")] = None,
    top: Annotated[
        int, typer.Option(help="Without --trial: so many of the front, first those that are recommended.", min=1)
    ] = 1,
    final: Annotated[
        bool, typer.Option("--final", help="Train on all training images and score the test images, once.")
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(help="How: `small-image`, `small-image:epochs=30`, …; by what suits the task.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights and training; the search's if none is given.")] = None,
    width: Annotated[float, typer.Option(help="Train it so many times as wide; in files of its own.")] = 1.0,
    depth: Annotated[float, typer.Option(help="Train it so many times as deep; in files of its own.")] = 1.0,
    resolution: Annotated[
        int | None, typer.Option(help="Train it on images of this side; in files of its own.", min=4)
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="EfficientNet's phi: deeper, wider and of larger images at once; see `scale`.")
    ] = None,
    scale_by: Annotated[str, typer.Option(help="alpha,beta,gamma: depth, width, resolution for --scale 1.")] = FACTORS,
    skeleton: Annotated[
        str | None, typer.Option(help="Put cells that were found into this skeleton: cifar or imagenet.")
    ] = None,
    cells: Annotated[int | None, typer.Option(help="Put cells into a network of so many.")] = None,
    filters: Annotated[int | None, typer.Option(help="Put cells into a network of so many filters.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Begin with weights of a .safetensors file, or a supernet's; a classifier of other classes anew."
        ),
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Also learn what the network of this .safetensors file answers.")
    ] = None,
    teacher_weight: Annotated[
        float | None, typer.Option(help="Of what is learned from the teacher; 0.5, where the task's own has 1.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="The higher, the more the classes count that the teacher finds unlikely; 1.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Where the search's data lie now, if they were moved; for cells in another network: any."),
    ] = None,
    _trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Train trials to the end, export them, and score and time the exported files.

    Interrupted, it goes on where it was when it is called again.

    Without --final they are trained on the search's training images and scored on its validation images.
    """
    from paretonas.report.aims import Aims
    from paretonas.search.choice import choose, numbered
    from paretonas.search.finalists import train_trials
    from paretonas.search.finish import Finishing
    from paretonas.search.search import open_search
    from paretonas.search.sections import read_config
    from paretonas.search.teacher import Teaching
    from paretonas.space.transform import Transform
    from paretonas.task import recipes

    here = context.obj
    again = shlex.join(["paretonas", *sys.argv[1:]])
    say_when_stopped(f"Stopped; what is finished and trained is kept. Go on with the same command: {again}")
    transform = Transform(width, depth, resolution, skeleton, cells, filters)
    other = data if transform.is_transfer else None
    taught = {"weight": teacher_weight, "temperature": temperature}
    given = {key: value for key, value in taught.items() if value is not None}
    if teacher is None and given:
        raise UsageError(f"Of a teacher, name its file too: --teacher FILE, but got its {min(given)} alone.")
    teaching = None if teacher is None else Teaching(teacher, **given)
    asked = None if recipe is None else recipes.create(recipe)
    finishing = Finishing(asked, final, seed, transform, weights, other, teaching)
    store = here.store()
    store.config(name)  # says so if there is no such search
    context.with_resource(store.hold(name))
    change = None if data is None or other is not None else with_data(read_config(name, store), data)
    with ongoing.search_listener(as_json) as listener, moved_data():
        search = open_search(name, store, here.home, listener, change=change)
    recipe = recipe or search.trained_evaluator().task.usual.final
    finishing = replace(finishing, recipe=asked or recipes.create(recipe))
    if scale is not None:
        finishing = replace(finishing, transform=read_scaled(transform, scale, scale_by, search))
    aims, trials = Aims.of(store.config(name)), store.trials(name)
    chosen = numbered(trials, trial) if trial else choose(trials, aims.quality, aims.latencies, top)
    if not as_json:
        numbers = ", ".join(str(t.number) for t in chosen)
        console.out.print(
            f"Training trial {numbers} of {name} for {recipes.create(recipe).epochs:g} epochs, recipe {recipe}."
        )
    with ongoing.trainings([t.number for t in chosen] if not as_json else []) as show_shares:
        finalists = train_trials(search, chosen, finishing, (lambda _: None) if as_json else show_shares)
    judged = (store.trials(name), store.config(name)) if finishing.is_kept_by(search.config.seed) else ((), {})
    if as_json:
        rows = [asdict(finalist) for finalist in finalists]
        console.print_json({"finalists": rows, "recommended": recommended(*judged)})
        return
    _print_finalists(finalists, search.objective.quality, final)
    print_advice(*judged)


def _print_finalists(finalists: list[Finalist], quality: str, is_final: bool) -> None:
    scored = f"test_{quality}" if is_final else quality
    latencies = list(of_kind(LATENCY.name, finalists[0].metrics)) if finalists else []
    names = [scored, f"exported_{quality}", *latencies, *(n.replace(LATENCY.name, SPREAD) for n in latencies)]
    shown = [metric(one) for one in (*names, PARAMS.name, MACS.name)]
    console.table(
        ["trial", *(one.title for one in shown)],
        [[f.trial, *(one.text(f.metrics[one.name]) for one in shown)] for f in finalists],
    )
    for finalist in finalists:
        files = ", ".join(map(str, finalist.files.values()))
        console.out.print(f"Files of trial {finalist.trial}: {files}")
    for flagged in (f for f in finalists if f.flags):
        console.out.print(f"The timing of trial {flagged.trial} is flagged: {', '.join(flagged.flags)}.")


@app.command()
def export(
    context: typer.Context,
    name: Name,
    trial: Annotated[int | None, typer.Option(help="Which trial; trained before.")] = None,
    format: Annotated[
        str,
        typer.Option(help="onnx, of a detector also onnx:boxes=true (ends in boxes); safetensors, litert, ncnn, …"),
    ] = "onnx",
    output: Annotated[Path | None, typer.Option(help="File to write; beside the weights if none is given.")] = None,
    timm_weights: Annotated[
        Path | None,
        typer.Option(help="Instead of a trial: NAME is a network of the zoo, with weights of timm's (.safetensors)."),
    ] = None,
    _trust: Trust = False,
) -> None:
    """Export a trained trial to a file, or a published network with timm's weights."""
    from paretonas.search.exporting import export_trial

    here = context.obj
    if (trial is None) == (timm_weights is None):
        raise UsageError("Export a trial of a search (--trial) or a network of the zoo (--timm-weights FILE).")
    if timm_weights is not None:
        path = export_timm(name, timm_weights, format, output)
    else:
        assert trial is not None
        path = export_trial(here.store(), name, here.home, trial, format, output)
    console.out.print(f"Wrote {path}.")
