"""Strategies on a table, beside each other: how good is what they have found after so many evaluations?

Every strategy runs with every seed, one proposal after the other, as it would in a search; only that a trial is looked
up. What is kept of a run is which rows it saw, in order; all figures are computed from these.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import TrainingError, UsageError
from paretonas.executor import Executor
from paretonas.objective import Objective, front, hypervolume
from paretonas.objective.reward import HARD, SOFT
from paretonas.space import spec_hash
from paretonas.space.tabular import Table, read_table
from paretonas.strategy import strategies
from paretonas.training.tabular import TabularTask
from paretonas.trial import Proposal, State, Trial

Floats = NDArray[np.float64]

GOALS = "accuracy+latency_ms"
"""What strategies with several goals pursue where there is a latency."""

REWARDS = {"soft": SOFT, "hard": HARD, "accuracy": (0.0, 0.0)}


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
        trials = [_evaluated(p, task, objective, len(rows) + i) for i, p in enumerate(proposals)]
        rows += [-1 if (row := table.row(p.architecture)) is None else row for p in proposals]
        started.tell(trials)
    return Run(strategy, seed, tuple(rows), tuple(seconds))


def defaults(contest: Contest) -> dict[str, object]:
    """Options of a strategy that follow from the contest."""
    return {"goals": GOALS} if contest.latency else {}


def _evaluated(proposal: Proposal, task: TabularTask, objective: Objective, told: int) -> Trial:
    spec = task.table.space().decode(proposal.architecture)
    trial = Trial(proposal.number, proposal.architecture, spec_hash(spec), context=proposal.context, told=told)
    try:
        metrics = task.metrics(proposal.architecture)
    except TrainingError as error:
        return Trial(**{**vars(trial), "state": State.FAILED, "error": str(error)})
    return Trial(**{**vars(trial), "state": State.COMPLETE, "metrics": metrics, "reward": objective.reward(metrics)})


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


# Figures


def best_so_far(contest: Contest, runs: Sequence[Run]) -> Floats:
    """The judge's value of the row that is best by the metric so far.

    Returns:
        (runs, trials), in the table's unit; NaN before the first row that is no gap. A run that ended early keeps its
        last value.
    """
    metric, judge = (np.array(contest.table.column(c)) for c in (contest.metric, contest.judged_by))
    found = np.full((len(runs), contest.trials), np.nan)
    for i, one in enumerate(runs):
        best = math.nan
        for j in range(contest.trials):
            row = one.rows[j] if j < len(one.rows) else -1
            if row >= 0 and not metric[row] <= best and not math.isnan(metric[row]):
                best, found[i, j:] = metric[row], judge[row]
    return found


def hypervolume_share(contest: Contest, runs: Sequence[Run]) -> Floats:
    """Hypervolume of what was found so far, by judge and latency, over that of the table's whole front.

    The reference point is the table's median accuracy and its 90th percentile of latency: with the worst point, random
    search would reach nearly all of it.

    Returns:
        (runs, trials).

    Raises:
        UsageError: No latency.
    """
    if contest.latency is None:
        raise UsageError("A hypervolume is of accuracy and latency: name the latency's column.")
    accuracy, latency = (np.array(contest.table.column(c)) for c in (contest.judged_by, contest.latency))
    points = np.stack([accuracy, -latency], axis=1)
    reference = (float(np.nanmedian(accuracy)), -float(np.nanquantile(latency, 0.9)))
    everything = [tuple(p) for p in points if all(p > reference)]
    whole = hypervolume([everything[i] for i in front(everything)], reference)
    return np.array([_shares(one, points, reference, contest.trials) for one in runs]) / whole


def _shares(one: Run, points: Floats, reference: tuple[float, float], trials: int) -> list[float]:
    held: list[tuple[float, ...]] = []
    volume, found = 0.0, []
    for j in range(trials):
        row = one.rows[j] if j < len(one.rows) else -1
        point = tuple(map(float, points[row])) if row >= 0 else (math.nan, math.nan)
        if all(x > r for x, r in zip(point, reference, strict=True)) and not any(
            all(q >= x for q, x in zip(other, point, strict=True)) for other in held
        ):
            held.append(point)
            held = [held[k] for k in front(held)]
            volume = hypervolume(held, reference)
        found.append(volume)
    return found


def repeated_share(one: Run) -> float:
    """Share of the evaluations whose row the run had seen before."""
    return 1 - len(set(one.rows)) / len(one.rows) if one.rows else 0.0


def summary(contest: Contest, runs: Sequence[Run]) -> dict[str, Any]:
    """What there is to say of the runs, as JSON data.

    Returns:
        The contest's own fields; `best`, the judge's best value in the table; and under `strategies` for each, over
        seeds and at every evaluation count from 1 on, `mean`, `median`, `quartiles` (two lists) and `standard_error` of
        best-so-far in the table's unit, the mean `regret`, the same under `hypervolume` where there is a latency, and
        `repeated` (share of evaluations that were made before), `ask_seconds` (mean and largest).
    """
    best = float(np.nanmax(contest.table.column(contest.judged_by)))
    found: dict[str, Any] = {
        "table": contest.table.name,
        "metric": contest.metric,
        "judge": contest.judged_by,
        "latency": contest.latency,
        "target_ms": contest.objective().target_ms,
        "trials": contest.trials,
        "batch": contest.batch,
        "best": best,
        "strategies": {},
    }
    for name in dict.fromkeys(one.strategy for one in runs):
        own = [one for one in runs if one.strategy == name]
        values = best_so_far(contest, own)
        seconds = [s for one in own for s in one.ask_seconds]
        found["strategies"][name] = {
            "seeds": len(own),
            **_spread(values),
            "regret": _plain(best - values.mean(0)),
            "repeated": statistics.fmean(map(repeated_share, own)),
            "ask_seconds": {"mean": statistics.fmean(seconds), "largest": max(seconds)},
        }
        if contest.latency is not None:
            found["strategies"][name]["hypervolume"] = _spread(hypervolume_share(contest, own))
    return found


def _spread(values: Floats) -> dict[str, Any]:
    """Mean, median, quartiles and standard error of each column of (seeds, trials)."""
    error = values.std(0, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else np.full(values.shape[1], np.nan)
    return {
        "mean": _plain(values.mean(0)),
        "median": _plain(np.median(values, 0)),
        "quartiles": [_plain(row) for row in np.quantile(values, [0.25, 0.75], axis=0)],
        "standard_error": _plain(error),
    }


def _plain(values: Floats) -> list[float | None]:
    """NaN is no JSON."""
    return [None if math.isnan(v) else float(v) for v in values]
