import math

import pytest

from paretonas.errors import TrainingError, UnknownNameError, UsageError
from paretonas.objective import Goals, Limit, Objective, rewards
from paretonas.objective.reward import HARD, SOFT, InverseSquare, Power
from paretonas.space import Architecture
from paretonas.trial import State, Trial


def trial(state=State.COMPLETE, reward=0.5, **metrics):
    return Trial(0, Architecture("toy", (0,)), "0" * 16, state, metrics, reward=reward)


# Limits


@pytest.mark.parametrize(
    ("text", "limit", "written"),
    [
        ("params<=2e6", Limit("params", 2e6), "params<=2e+06"),
        (" latency_ms <= 5.5 ", Limit("latency_ms", 5.5), "latency_ms<=5.5"),
        ("latency_ms.phone<=9", Limit("latency_ms.phone", 9.0), "latency_ms.phone<=9"),
        ("macs<=300000000", Limit("macs", 3e8), "macs<=3e+08"),
    ],
)
def test_limit_is_read_and_written(text, limit, written):
    assert Limit.parse(text) == limit
    assert str(limit) == written
    assert Limit.parse(str(limit)) == limit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "params",
        "params<2",
        "params>=2",
        "<=2",
        "  <=2",
        "params<=",
        "params<=many",
        "params<=0",
        "params<=-1",
        "params<=nan",
        "1<=params<=2",
        "params<=1<=2",
    ],
)
def test_limit_refuses_what_is_no_bound(text):
    with pytest.raises(UsageError, match=r"metric<=bound with a positive bound \('params<=2e6'\), but got"):
        Limit.parse(text)


@pytest.mark.parametrize(
    ("metric", "bound", "message"),
    [
        ("accuracy", 0.5, "to be small and is known before training, such as .*, but got 'accuracy'"),
        ("synflow", 5.0, "but got 'synflow'"),  # more of it is better
        ("perplexity", 90.0, "but got 'perplexity'"),  # known after training only
        ("train_seconds", 60.0, "but got 'train_seconds'"),
        ("params", 0.0, "positive bound, but got 0.0 for 'params'"),
        ("params", -1.0, "positive bound, but got -1.0"),
        ("params", math.inf, "positive bound, but got inf"),
        ("params", math.nan, "positive bound, but got nan"),
    ],
)
def test_limit_that_cannot_be_kept_is_refused(metric, bound, message):
    with pytest.raises(UsageError, match=message):
        Limit(metric, bound)


@pytest.mark.parametrize("make", [lambda: Limit("flops", 1e6), lambda: Limit.parse("flops<=1e6")])
def test_limit_of_an_undeclared_metric_is_refused(make):
    with pytest.raises(UnknownNameError, match="No metric is called 'flops'"):
        make()


@pytest.mark.parametrize(
    ("metrics", "is_kept"),
    [
        ({}, True),
        ({"macs": 9e9}, True),
        ({"params": 2e6}, True),
        ({"params": 2e6 + 1}, False),
        ({"params": math.nan}, False),
    ],
)
def test_limit_holds_what_is_known(metrics, is_kept):
    assert Limit("params", 2e6).is_kept(metrics) is is_kept


# Objectives


def test_objective_without_target_rewards_accuracy_alone():
    assert Objective().reward_of({"accuracy": 0.625}) == 0.625
    assert Objective().reward_of({"accuracy": 0.625, "latency_ms": 1000.0}) == 0.625


@pytest.mark.parametrize(
    ("accuracy", "latency", "target", "soft", "hard"),
    [
        (0.5, 40, 80, 0.524858, 0.5),
        (0.5, 150, 80, 0.478476, 0.266667),
        (0.752, 78, 75, 0.749938, 0.723077),
        (0.74, 183, 75, 0.695207, 0.303279),
    ],
)
def test_objective_gives_the_rewards_of_the_paper(accuracy, latency, target, soft, hard):
    metrics, targets = {"accuracy": accuracy, "latency_ms": latency}, {"latency_ms": target}
    assert Objective(targets=targets).reward_of(metrics) == pytest.approx(soft, abs=5e-7)
    assert Objective(reward=HARD, targets=targets).reward_of(metrics) == pytest.approx(hard, abs=5e-7)


def test_objective_of_several_devices_aims_at_each():
    objective = Objective(reward=HARD, targets={"latency_ms.phone": 10.0, "latency_ms.pi": 20.0})
    metrics = {"accuracy": 0.6, "latency_ms.phone": 15.0, "latency_ms.pi": 40.0}
    assert objective.reward_of(metrics) == pytest.approx(0.6 / 1.5 / 2, rel=1e-12)
    assert objective.metrics == ("accuracy", "latency_ms.phone", "latency_ms.pi")


def test_estimated_latency_is_aimed_at_as_a_measured_one():
    objective = Objective(reward=HARD, targets={"estimated_ms.phone": 10.0, "latency_ms.pi": 20.0})
    metrics = {"accuracy": 0.8, "estimated_ms.phone": 20.0, "latency_ms.pi": 40.0, "latency_ms.phone": 1.0}
    assert objective.reward_of(metrics) == pytest.approx(0.2)
    assert not Limit.parse("estimated_ms.phone<=15").is_kept(metrics)
    assert Goals.parse("accuracy+estimated_ms").values(trial(accuracy=0.7, estimated_ms=3.0)) == (0.7, -3.0)


def test_objective_of_a_falling_quality():
    objective = Objective("perplexity", InverseSquare(), {"latency_ms": 10.0})
    assert objective.reward_of({"perplexity": 4.0, "latency_ms": 10.0}) == 5.0


@pytest.mark.parametrize(
    ("quality", "reward", "value"),
    [
        ("accuracy", SOFT, math.nan),
        ("accuracy", SOFT, math.inf),
        ("accuracy", SOFT, -0.5),
        ("accuracy", Power(3.0), -0.5),
        ("perplexity", InverseSquare(), 0.0),
    ],
)
def test_reward_that_is_no_finite_positive_number_is_an_error(quality, reward, value):
    with pytest.raises(TrainingError, match="a finite number of 0 or more"):
        Objective(quality, reward).reward_of({quality: value})


@pytest.mark.parametrize(
    ("said", "problem"), [(lambda: None, "TypeError"), (lambda: 1 / 0, "ZeroDivisionError"), (lambda: 1j, "complex")]
)
def test_reward_of_others_that_gives_no_number_is_an_error(said, problem):
    class Odd(Power):
        def value(self, quality, ratios):
            return said()

    with pytest.raises(TrainingError, match=f"gives no reward for the accuracy 0.5: .*{problem}"):
        Objective(reward=Odd()).reward_of({"accuracy": 0.5})


@pytest.mark.parametrize("target", [0, -5, math.nan, math.inf])
def test_objective_refuses_targets_that_are_no_time(target):
    with pytest.raises(UsageError, match="positive number of milliseconds, but got"):
        Objective(targets={"latency_ms": target})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": "latency_ms"}, "a metric of training, but 'latency_ms' is known before"),
        ({"quality": "perplexity"}, "a quality that rises, which 'perplexity' does not: choose inverse-square"),
        ({"reward": InverseSquare()}, "a quality that falls, which 'accuracy' does not: choose soft, hard or power"),
        ({"reward": Power(), "targets": {"latency_ms": 5.0}}, "Power has no target latency"),
        ({"targets": {"params": 5.0}}, "number of milliseconds, but got params"),
    ],
)
def test_objective_that_cannot_be_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Objective(**change)


def test_objective_of_an_undeclared_quality_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        Objective("acuracy")


def test_first_broken_limit_is_named():
    limits = tuple(map(Limit.parse, ("params<=100", "latency_ms<=5", "macs<=10")))
    objective = Objective(targets={"latency_ms": 5.0}, limits=limits)
    assert objective.broken_limit({"params": 100, "latency_ms": 5.0}) is None
    assert objective.broken_limit({"params": 100, "latency_ms": 5.5, "macs": 11}) is limits[1]
    assert objective.broken_limit({"params": 101, "macs": 11}) is limits[0]
    assert Objective(targets={"latency_ms": 5.0}).broken_limit({"params": 1e12}) is None
    assert objective.metrics == ("accuracy", "latency_ms", "params", "latency_ms", "macs")


# Goals


def test_goals_rise_or_fall_as_their_metrics_are_declared():
    goals = Goals.parse("reward+accuracy+latency_ms+params")
    assert goals.values(trial(accuracy=0.7, latency_ms=3.0, params=9.0)) == (0.5, 0.7, -3.0, -9.0)
    falling = Goals.parse("perplexity+latency_ms.phone+synflow")
    assert falling.values(trial(perplexity=60.0, synflow=5.0, **{"latency_ms.phone": 2.0})) == (-60.0, -2.0, 5.0)
    assert [one.is_rising for one in falling.declared] == [False, False, True]


def test_values_are_those_of_complete_trials_with_all_numbers():
    goals = Goals.parse("accuracy+latency_ms")
    assert goals.values(trial(accuracy=0.7)) is None
    assert goals.values(trial(accuracy=math.nan, latency_ms=1.0)) is None
    assert goals.values(trial(State.FAILED, None, accuracy=0.7, latency_ms=1.0)) is None
    assert goals.values(trial(State.PRUNED, 0.0, latency_ms=1.0)) is None
    assert Goals().values(trial(State.PRUNED, 0.0)) == (0.0,)  # the reward of a broken limit is known


def test_violation_is_the_sum_of_the_shares_by_which_limits_are_exceeded():
    goals = Goals(("accuracy",), (Limit("params", 2e6), Limit("latency_ms", 8.0)))
    assert goals.violation(trial(accuracy=0.5, params=1e6, latency_ms=8.0)) == 0.0
    assert goals.violation(trial(State.PRUNED, 0.0, params=3e6, latency_ms=10.0)) == pytest.approx(0.5 + 0.25)
    assert goals.violation(trial(State.FAILED, None)) == math.inf


@pytest.mark.parametrize("text", ["", "accuracy+accuracy", "accuracy+", "accuracy + accuracy"])
def test_goals_that_cannot_be_are_refused(text):
    with pytest.raises(UsageError, match="different metrics"):
        Goals.parse(text)


def test_goals_of_an_undeclared_metric_are_refused():
    with pytest.raises(UnknownNameError, match="No metric is called 'speed'"):
        Goals.parse("accuracy+speed")


def test_goals_are_the_same_whoever_knows_the_costs():
    goals = Goals.parse(" accuracy + latency_ms ", (Limit("macs", 1e6),))
    assert goals == Goals(("accuracy", "latency_ms"), (Limit("macs", 1e6),), costs=lambda spec: {"macs": 1.0})
    assert Goals().metrics == ("reward",)
    assert Goals().costs is None


def test_every_reward_fits_an_objective_of_its_direction():
    for name in rewards:
        reward = rewards.create(name)
        quality = "accuracy" if reward.is_rising else "perplexity"
        assert Objective(quality, reward).reward_of({quality: 0.5}) > 0
