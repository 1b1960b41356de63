"""What the command line prints: tables, progress, estimates. Only `cli` uses it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from paretonas.report.table import trial_row
from paretonas.trial import State, Trial

if TYPE_CHECKING:
    from paretonas.loop.listener import Listener
    from paretonas.loop.listener import Progress as SearchProgress
    from paretonas.search.search import Search

WIDTH_OF_FILES = 140
out = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else WIDTH_OF_FILES)

METRIC_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("accuracy", lambda v: f"{100 * v:.2f} %"),
    "latency_ms": ("latency", lambda v: f"{v:.3g} ms"),
    "params": ("params", lambda v: f"{v / 1e6:.2f} M"),
    "macs": ("MACs", lambda v: f"{v / 1e6:.1f} M"),
    "test_accuracy": ("test", lambda v: f"{100 * v:.2f} %"),
}


def print_json(data: Any) -> None:
    """Plain JSON, for machines."""
    sys.stdout.write(json.dumps(data, default=str) + "\n")
    sys.stdout.flush()


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str | None = None) -> None:
    """A table; columns of numbers stand to the right."""
    drawn = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    for row in cells:
        drawn.add_row(*row)
    for i, column in enumerate(drawn.columns):
        if all(row[i][:1].isdigit() or not row[i] for row in cells):
            column.justify = "right"
    out.print(drawn)


def trial_table(trials: Sequence[Trial], title: str | None = None) -> None:
    """Trials with the metrics that any of them has."""
    shown = [name for name in METRIC_COLUMNS if any(name in trial.metrics for trial in trials)]
    rows = [
        [
            trial.number,
            trial.state.value,
            None if trial.reward is None else f"{trial.reward:.4f}",
            *(_cell(trial, name) for name in shown),
            trial.spec_hash,
        ]
        for trial in trials
    ]
    table(["trial", "state", "reward", *(METRIC_COLUMNS[name][0] for name in shown), "spec"], rows, title)


def _cell(trial: Trial, metric: str) -> str | None:
    """A metric as text; a latency whose timing is flagged has a star."""
    if metric not in trial.metrics:
        return None
    is_flagged = metric == "latency_ms" and trial.metrics.get("latency_flags", 0) > 0
    return METRIC_COLUMNS[metric][1](trial.metrics[metric]) + ("*" if is_flagged else "")


def duration(seconds: float) -> str:
    """A duration in the two units that matter.

    >>> duration(75), duration(3700)
    ('1 min 15 s', '1 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def plan(search: Search, trials_left: int | None, workers: int, seconds: float | None) -> None:
    """The first lines of a search: what it is, what a trial costs, when it will be done."""
    config = search.config
    goal = f"aiming at {config.target_ms:.3g} ms" if config.target_ms else "for accuracy alone"
    out.print(f"[bold]{config.name}[/]: {config.strategy} in {search.space.name} ({search.space.size:.2g} points)")
    where, *more = search.task.about()
    out.print(f"  {goal} {escape(where)}")
    for line in more:
        out.print(f"  {escape(line)}")
    if trials_left == 0:
        out.print(f"  its budget of trials is used up; raise it: paretonas resume {config.name} --trials N")
        return
    if seconds is None:
        out.print("  what a trial costs cannot be told: the recipe diverges within three steps")
        return
    if seconds == 0.0:
        return
    totals = [] if trials_left is None else [seconds * trials_left / workers]
    if config.seconds is not None:
        totals.append(max(0.0, config.seconds - search.store.seconds(config.name)))
    total = min(totals)
    fitting = int(total * workers / seconds)
    count = fitting if trials_left is None else min(trials_left, fitting)
    at = (datetime.now() + timedelta(seconds=total)).strftime("%H:%M")
    out.print(
        f"  a trial costs about {duration(seconds)}; {count} of them on {workers} "
        f"worker{'s' if workers > 1 else ''} take about {duration(total)}: done at {at}"
    )


@contextmanager
def search_listener(is_json: bool) -> Iterator[Listener]:
    """Shows a search as it goes on: a line for every trial and a bar, or JSON lines."""
    from paretonas.loop.listener import Listener

    if is_json:
        yield Listener(
            lambda text: err.print(text, markup=False),
            lambda progress: print_json(trial_row(progress.trial)),
            decoding=None,
        )
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"),
        console=out, transient=True,
    ) as bar:  # fmt: skip
        trials = bar.add_task("trials", total=None, visible=False, left="")
        images = bar.add_task("decoding images", total=None, visible=False, left="")

        def progress(now: SearchProgress) -> None:
            out.print(_trial_line(now.trial), markup=False)
            left = "" if now.seconds_left is None else f"about {duration(now.seconds_left)} left"
            if now.best is not None:
                left += f"  best reward {now.best.reward:.4f} (trial {now.best.number})"
            bar.update(trials, completed=now.ended, total=now.budget, visible=True, left=left)

        def decoding(done: int, total: int) -> None:
            bar.update(images, completed=done, total=total, visible=done < total)

        yield Listener(lambda text: out.print(text, markup=False), progress, decoding)


def _trial_line(trial: Trial) -> str:
    parts = [f"trial {trial.number:>4}  {trial.state.value:<8}"]
    if "latency_ms" in trial.metrics:
        parts.append(f"{trial.metrics['latency_ms']:>8.3f} ms")
    if "accuracy" in trial.metrics:
        parts.append(f"{100 * trial.metrics['accuracy']:>6.2f} %  reward {trial.reward:.4f}")
    if trial.is_reused:
        parts.append("(as trained before)")
    if trial.state in (State.FAILED, State.PRUNED) and trial.error:
        parts.append(trial.error.strip().splitlines()[-1])
    return "  ".join(parts)


@contextmanager
def training_bars(names: Sequence[int]) -> Iterator[Callable[[dict[int, float]], None]]:
    """Bars for trainings that run side by side; yields a function that takes the shares done."""
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=out, transient=True) as bar:
        tasks = {name: bar.add_task(f"training trial {name}", total=1.0) for name in names}

        def show(shares: dict[int, float]) -> None:
            for name, share in shares.items():
                bar.update(tasks[name], completed=share)

        yield show


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work that is counted; yields a function that takes how much is done, of how much."""
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
