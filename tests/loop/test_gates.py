"""Who trains how long, and who trains at all: each gate alone, and in the loop."""

from itertools import pairwise
from random import Random

import pytest
from computed import TWINS, Computed, halved, number_of, plan_of, run, screened

from paretonas.errors import TrainingError, UnknownNameError, UsageError
from paretonas.evaluation.evaluator import INLINE, WORKERS, Call, Evidence, Stage
from paretonas.loop.gates import (
    Halving,
    Limits,
    Objection,
    Rung,
    Screen,
    ScreenOptions,
    SuccessiveHalving,
    mean_share,
    schedulers,
    screens,
)
from paretonas.loop.plan import Budget
from paretonas.objective import Limit, Objective, metric
from paretonas.space import Architecture
from paretonas.testing.strategy import TOY_SPACE
from paretonas.trial import State, Trial


def trial(number=0, **metrics):
    return Trial(number, Architecture("toy", (0,)), "h", metrics=metrics)


def stage(*gives, share=None):
    name, lane = ("cost", INLINE) if share is None else (f"training/{share:g}", WORKERS)
    nothing = Call(dict, ())
    return Stage(name, lane, gives, lambda spec: None, lambda spec: nothing, lambda spec, found: Evidence(found), share)


# Rungs and shares


def test_equal_values_all_belong_to_the_best():
    rung = Rung(0.25)
    assert all(rung.admits(0.5) for _ in range(9))
    assert not rung.admits(0.4)
    assert len(rung) == 10


def test_everybody_trains_to_the_end_by_default():
    full = schedulers.create("full")
    assert full.shares == (1.0,)
    assert mean_share(full.shares, full.keep) == 1.0


@pytest.mark.parametrize(("rungs", "factor"), [(2, 2.0), (3, 3.0), (4, 2.5)])
def test_shares_grow_by_the_factor_up_to_the_full_training(rungs, factor):
    shares = SuccessiveHalving(rungs, factor).shares
    assert len(shares) == rungs
    assert shares[-1] == 1.0
    for earlier, later in pairwise(shares):
        assert later / earlier == pytest.approx(factor)


def test_mean_share_is_what_is_trained_if_one_in_factor_goes_on():
    three = SuccessiveHalving(3, 3)
    assert mean_share(three.shares, three.keep) == pytest.approx(1 / 9 + (1 / 3 - 1 / 9) / 3 + (1 - 1 / 3) / 9)


@pytest.mark.parametrize("text", ["asha:rungs=1", "asha:factor=1", "asha:factor=nan", "asha:rungs=99", "asha:eta=3"])
def test_impossible_shares_are_refused(text):
    with pytest.raises(UsageError):
        schedulers.create(text)


# Limits


def test_the_first_broken_limit_is_objected_to_with_reward_0():
    gate = Limits(Objective(limits=(Limit("params", 10.0), Limit("macs", 5.0))))
    assert gate.objection(trial(params=10.0), stage("params")) is None
    assert gate.objection(trial(params=11.0, macs=9.0), stage("params")) == Objection(
        "limits", "over the limit params<=10", 0.0
    )
    assert gate.objection(trial(params=1.0, macs=9.0), stage("macs")) == Objection(
        "limits", "over the limit macs<=5", 0.0
    )


def test_limits_of_devices_are_kept_apart():
    gate = Limits(Objective(limits=(Limit("latency_ms.pi", 2.0),)))
    given = stage("latency_ms.phone", "latency_ms.pi")
    assert gate.objection(trial(**{"latency_ms.phone": 3.0, "latency_ms.pi": 2.0}), given) is None
    assert gate.objection(trial(**{"latency_ms.phone": 1.0, "latency_ms.pi": 3.0}), given) is not None


# Screening


def test_the_best_share_by_the_metric_is_trained():
    gate = Screen("synflow", ScreenOptions(keep=0.5))
    said = [gate.objection(trial(i, synflow=v), stage("synflow")) for i, v in enumerate((5.0, 1.0, 6.0, 5.5))]
    assert [objection is None for objection in said] == [True, False, True, True]
    assert said[1] == Objection("screen", "screened out: synflow of 1 is not in the best 50 % of 2", None)


def test_screening_goes_on_where_an_earlier_session_stopped():
    values = [Random(3).random() for _ in range(40)]

    def said(gate, numbers):
        return [gate.objection(trial(i, params=values[i]), stage("params")) for i in numbers]

    expected = said(Screen("params", ScreenOptions(keep=0.3)), range(40))
    reminded = Screen("params", ScreenOptions(keep=0.3))
    for i in (*range(1, 17), 0):  # in the order in which the trials of the session ended
        reminded.recall(trial(i, params=values[i]), stage("params"))
    assert said(reminded, range(17, 40)) == expected[17:]


def test_a_gate_remembers_what_the_next_trials_are_judged_by():
    screen, halving = Screen("params", ScreenOptions(first=5)), Halving(Objective(), 0.5)
    assert screen.remembers(trial(4, params=1.0), stage("params"))
    assert not screen.remembers(trial(5, params=1.0), stage("params"))
    assert not screen.remembers(trial(4, params=1.0), stage("latency_ms"))
    assert halving.remembers(trial(0, accuracy=0.5), stage("accuracy", share=0.5))
    assert not halving.remembers(trial(0, accuracy=0.5), stage("accuracy", share=1.0))
    assert not halving.remembers(trial(0, params=1.0), stage("params"))
    assert not Limits(Objective()).remembers(trial(0, params=1.0), stage("params"))


def test_a_warm_start_screens_the_first_proposals_only():
    gate = Screen("synflow", ScreenOptions(first=2))
    said = [gate.objection(trial(i, synflow=5.0 - i), stage("synflow")) for i in range(3)]
    assert [objection is None for objection in said] == [True, False, True]


def test_a_trial_is_screened_at_the_stage_that_gives_the_metric_and_at_no_other():
    gate = Screen("synflow", ScreenOptions())
    assert gate.objection(trial(0, params=1.0), stage("params")) is None
    assert gate.objection(trial(0, synflow=2.0), stage("synflow")) is None
    for _ in range(3):
        assert gate.objection(trial(1, synflow=1.0, latency_ms=2.0), stage("latency_ms")) is None
    assert gate.objection(trial(1, synflow=1.0), stage("synflow")).reason.endswith("of 2")


@pytest.mark.parametrize("text", ["params:keep=0", "params:keep=1", "synflow:first=0", "synflow:keep=nan"])
def test_impossible_screens_are_refused(text):
    with pytest.raises(UsageError):
        screens.create(text)


def test_an_unknown_metric_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'synflow'"):
        screens.create("sinflow")


def test_screens_are_metrics_that_are_known_before_training():
    assert {metric(name).known for name in screens} == {"cost", "untrained"}


# Halving


def test_one_in_factor_goes_on_whatever_the_order():
    for seed in range(5):
        gate, rewards = Halving(Objective(targets={}), 1 / 3), [i / 300 for i in range(300)]
        Random(seed).shuffle(rewards)
        at = stage("accuracy", share=1 / 9)
        went_on = [reward for reward in rewards if gate.objection(trial(accuracy=reward), at) is None]
        assert 80 <= len(went_on) <= 125  # a third, and some of the first, who had few to beat
        assert sum(went_on) / len(went_on) > 0.75
        assert min(rewards) not in went_on[1:]
        assert max(rewards) in went_on


def test_shares_are_kept_apart_and_the_last_stops_nobody():
    gate = Halving(Objective(), 1 / 3)
    low, middle, full = (stage("accuracy", share=share) for share in (1 / 9, 1 / 3, 1.0))
    said = [gate.objection(trial(accuracy=value), low) for value in (0.5, 0.4, 0.3)]
    assert [objection is None for objection in said] == [True, False, False]
    assert said[1] == Objection("halving", "stopped after 11 % of its training: others were better by then", 0.4)
    assert gate.objection(trial(accuracy=0.1), middle) is None  # the first at its share
    for value in (0.9, 0.1):
        assert gate.objection(trial(accuracy=value), full) is None
    assert gate.objection(trial(accuracy=0.1), stage("params")) is None


def test_what_gives_no_reward_is_an_error():
    with pytest.raises(TrainingError, match="finite number of 0 or more"):
        Halving(Objective(), 0.5).objection(trial(accuracy=float("nan")), stage("accuracy", share=0.5))


# In the loop


ASHA = (0.25, 0.5, 1.0)


def asha_plan(evaluator, trials=24, **change):
    return halved(plan_of(evaluator, budget=Budget(trials=trials), **change))


def test_candidates_that_fall_behind_are_pruned_with_what_they_reached(store):
    evaluator = Computed(store, shares=ASHA)
    trials = run(asha_plan(evaluator), store)
    assert trials == store.trials("s")
    by_state = {state: [t for t in trials if t.state is state] for state in State}
    assert by_state[State.PRUNED]
    assert by_state[State.COMPLETE]
    assert len(by_state[State.PRUNED]) + len(by_state[State.COMPLETE]) == 24
    assert {t.fidelity for t in by_state[State.COMPLETE]} == {1.0}
    assert {t.fidelity for t in by_state[State.PRUNED]} == {0.25, 0.5}
    for t in trials:
        accuracy = t.fidelity * number_of(TOY_SPACE.decode(t.architecture))
        assert t.metrics["accuracy"] == accuracy
        assert t.reward == pytest.approx(accuracy * t.metrics["latency_ms"] ** -0.07)
    for t in by_state[State.PRUNED]:
        assert t.error.endswith("of its training: others were better by then")
    assert len(evaluator.trained()) < 2 * len(trials)


def test_the_best_by_what_is_judged_is_never_stopped(store):
    trials = run(asha_plan(Computed(store, shares=ASHA)), store)
    rewards = {t.number: t.reward / t.fidelity for t in trials}
    best = trials[max(rewards, key=rewards.get)]
    assert best.state is State.COMPLETE
    assert best.reward == max(t.reward for t in trials)


def test_a_share_is_trained_after_the_one_before(store):
    evaluator = Computed(store, shares=ASHA)
    trials = run(asha_plan(evaluator), store)
    names = ["training/0.25", "training/0.5", "training"]
    chains = {
        t.spec_hash: [name for name, spec in evaluator.calls if spec == t.spec_hash and name in names] for t in trials
    }
    assert names in chains.values()
    assert all(chain == names[: len(chain)] for chain in chains.values())


def test_fidelity_says_what_comes_next_while_a_trial_is_under_way(store):
    evaluator = Computed(store, shares=ASHA, raises={("training/0.5", 0): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(asha_plan(evaluator), store)
    running = [t for t in store.trials("s") if t.state is State.RUNNING]
    assert [t.fidelity for t in running] == [0.5]
    assert {t.fidelity for t in store.trials("s") if t.state is State.WAITING} == {0.25}


def test_shares_that_a_twin_has_paid_for_are_reused(store):
    evaluator = Computed(store, shares=ASHA)
    trials = run(asha_plan(evaluator, trials=40, space=TWINS), store)
    paid = [call for call in evaluator.calls if call[0].startswith("training")]
    assert len(paid) == len(set(paid))
    assert any(t.is_reused for t in trials)
    assert not all(t.is_reused for t in trials)


def test_screened_candidates_are_not_trained_and_strategies_learn_nothing_of_them(store):
    def plan(trials):
        return screened(plan_of(Computed(store, is_looking=True), budget=Budget(trials=trials)), keep=0.4)

    trials = run(plan(24), store)
    stopped = [t for t in trials if t.state is State.PRUNED]
    trained = [t for t in trials if t.state is State.COMPLETE]
    assert len(stopped) + len(trained) == 24
    assert 3 < len(trained) < 15
    assert {t.reward for t in stopped} == {None}
    assert all(t.error.startswith("screened out: synflow of") and "latency_ms" not in t.metrics for t in stopped)
    assert min(t.metrics["synflow"] for t in trained[1:]) > min(t.metrics["synflow"] for t in stopped)
    assert len(run(plan(30), store)) == 30


def test_costs_screen_without_a_network(store):
    evaluator = Computed(store)
    trials = run(screened(plan_of(evaluator, budget=Budget(trials=24)), "macs", first=10), store)
    assert "untrained" not in {name for name, _ in evaluator.calls}
    pruned = {t.number for t in trials if t.state is State.PRUNED}
    assert pruned
    assert pruned < set(range(10))
    assert all(t.state is State.COMPLETE for t in trials if t.number >= 10)


def test_what_is_over_a_limit_is_not_screened(store):
    trials = run(screened(plan_of(Computed(store), ("macs<=1e3",)), "macs"), store)
    assert {t.error for t in trials} == {"over the limit macs<=1000"}
