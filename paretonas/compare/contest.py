"""Strategies on a table, beside each other: how good is what they have found after so many evaluations?

Every strategy runs with every seed, one proposal after the other, as it would in a search; only that a trial is looked
up. What is kept of a run is which rows it saw, in order; all figures are computed from these.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from paretonas.errors import TrainingError, UsageError
from paretonas.evaluation.table import TabularTask
from paretonas.executor import Executor
from paretonas.objective import Objective
from paretonas.objective.reward import REWARDS
from paretonas.space import SearchSpace, spec_hash
from paretonas.space.table import Table, read_table
from paretonas.strategy import strategies
from paretonas.trial import Proposal, State, Trial

GOALS = "accuracy+latency_ms"
"""What strategies with several goals pursue where there is a latency."""


@dataclass(frozen=True)
class Contest:
    """What strategies are compared on.

    Args:
        file: Parquet file of the table.
        metric: Column that strategies see.
        judge: Column that tells how good what they found is; None: `metric`.
        latency: Column of latencies in milliseconds; with it fronts are compared too.
        reward: `soft`, `hard` or `accuracy`: what strategies of one goal are told where there is a latency.
        target_ms: Of the reward; None: the table's median latency.
        trials: Evaluations of every run.
        batch: Proposals asked for at once.
        decisions: Columns that hold the architecture; none: `ops` or `arch`.

    Raises:
        UsageError: A value out of range.
    """

    file: Path
    metric: str
    judge: str | None = None
    latency: str | None = None
    reward: str = "soft"
    target_ms: float | None = None
    trials: int = 500
    batch: int = 1
    decisions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.trials < 1 or self.batch < 1:
            raise UsageError(f"`trials, batch >= 1` must hold, but got (trials={self.trials}, batch={self.batch}).")
        if self.reward not in REWARDS:
            raise UsageError(f"A reward on a table is {', '.join(REWARDS)}, but got {self.reward!r}.")
        if self.latency is None and (self.target_ms is not None or self.reward != "soft"):
            raise UsageError("A target and a reward are about latency: name its column too.")

    @property
    def judged_by(self) -> str:
        """The column that tells how good a row is."""
        return self.judge or self.metric

    @cached_property
    def table(self) -> Table:
        """Read once a process; its columns are checked."""
        table = _table(self.file, self.decisions)
        for column in (self.metric, self.judged_by, self.latency):
            if column is not None:
                table.column(column)
        return table

    def objective(self) -> Objective:
        """What strategies of one goal are told."""
        if self.latency is None or self.reward == "accuracy":
            return Objective()
        known = [value for value in self.table.column(self.latency) if not math.isnan(value)]
        return Objective(self.target_ms or statistics.median(known), *REWARDS[self.reward])


@lru_cache(maxsize=4)
def _table(file: Path, decisions: tuple[str, ...]) -> Table:
    return read_table(file, decisions)


@dataclass(frozen=True)
class Run:
    """What one strategy saw with one seed.

    Args:
        strategy: As it was written.
        seed: Of the strategy.
        rows: Rows of the table in the order in which they were evaluated; -1 for a gap.
        ask_seconds: Of each call of `ask`, in order.
    """

    strategy: str
    seed: int
    rows: tuple[int, ...]
    ask_seconds: tuple[float, ...]


def run(contest: Contest, strategy: str, seed: int) -> Run:
    """One strategy with one seed, to the end of the budget or its own."""
    table, objective = contest.table, contest.objective()
    task, space = TabularTask(table, contest.metric, contest.latency), table.space()
    started = strategies.create(strategy, defaults(contest)).start(space, seed)
    rows: list[int] = []
    seconds: list[float] = []
    while len(rows) < contest.trials and not started.is_finished:
        begin = time.perf_counter()
        proposals = started.ask(min(contest.batch, contest.trials - len(rows)))
        seconds.append(time.perf_counter() - begin)
        if not proposals:
            raise UsageError(f"Strategy {strategy!r} proposes nothing though all was told.")
        trials = [_evaluated(p, space, task, objective, len(rows) + i) for i, p in enumerate(proposals)]
        rows += [-1 if (row := table.row(p.architecture)) is None else row for p in proposals]
        started.tell(trials)
    return Run(strategy, seed, tuple(rows), tuple(seconds))


def defaults(contest: Contest) -> dict[str, object]:
    """Options of a strategy that follow from the contest."""
    return {"goals": GOALS} if contest.latency else {}


def _evaluated(proposal: Proposal, space: SearchSpace, task: TabularTask, objective: Objective, told: int) -> Trial:
    spec = space.decode(proposal.architecture)
    trial = Trial(proposal.number, proposal.architecture, spec_hash(spec), context=proposal.context, told=told)
    try:
        metrics = task.metrics(proposal.architecture)
    except TrainingError as error:
        return replace(trial, state=State.FAILED, error=str(error))
    return replace(trial, state=State.COMPLETE, metrics=metrics, reward=objective.reward(metrics))


def compare(
    contest: Contest,
    names: Sequence[str],
    seeds: int,
    executor: Executor,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Run]:
    """All strategies with seeds from 0 on.

    Args:
        contest: On what.
        names: Strategies with their options, as users write them.
        seeds: How many.
        executor: Where they run.
        progress: Is told how many runs have ended, of how many.

    Raises:
        UsageError: No strategy, one named twice, an unknown one, or a table that cannot be.
    """
    if not names or len(set(names)) < len(names) or seeds < 1:
        raise UsageError(f"Different strategies are compared, over one seed or more, but got {list(names)}, {seeds}.")
    for name in names:
        strategies.create(name, defaults(contest))
    contest.objective()
    jobs = [executor.submit(f"{name}/{seed}", run, contest, name, seed) for name in names for seed in range(seeds)]
    done = 0
    while done < len(jobs):
        done += len(executor.wait())
        progress(done, len(jobs))
    return [job.result() for job in jobs]
