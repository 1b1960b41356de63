"""Who trains how long, and who trains at all."""

from itertools import pairwise
from random import Random

import pytest

from paretonas.errors import UnknownNameError, UsageError
from paretonas.loop.halving import Halving, Rung, schedulers
from paretonas.loop.screen import Screening
from paretonas.space import Architecture
from paretonas.trial import State, Trial


def test_everybody_trains_to_the_end_by_default():
    full = schedulers.create("full").start()
    assert full.shares == (1.0,)
    assert full.mean_share == 1.0


@pytest.mark.parametrize(("rungs", "factor"), [(2, 2.0), (3, 3.0), (4, 2.5)])
def test_stages_grow_by_the_factor_up_to_the_full_training(rungs, factor):
    shares = Halving(rungs, factor).start().shares
    assert len(shares) == rungs
    assert shares[-1] == 1.0
    for earlier, later in pairwise(shares):
        assert later / earlier == pytest.approx(factor)


def test_one_in_factor_goes_on_whatever_the_order():
    for seed in range(5):
        scheduler, rewards = Halving(3, 3).start(), [i / 300 for i in range(300)]
        Random(seed).shuffle(rewards)
        went_on = [reward for reward in rewards if scheduler.goes_on(scheduler.shares[0], reward)]
        assert 80 <= len(went_on) <= 125  # a third, and some of the first, who had few to beat
        assert sum(went_on) / len(went_on) > 0.75
        assert min(rewards) not in went_on[1:]
        assert max(rewards) in went_on


def test_stages_are_kept_apart():
    scheduler = Halving(3, 3).start()
    low, middle, _ = scheduler.shares
    assert [scheduler.goes_on(low, reward) for reward in (0.5, 0.4, 0.3)] == [True, False, False]
    assert scheduler.goes_on(middle, 0.1)  # the first at its stage
    assert scheduler.after(low) == middle
    assert scheduler.after(middle) == 1.0


def test_mean_share_is_what_is_trained_if_one_in_factor_goes_on():
    assert Halving(3, 3).start().mean_share == pytest.approx(1 / 9 + (1 / 3 - 1 / 9) / 3 + (1 - 1 / 3) / 9)


def test_equal_values_all_belong_to_the_best():
    rung = Rung(0.25)
    assert all(rung.admits(0.5) for _ in range(9))
    assert not rung.admits(0.4)


@pytest.mark.parametrize("text", ["asha:rungs=1", "asha:factor=1", "asha:factor=nan", "asha:rungs=99", "asha:eta=3"])
def test_impossible_stages_are_refused(text):
    with pytest.raises(UsageError):
        schedulers.create(text)


def _trial(number, told=None, **metrics):
    state = State.WAITING if told is None else State.COMPLETE
    return Trial(number, Architecture("toy", (0,)), "h", state=state, metrics=metrics, told=told)


def test_the_best_share_by_the_metric_is_trained():
    screening = Screening("synflow:keep=0.5")
    objections = [screening.objection(_trial(i, synflow=value)) for i, value in enumerate((5.0, 1.0, 6.0, 5.5))]
    assert [text is None for text in objections] == [True, False, True, True]
    assert objections[1] == "synflow of 1 is not in the best 50 % of 2"


def test_screening_goes_on_where_an_earlier_session_stopped():
    values = [Random(3).random() for _ in range(40)]
    whole = Screening("params:keep=0.3")
    expected = [whole.objection(_trial(i, params=value)) for i, value in enumerate(values)]
    known = [_trial(i, told=i or None, params=value) for i, value in enumerate(values[:17])]  # one is still training
    resumed = Screening("params:keep=0.3", known)
    assert [resumed.objection(_trial(i + 17, params=v)) for i, v in enumerate(values[17:])] == expected[17:]


def test_a_warm_start_screens_the_first_proposals_only():
    screening = Screening("synflow:first=2")
    assert screening.objection(_trial(0, synflow=5.0)) is None
    assert screening.objection(_trial(1, synflow=1.0)) is not None
    assert screening.objection(_trial(2, synflow=0.5)) is None


def test_what_has_no_such_metric_passes():
    assert Screening("synflow").objection(_trial(0, params=1.0)) is None


@pytest.mark.parametrize("text", ["params:keep=0", "params:keep=1", "synflow:first=0", "synflow:keep=nan"])
def test_impossible_screens_are_refused(text):
    with pytest.raises(UsageError):
        Screening(text)


def test_an_unknown_metric_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'synflow'"):
        Screening("sinflow")
