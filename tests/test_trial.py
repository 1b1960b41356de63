import math
from dataclasses import replace

import pytest

from paretonas.latency import Latency
from paretonas.space import Architecture
from paretonas.trial import Proposal, State, Trial

LATENCY = Latency(
    candidate_wall=(0.5, 0.25, 2.0, 1.0, 0.75),
    candidate_cpu=(0.5, 0.25, 1.0, 0.5, 0.75),
    reference_wall=(0.25, 0.5, 0.5, 0.5, 0.25),
    reference_cpu=(0.25, 0.25, 0.25, 0.25, 0.25),
    calibrated=0.02,
)


def test_pair_ratios_are_those_of_the_same_pair_on_the_headlines_clock():
    assert LATENCY.pair_ratios == (2.0, 1.0, 4.0, 2.0, 3.0)
    assert replace(LATENCY, clock="wall").pair_ratios == (2.0, 0.5, 4.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("candidate", "loads", "ratio"),
    [
        ((0.5, 0.25, 1.0, 0.5, 0.75), (), 1.0),
        ((0.5, 50.0, 0.5), (3,), 2.0),  # a disturbed run says nothing
        ((0.5, 0.75, 1.0, 1.5), (2, 2), 3.0),  # 2 after the first load, 4 after the second
        ((0.25, 0.5, 0.75, 1.0, 1.25), (3, 2), 2.5),
    ],
)
def test_ratio_is_that_of_the_fastest_runs_averaged_over_loads(candidate, loads, ratio):
    reference = (0.25,) * len(candidate)
    latency = Latency(candidate, candidate, reference, reference, calibrated=0.02, loads=loads)
    assert latency.ratio == ratio
    assert latency.latency_ms == pytest.approx(ratio * 20, rel=1e-12)


def test_ratio_is_read_from_the_headlines_clock():
    assert (LATENCY.ratio, replace(LATENCY, clock="wall").ratio) == (1.0, 1.0)
    assert replace(LATENCY, reference_wall=(0.5,) * 5, clock="wall").ratio == 0.5


def test_spread_is_the_interquartile_range_over_the_median():
    # Ratios 1 2 2 3 4: quartiles at 1.5, 2 and 3.5
    assert LATENCY.spread == 1.0
    even = replace(LATENCY, candidate_cpu=(0.25,) * 5)
    assert even.spread == 0.0


@pytest.mark.parametrize("wrong", [{"reference_cpu": (0.25,)}, {"loads": (2, 2)}, {"loads": (5, 0)}])
def test_samples_that_do_not_agree_give_no_ratio(wrong):
    with pytest.raises(ValueError, match="as many runs of either as the loads have"):
        _ = replace(LATENCY, **wrong).ratio


@pytest.mark.parametrize(
    ("state", "is_final"),
    [("waiting", False), ("running", False), ("complete", True), ("pruned", True), ("failed", True)],
)
def test_states_that_are_final(state, is_final):
    assert State(state).is_final is is_final


@pytest.mark.parametrize(
    ("reward", "usable"),
    [(None, None), (0.0, 0.0), (0.75, 0.75), (math.nan, None), (math.inf, None), (-math.inf, None)],
)
def test_usable_reward_is_a_finite_number(reward, usable):
    assert Trial(0, Architecture("toy", (0,)), "0" * 16, reward=reward).usable_reward == usable


def test_new_trial_waits_with_nothing_measured():
    trial = Trial(3, Architecture("toy", (0,)), "0" * 16)
    assert (trial.state, trial.metrics, trial.evidence) == (State.WAITING, {}, {})
    assert (trial.reward, trial.fidelity, trial.told) == (None, 1.0, None)
    assert trial.evidence is not Trial(4, Architecture("toy", (0,)), "0" * 16).evidence
    proposal = Proposal(3, trial.architecture)
    assert proposal.context == {}
    assert proposal.context is not Proposal(4, trial.architecture).context
