"""What the command line prints: tables, progress, estimates. Only `cli` uses it.

Text is text here, wherever it comes from: markup in it is not read, and what would move the cursor is an escape.
Emphasis of our own is said by `styled`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, JustifyMethod, OverflowMethod
from rich.style import Style
from rich.table import Table
from rich.text import Text

from paretonas.cli.streams import reserved_stdout
from paretonas.objective.metric import LATENCY, LATENCY_FLAGS, MACS, PARAMS, Metric, metric, of_kind
from paretonas.report.aims import Aims, is_estimate
from paretonas.report.plain import shown
from paretonas.trial import Trial

if TYPE_CHECKING:
    from paretonas.search.search import Search

WIDTH_OF_FILES = 140


class _Plain(Console):
    """A console whose every string passes here on its way: printed, in a table, as its title."""

    def __init__(self, stream: TextIO, is_stderr: bool = False):
        width = None if stream.isatty() else WIDTH_OF_FILES
        super().__init__(stderr=is_stderr, markup=False, emoji=False, highlight=False, width=width)

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: Callable[[str | Text], Text] | None = None,
    ) -> Text:
        return Text(shown(text), style, justify=justify, overflow=overflow)


out, err = _Plain(sys.stdout), _Plain(sys.stderr, is_stderr=True)
_for_json: list[TextIO] = []
"""Where JSON goes, if standard output is reserved for it."""


def styled(text: str, style: str) -> Text:
    """A text in a style of ours: "bold"."""
    return Text(shown(text), style)


@contextmanager
def json_alone() -> Iterator[None]:
    """Standard output is the JSON's; what modules of users and libraries print goes to standard error."""
    with reserved_stdout() as stream:
        _for_json.append(stream)
        try:
            yield
        finally:
            _for_json.clear()


def print_json(data: Any) -> None:
    """Plain JSON, for machines."""
    stream = _for_json[0] if _for_json else sys.stdout
    stream.write(json.dumps(data, default=str) + "\n")
    stream.flush()


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


def usual_metrics(aims: Aims) -> tuple[str, ...]:
    """The metrics that a search is about, in the order of the columns."""
    return (aims.quality, *aims.latencies, PARAMS.name, MACS.name, f"test_{aims.quality}")


def trial_table(trials: Sequence[Trial], names: Sequence[str], title: str | None = None) -> None:
    """Trials with these metrics, as far as any has them, and how often jobs were begun again, if any was."""
    shown = [metric(name) for name in names if any(name in trial.metrics for trial in trials)]
    is_retried = any(trial.retries for trial in trials)
    rows = [
        [
            trial.number,
            trial.state.value,
            None if trial.reward is None else metric("reward").text(trial.reward),
            *(_cell(trial, one) for one in shown),
            *([trial.retries or None] if is_retried else []),
            trial.spec_hash,
        ]
        for trial in trials
    ]
    retries = ["retries"] if is_retried else []
    table(["trial", "state", "reward", *(one.title for one in shown), *retries, "spec"], rows, title)


def _cell(trial: Trial, one: Metric) -> str | None:
    """A metric as text; a latency whose timing is flagged has a star."""
    if one.name not in trial.metrics:
        return None
    base, dot, device = one.name.partition(".")
    flags = trial.metrics.get(f"{LATENCY_FLAGS.name}{dot}{device}", 0) if base == LATENCY.name else 0
    return one.text(trial.metrics[one.name]) + ("*" if flags > 0 else "")


def is_flagged(trial: Trial) -> bool:
    """Whether a timing of the trial is flagged."""
    return any(flags > 0 for flags in of_kind(LATENCY_FLAGS.name, trial.metrics).values())


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


def size_words(number: int) -> str:
    """A number however large; from a million billions on without most of its digits.

    >>> size_words(15625), size_words(10**400)
    ('15,625', '1.0e+400')
    """
    return f"{number:,}" if number < 10**15 else f"{Decimal(number):.1e}"


def plan(search: Search, trials_left: int | None, workers: int, seconds: float | None) -> None:
    """The first lines of a search: what it is, what a trial costs, when it will be done."""
    config, targets = search.config, search.objective.targets
    by = config.strategy.name if config.morph is None else "MorphNet"
    where = f"{by} in {search.space.name} ({size_words(search.space.size)} points)"
    out.print(Text.assemble(styled(config.name, "bold"), ": ", shown(where)))
    aims = [f"{target:.3g} ms{on(name)}" for name, target in targets.items()]
    goal = f"aiming at {' and '.join(aims)}" if aims else f"for {metric(search.objective.quality).title} alone"
    pursued = "" if config.goals == ("reward",) else f", pursuing {' and '.join(config.goals)}"
    out.print(f"  {goal}{pursued}")
    for line in search.evaluator.about().lines:
        out.print(f"  {line}")
    before = 0.0
    for phase in search.evaluator.phases():
        takes = "" if phase.seconds is None else f": about {duration(phase.seconds / workers)}"
        before += (phase.seconds or 0.0) / workers
        out.print(f"  first {phase.what}{takes}")
    if trials_left == 0:
        out.print(f"  its budget of trials is used up; raise it: paretonas resume {config.name} --trials N")
        return
    if seconds is None:
        out.print("  what a trial costs cannot be told: the recipe diverges within three steps")
        return
    if seconds == 0.0:
        return
    totals = [] if trials_left is None else [seconds * trials_left / workers]
    if config.budget.seconds is not None:
        totals.append(max(0.0, config.budget.seconds - search.store.seconds(config.name)))
    total = min(totals)
    fitting = int(total * workers / seconds)
    count = fitting if trials_left is None else min(trials_left, fitting)
    at = (datetime.now() + timedelta(seconds=before + total)).strftime("%H:%M")
    less = ", less under the limits" if config.limits else ""
    out.print(
        f"  a trial costs about {duration(seconds)}{less}; {count} of them on {workers} "
        f"worker{'s' if workers > 1 else ''} take about {duration(total)}: done at {at}"
    )


def on(name: str) -> str:
    """How a latency comes about, if it is not measured, and where."""
    device = name.partition(".")[2]
    return (" estimated" if is_estimate(name) else "") + (f" on {device}" if device else "")
