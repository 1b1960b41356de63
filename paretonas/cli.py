"""The command line: parse, call, print.

Exit codes: 0 done, 1 the work failed, 2 bad usage, 130 interrupted.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import tomllib
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from paretonas import console
from paretonas.console import duration
from paretonas.errors import ParetonasError, TrainingError, UsageError
from paretonas.registry import Registry, describe_options
from paretonas.space import Spec, load_spec, spaces, spec_hash, spec_to_json
from paretonas.store import Store
from paretonas.strategy import strategies
from paretonas.trial import State

app = typer.Typer(
    help="Find networks that are accurate and fast on one given device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)

Name = Annotated[str, typer.Argument(help="Name of the search.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Width = Annotated[float, typer.Option(help="Multiplier of the filters.")]
Classes = Annotated[int, typer.Option(help="Outputs of the classifier.", min=1)]
Channels = Annotated[int, typer.Option(help="Channels of the images.", min=1)]
Resolution = Annotated[int | None, typer.Option(help="Side of the images in pixels.", min=4)]

SmallImage = Annotated[
    bool, typer.Option("--small-image", help="Drop the first strides where images are below 128 px, as searches do.")
]


@dataclass
class _Place:
    """Where this invocation keeps its things."""

    home: Path
    store_url: str | None

    def store(self) -> Store:
        return Store(self.store_url or self.home / "store.db")


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        sys.stdout.write(f"paretonas {version('paretonas')}\n")
        raise typer.Exit


@app.callback()
def place(
    context: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="PARETONAS_HOME", help="Folder of the store, of caches and of exported files.")
    ] = Path("paretonas-runs"),
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    store: Annotated[
        str | None, typer.Option(envvar="PARETONAS_STORE", help="Database URL; HOME/store.db if none is given.")
    ] = None,
) -> None:
    """Find networks that are accurate and fast on one given device."""
    context.obj = _Place(home, store)


# Searching


@app.command()
def search(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of the search; may come from --config.")] = None,
    data: Annotated[
        str | None, typer.Option(help="digits, a Parquet file or folder (columns image, label), or folders of images.")
    ] = None,
    target_ms: Annotated[
        float | None, typer.Option(help="Latency to aim at, in ms. Default: what MobileNetV2 takes on the device.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="runtime\\[:options]\\[@transport:address]; `onnxruntime`.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="What can be built: `mnasnet`, `mnasnet:variant=google`, …")] = None,
    width: Annotated[float | None, typer.Option(help="Multiplier of the space's filters.")] = None,
    strategy: Annotated[str | None, typer.Option(help="What to try next: `ppo`, `ppo:batch=10`, …")] = None,
    trials: Annotated[int | None, typer.Option(help="Budget: number of trials; 100 if no --time is given.")] = None,
    time: Annotated[str | None, typer.Option(help="Budget: wall time, such as 90s, 45m, 3h or 1h30m.")] = None,
    reward: Annotated[str | None, typer.Option(help="soft, hard, accuracy, or exponents ALPHA,BETA.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Hard limit, such as 'params<=2e6' or 'latency_ms<=8'; may be repeated.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="How a candidate is trained: `search:epochs=3`, …")] = None,
    resolution: Annotated[int | None, typer.Option(help="Side of the images in pixels; inferred.")] = None,
    train_images: Annotated[int | None, typer.Option(help="Train on a class-balanced part of this size.")] = None,
    val_images: Annotated[int | None, typer.Option(help="Images held out to score candidates.")] = None,
    skip_corrupt: Annotated[bool, typer.Option("--skip-corrupt", help="Leave corrupt images out.")] = False,
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
        "strategy": strategy, "trials": trials, "seconds": _seconds(time), "reward": reward, "limits": limit,
        "recipe": recipe, "resolution": resolution, "train_images": train_images, "val_images": val_images,
        "skip_corrupt": skip_corrupt or None, "executor": executor, "trial_seconds": _seconds(trial_time),
        "seed": seed, "torch_device": torch_device,
    }  # fmt: skip
    settings = _read_toml(config) if config else {}
    settings |= {key: value for key, value in given.items() if value is not None}
    for needed in ("name", "data"):
        if needed not in settings:
            raise UsageError(f"A search needs a {needed}: paretonas search NAME --data DATA.")
    from paretonas.config import config_from_json
    from paretonas.search import new_search

    checked, here = config_from_json(settings), context.obj
    with console.search_listener(as_json) as listener:
        found = new_search(checked, here.store(), here.home, listener)
        _run(found, as_json)


@app.command()
def resume(
    context: typer.Context,
    name: Name,
    trials: Annotated[int | None, typer.Option(help="New budget: number of trials in all.")] = None,
    time: Annotated[str | None, typer.Option(help="New budget: wall time in all, such as 3h.")] = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a search that was stopped, killed, or whose budget is raised."""
    from paretonas.search import open_search

    here = context.obj
    with console.search_listener(as_json) as listener:
        found = open_search(name, here.store(), here.home, listener, trials, _seconds(time))
        _run(found, as_json)


def _run(search: Any, as_json: bool) -> None:
    """Run a search with its first lines and its end."""
    name = search.config.name
    try:
        if not as_json:
            _print_plan(search)
        trials = search.run()
    except KeyboardInterrupt:
        console.err.print(f"Stopped; nothing that was finished is lost. Go on with: paretonas resume {name}")
        raise typer.Exit(130) from None
    if not as_json:
        unique = len({trial.spec_hash for trial in trials})
        states = [trial.state for trial in trials]
        counts = ", ".join(f"{states.count(state)} {state.value}" for state in State if state in states)
        console.out.print(f"\n{len(trials)} trials ({counts}), {unique} different networks.")
        _print_front(name, trials)
        flagged = sum(trial.metrics.get("latency_flags", 0) > 0 for trial in trials)
        if flagged:
            console.out.print(f"{flagged} of {len(trials)} timings are flagged (*): taken on a busy machine.")
        if State.COMPLETE in states:
            console.out.print(f"\nTrain the best to the end: paretonas train {name} --final --top 3")


def _print_plan(search: Any) -> None:
    from paretonas.executor import executors

    trials = search.store.trials(search.config.name)
    budget = search.config.budget
    left = None if budget is None else max(0, budget - sum(trial.state.is_final for trial in trials))
    paid = [trial.seconds for trial in trials if trial.state is State.COMPLETE and not trial.is_reused]
    try:
        seconds = sum(paid) / len(paid) if paid else search.evaluator.estimate(search.typical_spec())
    except TrainingError:
        seconds = None
    with executors.create(search.config.executor).start() as executor:
        workers = executor.workers
    console.plan(search, left, workers, seconds)


@app.command("list")
def list_searches(context: typer.Context, as_json: AsJson = False) -> None:
    """List the searches of this store."""
    found = context.obj.store().searches()
    if as_json:
        console.print_json([{**asdict(s), "trials": {k.value: v for k, v in s.trials.items()}} for s in found])
        return
    if not found:
        console.out.print("No searches yet. Begin with: paretonas search first --data digits")
        return
    rows = [
        [
            s.name,
            s.created,
            sum(s.trials.values()),
            s.unique,
            s.trials.get(State.COMPLETE, 0),
            duration(s.seconds),
        ]
        for s in found
    ]
    console.table(["search", "created", "trials", "unique", "complete", "ran"], rows)


@app.command()
def show(
    context: typer.Context,
    name: Name,
    trial: Annotated[int | None, typer.Option(help="Show everything about one trial.")] = None,
    toml: Annotated[bool, typer.Option("--toml", help="Print the configuration that would repeat the search.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write all trials to this Parquet file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a search: its configuration, its trials, or one of them."""
    from paretonas.report.table import trial_row, write_parquet

    store = context.obj.store()
    config, trials = store.config(name), store.trials(name)
    if toml:
        settings = {key: value for key, value in config.items() if key not in ("digest", "measured_on")}
        sys.stdout.write("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    elif parquet is not None:
        write_parquet(trials, parquet)
        console.out.print(f"Wrote {len(trials)} trials to {parquet}.")
    elif trial is not None:
        chosen = next((t for t in trials if t.number == trial), None)
        if chosen is None:
            raise UsageError(f"Search {name!r} has trials 0 to {len(trials) - 1}, but got {trial}.")
        space = spaces.create(chosen.architecture.space).build()  # the name of a space holds all its options
        row = {**trial_row(chosen), "spec": spec_to_json(space.decode(chosen.architecture))}
        if as_json:
            console.print_json(row)
        else:
            lines = (f"{key:<18} {value}" for key, value in row.items() if value is not None)
            console.out.print("\n".join(lines), markup=False)
    elif as_json:
        console.print_json({"config": config, "trials": [trial_row(t) for t in trials]})
    else:
        console.out.print("  ".join(f"{key}={value}" for key, value in config.items()), markup=False)
        console.trial_table(trials)


@app.command()
def front(
    context: typer.Context,
    name: Name,
    plot: Annotated[Path | None, typer.Option(help="Write the figure: .png, .svg or .html.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the Pareto front of a search, and draw it."""
    from paretonas.report import front_figure, front_trials, save_figure
    from paretonas.report.table import trial_row

    store = context.obj.store()
    config, trials = store.config(name), store.trials(name)
    if as_json:
        console.print_json([trial_row(trial) for trial in front_trials(trials)])
    else:
        _print_front(name, trials)
    if plot is not None:
        title = f"{name}: {config['data'].rsplit('/', 1)[-1]} on {config.get('device', 'onnxruntime')}"
        save_figure(front_figure(trials, title, config.get("target_ms")), plot)
        console.err.print(f"Wrote {plot}.")


def _print_front(name: str, trials: Any) -> None:
    from paretonas.report.table import front_trials

    found = front_trials(trials)
    if found:
        console.trial_table(found, f"Pareto front of {name}, fastest first")
    else:
        console.out.print(f"Search {name} has no complete trial yet.")


@app.command()
def delete(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a search with its trials and files. What was measured stays cached for other searches."""
    from paretonas.search import delete_search

    here = context.obj
    store = here.store()
    trials = len(store.trials(name))
    if not yes:
        typer.confirm(f"Delete search {name!r} with {trials} trials and its files?", abort=True)
    delete_search(name, store, here.home)


# Finalists


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
    as_json: AsJson = False,
) -> None:
    """Train trials to the end, export them, and score and time the exported files.

    Without --final they are trained on the search's training images and scored on its validation images.
    """
    from paretonas.final import choose, train_trials
    from paretonas.search import open_search
    from paretonas.training import recipes

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
            found, chosen, checked, is_final=final, on_progress=(lambda _: None) if as_json else show_shares
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
    from paretonas.final import export_trial

    here = context.obj
    here.store().config(name)  # says so if there is no such search
    path = export_trial(name, here.home, trial, format, output)
    console.out.print(f"Wrote {path}.")


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
    as_json: AsJson = False,
) -> None:
    """Time a model on a device, one image at a time, against the device's reference network."""
    from paretonas.measure import measure_model

    here = context.obj
    found = measure_model(
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
    console.out.print(f"  median of {found['pairs']} pairs, {found['clock']} clock")
    console.out.print("  " + ", ".join(f"{k} {v}" for k, v in found["conditions"].items()))
    if found["flags"]:
        console.out.print(f"  flagged after {found['attempts']} attempts: {', '.join(found['flags'])}")


# What there is


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
    from paretonas.network.zoo import ZOO, zoo_entry, zoo_spec

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
        found = built.decode(built.architecture(_indices(choices)))
    else:
        assert spec is not None
        from paretonas.network.zoo import scaled_spec

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


@app.command("spaces")
def list_spaces(as_json: AsJson = False) -> None:
    """List the search spaces and their options."""
    _print_registry(spaces, as_json, lambda plugin: {"size": plugin().build().size})


@app.command("strategies")
def list_strategies(as_json: AsJson = False) -> None:
    """List the search strategies and their options."""
    _print_registry(strategies, as_json)


@app.command("devices")
def list_devices(as_json: AsJson = False) -> None:
    """List the runtimes and transports that a device is made of."""
    from paretonas.device import runtimes, transports

    if as_json:
        console.print_json({"runtimes": _registry_rows(runtimes), "transports": _registry_rows(transports)})
        return
    for registry in (runtimes, transports):
        _print_registry(registry, as_json=False)
    form = "runtime[:options][@transport:address], as in onnxruntime:threads=4"
    console.out.print(f"\nA device is written {form}", markup=False)


@app.command("recipes")
def list_recipes(as_json: AsJson = False) -> None:
    """List the training recipes and their options."""
    from paretonas.training import recipes

    if as_json:
        console.print_json([{"name": name, **asdict(recipes.load(name))} for name in recipes])
        return
    for name in recipes:
        recipe = recipes.load(name)
        console.out.print(f"[bold]{name}[/]  {recipe.about}")
        console.out.print("  " + " ".join(f"{k}={v}" for k, v in asdict(recipe).items() if k != "about"))


def _registry_rows(registry: Registry, more: Any = lambda plugin: {}) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "about": registry.summary(name),
            "options": describe_options(registry.load(name)),
            **more(registry.load(name)),
        }
        for name in registry
    ]


def _print_registry(registry: Registry, as_json: bool, more: Any = lambda plugin: {}) -> None:
    rows = _registry_rows(registry, more)
    if as_json:
        console.print_json(rows)
        return
    for row in rows:
        size = f" ({row['size']:,} architectures)" if "size" in row else ""
        console.out.print(f"{registry.kind} [bold]{row['name']}[/]{size}  {row['about']}")
        if row["options"]:
            console.out.print("  options: " + " ".join(row["options"]))


# Reading what users write


def _seconds(text: str | None) -> float | None:
    """Seconds of a duration such as 90s, 45m, 3h or 1h30m."""
    if text is None:
        return None
    found = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        parts = [float(part or 0) for part in found.groups()] if found else []
    except ValueError:
        parts = []
    if not sum(parts):
        raise UsageError(f"A time is written as 90s, 45m, 3h or 1h30m, but got {text!r}.")
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def _indices(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"Choices are whole numbers with commas between them, but got {text!r}.") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"A configuration is a TOML file, but {path} cannot be read: {error}") from None


def main() -> None:
    """Entry point of the command `paretonas`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except ParetonasError as error:
        console.err.print("[bold red]error:[/]", Text(str(error)))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
