"""What a loop is given: everything decided, nothing begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from paretonas.errors import TrainingError, UsageError
from paretonas.evaluation.evaluator import Evaluator, Stage
from paretonas.executor import Executor
from paretonas.loop.gates import Gate
from paretonas.objective import Goals, Objective
from paretonas.objective.metric import latencies
from paretonas.space import SearchSpace
from paretonas.strategy import Prior, Strategy, StrategyOptions
from paretonas.trial import State, Trial

USUAL_TRIALS = 100
MOST_TRIALS, MOST_SECONDS = 10_000_000, 1e9

HERE = "here"
"""The machine that this process runs on."""
ELSEWHERE = "elsewhere"
"""Machines of a cluster, none of which is this one."""


@dataclass(frozen=True)
class Budget:
    """How much may be spent, all sessions together.

    Args:
        trials: Proposals. None: 100, or as many as fit where `seconds` are given.
        seconds: Wall time; None: no limit.
        trial_seconds: Longest training of one candidate; None: no limit.

    Raises:
        UsageError: A number that is not positive, or more than anybody waits for.
    """

    trials: int | None = None
    seconds: float | None = None
    trial_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, most in (("trials", MOST_TRIALS), ("seconds", MOST_SECONDS), ("trial_seconds", MOST_SECONDS)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise UsageError(f"`0 < {name} <= {most:.0f}` must hold, but got ({name}={value}).")

    @property
    def most(self) -> int | None:
        """How many trials there may be; None: as many as fit the time."""
        return USUAL_TRIALS if self.trials is None and self.seconds is None else self.trials


@dataclass(frozen=True)
class Lane:
    """Where calls of stages run.

    Args:
        executor: Runs them.
        machine: Lanes of one machine exclude each other: what is timed on it and what is trained on it never overlap.
    """

    executor: Executor
    machine: str = HERE


Lanes = Mapping[str, Lane]


@dataclass(frozen=True)
class Plan:
    """A search, or a comparison's run, with everything decided.

    Args:
        name: Of the search in the store.
        space: What can be built.
        strategy: What to try next; its options.
        seed: Of the strategy.
        goals: What the strategy pursues.
        prior: Earlier searches that it learns from.
        objective: Scores trials.
        evaluator: Gives them their metrics.
        gates: Stand after every stage, in this order.
        budget: How much may be spent.
        batch: Proposals asked for at once; None: as many as keep the workers busy.

    Raises:
        UsageError: A metric that no stage gives, or goals or earlier searches that the strategy would not look at.
    """

    name: str
    space: SearchSpace
    strategy: StrategyOptions
    seed: int
    goals: Goals
    objective: Objective
    evaluator: Evaluator
    gates: tuple[Gate, ...] = ()
    budget: Budget = Budget()
    prior: tuple[Prior, ...] = ()
    batch: int | None = None

    def check(self) -> tuple[Stage, ...]:
        """The evaluator's stages, when they have been found to give what is asked for.

        Raises:
            UsageError: See above.
        """
        stages = self.evaluator.stages()
        judged = (*self.objective.metrics, *(name for gate in self.gates for name in gate.metrics))
        check_wishes(self.strategy, self.goals.metrics, judged, stages, bool(self.prior))
        return stages

    def start(self) -> Strategy:
        """A strategy that has been told nothing."""
        return self.strategy.start(self.space, self.seed, self.goals, self.prior)


def check_wishes(
    strategy: StrategyOptions, goals: Sequence[str], metrics: Sequence[str], stages: Sequence[Stage], has_prior: bool
) -> None:
    """Whether goals, reward and limits are of what is measured, and the goals are ones that the strategy pursues.

    Args:
        strategy: Its options.
        goals: Names of metrics; none: whatever is usual.
        metrics: That reward, limits and gates need.
        stages: Of the evaluator.
        has_prior: Whether it is to learn from earlier searches.

    Raises:
        UsageError: They are not.
    """
    given = list(dict.fromkeys(name for stage in stages for name in stage.gives))
    for name in (*metrics, *goals):
        if name not in (*given, "reward"):
            raise UsageError(f"A metric is one that is measured here ({', '.join(given)}), but got {name!r}.")
    if strategy.pursues == "reward" and tuple(goals) not in ((), ("reward",)):
        raise UsageError(
            f"The strategy {type(strategy).__name__} maximizes the reward, but got the goals {'+'.join(goals)}. Leave "
            "them out, or choose surrogate or nsga2."
        )
    if has_prior and not strategy.learns_from_prior:
        raise UsageError(
            f"The strategy {type(strategy).__name__} does not learn from earlier searches. Leave them out, or choose "
            "surrogate or regularized-evolution."
        )


def default_goals(strategy: StrategyOptions, quality: str, stages: Sequence[Stage]) -> tuple[str, ...]:
    """What a strategy pursues where nobody says: the reward, or the front of quality and latencies."""
    known = latencies(name for stage in stages for name in stage.gives)
    return (quality, *known) if strategy.pursues == "front" and known else ("reward",)


def rewarded(trials: Sequence[Trial], space: SearchSpace, objective: Objective) -> tuple[Trial, ...]:
    """Complete trials of the space, with the rewards of another objective; those that it cannot score are left out."""
    scored = []
    for trial in trials:
        is_complete = trial.state is State.COMPLETE and set(objective.metrics) <= trial.metrics.keys()
        if is_complete and trial.architecture.space == space.name:
            try:
                scored.append(replace(trial, reward=objective.reward_of(trial.metrics)))
            except TrainingError:
                continue
    return tuple(scored)
