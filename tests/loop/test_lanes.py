"""Where stages run: what overlaps, and what never does. Counted, not timed."""

from dataclasses import replace

import pytest
from computed import Computed, Watched, facts, lanes_of, plan_of, run

from paretonas.errors import WorkerError
from paretonas.loop.plan import Budget
from paretonas.space import SearchSpace
from paretonas.store import Store
from paretonas.testing.strategy import TOY_SPACE
from paretonas.trial import State

PHONE, PI, HERE = "device:phone", "device:pi", "device:"


def watched(evaluator, machines=None, workers=1):
    """Lanes that overlap as far as the loop lets them, and what was busy whenever something began."""
    busy, seen = [], []

    def start(name):
        return Watched(name, busy, seen, workers if name == "workers" else 1)

    return lanes_of(evaluator, machines, start), seen


def test_timing_and_training_on_one_machine_take_turns_batch_by_batch(store):
    evaluator = Computed(store)
    lanes, seen = watched(evaluator)
    run(plan_of(evaluator), store, lanes)
    assert seen == ([[HERE]] * 4 + [["workers"]] * 4) * 3


def test_trainings_run_side_by_side_but_never_beside_a_timing(store):
    evaluator = Computed(store)
    lanes, seen = watched(evaluator, workers=2)
    run(plan_of(evaluator, budget=Budget(trials=16)), store, lanes)
    batch = [[HERE]] * 8 + [["workers"]] + [["workers", "workers"]] * 7
    assert seen == batch * 2  # eight proposals at once, as there are two workers


def test_two_devices_of_one_machine_are_never_busy_at_once(store):
    evaluator = Computed(store, devices=("phone", "pi"))
    lanes, seen = watched(evaluator)
    trials = run(plan_of(evaluator), store, lanes)
    assert {t.state for t in trials} == {State.COMPLETE}
    assert {len(busy) for busy in seen} == {1}
    assert seen[:12] == [[PHONE]] * 4 + [[PI]] * 4 + [["workers"]] * 4


def test_two_devices_of_one_machine_elsewhere_take_turns_beside_training(store):
    evaluator = Computed(store, devices=("phone", "pi"))
    lanes, seen = watched(evaluator, {"phone": "board", "pi": "board"})
    run(plan_of(evaluator), store, lanes)
    assert not any(PHONE in busy and PI in busy for busy in seen)
    assert any("workers" in busy and len(busy) == 2 for busy in seen)


def test_a_device_on_another_machine_is_timed_while_this_one_trains(store):
    evaluator = Computed(store, devices=("phone",))
    lanes, seen = watched(evaluator, {"phone": "a phone"})
    trials = run(plan_of(evaluator), store, lanes)
    assert {t.state for t in trials} == {State.COMPLETE}
    assert seen[0] == [PHONE]
    assert seen[1:] == [["workers"], [PHONE, "workers"]] * 11 + [["workers"]]


def test_one_device_here_and_one_elsewhere(store):
    evaluator = Computed(store, devices=("phone", "pi"))
    lanes, seen = watched(evaluator, {"phone": "a phone"})
    trials = run(plan_of(evaluator), store, lanes)
    assert {t.state for t in trials} == {State.COMPLETE}
    assert [PHONE, PI] in seen
    assert not any(PI in busy and "workers" in busy for busy in seen)
    for trial in trials:
        assert list(trial.evidence) == ["cost", "latency_ms.phone", "latency_ms.pi", "training"]


def test_an_elsewhere_device_keeps_every_worker_in_use(store):
    evaluator = Computed(store, devices=("phone",))
    lanes, seen = watched(evaluator, {"phone": "a phone"}, workers=3)
    run(plan_of(evaluator, budget=Budget(trials=40)), store, lanes)
    assert max(busy.count("workers") for busy in seen) == 3
    assert [PHONE, "workers", "workers"] in seen


def test_proposals_for_a_device_elsewhere_are_asked_for_when_it_is_free(store):
    """None waits for the device, so that each is proposed knowing as much as can be."""
    begun = []

    class Noted(Computed):
        def latency(self, spec, name):
            begun.append(len(self.cache.trials("s")) - len(self.timed()))
            return super().latency(spec, name)

    evaluator = Noted(store, devices=("phone",))
    run(plan_of(evaluator), store, watched(evaluator, {"phone": "a phone"})[0])
    assert begun == [0] * 12


def test_what_runs_where_does_not_change_what_is_found(store):
    """Random search does not look at what it is told, so that only lanes could make a difference."""
    found = []
    for machines in ({}, {"phone": "a phone"}, {"phone": "a phone", "pi": "a pi"}):
        memory = Store("sqlite://")
        evaluator = Computed(memory, devices=("phone", "pi"))
        lanes, _ = watched(evaluator, machines, workers=2)
        trials = run(plan_of(evaluator), memory, lanes)
        found.append([(t.architecture, t.state, t.reward) for t in trials])
    assert found[0] == found[1] == found[2]


def test_twins_wait_for_each_other_on_whichever_lane(store):
    same = SearchSpace("same", TOY_SPACE.decisions, lambda values: TOY_SPACE.decoder({"only": values["d0"]}))
    evaluator = Computed(store, devices=("phone", "pi"))
    lanes, _ = watched(evaluator, {"phone": "a phone"}, workers=3)
    trials = run(plan_of(evaluator, space=same, budget=Budget(trials=20)), store, lanes)
    assert {t.state for t in trials} == {State.COMPLETE}
    paid = [call for call in evaluator.calls if call[0] != "cost"]
    assert len(paid) == len(set(paid)) == 3 * len({t.spec_hash for t in trials})


def test_an_interrupted_search_with_a_device_elsewhere_first_ends_what_had_begun(store):
    def session(raises=None):
        evaluator = Computed(store, devices=("phone",), raises=raises or {})
        return plan_of(evaluator), watched(evaluator, {"phone": "a phone"})[0]

    plan, lanes = session({("training", 2): KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(plan, store, lanes)
    begun = {t.number for t in store.trials("s") if t.told is None}
    plan, lanes = session()
    trials = run(plan, store, lanes)
    assert [t.number for t in trials] == list(range(12))
    assert {t.state for t in trials} == {State.COMPLETE}
    assert {t.number for t in trials if t.told in range(2, 2 + len(begun))} == begun


def test_a_lane_that_fails_fails_its_trial_alone(store):
    evaluator = Computed(store, devices=("phone", "pi"), raises={("latency_ms.pi", 1): WorkerError("it crashed")})
    lanes, _ = watched(evaluator)
    trials = run(plan_of(evaluator), store, lanes)
    (failed,) = (t for t in trials if t.state is State.FAILED)
    assert "it crashed" in failed.error
    assert list(failed.evidence) == ["cost", "latency_ms.phone"]
    again = Computed(store, devices=("phone", "pi"))
    healthy = run(plan_of(again, name="again"), store)
    assert {t.state for t in healthy} == {State.COMPLETE}
    assert again.timed() == [failed.spec_hash]  # on the pi


@pytest.mark.parametrize("devices", [("phone",), ("phone", "pi")])
def test_a_trial_is_stored_as_running_only_while_it_runs(store, devices):
    states = []

    class Looking(Computed):
        def training(self, spec, share):
            states.append([t.state for t in self.cache.trials("s") if not t.state.is_final])
            return super().training(spec, share)

    evaluator = Looking(store, devices=devices)
    run(plan_of(evaluator, budget=Budget(trials=4)), store)
    assert states == [[State.RUNNING] + [State.WAITING] * n for n in (3, 2, 1, 0)]


def test_trials_do_not_depend_on_how_executors_are_watched(store):
    plan = plan_of(Computed(store))
    lanes, _ = watched(plan.evaluator)
    found = facts(run(plan, store, lanes))
    assert facts(run(replace(plan_of(Computed(store)), name="serial"), store)) == found
