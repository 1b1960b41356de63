"""Commands that search: search, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.app import AsJson, Name, app
from paretonas.cli.reading import read_seconds, read_toml
from paretonas.cli.results import print_front
from paretonas.errors import UsageError
from paretonas.trial import State


@app.command()
def search(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of the search; may come from --config.")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="digits, a Parquet file or folder (columns image, label), folders of images, "
            "or table:FILE.parquet of trained networks."
        ),
    ] = None,
    target_ms: Annotated[
        float | None, typer.Option(help="Latency to aim at, in ms. Default: what MobileNetV2 takes on the device.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="runtime\\[:options]\\[@transport:address]; `onnxruntime`.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="What can be built: `mnasnet`, `mnasnet:variant=google`, …")] = None,
    width: Annotated[float | None, typer.Option(help="Multiplier of the space's filters.")] = None,
    strategy: Annotated[str | None, typer.Option(help="What to try next: `surrogate`, `ppo:batch=10`, …")] = None,
    trials: Annotated[int | None, typer.Option(help="Budget: number of trials; 100 if no --time is given.")] = None,
    time: Annotated[str | None, typer.Option(help="Budget: wall time, such as 90s, 45m, 3h or 1h30m.")] = None,
    reward: Annotated[str | None, typer.Option(help="soft, hard, accuracy, or exponents ALPHA,BETA.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Hard limit, such as 'params<=2e6' or 'latency_ms<=8'; may be repeated.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="How a candidate is trained: `search:epochs=3`, …")] = None,
    fidelity: Annotated[
        str | None,
        typer.Option(help="How long: `full`, or `asha` to stop early those that fall behind: `asha:rungs=3,factor=3`."),
    ] = None,
    screen: Annotated[
        str | None,
        typer.Option(help="Train only what an untrained metric ranks high: `synflow:keep=0.5`, `params:first=20`, …"),
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
        list[str] | None, typer.Option(help="With --baselines: a model of your own, module:factory; may be repeated.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Of a table: the column of accuracies.")] = None,
    latency: Annotated[str | None, typer.Option(help="Of a table: the column of latencies in ms.")] = None,
    decisions: Annotated[str | None, typer.Option(help="Of a table: the architecture's columns, with commas.")] = None,
    executor: Annotated[str | None, typer.Option(help="Where training runs: `process:workers=2`, `serial`.")] = None,
    trial_time: Annotated[str | None, typer.Option(help="Longest training of one candidate, such as 10m.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the strategy and the training.")] = None,
    torch_device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps (only cpu was tried).")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with these options; the command line wins.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search networks for your data, device and latency budget.

    Example: paretonas search cats --data photos/ --target-ms 5 --width 0.5 --trials 60
    """
    given = {
        "name": name, "data": data, "target_ms": target_ms, "device": device, "space": space, "width": width,
        "strategy": strategy, "trials": trials, "seconds": read_seconds(time), "reward": reward, "limits": limit,
        "recipe": recipe, "fidelity": fidelity, "screen": screen, "resolution": resolution,
        "train_images": train_images, "val_images": val_images, "skip_corrupt": skip_corrupt or None,
        "stream": stream or None, "baselines": baselines or None, "models": model, "metric": metric, "latency": latency,
        "decisions": decisions and decisions.split(","), "executor": executor,
        "trial_seconds": read_seconds(trial_time), "seed": seed, "torch_device": torch_device,
    }  # fmt: skip
    settings = read_toml(config) if config else {}
    settings |= {key: value for key, value in given.items() if value is not None}
    for needed in ("name", "data"):
        if needed not in settings:
            raise UsageError(f"A search needs a {needed}: paretonas search NAME --data DATA.")
    from paretonas.search.config import config_from_json
    from paretonas.search.search import new_search

    checked, here = config_from_json(settings), context.obj
    with console.search_listener(as_json) as listener:
        found = new_search(checked, here.store(), here.home, listener)
        _run(found, as_json, listener)


@app.command()
def resume(
    context: typer.Context,
    name: Name,
    trials: Annotated[int | None, typer.Option(help="New budget: number of trials in all.")] = None,
    time: Annotated[str | None, typer.Option(help="New budget: wall time in all, such as 3h.")] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Give it baselines if it has none yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a search that was stopped, killed, or whose budget is raised."""
    from paretonas.search.search import open_search

    here = context.obj
    with console.search_listener(as_json) as listener:
        found = open_search(name, here.store(), here.home, listener, trials, read_seconds(time), baselines)
        _run(found, as_json, listener)


def _run(search: Any, as_json: bool, listener: Any) -> None:
    """Run a search, and then its baselines."""
    from paretonas.search.search import baselines

    try:
        _run_one(search, as_json)
        for baseline in baselines(search, listener):
            console.err.print(f"\nBaselines: {baseline.config.name}")
            _run_one(baseline, as_json)
    except KeyboardInterrupt:
        name = search.config.name
        console.err.print(f"Stopped; nothing that was finished is lost. Go on with: paretonas resume {name}")
        raise typer.Exit(130) from None


def _run_one(search: Any, as_json: bool) -> None:
    """Run one search with its first lines and its end."""
    name = search.config.name
    if not as_json:
        _print_plan(search)
    trials = search.run()
    if not as_json:
        unique = len({trial.spec_hash for trial in trials})
        states = [trial.state for trial in trials]
        counts = ", ".join(f"{states.count(state)} {state.value}" for state in State if state in states)
        console.out.print(f"\n{len(trials)} trials ({counts}), {unique} different networks.")
        print_front(name, trials)
        flagged = sum(trial.metrics.get("latency_flags", 0) > 0 for trial in trials)
        if flagged:
            console.out.print(f"{flagged} of {len(trials)} timings are flagged (*): taken on a busy machine.")
        if State.COMPLETE in states and search.task.is_buildable:
            console.out.print(f"\nTrain the best to the end: paretonas train {name} --final --top 3")


def _print_plan(search: Any) -> None:
    from paretonas.executor import executors

    trials = search.store.trials(search.config.name)
    budget = search.config.budget
    left = None if budget is None else max(0, budget - sum(trial.state.is_final for trial in trials))
    paid = [trial.seconds for trial in trials if "accuracy" in trial.metrics and not trial.is_reused]
    seconds = sum(paid) / len(paid) if paid else search.seconds_a_trial()
    with executors.create(search.config.executor).start() as executor:
        workers = executor.workers
    console.plan(search, left, workers, seconds)
