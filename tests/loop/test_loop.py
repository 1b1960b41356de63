"""The loop with a real store, and numbers computed from the spec."""

import errno
from dataclasses import replace

import pytest
from computed import ANY, TWINS, Computed, facts, halved, lanes_of, number_of, plan_of, run

import paretonas.loop.tally as module
from paretonas.errors import CrashError, ExportError, MachineError, StoreError, TrainingError, WorkError
from paretonas.evaluation.evaluator import WORKERS
from paretonas.executor.serial import SerialExecutor
from paretonas.loop.listener import Listener
from paretonas.loop.loop import LONGEST_LOOK
from paretonas.loop.plan import Budget
from paretonas.objective import Goals, Objective, rewards
from paretonas.space import Architecture, ForeignSpec
from paretonas.store import Store
from paretonas.strategy import StrategyOptions, strategies
from paretonas.testing.strategy import TOY_SPACE
from paretonas.trial import Proposal, State

NO = TrainingError("Training diverged: the loss of step 3 of 9 is nan.")


def test_every_proposal_becomes_a_complete_trial(store):
    seen = []
    trials = run(plan_of(Computed(store)), store, listener=Listener(progress=seen.append))
    assert trials == store.trials("s")
    assert [t.number for t in trials] == list(range(12))
    assert [t.told for t in sorted(trials, key=lambda t: t.told)] == list(range(12))
    assert {t.state for t in trials} == {State.COMPLETE}
    assert [p.ended for p in seen] == list(range(1, 13))
    for trial in trials:
        spec = TOY_SPACE.decode(trial.architecture)
        assert trial.metrics["accuracy"] == number_of(spec)
        assert trial.metrics["latency_ms"] == 0.5 + number_of(spec)
        assert {"params", "macs", "latency_flags", "train_seconds"} <= trial.metrics.keys()
        assert trial.reward == pytest.approx(number_of(spec) * (0.5 + number_of(spec)) ** -0.07)
    assert seen[-1].best.reward == max(t.reward for t in trials)
    assert (seen[0].budget, seen[0].seconds_left) == (12, None)
    assert seen[-1].seconds_left is not None


def test_evidence_names_the_stages_that_were_passed_and_what_the_store_has(store):
    evaluator = Computed(store, is_looking=True, shares=(0.5, 1.0))
    for trial in run(plan_of(evaluator, limits=("latency_ms<=1.2",)), store):
        names = ["cost", "untrained", "latency_ms", "training/0.5", "training"]
        stages = names[:3] if trial.state is State.PRUNED else names
        assert list(trial.evidence) == stages
        assert trial.evidence["cost"] is None  # it is computed anew
        for name in stages[1:]:
            kind, key, value = store.evaluation(trial.evidence[name])
            assert (kind, key) == (name, {"spec": trial.spec_hash})
            if name != "training/0.5":
                assert value.items() <= trial.metrics.items()


def test_a_broken_limit_prunes_before_anything_is_paid_for(store):
    params = sorted(t.metrics["params"] for t in run(plan_of(Computed(store)), store))
    limits = (f"params<={params[5]!r}", "latency_ms<=1.2")
    evaluator = Computed(store)
    trials = run(plan_of(evaluator, limits, name="limited"), store)
    pruned = [t for t in trials if t.state is State.PRUNED]
    for trial in pruned:
        assert trial.reward == 0
        assert trial.metrics["params"] > params[5] or trial.metrics["latency_ms"] > 1.2
        assert trial.error.startswith("over the limit ")
        assert "accuracy" not in trial.metrics
    too_large = [t for t in pruned if t.metrics["params"] > params[5]]
    assert len(too_large) == 6
    assert all("latency_ms" not in t.metrics for t in too_large)
    assert not {t.spec_hash for t in too_large} & {spec for name, spec in evaluator.looked_up if name == "latency_ms"}


def test_rewards_of_several_devices_multiply_and_each_has_its_limit(store):
    evaluator = Computed(store, devices=("phone", "pi"))
    trials = run(plan_of(evaluator, limits=("latency_ms.pi<=1.3",)), store)
    assert {t.state for t in trials} == {State.COMPLETE, State.PRUNED}
    for trial in trials:
        spec = TOY_SPACE.decode(trial.architecture)
        phone, pi = (0.5 + number_of(spec, name) for name in ("phone", "pi"))
        assert (trial.metrics["latency_ms.phone"], trial.metrics["latency_ms.pi"]) == (phone, pi)
        if pi > 1.3:
            assert (trial.state, trial.reward) == (State.PRUNED, 0)
            assert trial.error == "over the limit latency_ms.pi<=1.3"
        else:
            assert trial.reward == pytest.approx(number_of(spec) * phone**-0.07 * pi**-0.07)


def test_a_reward_of_the_quality_alone_ignores_latency(store):
    plan = plan_of(Computed(store), objective=Objective(reward=rewards.create("power")))
    assert all(t.reward == t.metrics["accuracy"] for t in run(plan, store))


# What goes wrong


def test_a_failed_training_is_a_failed_trial(store):
    trials = run(plan_of(Computed(store, raises={("training", 3): NO})), store)
    failed = [t for t in trials if t.state is State.FAILED]
    assert [(t.number, t.reward) for t in failed] == [(3, None)]
    assert "the loss of step 3 of 9 is nan" in failed[0].error
    assert list(failed[0].evidence) == ["cost", "latency_ms"]
    assert sum(t.state is State.COMPLETE for t in trials) == 11


def test_a_failed_measurement_is_a_failed_trial(store):
    evaluator = Computed(store, raises={("latency_ms", 2): ExportError("the file differs")})
    failed = [t for t in run(plan_of(evaluator), store) if t.state is State.FAILED]
    assert [t.number for t in failed] == [2]
    assert "ExportError: the file differs" in failed[0].error


@pytest.mark.parametrize("stage", ["cost", "untrained", "latency_ms", "training"])
@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("write: No space left on device")]
)
def test_the_fault_of_the_machine_ends_the_session_and_no_trial(store, stage, fault):
    memory = Store("sqlite://")
    whole = facts(run(plan_of(Computed(memory, is_looking=True)), memory))
    evaluator = Computed(store, is_looking=True, raises={(stage, 3): fault})
    with pytest.raises(MachineError, match="No space left on device"):
        run(plan_of(evaluator), store)
    assert all(t.state is not State.FAILED for t in store.trials("s"))
    assert facts(run(plan_of(Computed(store, is_looking=True)), store)) == whole


@pytest.mark.parametrize("stage", ["latency_ms", "training"])
def test_a_worker_that_dies_once_is_given_another_chance_and_twice_fails_the_trial(store, stage):
    dead = CrashError("The worker was killed by SIGKILL before the job was done.")
    trials = run(plan_of(Computed(store, raises={(stage, 3): dead})), store)
    assert {t.state for t in trials} == {State.COMPLETE}
    memory = Store("sqlite://")
    evaluator = Computed(memory, raises={(stage, n): dead for n in range(3, 9)})
    assert [t.state for t in run(plan_of(evaluator), memory)].count(State.FAILED) == 3
    assert sum(name == stage for name, _ in evaluator.calls) == 9 + 6


class Losing(SerialExecutor):
    """Loses two workers at each job, and goes on with others; the last job's machine refuses in the end."""

    def wait(self, timeout=None):
        jobs = super().wait(timeout)
        for job in jobs:
            job.finish(replace(job._outcome, attempts=3))
        return jobs


class Together(SerialExecutor):
    """Has room for two jobs, which end at once."""

    def __init__(self):
        super().__init__()
        self.workers = 2

    @property
    def idle(self):
        return 2 - len(self._queue)

    def wait(self, timeout=None):
        return [*super().wait(timeout), *super().wait(timeout)]


def test_what_ended_with_the_job_that_the_machine_refused_is_kept(store):
    evaluator = Computed(store, raises={("training", 2): OSError(errno.ENOSPC, "full")})
    lanes = lanes_of(evaluator, start=lambda name: Together() if name == WORKERS else SerialExecutor())
    with pytest.raises(MachineError):
        run(plan_of(evaluator), store, lanes)
    assert len(store.evaluations("training")) == 3
    assert [trial.state for trial in store.trials("s")].count(State.COMPLETE) == 3


def test_jobs_that_were_begun_again_are_counted_in_the_store(store):
    dead = CrashError("The worker was killed by SIGKILL before the job was done.")
    evaluator = Computed(store, raises={("training", 1): dead, ("training", 5): OSError(errno.ENOSPC, "full")})
    lanes = lanes_of(evaluator, start=lambda name: Losing() if name == WORKERS else SerialExecutor())
    with pytest.raises(MachineError):
        run(plan_of(evaluator), store, lanes)
    found = sorted((t.retries, t.state is State.FAILED) for t in store.trials("s") if t.retries)
    assert found == [*[(2, False)] * 5, (2, True)]
    evaluator = Computed(store, raises={("training", 0): dead})
    run(plan_of(evaluator), store)  # whose executor leaves that to the loop
    assert sorted(t.retries for t in store.trials("s")) == [0] * 6 + [2] * 5 + [3]


def test_a_network_that_cannot_be_built_is_a_failed_trial(store):
    evaluator = Computed(store, raises={("cost", 1): AssertionError("images of 224 pixels, please")})
    trials = run(plan_of(evaluator), store)
    assert [t.number for t in trials if t.state is State.FAILED] == [1]
    assert "images of 224 pixels, please" in trials[1].error
    assert trials[1].evidence == {}


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 1.0)])
@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (float("nan"), "A metric is a finite number, but accuracy is nan"),
        (float("inf"), "A metric is a finite number, but accuracy is inf"),
        (None, "A metric is a finite number, but accuracy is None"),
        (-1.0, "A reward is a finite number of 0 or more"),
    ],
)
def test_a_quality_that_gives_no_reward_is_a_failed_trial(store, shares, accuracy, said):
    class Broken(Computed):
        def training(self, spec, share):
            return {"accuracy": accuracy if len(self.trained()) == 1 else share / 2}

    trials = run(halved(plan_of(Broken(store, shares=shares))), store)
    (failed,) = (t for t in trials if t.state is State.FAILED)
    assert failed.reward is None
    assert said in failed.error
    assert len({t.told for t in trials}) == 12


def test_a_search_in_which_all_fails_is_stopped(store):
    evaluator = Computed(store, raises={("training", n): NO for n in range(12)})
    with pytest.raises(WorkError, match="first 8 trials all failed"):
        run(plan_of(evaluator), store)
    assert [t.state for t in store.trials("s")] == [State.FAILED] * 8


def test_failures_after_a_success_do_not_stop_a_search(store):
    evaluator = Computed(store, raises={("training", n): NO for n in range(1, 12)})
    trials = run(plan_of(evaluator), store)
    assert [t.state for t in trials] == [State.COMPLETE] + [State.FAILED] * 11


@pytest.mark.parametrize("stage", ["cost", "latency_ms", "training"])
def test_a_damaged_row_stops_a_search(store, stage):
    class Damaged(Computed):
        def _stage(self, name, *rest):
            def keep(spec, found):
                raise StoreError("a damaged row")

            made = super()._stage(name, *rest)
            return replace(made, keep=keep) if name == stage else made

    with pytest.raises(StoreError, match="a damaged row"):
        run(plan_of(Damaged(store)), store)
    assert not any(t.state.is_final for t in store.trials("s"))


# What is paid for once


def test_nothing_is_evaluated_twice(store):
    first = Computed(store)
    trials = run(plan_of(first, space=TWINS, budget=Budget(trials=40)), store)
    unique = {t.spec_hash for t in trials}
    assert len(unique) <= 12
    assert len(first.trained()) == len(set(first.trained())) == len(unique)
    assert len(first.timed()) == len(unique)
    assert sum(t.is_reused for t in trials) == len(trials) - len(unique)
    second = Computed(store)
    again = run(plan_of(second, name="again", space=TWINS, budget=Budget(trials=40)), store)
    assert {name for name, _ in second.calls} == {"cost"}
    assert all(t.is_reused for t in again)
    assert [t.reward for t in again] == [t.reward for t in trials]
    assert [t.evidence for t in again] == [t.evidence for t in trials]


def test_a_stage_of_no_cost_is_reused_by_those_that_come_after_a_complete_one(store):
    class Table(Computed):
        def stages(self):
            return tuple(replace(stage, lane="inline", share=None) for stage in super().stages())

        def _stage(self, name, *rest):
            return replace(super()._stage(name, *rest), known=lambda spec: None)

    plan = plan_of(Table(store, raises={("training", 0): NO}), space=TWINS, budget=Budget(trials=30))
    seen = set()
    for trial in run(plan, store, lanes={}):
        assert trial.is_reused == (trial.spec_hash in seen)
        if trial.state is State.COMPLETE:
            seen.add(trial.spec_hash)


def test_a_training_is_looked_up_once_when_a_worker_is_free(store):
    evaluator = Computed(store)
    trials = run(plan_of(evaluator), store)
    assert [spec for name, spec in evaluator.looked_up if name == "training"] == [trial.spec_hash for trial in trials]


def test_an_evaluator_hears_of_every_trial_that_has_ended(store):
    evaluator = Computed(store, raises={("training", 0): NO})
    trials = run(plan_of(evaluator, limits=("latency_ms<=1.2",)), store)
    assert evaluator.forgotten == [t.spec_hash for t in sorted(trials, key=lambda t: t.told)]


# Budgets


class Clock:
    """In the place of the module `time`."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class Slow(Computed):
    """A training takes 360 s of a clock."""

    clock: Clock

    def training(self, spec, share):
        self.clock.now += 360.0
        return super().training(spec, share)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(Slow, "clock", clock, raising=False)
    return clock


def test_time_budget_stops_and_more_of_it_goes_on(store, clock):
    notes, evaluator = [], Slow(store)
    trials = run(plan_of(evaluator, budget=Budget(12, seconds=1000.0)), store, listener=Listener(note=notes.append))
    assert sum(t.state is State.COMPLETE for t in trials) == 3
    assert notes == ["The time budget of 1000 s is used up."]
    assert store.seconds("s") == 1080.0
    assert {t.state for t in run(plan_of(Slow(store), budget=Budget(12, seconds=2000.0)), store)} > {State.WAITING}
    assert store.seconds("s") == 2160.0
    whole = run(plan_of(Slow(store)), store)
    assert {t.state for t in whole} == {State.COMPLETE}
    assert facts(whole) == facts(run(plan_of(Computed(store), name="whole"), store))


def test_a_used_up_time_budget_begins_nothing(store):
    store.create_search("s", {})
    store.set_seconds("s", 10.0)
    evaluator = Computed(store)
    assert run(plan_of(evaluator, budget=Budget(seconds=9.0)), store) == []
    assert evaluator.calls == []


def test_time_alone_as_the_budget_has_no_largest_number_of_trials(store, clock):
    seen = []
    plan = plan_of(Slow(store), budget=Budget(seconds=3600.0))
    trials = run(plan, store, listener=Listener(progress=seen.append))
    assert sum(t.state is State.COMPLETE for t in trials) == 10
    assert seen[0].budget is None
    assert [p.seconds_left for p in seen] == [3600.0 - 360.0 * n for n in range(1, 11)]


def test_time_left_follows_the_pace_of_this_session(store, clock):
    seen = []
    run(plan_of(Slow(store)), store, listener=Listener(progress=seen.append))
    assert [p.seconds_left for p in seen] == [None, *(360.0 * (12 - n) for n in range(2, 13))]
    assert [p.seconds for p in seen] == [360.0 * n for n in range(1, 13)]


def test_a_training_has_the_time_limit_of_the_budget_and_all_else_one_of_its_own(store):
    limits = []

    class Timed(lanes_of(Computed(store))[WORKERS].executor.__class__):
        def submit(self, key, function, *args, timeout=None):
            limits.append((self, timeout))
            return super().submit(key, function, *args, timeout=timeout)

    evaluator = Computed(store)
    lanes = lanes_of(evaluator, start=lambda name: Timed())
    run(plan_of(evaluator, budget=Budget(3, trial_seconds=7.0)), store, lanes)
    assert {timeout for executor, timeout in limits if executor is lanes[WORKERS].executor} == {7.0}
    assert {timeout for executor, timeout in limits if executor is not lanes[WORKERS].executor} == {LONGEST_LOOK}


class Wrong(StrategyOptions):
    """A strategy that gives whatever it was made with."""

    is_finished = False

    def __init__(self, gives, hears=lambda trials: None):
        self.ask, self.tell = gives, hears

    def start(self, space, seed, goals, prior=()):
        return self


def proposals_of(*numbers, context=None):
    return [Proposal(number, Architecture("toy", (0,) * 8), context or {}) for number in numbers]


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda n: proposals_of(0, 0), "4 proposals at most, numbered from 0 on, but it gave the numbers 0, 0"),
        (lambda n: proposals_of(1, 2), "numbered from 0 on, but it gave the numbers 1, 2"),
        (lambda n: proposals_of(*range(9)), "4 proposals at most, .* the numbers 0, 1, .*, 8"),
        (lambda n: [7], "gives proposals, but among them is 7"),
        (lambda n: None, "fails when it is asked: TypeError"),
        (lambda n: 1 / 0, "fails when it is asked: ZeroDivisionError"),
        (lambda n: proposals_of(0, context={"p": float("nan")}), "JSON data in the context of proposal 0: ValueError"),
        (lambda n: proposals_of(0, context={"p": {1}}), "JSON data in the context of proposal 0: TypeError"),
    ],
)
def test_what_a_strategy_gives_is_checked(store, gives, said):
    with pytest.raises(WorkError, match=f"The strategy of 's' .*{said}"):
        run(plan_of(Computed(store), strategy=Wrong(gives)), store)
    assert store.trials("s") == []


def test_a_strategy_that_cannot_be_told_is_named(store):
    def hear(trials):
        if trials:
            raise KeyError("reward")

    with pytest.raises(WorkError, match=r"The strategy of 's' fails when it is told of trials: KeyError: 'reward'"):
        run(plan_of(Computed(store), strategy=Wrong(lambda n: proposals_of(0), hear)), store)


def test_a_space_that_has_changed_since_is_noticed(store):
    with pytest.raises(KeyboardInterrupt):
        run(plan_of(Computed(store, raises={("training", 0): KeyboardInterrupt()})), store)
    changed = replace(TOY_SPACE, decoder=lambda values: ForeignSpec("toy:other"))
    with pytest.raises(StoreError, match=r"Trial \d of 's' was a network .*: it has changed\. Begin a new"):
        run(plan_of(Computed(store), space=changed), store)


def test_a_strategy_that_is_finished_ends_a_search(store):
    plan = plan_of(Computed(store), space=TWINS, strategy=strategies.create("enumeration"), budget=Budget(trials=100))
    assert len(run(plan, store)) == TWINS.size == 36


def test_a_strategy_is_asked_for_as_many_at_once_as_the_plan_says(store):
    evaluator = Computed(store)
    run(plan_of(evaluator, batch=5), store)
    stages = "".join("t" if name == "training" else "l" for name, _ in evaluator.calls if name != "cost")
    assert stages == "lllll" + "ttttt" + "lllll" + "ttttt" + "ll" + "tt"


def test_what_a_plan_refuses_is_refused_before_anything_runs(store):
    evaluator = Computed(store, raises={(ANY, 0): AssertionError()})
    with pytest.raises(Exception, match="A metric is one that is measured here"):
        run(plan_of(evaluator, goals=Goals(("synflow",))), store)
    assert store.trials("s") == []
