"""Commands about what was found: list, show, front, report, delete."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.app import AsJson, Name, app
from paretonas.cli.console import duration
from paretonas.errors import DeviceError, UsageError, WorkError
from paretonas.space import spaces, spec_to_json
from paretonas.store import Store
from paretonas.trial import State

Compare = Annotated[list[str] | None, typer.Option(help="Another search to show beside it; may be repeated.")]


def print_front(name: str, trials: Any) -> None:
    """The front of a search as a table."""
    from paretonas.report.table import front_trials

    found = front_trials(trials)
    complete = sorted((t for t in trials if t.state is State.COMPLETE), key=lambda t: -(t.reward or 0.0))
    if found:
        console.trial_table(found, f"Pareto front of {name}, fastest first")
    elif complete:
        console.trial_table(complete[:3], f"Best of {name}, which has no latencies")
    else:
        console.out.print(f"Search {name} has no complete trial yet.")


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
    from paretonas.report.table import config_toml, trial_row, write_parquet

    store = context.obj.store()
    config, trials = store.config(name), store.trials(name)
    if toml:
        sys.stdout.write(config_toml(config))
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
    compare: Compare = None,
    as_json: AsJson = False,
) -> None:
    """Print the Pareto front of a search, and draw it, beside its baselines if it has some."""
    from paretonas.report.figure import front_figure, save_figure
    from paretonas.report.searched import companions
    from paretonas.report.table import front_trials, trial_row

    store = context.obj.store()
    config, trials = store.config(name), store.trials(name)
    if as_json:
        console.print_json([trial_row(trial) for trial in front_trials(trials)])
    else:
        print_front(name, trials)
    if plot is not None:
        title = f"{name}: {config['data'].rsplit('/', 1)[-1]} on {config.get('device', 'onnxruntime')}"
        beside, names = companions(store, name, compare or ())
        save_figure(front_figure(trials, title, config.get("target_ms"), beside, names), plot)
        console.err.print(f"Wrote {plot}.")


@app.command()
def report(
    context: typer.Context,
    name: Name,
    output: Annotated[Path | None, typer.Option(help="File to write; NAME.html if none is given.")] = None,
    compare: Compare = None,
) -> None:
    """Write the whole story of a search as one HTML file that needs no network.

    The networks that it draws are profiled on the search's device first, if that has a profiler.
    """
    from paretonas.report.page import write_report

    here = context.obj
    store, path = here.store(), output or Path(f"{name}.html")
    with console.err.status("Measuring where the time goes …"):
        blocks = _blocks_of_drawn(name, store, here.home)
    write_report(path, store, name, here.home, compare or (), blocks)
    console.out.print(f"Wrote {path}.")


def _blocks_of_drawn(name: str, store: Store, home: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Spec hash -> part, latency in ms and share of the time, for the networks that a report draws."""
    from paretonas.device import parse_device
    from paretonas.evaluation.measure import spec_blocks
    from paretonas.report.searched import decoded, read_searches
    from paretonas.report.table import drawn_trials

    found, blocks = read_searches(store, name, home)[0], {}
    try:
        device = parse_device(found.config.get("device", "onnxruntime"))
        for trial in drawn_trials(found.trials):
            spec, timing = decoded(trial), (found.timings or {}).get(trial.number)
            if spec is not None and timing is not None and timing.input_shape and timing.classes:
                rows = spec_blocks(spec, device, store, home / "cache", timing.input_shape, timing.classes)
                blocks[trial.spec_hash] = [(row["name"], row["latency_ms"], row["share"]) for row in rows]
    except (DeviceError, WorkError) as error:
        console.err.print(f"The parts are drawn without their latencies: {error}", markup=False)
    return blocks


@app.command()
def delete(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a search with its trials and files. What was measured stays cached for other searches."""
    from paretonas.search.search import delete_search

    here = context.obj
    store = here.store()
    trials = len(store.trials(name))
    if not yes:
        typer.confirm(f"Delete search {name!r} with {trials} trials and its files?", abort=True)
    delete_search(name, store, here.home)
