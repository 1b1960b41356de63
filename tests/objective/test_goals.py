import math

import pytest

from paretonas.errors import UsageError
from paretonas.objective.goals import Goals
from paretonas.space import Architecture
from paretonas.trial import State, Trial


def trial(state=State.COMPLETE, reward=0.5, **metrics):
    return Trial(0, Architecture("toy", (0,)), "0" * 16, state, metrics, reward)


def test_rewards_and_accuracies_rise_and_all_else_falls():
    goals = Goals.parse("reward+accuracy+latency_ms+params")
    assert goals.values(trial(accuracy=0.7, latency_ms=3.0, params=9.0)) == (0.5, 0.7, -3.0, -9.0)


def test_values_are_those_of_complete_trials_with_all_numbers():
    goals = Goals.parse("accuracy+latency_ms")
    assert goals.values(trial(accuracy=0.7)) is None
    assert goals.values(trial(accuracy=math.nan, latency_ms=1.0)) is None
    assert goals.values(trial(State.FAILED, None, accuracy=0.7, latency_ms=1.0)) is None
    assert goals.values(trial(State.PRUNED, 0.0, latency_ms=1.0)) is None
    assert Goals().values(trial(State.PRUNED, 0.0)) == (0.0,)  # the reward of a broken limit is known


def test_violation_is_the_sum_of_the_shares_by_which_limits_are_exceeded():
    goals = Goals.parse("accuracy", "params<=2e+06+latency_ms<=8")
    assert goals.violation(trial(accuracy=0.5, params=1e6, latency_ms=8.0)) == 0.0
    assert goals.violation(trial(State.PRUNED, 0.0, params=3e6, latency_ms=10.0)) == pytest.approx(0.5 + 0.25)
    assert goals.violation(trial(State.FAILED, None)) == math.inf


@pytest.mark.parametrize("text", ["", "a+a", "a+"])
def test_goals_that_cannot_be_are_refused(text):
    with pytest.raises(UsageError, match="different metrics"):
        Goals.parse(text)
