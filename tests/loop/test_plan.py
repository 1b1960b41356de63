"""What a loop is given: budgets, and what is refused before anything runs."""

from dataclasses import replace

import pytest
from computed import Computed, plan_of

from paretonas.errors import UnknownNameError, UsageError
from paretonas.loop.gates import Screen, ScreenOptions
from paretonas.loop.plan import USUAL_TRIALS, Budget, default_goals, rewarded
from paretonas.objective import Goals, Limit, Objective, rewards
from paretonas.space import Architecture
from paretonas.store import Store
from paretonas.strategy import Prior, strategies
from paretonas.testing.strategy import TOY_SPACE
from paretonas.trial import State, Trial


@pytest.fixture
def evaluator():
    return Computed(Store("sqlite://"), devices=("phone", "pi"))


def ended(number, space=TOY_SPACE.name, **metrics):
    state = State.COMPLETE if "accuracy" in metrics else State.PRUNED
    return Trial(number, Architecture(space, (0,) * 8), "h", state, metrics, reward=0.125, told=number)


# Budgets


def test_a_budget_is_a_hundred_trials_or_what_fits_the_time():
    assert Budget().most == USUAL_TRIALS == 100
    assert Budget(trials=7, seconds=9.0).most == 7
    assert Budget(seconds=9.0).most is None


@pytest.mark.parametrize("name", ["trials", "seconds", "trial_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_budget_is_positive(name, value):
    with pytest.raises(UsageError, match=f"`0 < {name} <= "):
        Budget(**{name: value})


# What is asked for is measured


def test_stages_are_the_evaluators(evaluator):
    names = [stage.name for stage in plan_of(evaluator).check()]
    assert names == ["cost", "latency_ms.phone", "latency_ms.pi", "training"]


@pytest.mark.parametrize(
    "change",
    [
        {"goals": Goals(("accuracy", "latency_ms"))},  # of which of the two devices?
        {"goals": Goals(("reward", "synflow"))},
        {"objective": Objective("ap")},
        {"objective": Objective(limits=(Limit("peak_memory_bytes", 1e6),))},
        {"objective": Objective(limits=(Limit("latency_ms.tablet", 1.0),))},
        {"objective": Objective(targets={"latency_ms": 1.0})},
        {"gates": (Screen("synflow", ScreenOptions()),)},
    ],
)
def test_a_metric_that_nobody_measures_is_refused(evaluator, change):
    plan = plan_of(evaluator, strategy=strategies.create("surrogate"), **change)
    with pytest.raises(UsageError, match=r"measured here \(params, macs, latency_ms.phone, .*accuracy.*\), but got"):
        plan.check()


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Goals(("accuracy", "charm")),
        lambda: Objective("charm"),
        lambda: Limit.parse("charm<=3"),
        lambda: plan_of(Computed(Store("sqlite://"), devices=("phone",)), goals=Goals.parse("charm.phone")),
    ],
)
def test_a_metric_that_is_not_declared_is_refused(declare):
    with pytest.raises(UnknownNameError, match="No metric is called 'charm'"):
        declare()


# What a strategy can do


@pytest.mark.parametrize("name", ["random", "regularized-evolution", "ppo", "reinforce", "local-search"])
def test_goals_are_refused_by_strategies_that_maximize_the_reward(evaluator, name):
    plan = plan_of(evaluator, strategy=strategies.create(name), goals=Goals(("accuracy", "latency_ms.pi")))
    with pytest.raises(UsageError, match=r"maximizes the reward, but got the goals accuracy\+latency_ms.pi"):
        plan.check()
    replace(plan, goals=Goals()).check()


@pytest.mark.parametrize("name", ["surrogate", "nsga2"])
def test_goals_are_pursued_by_strategies_of_fronts(evaluator, name):
    plan = plan_of(evaluator, strategy=strategies.create(name), goals=Goals(("accuracy", "latency_ms.pi", "params")))
    assert plan.check()
    assert len(plan.start().ask(3)) == 3


@pytest.mark.parametrize("name", ["random", "ppo", "reinforce", "nsga2", "enumeration"])
def test_earlier_trials_are_refused_by_strategies_that_do_not_learn_from_them(evaluator, name):
    plan = plan_of(evaluator, strategy=strategies.create(name), prior=(Prior((ended(0, accuracy=0.5),)),))
    with pytest.raises(UsageError, match="does not learn from earlier searches"):
        plan.check()


def test_a_strategy_begins_with_the_earlier_trials(evaluator):
    strategy = strategies.create("regularized-evolution:population=2,tournament=2")
    prior = (Prior(tuple(ended(n, accuracy=0.5) for n in (0, 1))),)
    proposal = plan_of(evaluator, strategy=strategy, prior=prior).start().ask(1)[0]
    assert sum(choice != 0 for choice in proposal.architecture.choices) == 1


@pytest.mark.parametrize(
    ("name", "goals"),
    [
        ("nsga2", ("accuracy", "latency_ms.phone", "latency_ms.pi")),
        ("surrogate", ("reward",)),
        ("ppo", ("reward",)),
    ],
)
def test_goals_where_nobody_says_are_the_front_or_the_reward(evaluator, name, goals):
    assert default_goals(strategies.create(name), "accuracy", evaluator.stages()) == goals


def test_a_front_without_a_latency_is_the_reward():
    stages = Computed(Store("sqlite://"), devices=()).stages()
    assert default_goals(strategies.create("nsga2"), "accuracy", stages) == ("reward",)


# Earlier searches


def test_earlier_trials_get_the_rewards_of_this_objective():
    objective = Objective(reward=rewards.create("hard"), targets={"latency_ms": 2.0})
    found = rewarded([ended(0, accuracy=0.5, latency_ms=4.0)], TOY_SPACE, objective)
    assert [t.reward for t in found] == [0.25]


def test_earlier_trials_that_cannot_be_scored_here_are_left_out():
    trials = [
        ended(0, accuracy=0.5, latency_ms=1.0),
        ended(1, accuracy=0.5),  # was not timed on this device
        ended(2, latency_ms=1.0),  # was not trained
        ended(3, accuracy=float("nan"), latency_ms=1.0),
        ended(4, "another space", accuracy=0.5, latency_ms=1.0),
        replace(ended(5, accuracy=0.5, latency_ms=1.0), state=State.PRUNED),  # was trained for a part of its epochs
    ]
    found = rewarded(trials, TOY_SPACE, Objective(targets={"latency_ms": 1.0}))
    assert [t.number for t in found] == [0]
