"""Strategies on a table, beside each other: how good is what they have found after so many evaluations?

Every strategy runs with every seed through the loop of a search, one proposal after the other, with a store in memory;
a trial is looked up. What is kept of a run is which rows it saw, in order; all figures are computed from these.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import MeasureError, TrainingError, UsageError
from paretonas.evaluation.table import TableEvaluator, TableSource
from paretonas.executor import Executor
from paretonas.loop.gates import Limits
from paretonas.loop.listener import SILENT
from paretonas.loop.loop import Loop
from paretonas.loop.plan import MOST_TRIALS, Budget, Plan, default_goals, rewarded
from paretonas.objective import Goals, Limit, Objective, metric, rewards
from paretonas.space import SearchSpace, spec_hash
from paretonas.space.table import Table
from paretonas.store import Store
from paretonas.strategy import Prior, Strategy, StrategyOptions, strategies
from paretonas.trial import Proposal, State, Trial

MOST_SEEDS = 100_000


@dataclass(frozen=True)
class Contest:
    """What strategies are compared on.

    Args:
        file: Parquet file of the table.
        metric: Column that strategies see.
        judge: Column that tells how good what they found is; None: `metric`.
        latency: Column of latencies in milliseconds; with it fronts are compared too.
        quality: What the columns `metric` and `judge` are: a declared metric.
        reward: What strategies of one goal are told where there is a latency: `soft`, `hard`, `power`, …; None: the
            usual one of the quality.
        target_ms: Of the reward; None: the table's median latency.
        limit_ms: Largest latency of a network that is evaluated; what is over it costs nothing and counts as nothing.
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
    quality: str = TableSource.quality
    reward: str | None = None
    target_ms: float | None = None
    limit_ms: float | None = None
    trials: int = 500
    batch: int = 1
    decisions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (1 <= self.trials <= 10_000_000 and 1 <= self.batch <= 100_000):
            raise UsageError(
                "`1 <= trials <= 10000000` and `1 <= batch <= 100000` must hold, "
                f"but got (trials={self.trials}, batch={self.batch})."
            )
        Objective(self.quality, rewards.create(self.reward_told))
        about_latency = (self.target_ms, self.reward, self.limit_ms)
        if self.latency is None and any(one is not None for one in about_latency):
            raise UsageError("A target, a limit and a reward are about latency: name its column too.")

    @property
    def judged_by(self) -> str:
        """The column that tells how good a row is."""
        return self.judge or self.metric

    @property
    def reward_told(self) -> str:
        """The reward of strategies of one goal."""
        return self.reward or ("soft" if metric(self.quality).is_rising else "inverse-square")

    @property
    def source(self) -> TableSource:
        """The table, read once a process."""
        latency = () if self.latency is None else (self.latency,)
        return _source(TableSource(str(self.file), self.metric, latency, self.decisions, self.quality))

    @cached_property
    def table(self) -> Table:
        """What is looked up in; the column of the judge is checked."""
        self.source.table.column(self.judged_by)
        return self.source.table

    @cached_property
    def is_within(self) -> NDArray[np.bool_]:
        """(rows,): whether the row keeps the limit.

        Raises:
            UsageError: None does.
        """
        if self.limit_ms is None or self.latency is None:
            return np.ones(len(self.table.rows), np.bool_)
        latencies = np.array(self.table.column(self.latency), np.float64)
        if not (is_within := latencies <= self.limit_ms).any():
            fastest = np.min(latencies, where=~np.isnan(latencies), initial=np.inf)
            raise UsageError(
                f"A limit is kept by a row of the table at least, but got {self.limit_ms:g} ms, and the fastest of "
                f"{self.file} has {fastest:g}."
            )
        return is_within

    @property
    def proposals(self) -> int:
        """Most that a run may make: under a limit twice as many as random search needs for its evaluations."""
        share = 1.0 if self.limit_ms is None else float(self.is_within.mean()) / 2
        return min(MOST_TRIALS, math.ceil(self.trials / share))

    @property
    def limits(self) -> tuple[Limit, ...]:
        """What networks have to keep in order to be evaluated."""
        return () if self.limit_ms is None else (Limit("latency_ms", self.limit_ms),)

    def objective(self) -> Objective:
        """What strategies of one goal are told."""
        reward = rewards.create(self.reward_told)
        if self.latency is None or not reward.is_aimed:
            return Objective(self.quality, reward, limits=self.limits)
        target = self.target_ms
        if target is None:
            target = TableEvaluator(self.source).usual_ms("latency_ms", SILENT)
        return Objective(self.quality, reward, {"latency_ms": target}, self.limits)

    def plan(self, strategy: str, seed: int, prior: tuple[Prior, ...] = ()) -> Plan:
        """A run of a strategy: as a search would be, but where there is a latency it pursues the front if it can."""
        options: StrategyOptions = strategies.create(strategy)
        evaluator, objective = TableEvaluator(self.source), self.objective()
        stages = evaluator.stages()
        goals = default_goals(options, evaluator.quality, stages)
        if options.pursues == "goals" and self.latency is not None:
            goals = (evaluator.quality, "latency_ms")
        return Plan(
            name="run",
            space=self.table.space(),
            strategy=options,
            seed=seed,
            goals=Goals(goals, self.limits),
            objective=objective,
            evaluator=evaluator,
            gates=(Limits(objective),),
            budget=Budget(trials=self.proposals),
            prior=prior,
            batch=self.batch,
        )


@lru_cache(maxsize=4)
def _source(source: TableSource) -> TableSource:
    return source


@dataclass(frozen=True)
class Run:
    """What one strategy saw with one seed.

    Args:
        strategy: As it was written.
        seed: Of the strategy.
        rows: Rows of the table in the order in which they were evaluated; what is over the limit is not.
        ask_seconds: Of each call of `ask`, in order.
    """

    strategy: str
    seed: int
    rows: tuple[int, ...]
    ask_seconds: tuple[float, ...]


@dataclass(frozen=True)
class Timed(StrategyOptions):
    """A strategy whose asks are timed, and which ends when so much was evaluated.

    Args:
        options: Of the strategy.
        seconds: Gets the time of each ask.
        evaluations: Trials that no limit stopped.
    """

    options: StrategyOptions
    seconds: list[float]
    evaluations: int

    @property
    def pursues(self) -> str:  # type: ignore[override]
        """As the strategy does."""
        return self.options.pursues

    @property
    def learns_from_prior(self) -> bool:  # type: ignore[override]
        """As the strategy does."""
        return self.options.learns_from_prior

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        return _Timed(self.options.start(space, seed, goals, prior), self.seconds, self.evaluations)


class _Timed(Strategy):
    def __init__(self, strategy: Strategy, seconds: list[float], evaluations: int):
        self._strategy, self._seconds, self._left = strategy, seconds, evaluations

    def ask(self, n: int) -> list[Proposal]:
        begin = time.perf_counter()
        proposals = self._strategy.ask(n)
        self._seconds.append(time.perf_counter() - begin)
        if not proposals and not self.is_finished:
            raise UsageError("A strategy proposes something once all was told, but this one does not.")
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        self._left -= sum(trial.state is not State.PRUNED for trial in trials)
        self._strategy.tell(trials)

    @property
    def is_finished(self) -> bool:
        return self._left <= 0 or self._strategy.is_finished


def run(contest: Contest, strategy: str, seed: int, prior: tuple[Prior, ...] = ()) -> Run:
    """One strategy with one seed, to the end of the budget or its own; earlier searches may be given to it."""
    plan, seconds = contest.plan(strategy, seed, prior), list[float]()
    store = Store("sqlite://")
    store.create_search(plan.name, {})
    trials = Loop(replace(plan, strategy=Timed(plan.strategy, seconds, contest.trials)), store, {}, SILENT).run()
    store.close()
    evaluated = sorted((t for t in trials if t.state is not State.PRUNED), key=lambda t: t.told or 0)
    rows = tuple(contest.table.row(trial.architecture) for trial in evaluated[: contest.trials])
    return Run(strategy, seed, rows, tuple(seconds))


def earlier(source: Contest, one: Run, contest: Contest) -> Prior:
    """What a run on `source` tells a later one on `contest`, which has other columns of the same table."""
    evaluator, table = TableEvaluator(source.source), contest.table
    space, written = table.space(), {row: choices for choices, row in table.rows.items()}
    trials = []
    for number, row in enumerate(dict.fromkeys(one.rows)):
        architecture = space.architecture(written[row])
        spec = space.decode(architecture)
        try:
            found = [stage.evidence(spec).metrics for stage in evaluator.stages()]
        except (TrainingError, MeasureError):  # a gap
            continue
        metrics = {name: value for one in found for name, value in one.items()}
        trials.append(Trial(number, architecture, spec_hash(spec), State.COMPLETE, metrics, told=number))
    return Prior(rewarded(trials, space, contest.objective()), is_alike=False)


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
    if not names or len(set(names)) < len(names) or not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(
            f"Different strategies are compared, over 1 to {MOST_SEEDS} seeds, but got {list(names)}, {seeds}."
        )
    for name in names:
        contest.plan(name, 0).check()
    jobs = [executor.submit(f"{name}/{seed}", run, contest, name, seed) for name in names for seed in range(seeds)]
    done = 0
    while done < len(jobs):
        done += len(executor.wait())
        progress(done, len(jobs))
    return [job.result() for job in jobs]
