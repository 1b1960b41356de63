"""What the command line shows of work that goes on: bars on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from paretonas.cli.console import duration, err, on, out, print_json
from paretonas.objective.metric import latencies, metric
from paretonas.report.foretold import foretold
from paretonas.report.table import trial_row
from paretonas.trial import State, Trial

if TYPE_CHECKING:
    from paretonas.loop.listener import Listener
    from paretonas.loop.listener import Progress as SearchProgress

SOON, EVERY = 5.0, 60.0
"""Seconds until the first line about the same work where there is no bar, and between two."""


@contextmanager
def search_listener(is_json: bool) -> Iterator[Listener]:
    """Shows a search as it goes on: a line for every trial and a bar, or JSON lines."""
    from paretonas.loop.listener import Listener

    if is_json:
        yield Listener(
            lambda text: err.print(text),
            lambda progress: print_json(trial_row(progress.trial)),
        )
        return
    with _bars(out) as bars:
        trials = bars.add_task("trials", total=None, visible=False, left="")
        others: dict[str, _Work] = {}
        ended: list[Trial] = []

        def progress(now: SearchProgress) -> None:
            out.print(_trial_line(now))
            _say_foretold(ended, now.trial)
            left = "" if now.seconds_left is None else f"about {duration(now.seconds_left)} left"
            if now.best is not None:
                left += f"  best reward {now.best.reward:.4f} (trial {now.best.number})"
            bars.update(trials, completed=now.ended, total=now.budget, visible=True, left=left)

        def counting(what: str, done: int, total: int) -> None:
            if what not in others:
                others[what] = _Work(bars, what)
            others[what].show(done, total)

        yield Listener(lambda text: out.print(text), progress, counting)


@contextmanager
def trainings(names: Sequence[int]) -> Iterator[Callable[[dict[int, float]], None]]:
    """Shows trainings that run side by side; yields a function that takes the shares done."""
    with _bars(out) as bars:
        each = {name: _Work(bars, f"training trial {name}") for name in names}

        def show(shares: dict[int, float]) -> None:
            for name, share in shares.items():
                each[name].show(round(100 * share), 100)

        yield show


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows work that is counted; yields a function that takes how much is done, of how much."""
    with _bars(err) as bars:
        yield _Work(bars, what).show


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield bars


class _Work:
    """Some work that is counted, among others."""

    def __init__(self, bars: Progress, what: str):
        self._bars, self._what = bars, what
        self._task = bars.add_task(what, total=None, visible=False, left="")
        self._began = time.monotonic()
        self._due = self._began + SOON
        self._before: int | None = None

    def show(self, done: int, total: int) -> None:
        """So much is done, of so much."""
        now, left = time.monotonic(), ""
        before = self._before = done if self._before is None else self._before
        if before < done < total:
            left = f"about {duration((now - self._began) / (done - before) * (total - done))} left"
        self._bars.update(self._task, completed=done, total=total, visible=done < total, left=left)
        if not self._bars.console.is_terminal and done < total and now >= self._due:
            self._due = now + EVERY
            self._bars.console.print(f"{self._what}: {done} of {total}{left and ', '}{left}")


def _say_foretold(ended: list[Trial], trial: Trial) -> None:
    """Once the first architecture of another length has ended: what was foretold of those before it."""
    if ended and len(ended[-1].architecture.choices) != len(trial.architecture.choices):
        for step in foretold(ended):
            out.print(f"  {step}")
        ended.clear()
    ended.append(trial)


def _trial_line(now: SearchProgress) -> str:
    trial, parts = now.trial, [f"trial {now.trial.number:>4}  {now.trial.state.value:<8}"]
    parts += [f"{trial.metrics[name]:>8.3f} ms{on(name)}" for name in latencies(trial.metrics)]
    if now.quality in trial.metrics:
        parts.append(f"{metric(now.quality).text(trial.metrics[now.quality]):>8}")
    if trial.reward is not None and trial.state is State.COMPLETE:
        parts.append(f"reward {trial.reward:.4f}")
    if trial.is_reused:
        parts.append("(as trained before)")
    if trial.state in (State.FAILED, State.PRUNED) and trial.error:
        parts.append(trial.error.strip().splitlines()[-1])
    return "  ".join(parts)
