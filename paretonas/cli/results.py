"""Commands about what was found: list, show, front, report, delete."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.app import AsJson, Name, Trust, app
from paretonas.cli.console import duration
from paretonas.errors import DeviceError, UsageError, WorkError
from paretonas.objective import Goals, Limit
from paretonas.space import spec_to_json
from paretonas.store import Store
from paretonas.trial import State, Trial

if TYPE_CHECKING:
    from paretonas.report.drawing import PartLatencies, PartLatency
    from paretonas.report.searched import Searched

Shown = Annotated[
    str | None, typer.Option("--metrics", help="Columns: metrics with + between them: accuracy+latency_ms+macs.")
]
Compare = Annotated[list[str] | None, typer.Option(help="Another search to show beside it; may be repeated.")]


def print_front(
    name: str, trials: Sequence[Trial], config: Mapping[str, Any], metrics: tuple[str, ...] | None = None
) -> None:
    """The front of a search as a table, and which of its networks to take."""
    from paretonas.objective import front_trials
    from paretonas.report.aims import Aims

    aims = Aims.of(config)
    names = metrics or console.usual_metrics(aims)
    front = front_trials(trials, aims.quality, tuple(aims.latencies)) if aims.latencies else []
    complete = sorted((t for t in trials if t.state is State.COMPLETE), key=lambda t: -(t.reward or 0.0))
    if front:
        console.trial_table(front, names, f"Pareto front of {name}, fastest first")
    elif complete:
        console.trial_table(complete[:3], names, f"Best of {name}, which has no latencies")
    else:
        console.out.print(f"Search {name} has no complete trial yet.")
        for line in over_limits(trials, config):
            console.out.print(line)
    print_advice(trials, config)


def over_limits(trials: Sequence[Trial], config: Mapping[str, Any]) -> list[str]:
    """How many trials each limit has stopped, and how near to it the nearest came."""
    lines = []
    for limit in map(Limit.parse, config.get("objective", {}).get("limits", ())):
        over = [trial for trial in trials if trial.state is State.PRUNED and not limit.is_kept(trial.metrics)]
        if over:
            nearest = min(over, key=lambda trial: trial.metrics[limit.metric])
            lines.append(
                f"{len(over)} are over the limit {limit}; the nearest, trial {nearest.number}, has "
                f"{nearest.metrics[limit.metric]:.4g}. Allow more, or search among smaller networks."
            )
    return lines


def print_advice(trials: Sequence[Trial], config: Mapping[str, Any]) -> None:
    """Which network to take, for each device, why, and the command that trains it."""
    from paretonas.report.advice import advice

    for one in advice(trials, config):
        console.out.print()
        console.out.print(f"{one.label}: {one.sentence}")
        for note in one.notes:
            console.out.print(f"  {note}")
        if one.command:
            console.out.print(f"  Train it to the end: {one.command}")


def recommended(trials: Sequence[Trial], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same for machines."""
    from paretonas.report.advice import advice

    return [one.to_json() for one in advice(trials, config)]


def _read_metrics(text: str | None) -> tuple[str, ...] | None:
    """Names of metrics, checked; None where none are given."""
    return None if text is None else Goals.parse(text).metrics


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
    metrics: Shown = None,
    as_json: AsJson = False,
) -> None:
    """Show a search: its configuration, its trials, or one of them, and which network to take."""
    from paretonas.report.aims import Aims
    from paretonas.report.foretold import foretold
    from paretonas.report.table import config_toml, settings, trial_row, write_parquet

    store, shown = context.obj.store(), _read_metrics(metrics)
    config, trials = store.config(name), store.trials(name)
    if toml:
        sys.stdout.write(config_toml(config))
    elif parquet is not None:
        write_parquet(trials, parquet)
        console.out.print(f"Wrote {len(trials)} trials to {parquet}.")
    elif trial is not None:
        _show_trial(name, trial, trials, config, as_json)
    elif as_json:
        steps = [asdict(step) for step in foretold(trials)]
        rows = [trial_row(trial) for trial in trials]
        found = {"config": config, "trials": rows, "foretold": steps, "recommended": recommended(trials, config)}
        console.print_json(found)
    else:
        console.out.print("  ".join(f"{key}={value}" for key, value in settings(config).items()))
        console.trial_table(trials, shown or console.usual_metrics(Aims.of(config)))
        for step in foretold(trials):
            console.out.print(str(step))
        print_advice(trials, config)


def _show_trial(name: str, number: int, trials: Sequence[Trial], config: Mapping[str, Any], as_json: bool) -> None:
    from paretonas.report.architectures import spec_of
    from paretonas.report.table import trial_row

    chosen = next((t for t in trials if t.number == number), None)
    if chosen is None:
        raise UsageError(f"Search {name!r} has trials 0 to {len(trials) - 1}, but got {number}.")
    spec = spec_of(chosen, config)
    row = {**trial_row(chosen), "spec": None if spec is None else spec_to_json(spec)}
    if as_json:
        console.print_json(row)
    else:
        for key, value in row.items():
            if value is not None:
                first, *others = str(value).splitlines() or [""]  # of a traceback
                for line in (f"{key:<18} {first}", *others):
                    console.out.print(line)


@app.command()
def front(
    context: typer.Context,
    name: Name,
    plot: Annotated[Path | None, typer.Option(help="Write the figure: .png, .svg or .html.")] = None,
    compare: Compare = None,
    metrics: Shown = None,
    as_json: AsJson = False,
) -> None:
    """Print the Pareto front of a search, and draw it, beside its baselines if it has some; and which one to take."""
    from paretonas.objective import front_trials
    from paretonas.report.aims import Aims, data_name, device_names
    from paretonas.report.figure import check_figure_path, front_figure, save_figure
    from paretonas.report.searched import companions
    from paretonas.report.table import trial_row

    store, shown = context.obj.store(), _read_metrics(metrics)
    config, trials = store.config(name), store.trials(name)
    aims = Aims.of(config)
    if plot is not None:
        check_figure_path(plot)
    if as_json:
        rows = [trial_row(trial) for trial in front_trials(trials, aims.quality, aims.latencies)]
        console.print_json({"front": rows, "recommended": recommended(trials, config)})
    else:
        print_front(name, trials, config, shown)
    if plot is not None:
        title = f"{name}: {data_name(config)} on {device_names(config)}"
        beside, names = companions(store, name, compare or ())
        save_figure(front_figure(trials, title, aims, beside, names), plot)
        console.err.print(f"Wrote {plot}.")


@app.command()
def report(
    context: typer.Context,
    name: Name,
    output: Annotated[Path | None, typer.Option(help="File to write; NAME.html if none is given.")] = None,
    compare: Compare = None,
    _trust: Trust = False,
) -> None:
    """Write the whole story of a search as one HTML file that needs no network.

    The networks that it draws are profiled on the search's devices first, where these have a profiler.
    """
    from paretonas.report.output import check_output
    from paretonas.report.page import write_report

    here = context.obj
    store, path = here.store(), output or Path(f"{name}.html")
    store.config(name)  # says so if there is no such search
    check_output(path, "A report", (".html",))
    with console.err.status("Measuring where the time goes …"):
        parts = _parts_of_drawn(name, store, here.home)
    write_report(path, store, name, here.home, compare or (), parts)
    console.out.print(f"Wrote {path}.")


def _parts_of_drawn(name: str, store: Store, home: Path) -> PartLatencies:
    """Latencies of the parts of the networks that a report draws, on each device of the search."""
    from paretonas.device import parse_device
    from paretonas.evaluation.measure import spec_blocks
    from paretonas.report.architectures import spec_of
    from paretonas.report.searched import read_searches
    from paretonas.report.table import drawn_trials

    searched = read_searches(store, name, home)[0]
    parts: dict[str, dict[str, list[PartLatency]]] = {}
    try:
        for latency, device in _devices_of(searched).items():
            for trial in drawn_trials(searched.trials, searched.aims):
                spec, timing = spec_of(trial, searched.config), searched.timings.get(latency, {}).get(trial.number)
                if spec is not None and timing is not None and timing.interface is not None:
                    rows = spec_blocks(spec, timing.interface, parse_device(device), store, home / "cache")
                    found = [(row["name"], row["latency_ms"], row["share"]) for row in rows]
                    parts.setdefault(latency, {})[trial.spec_hash] = found
    except (DeviceError, WorkError) as error:
        console.err.print(f"The parts are drawn without their latencies: {error}")
    return parts


def _devices_of(searched: Searched) -> dict[str, str]:
    """The devices of a search by their latency's metric; a table has none that could be asked."""
    if "table" in searched.config:
        return {}
    devices = (one.get("device", "onnxruntime") for one in searched.config.get("device", ()))
    return dict(zip(searched.aims.latencies, devices, strict=False))


@app.command()
def delete(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a search with its trials and files. What was measured stays cached for other searches."""
    from paretonas.search.deletion import delete_search

    here = context.obj
    store = here.store()
    trials = len(store.trials(name))
    if not yes:
        typer.confirm(f"Delete search {name!r} with {trials} trials and its files?", abort=True)
    delete_search(name, store, here.home)


@app.command("export-store")
def export_store(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="SQLite file to write; --store sqlite:///FILE reads it.")],
) -> None:
    """Copy the store into one file, safely also while a search writes into it."""
    context.obj.store().copy_to(file)
    console.out.print(f"Wrote {file}.")
