"""Command that watches: status, from any machine that reaches the store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from paretonas.cli import console
from paretonas.cli.app import AsJson, Name, app
from paretonas.cli.console import duration
from paretonas.cli.stopping import say_when_stopped
from paretonas.loop.plan import Budget
from paretonas.store import Standing, Store

EVERY = 2.0
"""Seconds between two looks."""
QUIET = 20.0
"""Seconds of silence that are worth a word: four times as many as there are between two of a runner's."""


@app.command()
def status(
    context: typer.Context,
    name: Name,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say where a search stands: who runs it, which trials run where, how fast, until when, and what failed last."""
    store: Store = context.obj.store()
    if not watch:
        _show(name, *_look(store, name), as_json)
        return
    say_when_stopped("Stopped watching; the search goes on.")
    has_ended = False
    while not has_ended:
        standing, budget = _look(store, name)
        is_run = standing.runner is not None and standing.runner.is_heard
        has_ended = not is_run and _trials_left(standing, budget) == 0
        if console.out.is_terminal and not as_json:
            console.out.clear()
        _show(name, standing, budget, as_json)
        if not has_ended:
            time.sleep(EVERY)


def _look(store: Store, name: str) -> tuple[Standing, Budget]:
    written = store.config(name).get("budget", {})
    return store.standing(name), Budget(written.get("trials"), written.get("seconds"))


def _show(name: str, standing: Standing, budget: Budget, as_json: bool) -> None:
    if as_json:
        console.print_json(_row(name, standing, budget))
    else:
        _print(name, standing, budget)


def _trials_left(standing: Standing, budget: Budget) -> int | None:
    """None: as many as fit the time."""
    return None if budget.most is None else max(0, budget.most - standing.ended)


def _seconds_left(standing: Standing, budget: Budget) -> float | None:
    """Until the search ends, by how it goes now; None: that cannot be told."""
    rate, left = standing.a_minute, _trials_left(standing, budget)
    if rate is None:
        return None
    estimates = [] if left is None else [60 * left / rate]
    if budget.seconds is not None:
        estimates.append(max(0.0, budget.seconds - standing.seconds))
    return min(estimates)


def _row(name: str, standing: Standing, budget: Budget) -> dict[str, Any]:
    """All of it, for machines."""
    runner, left = standing.runner, _seconds_left(standing, budget)
    ends = None if left is None else (datetime.now().astimezone() + timedelta(seconds=left)).isoformat("T", "seconds")
    return {
        "search": name,
        "trials": {state.value: count for state, count in standing.trials.items()},
        "ended": standing.ended,
        "budget": {"trials": budget.most, "seconds": budget.seconds},
        "seconds": standing.seconds,
        "ended_per_minute": standing.a_minute,
        "seconds_left": left,
        "ends": ends,
        "runner": runner
        and {
            **({} if runner.holder is None else _public(runner.holder.to_json())),
            "seconds": runner.seconds,
            "silence_seconds": runner.silence,
            "is_heard": runner.is_heard,
        },
        "retries": standing.retries,
        "running": [work.to_json() for work in standing.works],
        "errors": [asdict(one) for one in standing.errors],
    }


def _public(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in holder.items() if key != "system"}


def _print(name: str, standing: Standing, budget: Budget) -> None:
    of = "" if budget.most is None else f" of {budget.most}"
    counts = ", ".join(f"{count} {state.value}" for state, count in sorted(standing.trials.items()))
    console.out.print(f"{name}: {standing.ended}{of} trials ended{counts and f' ({counts})'}")
    console.out.print(_runner_line(name, standing, budget))
    rate, left = standing.a_minute, _seconds_left(standing, budget)
    if rate is not None and left is not None:
        at = (datetime.now() + timedelta(seconds=left)).strftime("%H:%M")
        lately = duration(standing.window)
        console.out.print(f"{rate:.3g} ended a minute in the last {lately}; about {duration(left)} left: done at {at}")
    if standing.works and standing.runner is not None and standing.runner.is_heard:
        rows = [
            (
                work.trial,
                work.stage,
                work.node,
                duration(work.seconds),
                "" if work.share is None else f"{work.share:.0%}",
            )
            for work in standing.works
        ]
        console.table(["trial", "stage", "node", "for", "done"], rows)
    if standing.retries:
        console.out.print(f"{_times(standing.retries)} begun again, as its worker or node was lost")
    for error in standing.errors:
        ago = "" if error.ago is None else f", {duration(error.ago)} ago"
        last = (error.error.strip().splitlines() or ["no reason was kept"])[-1]
        console.out.print(f"trial {error.trial} failed{ago}: {last}")


def _times(retries: int) -> str:
    return "once a job was" if retries == 1 else f"{retries} times a job was"


def _runner_line(name: str, standing: Standing, budget: Budget) -> str:
    runner, go_on = standing.runner, f"Go on with: paretonas resume {name}"
    if (runner is None or not runner.is_heard) and _trials_left(standing, budget) == 0:
        return "Nobody works on it: its budget of trials is used up."
    if runner is None:
        return f"Nobody works on it. {go_on}"
    who = str(runner.holder or "another process")
    if not runner.is_heard:
        return f"Nobody works on it: {who} was last heard of {duration(runner.silence)} ago. {go_on}"
    quiet = f", last heard of {duration(runner.silence)} ago" if runner.silence > QUIET else ""
    return f"held by {who}, for {duration(runner.seconds)}{quiet}"
