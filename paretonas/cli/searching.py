"""Commands that search: search, resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console, ongoing
from paretonas.cli.app import AsJson, Name, Trust, app
from paretonas.cli.reading import (
    moved_data,
    read_estimates,
    read_seconds,
    read_targets,
    read_toml,
    with_data,
    with_devices,
    with_precision,
)
from paretonas.cli.results import print_front, recommended
from paretonas.cli.settings import set_data, set_plugins, set_pretrain, set_supernet
from paretonas.cli.stopping import say_when_stopped
from paretonas.errors import UsageError
from paretonas.space.trust import remember
from paretonas.space.trust import trust as trust_models
from paretonas.trial import State


@app.command()
def search(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of the search; may come from --config.")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="digits, a Parquet file or folder (columns image, label), folders of images, a folder of texts, or "
            "table:FILE.parquet of trained networks."
        ),
    ] = None,
    target_ms: Annotated[
        list[str] | None,
        typer.Option(help="Latency to aim at, in ms; of several devices NAME=MS. Default: a typical network's."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="\\[NAME=]runtime\\[:options]\\[@transport:address]; may be repeated, each with a name. `onnxruntime`."
        ),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(help="Precision of the files on every device, and of the quality: `int8`."),
    ] = None,
    estimate: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure N networks, fit a predictor, and let that say the latency of candidates; of several devices "
            "NAME=N. Finalists are measured."
        ),
    ] = None,
    space: Annotated[str | None, typer.Option(help="What can be built: `mnasnet`, `mnasnet:variant=google`, …")] = None,
    width: Annotated[float | None, typer.Option(help="Multiplier of the space's filters.")] = None,
    strategy: Annotated[str | None, typer.Option(help="What to try next: `surrogate`, `ppo:batch=10`, …")] = None,
    goals: Annotated[
        str | None, typer.Option(help="What the strategy pursues: `reward`, or metrics such as accuracy+latency_ms.")
    ] = None,
    prior: Annotated[
        list[str] | None, typer.Option(help="An earlier search whose trials the strategy learns from; may be repeated.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Budget: number of trials; 100 if no --time is given.")] = None,
    time: Annotated[str | None, typer.Option(help="Budget: wall time, such as 90s, 45m, 3h or 1h30m.")] = None,
    reward: Annotated[
        str | None, typer.Option(help="soft, hard, `mnasnet:alpha=-0.1,beta=-0.5`, power (latency does not matter), …")
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Hard limit, such as 'params<=2e6' or 'latency_ms<=8'; may be repeated.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="How a candidate is trained: `search:epochs=3`, …")] = None,
    supernet: Annotated[
        str | None,
        typer.Option(help="Score candidates by weights that they share: `sandwich`, `single`, `balanced`."),
    ] = None,
    supernet_recipe: Annotated[str | None, typer.Option(help="How these are trained: `supernet:epochs=30`.")] = None,
    checked: Annotated[
        int | None, typer.Option(help="Candidates trained alone too, to see whether the supernet ranks them; 0: none.")
    ] = None,
    fidelity: Annotated[
        str | None,
        typer.Option(help="How long: `full`, or `asha` to stop early those that fall behind: `asha:rungs=3,factor=3`."),
    ] = None,
    screen: Annotated[
        str | None,
        typer.Option(help="Time and train only what a cheap metric ranks high: `synflow:keep=0.5`, …"),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="What is learned: `classification`, `language`, or a task of a plugin.")
    ] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels; inferred.")] = None,
    train_images: Annotated[int | None, typer.Option(help="Train on a class-balanced part of this size.")] = None,
    val_images: Annotated[int | None, typer.Option(help="Images held out to score candidates.")] = None,
    skip_corrupt: Annotated[bool, typer.Option("--skip-corrupt", help="Leave corrupt images out.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Decode images while training, as is done where they do not fit in memory.")
    ] = False,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Also run random search with the same budget, and published networks.")
    ] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(help="With --baselines: a model of your own, module:factory or file.py:factory; may be repeated."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Of a table: the column of the quality.")] = None,
    quality: Annotated[str | None, typer.Option(help="`balanced_accuracy`, …; of a table: of its column.")] = None,
    latency: Annotated[
        list[str] | None,
        typer.Option(help="Of a table: a column of latencies in ms, of several NAME=COLUMN; may be repeated."),
    ] = None,
    decisions: Annotated[str | None, typer.Option(help="Of a table: the architecture's columns, with commas.")] = None,
    executor: Annotated[
        str | None, typer.Option(help="Where training runs: `process:workers=2`, `serial`, `ray`.")
    ] = None,
    trial_time: Annotated[str | None, typer.Option(help="Longest training of one candidate, such as 10m.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the strategy and the training.")] = None,
    torch_device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps (only cpu was tried).")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Begin candidates, or their backbones, with the weights of a .safetensors file."),
    ] = None,
    pretrain_data: Annotated[
        str | None,
        typer.Option(help="Images by class that backbones of detectors learn first, before the search: any --data."),
    ] = None,
    pretrain_recipe: Annotated[str | None, typer.Option(help="How they learn these: `pretrain:epochs=60`.")] = None,
    frozen: Annotated[
        bool,
        typer.Option(
            "--frozen", help="Keep the backbone's weights and compute its features once: necks and heads learn."
        ),
    ] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with these options; the command line wins.")] = None,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Search networks for your data, devices and latency budget.

    Example: paretonas search cats --data photos/ --target-ms 5 --width 0.5 --trials 60
    """
    settings = read_toml(config) if config else {}
    of_images = {
        "resolution": resolution, "train_images": train_images, "val_images": val_images,
        "skip_corrupt": skip_corrupt or None, "stream": stream or None,
    }  # fmt: skip
    of_table = {
        "metric": metric, "quality": quality, "latency": latency,
        "decisions": decisions and [part.strip() for part in decisions.split(",")],
    }  # fmt: skip
    plain = {
        "name": name, "executor": executor, "torch_device": torch_device, "seed": seed,
        "frozen": frozen or None, "baselines": baselines or None, "models": model and list(trust_models(*model)),
        "weights": weights and str(weights.expanduser().resolve()),
    }  # fmt: skip
    settings |= {key: value for key, value in plain.items() if value is not None}
    set_data(settings, data, task, of_images, of_table)
    set_pretrain(settings, pretrain_data, pretrain_recipe)
    set_supernet(settings, {"sampling": supernet, "recipe": supernet_recipe, "checked": checked}, strategy)
    set_plugins(
        settings, {"space": space, "strategy": strategy, "recipe": recipe, "fidelity": fidelity, "screen": screen},
        {"width": width}, {"goals": goals and goals.split("+"), "prior": prior}, {"reward": reward, "limits": limit},
        {"trials": trials, "seconds": read_seconds(time), "trial_seconds": read_seconds(trial_time)},
    )  # fmt: skip
    say_when_stopped("Stopped; nothing of the search is stored yet. Begin it anew with the same command.")
    with_devices(settings, device or (), read_targets(target_ms or ()), read_estimates(estimate or ()))
    if quantize is not None:
        with_precision(settings, quantize)
    if "name" not in settings:
        raise UsageError("A search needs a name: paretonas search NAME --data DATA.")
    from paretonas.search.rehearsal import own_models
    from paretonas.search.search import new_search
    from paretonas.search.sections import config_from_json

    configured, here = config_from_json(settings), context.obj
    if trust or config is None:
        trust_models(*own_models(configured))
    elif space:
        trust_models(*own_models(replace(configured, models=())))
    with ongoing.search_listener(as_json) as listener:
        begun = new_search(configured, here.new_store(), here.home, listener)
        remember(here.home)
        run_search(begun, as_json, listener)


_GO_ON = "Stopped; nothing that was finished is lost. Go on with: paretonas resume {}"


@app.command()
def resume(
    context: typer.Context,
    name: Name,
    trials: Annotated[int | None, typer.Option(help="New budget: number of trials in all.")] = None,
    time: Annotated[str | None, typer.Option(help="New budget: wall time in all, such as 3h.")] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Give it baselines if it has none yet.")] = False,
    data: Annotated[str | None, typer.Option(help="Where its data lie now, if they were moved.")] = None,
    executor: Annotated[str | None, typer.Option(help="Where training runs from now on: `ray:address=auto`, …")] = None,
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a search that was stopped, killed, or whose budget is raised."""
    from paretonas.executor import executors
    from paretonas.search.rehearsal import own_models
    from paretonas.search.search import open_search
    from paretonas.search.sections import read_config

    here, seconds = context.obj, read_seconds(time)
    say_when_stopped(_GO_ON.format(name))
    store = here.store()
    before = read_config(name, store)
    if trust:
        trust_models(*own_models(before))
    budget = replace(before.budget, trials=trials or before.budget.trials, seconds=seconds or before.budget.seconds)
    change = replace(with_data(before, data), budget=budget, baselines=baselines or before.baselines)
    if executor:
        change = replace(change, executor=executors.read(executor))
    with ongoing.search_listener(as_json) as listener:
        with moved_data():
            opened = open_search(name, store, here.home, listener, change=change)
        remember(here.home)
        run_search(opened, as_json, listener)


def run_search(search: Any, as_json: bool, listener: Any) -> None:
    """Run a search, and then its baselines."""
    from paretonas.search.baselines import baselines

    say_when_stopped(_GO_ON.format(search.config.name))
    _run_one(search, as_json)
    for baseline in baselines(search, listener):
        console.err.print()
        console.err.print(f"Baselines: {baseline.config.name}")
        _run_one(baseline, as_json)


def _run_one(search: Any, as_json: bool) -> None:
    """Run one search with its first lines and its end."""
    from paretonas.report.foretold import foretold
    from paretonas.report.widths import before_and_after
    from paretonas.search.sections import config_to_json

    name = search.config.name
    if not as_json:
        _print_plan(search)
    trials = search.run()
    if as_json:
        console.print_json({"search": name, "recommended": recommended(trials, config_to_json(search.config))})
    else:
        unique = len({trial.spec_hash for trial in trials})
        states = [trial.state for trial in trials]
        counts = ", ".join(f"{states.count(state)} {state.value}" for state in State if state in states)
        console.out.print()
        console.out.print(f"{len(trials)} trials ({counts}), {unique} different networks.")
        for step in foretold(trials):
            console.out.print(str(step))
        for line in before_and_after(trials, search.objective.quality):
            console.out.print(line)
        print_front(name, trials, config_to_json(search.config))
        flagged = sum(console.is_flagged(trial) for trial in trials)
        if flagged:
            console.out.print(f"{flagged} of {len(trials)} timings are flagged (*): taken on a busy machine.")
        if State.COMPLETE in states and search.evaluator.is_buildable:
            console.out.print(f"Train it and others of the front to the end: paretonas train {name} --final --top 3")


def _print_plan(search: Any) -> None:
    from paretonas.executor import executors

    trials = search.store.trials(search.config.name)
    budget = search.config.budget.most
    left = None if budget is None else max(0, budget - sum(trial.state.is_final for trial in trials))
    quality = search.objective.quality
    paid = [trial.seconds for trial in trials if quality in trial.metrics and not trial.is_reused]
    seconds = sum(paid) / len(paid) if paid else search.seconds_a_trial()
    console.plan(search, left, executors.create(search.config.executor).count(), seconds)
