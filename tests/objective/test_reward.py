import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.errors import UsageError
from paretonas.objective import Reward, mnasnet_reward, rewards
from paretonas.objective.reward import HARD, SOFT, InverseSquare, MnasNetReward, Power, latency_factor

qualities = st.floats(1e-6, 1.0)
ratios = st.floats(1e-3, 1e3)
examples = settings(max_examples=50, deadline=None, database=None, derandomize=True)


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
    assert mnasnet_reward(accuracy, latency, target, SOFT.alpha, SOFT.beta) == mnasnet_reward(accuracy, latency, target)
    assert mnasnet_reward(accuracy, latency, target, HARD.alpha, HARD.beta) == pytest.approx(hard, abs=5e-7)
    for name, value in (("soft", soft), ("hard", hard), ("mnasnet", soft), ("mnasnet:alpha=0,beta=-1", hard)):
        assert rewards.create(name).value(accuracy, [latency / target]) == pytest.approx(value, abs=5e-7)


def test_published_networks_of_one_search_have_the_same_soft_reward():
    found = [SOFT.value(accuracy, [ms / 75]) for accuracy, ms in ((0.752, 78), (0.756, 84), (0.767, 103))]
    assert max(found) - min(found) < 3e-4


def test_five_percent_accuracy_are_worth_a_doubling_of_latency():
    beta = -math.log2(1.05)
    assert beta == pytest.approx(-0.07039, abs=1e-5)
    assert mnasnet_reward(0.5 * 1.05, 160, 80, beta, beta) == pytest.approx(mnasnet_reward(0.5, 80, 80, beta, beta))


@pytest.mark.parametrize(("latency", "reward"), [(40, 0.5 * 2**0.5), (160, 0.125)])
def test_exponents_hold_on_their_side_of_the_target(latency, reward):
    assert mnasnet_reward(0.5, latency, 80, alpha=-0.5, beta=-2.0) == pytest.approx(reward, rel=1e-12)
    assert MnasNetReward(-0.5, -2.0).value(0.5, [latency / 80]) == pytest.approx(reward, rel=1e-12)


def test_target_itself_is_not_above_the_target():
    assert latency_factor(1.0, -0.5, -2.0) == 1.0
    assert (latency_factor(0.25, -0.5, -2.0), latency_factor(4.0, -0.5, -2.0)) == (2.0, 1 / 16)


@pytest.mark.parametrize(("latency", "target"), [(0, 80), (-1, 80), (40, 0), (40, -1), (math.nan, 80), (40, math.nan)])
def test_reward_refuses_times_that_are_not_positive(latency, target):
    with pytest.raises(ValueError, match=r"`latency > 0` and `target > 0` must hold, but got"):
        mnasnet_reward(0.5, latency, target)


def test_factors_of_several_devices_multiply():
    # Half the target on one, twice on the other: 2 ** .5 * 2 ** -2
    reward = MnasNetReward(-0.5, -2.0)
    assert reward.value(0.5, [0.5, 2.0]) == pytest.approx(0.5 * 2**0.5 / 4, rel=1e-12)
    assert HARD.value(0.6, [2.0, 3.0, 0.1]) == pytest.approx(0.1, rel=1e-12)
    assert InverseSquare(80.0, 0.0, -1.0).value(4.0, [2.0, 5.0]) == pytest.approx(0.5, rel=1e-12)


@examples
@given(quality=qualities, others=st.lists(ratios, max_size=3))
def test_order_of_devices_makes_no_difference_and_no_device_leaves_the_quality(quality, others):
    assert SOFT.value(quality, others) == pytest.approx(SOFT.value(quality, others[::-1]))
    assert SOFT.value(quality, []) == HARD.value(quality, []) == quality


@pytest.mark.parametrize(
    ("exponent", "accuracy", "reward"),
    [(1.0, 0.625, 0.625), (3.0, 0.5, 0.125), (3.0, 0.9635, 0.894448), (3.0, 0.0, 0.0), (0.5, 0.25, 0.5)],
)
def test_power_is_of_the_accuracy_alone(exponent, accuracy, reward):
    assert Power(exponent).value(accuracy, []) == pytest.approx(reward, abs=5e-7)
    assert Power(exponent).value(accuracy, [1000.0]) == Power(exponent).value(accuracy, [])


@pytest.mark.parametrize(
    ("perplexity", "reward"), [(4.0, 5.0), (62.4, 0.020546), (80.0, 0.0125), (1.0, 80.0), (0.0, math.inf)]
)
def test_inverse_square_of_a_perplexity(perplexity, reward):
    assert InverseSquare().value(perplexity, []) == pytest.approx(reward, abs=5e-7)
    published = rewards.create("inverse-square:alpha=0,beta=0")
    assert published.value(perplexity, [9.0]) == pytest.approx(reward, abs=5e-7)


@pytest.mark.parametrize("name", list(rewards))
class TestEveryReward:
    @examples
    @given(quality=qualities, better=st.floats(1.0, 10.0), others=st.lists(ratios, max_size=3))
    def test_is_never_negative_and_rises_with_what_is_better(self, name, quality, better, others):
        reward: Reward = rewards.create(name)
        worse, best = (quality, quality * better) if reward.is_rising else (quality * better, quality)
        assert 0 <= reward.value(worse, others) <= reward.value(best, others) * (1 + 1e-12)

    @examples
    @given(quality=qualities, ratio=ratios, slower=st.floats(1.0, 10.0))
    def test_never_rises_with_latency(self, name, quality, ratio, slower):
        reward: Reward = rewards.create(name)
        assert reward.value(quality, [ratio * slower]) <= reward.value(quality, [ratio]) * (1 + 1e-12)

    def test_says_whether_latencies_matter(self, name):
        reward: Reward = rewards.create(name)
        assert reward.is_aimed is (reward.value(0.5, [8.0]) != reward.value(0.5, []))


@pytest.mark.parametrize(
    "text", ["power", "mnasnet:alpha=0,beta=0", "soft:alpha=0,beta=0", "inverse-square:alpha=0,beta=0"]
)
def test_reward_without_factors_has_no_target(text):
    assert not rewards.create(text).is_aimed


@pytest.mark.parametrize("text", ["soft", "hard", "mnasnet:beta=0", "mnasnet:alpha=0", "inverse-square"])
def test_reward_with_a_factor_has_a_target(text):
    assert rewards.create(text).is_aimed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mnasnet:alpha=0.1", "from -10 to 0, but got"),
        ("soft:beta=-11", "from -10 to 0, but got"),
        ("hard:alpha=nan", "a finite number, but got nan"),
        ("inverse-square:beta=1", "from -10 to 0, but got"),
        ("inverse-square:scale=0", "0 < scale < 1e12"),
        ("inverse-square:scale=nan", "a finite number, but got nan"),
        ("power:exponent=0", "0 < exponent <= 100"),
        ("power:exponent=nan", "a finite number, but got nan"),
    ],
)
def test_options_out_of_range_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        rewards.create(text)
