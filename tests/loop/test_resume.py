"""Searches that are killed and go on: as if nothing had happened."""

import pytest
from computed import ANY, Computed, facts, halved, plan_of, run, screened

from paretonas.errors import StoreError
from paretonas.loop.listener import Listener
from paretonas.loop.plan import Budget
from paretonas.store import Store
from paretonas.strategy import strategies
from paretonas.testing.replay import replayed_proposals
from paretonas.trial import State

EVOLUTION = "regularized-evolution:population=3,tournament=2"


def small_plan(kind, store, raises=None):
    """A plan of nine trials, new for each session."""
    shares = (0.25, 0.5, 1.0) if "asha" in kind else (1.0,)
    evaluator = Computed(store, shares=shares, is_looking="synflow" in kind, raises=raises or {})
    limits = ("macs<=6e7", "latency_ms<=1.3") if "limits" in kind else ()
    plan = plan_of(evaluator, limits, strategy=strategies.create(EVOLUTION), seed=1, budget=Budget(trials=9))
    if "screen" in kind:
        plan = screened(plan, "synflow" if "synflow" in kind else "macs", keep=0.7)
    return halved(plan) if "asha" in kind else plan


ALL = "limits, screen by macs, asha"
KINDS = ["screen by synflow", ALL]
SINGLE = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("limits", "screen by macs", "asha")]
"""Each of the gates that stand together in `ALL`."""


def test_all_gates_have_something_to_say():
    memory = Store("sqlite://")
    errors = [t.error or "" for t in run(small_plan(ALL, memory), memory)]
    for reason in ("limit macs", "limit latency_ms", "screened out", "stopped after 25 %"):
        assert any(reason in error for error in errors)


@pytest.mark.parametrize("kind", [*KINDS, *SINGLE])
def test_a_search_killed_at_any_call_goes_on_as_it_would_have(kind):
    memory = Store("sqlite://")
    whole_plan = small_plan(kind, memory)
    whole = facts(run(whole_plan, memory))
    assert len({state for _, _, state, *_ in whole}) == 2  # the gates have something to say
    for n in range(len(whole_plan.evaluator.calls)):
        memory = Store("sqlite://")
        killed, second = small_plan(kind, memory, {(ANY, n): KeyboardInterrupt()}), small_plan(kind, memory)
        with pytest.raises(KeyboardInterrupt):
            run(killed, memory)
        assert facts(run(second, memory)) == whole
        done = [call for call in killed.evaluator.calls[:-1] + second.evaluator.calls if call[0] != "cost"]
        assert len(done) == len(set(done))  # nothing is paid for twice


@pytest.mark.parametrize("seed", range(2))
def test_a_screen_admits_after_a_kill_what_it_had_admitted(seed):
    """What ended in a session and what was waiting in it are judged as they were, in whatever order they come back."""

    def session(store, raises=None):
        plan = plan_of(Computed(store, raises=raises or {}), seed=seed, budget=Budget(trials=16))
        return screened(plan, "params", keep=0.5)

    memory = Store("sqlite://")
    whole = facts(run(session(memory), memory))
    for n in range(sum(state is State.COMPLETE for _, _, state, *_ in whole)):
        memory = Store("sqlite://")
        with pytest.raises(KeyboardInterrupt):
            run(session(memory, {("training", n): KeyboardInterrupt()}), memory)
        assert facts(run(session(memory), memory)) == whole


class Mortal(Store):
    """A store of which each write may be the last thing that its process does.

    Args:
        last: So many writes are done; the next one kills, before or after it is done.
        is_done: Whether that one is done.
    """

    def __init__(self, location, last=10**9, is_done=False):
        super().__init__(location)
        self.writes, self.last, self.is_done = 0, last, is_done

    def _write(self, write, *args):
        self.writes += 1
        if self.writes <= self.last or self.is_done:
            result = write(*args)
        if self.writes > self.last:
            self.last = 10**9  # what cleans up is not killed again
            raise KeyboardInterrupt
        return result

    def add_trials(self, name, trials):
        return self._write(super().add_trials, name, trials)

    def update_trial(self, name, trial, seconds=None):
        return self._write(super().update_trial, name, trial, seconds)

    def put(self, kind, key, value):
        return self._write(super().put, kind, key, value)


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_search_killed_at_any_write_goes_on_as_it_would_have(kind, is_done):
    whole_store = Mortal("sqlite://")
    whole = facts(run(small_plan(kind, whole_store), whole_store))
    for n in range(whole_store.writes):
        store = Mortal("sqlite://", n, is_done)
        with pytest.raises(KeyboardInterrupt):
            run(small_plan(kind, store), store)
        assert facts(run(small_plan(kind, store), store)) == whole


@pytest.mark.parametrize("kind", [*KINDS, *SINGLE])
def test_a_search_killed_again_and_again_goes_on_as_it_would_have(kind):
    whole_store = Mortal("sqlite://")
    whole = facts(run(small_plan(kind, whole_store), whole_store))
    store, trials = Mortal("sqlite://", 3), None
    while trials is None:
        try:
            trials = run(small_plan(kind, store), store)
        except KeyboardInterrupt:
            store.last = store.writes + 3
    assert facts(trials) == whole


@pytest.mark.parametrize("kind", [pytest.param("", marks=pytest.mark.slow), "asha"])
def test_what_a_trial_paid_for_itself_is_not_reused_after_a_kill(kind):
    whole_store = Mortal("sqlite://")
    whole = [t.is_reused for t in run(small_plan(kind, whole_store), whole_store)]
    for n in range(0, whole_store.writes, 3):
        store = Mortal("sqlite://", n)
        with pytest.raises(KeyboardInterrupt):
            run(small_plan(kind, store), store)
        assert [t.is_reused for t in run(small_plan(kind, store), store)] == whole


@pytest.mark.parametrize(
    "strategy", ["random", "ppo:batch=3,lr=0.01", "regularized-evolution:population=4,tournament=2"]
)
def test_an_interrupted_search_keeps_what_was_complete_and_proposes_the_same(store, strategy):
    def session(store, raises=None):
        return plan_of(Computed(store, raises=raises or {}), strategy=strategies.create(strategy))

    memory = Store("sqlite://")
    whole = run(session(memory), memory)
    complete = []
    for n in (0, 2, 2):
        with pytest.raises(KeyboardInterrupt):
            run(session(store, {("training", n): KeyboardInterrupt()}), store)
        now = [t for t in store.trials("s") if t.state is State.COMPLETE]
        assert [t for t in now if t.number in {c.number for c in complete}] == complete
        complete = now
    assert len(complete) == 4
    plan = session(store)
    trials = run(plan, store)
    assert facts(trials) == facts(whole)
    assert replayed_proposals(plan, trials, batch=4) == [t.architecture for t in trials]


def test_what_was_taken_up_is_said(store):
    notes = []
    with pytest.raises(KeyboardInterrupt):
        run(small_plan("", store, {("training", 1): KeyboardInterrupt()}), store)
    run(small_plan("", store), store, listener=Listener(note=notes.append))
    assert notes == ["Taking up 3 trials that had begun."]


def test_a_training_that_was_interrupted_is_begun_again_and_only_then_forgotten(store):
    killed, second = (Computed(store, raises=raises) for raises in ({("training", 0): KeyboardInterrupt()}, {}))
    with pytest.raises(KeyboardInterrupt):
        run(plan_of(killed), store)
    assert killed.forgotten == []
    run(plan_of(second), store)
    assert killed.trained() == second.trained()[:1] == second.forgotten[:1]


def test_a_raised_budget_goes_on_where_the_search_ended(store):
    whole = run(plan_of(Computed(store), name="whole", budget=Budget(trials=20)), store)
    run(plan_of(Computed(store), budget=Budget(trials=12)), store)
    assert facts(run(plan_of(Computed(store), budget=Budget(trials=20)), store)) == facts(whole)


def test_what_was_admitted_before_an_interruption_is_not_screened_again(store):
    class Falling(Computed):
        """Later ones are ever worse."""

        def untrained(self, spec):
            return {"synflow": -float(len(self.calls))}

    def session(raises=None):
        return screened(plan_of(Falling(store, is_looking=True, raises=raises or {})), keep=0.9)

    with pytest.raises(KeyboardInterrupt):
        run(session({("training", 0): KeyboardInterrupt()}), store)
    admitted = [t for t in store.trials("s") if t.told is None and "synflow" in t.metrics]
    assert admitted
    trials = run(session(), store)
    assert all(trials[t.number].state is State.COMPLETE for t in admitted)
    assert all(trials[t.number].metrics["synflow"] == t.metrics["synflow"] for t in admitted)


def test_a_stage_that_the_evaluator_does_not_have_is_named(store):
    with pytest.raises(KeyboardInterrupt):
        run(small_plan("asha", store, {("training/0.5", 0): KeyboardInterrupt()}), store)
    (passed,) = (t.number for t in store.trials("s") if "training/0.25" in t.evidence)
    with pytest.raises(StoreError, match=f"trial {passed} has passed 'training/0.25'. Go on with the settings"):
        run(small_plan("", store), store)
    assert [t.number for t in run(small_plan("asha", store), store)] == list(range(9))


def test_a_failure_at_a_gate_is_remembered_as_such(store):
    class Broken(Computed):
        def training(self, spec, share):
            return {"accuracy": float("nan") if len(self.trained()) == 2 else share / 2}

    def session(trials):
        return halved(plan_of(Broken(store, shares=(0.5, 1.0)), budget=Budget(trials=trials)))

    assert [t.state for t in run(session(4), store)].count(State.FAILED) == 1
    assert len(run(session(8), store)) == 8


def test_gates_are_reminded_of_no_more_than_they_were_asked(store):
    """What is over a limit was never screened, however good it looks by the metric."""
    millions = (90.0, 91.0, 92.0, 10.0, 20.0, 30.0, 25.0, 28.0)
    drawn = []

    class Chosen(Computed):
        def costs(self, spec):
            drawn.extend([spec] * (spec not in drawn))
            return {"params": 1.0, "macs": 1e6 * millions[drawn.index(spec)]}

    def session(name, trials):
        plan = plan_of(Chosen(store), ("macs<=5e7",), name=name, budget=Budget(trials=trials))
        return screened(plan, "macs", keep=0.5)

    whole = run(session("whole", 8), store)
    assert [t.state for t in whole] == [State.PRUNED] * 3 + [State.COMPLETE] * 5
    run(session("s", 6), store)
    assert facts(run(session("s", 8), store)) == facts(whole)
