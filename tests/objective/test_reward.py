import math

import pytest

from paretonas.errors import UsageError
from paretonas.objective import Limit, Objective, mnasnet_reward
from paretonas.objective.reward import HARD, SOFT


@pytest.mark.parametrize(
    ("accuracy", "latency", "target", "soft", "hard"),
    [
        # Figure 3 of the paper: accuracy 0.5, target 80 ms
        (0.5, 40, 80, 0.524858, 0.5),
        (0.5, 60, 80, 0.510171, 0.5),
        (0.5, 75, 80, 0.502264, 0.5),
        (0.5, 80, 80, 0.5, 0.5),
        (0.5, 110, 80, 0.488977, 0.363636),
        (0.5, 150, 80, 0.478476, 0.266667),
        # The networks of its table 1, target 75 ms
        (0.752, 78, 75, 0.749938, 0.723077),
        (0.756, 84, 75, 0.750026, 0.675),
        (0.767, 103, 75, 0.750155, 0.558495),
        (0.72, 75, 75, 0.72, 0.72),
        (0.74, 183, 75, 0.695207, 0.303279),
    ],
)
def test_reward_of_the_paper(accuracy, latency, target, soft, hard):
    assert mnasnet_reward(accuracy, latency, target) == pytest.approx(soft, abs=5e-7)
    assert mnasnet_reward(accuracy, latency, target, *SOFT) == mnasnet_reward(accuracy, latency, target)
    assert mnasnet_reward(accuracy, latency, target, *HARD) == pytest.approx(hard, abs=5e-7)
    metrics = {"accuracy": accuracy, "latency_ms": latency}
    assert Objective(target).reward(metrics) == pytest.approx(soft, abs=5e-7)
    assert Objective(target, 0.0, -1.0).reward(metrics) == pytest.approx(hard, abs=5e-7)


def test_five_percent_accuracy_are_worth_a_doubling_of_latency():
    beta = -math.log2(1.05)
    assert beta == pytest.approx(-0.07039, abs=1e-5)
    assert mnasnet_reward(0.5 * 1.05, 160, 80, beta, beta) == pytest.approx(mnasnet_reward(0.5, 80, 80, beta, beta))


@pytest.mark.parametrize(("latency", "reward"), [(40, 0.5 * 2**0.5), (160, 0.125)])
def test_exponents_hold_on_their_side_of_the_target(latency, reward):
    assert mnasnet_reward(0.5, latency, 80, alpha=-0.5, beta=-2.0) == pytest.approx(reward, rel=1e-12)


@pytest.mark.parametrize(("latency", "target"), [(0, 80), (-1, 80), (40, 0), (40, -1), (math.nan, 80), (40, math.nan)])
def test_reward_refuses_times_that_are_not_positive(latency, target):
    with pytest.raises(ValueError, match=r"`latency > 0` and `target > 0` must hold, but got"):
        mnasnet_reward(0.5, latency, target)


def test_objective_without_target_rewards_accuracy_alone():
    assert Objective().reward({"accuracy": 0.625}) == 0.625
    assert Objective().reward({"accuracy": 0.625, "latency_ms": 1000.0}) == 0.625


@pytest.mark.parametrize("target", [0, -5, math.nan, math.inf])
def test_objective_refuses_targets_that_are_no_time(target):
    with pytest.raises(UsageError, match="positive number of milliseconds, but got"):
        Objective(target)


@pytest.mark.parametrize(
    ("text", "limit", "written"),
    [
        ("params<=2e6", Limit("params", 2e6), "params<=2e+06"),
        (" latency_ms <= 5.5 ", Limit("latency_ms", 5.5), "latency_ms<=5.5"),
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


def test_first_broken_limit_is_named():
    limits = tuple(map(Limit.parse, ("params<=100", "latency_ms<=5", "macs<=10")))
    objective = Objective(5.0, limits=limits)
    assert objective.broken_limit({"params": 100, "latency_ms": 5.0}) is None
    assert objective.broken_limit({"params": 100, "latency_ms": 5.5, "macs": 11}) is limits[1]
    assert objective.broken_limit({"params": 101, "macs": 11}) is limits[0]
    assert Objective(5.0).broken_limit({"params": 1e12}) is None
