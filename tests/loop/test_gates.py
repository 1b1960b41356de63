"""Searches that stop candidates early or screen them out: real digits, store and loop; accuracies computed."""

from dataclasses import replace

import computed
import pytest

import paretonas.evaluation.trained as module
from paretonas.errors import StoreError, UnknownNameError, UsageError
from paretonas.evaluation.trained import Evaluator
from paretonas.latency import Latency
from paretonas.search.config import companions
from paretonas.search.search import new_search, open_search
from paretonas.space import spec_from_json
from paretonas.store import Store
from paretonas.trial import State

CONFIG = replace(computed.CONFIG, trials=24, fidelity="asha:rungs=3,factor=2")


@pytest.fixture
def jobs(monkeypatch):
    """The trainings in their order; accuracy grows with the share that is trained."""
    found = []

    def train(job):
        found.append(job)
        job.state.parent.mkdir(parents=True, exist_ok=True)
        job.state.touch()
        return {"accuracy": job.until * computed.number_of(spec_from_json(job.spec)), "train_seconds": 1.0}

    def latency(self, spec, protocol=None):
        return Latency((1.0,) * 3, (1.0,) * 3, (1.0,) * 3, (1.0,) * 3, calibrated=1e-3)

    monkeypatch.setattr(module, "run_training", train)
    monkeypatch.setattr(Evaluator, "latency", latency)
    return found


def test_candidates_that_fall_behind_are_pruned_with_what_they_reached(jobs, store, tmp_path):
    trials = new_search(CONFIG, store, tmp_path).run()
    assert trials == store.trials("s")
    by_state = {state: [t for t in trials if t.state is state] for state in State}
    assert by_state[State.PRUNED]
    assert by_state[State.COMPLETE]
    assert len(by_state[State.PRUNED]) + len(by_state[State.COMPLETE]) == 24
    assert {t.fidelity for t in by_state[State.COMPLETE]} == {1.0}
    assert {t.fidelity for t in by_state[State.PRUNED]} <= {0.25, 0.5}
    for trial in by_state[State.PRUNED]:
        assert trial.reward == pytest.approx(trial.metrics["accuracy"])
        assert "of its training: others were better" in trial.error
    full = sorted(t.metrics["accuracy"] / t.fidelity for t in trials)
    assert max(t.reward for t in by_state[State.COMPLETE]) == full[-1]  # the best one is never stopped
    assert len(jobs) < 2 * len(trials)
    assert not list((tmp_path / "s").glob("*.search-state"))


def test_a_stage_goes_on_from_the_one_before(jobs, store, tmp_path):
    new_search(CONFIG, store, tmp_path).run()
    by_file = {}
    for job in jobs:
        by_file.setdefault(job.state, []).append(job)
    shares = [[job.until for job in chain] for chain in by_file.values()]
    assert [0.25, 0.5, 1.0] in shares
    assert all(chain == [0.25, 0.5, 1.0][: len(chain)] for chain in shares)
    for chain in by_file.values():
        assert len({(job.recipe, job.seed, str(job.spec)) for job in chain}) == 1  # one schedule


def test_an_interrupted_search_goes_on_with_its_stages(jobs, store, tmp_path, monkeypatch):
    whole = new_search(replace(CONFIG, name="whole"), Store(tmp_path / "other.db"), tmp_path).run()
    train, calls = module.run_training, []

    def train_or_stop(job):
        calls.append(job)
        if len(calls) % 7 == 0:
            raise KeyboardInterrupt
        return train(job)

    monkeypatch.setattr(module, "run_training", train_or_stop)
    with pytest.raises(KeyboardInterrupt):
        new_search(CONFIG, store, tmp_path).run()
    trials = None
    while trials is None:
        try:
            trials = open_search("s", store, tmp_path).run()
        except KeyboardInterrupt:
            done = [(call.until, str(call.spec)) for i, call in enumerate(calls, start=1) if i % 7]
            assert len(done) == len(set(done))  # no stage is trained twice
    assert [t.architecture for t in trials] == [t.architecture for t in whole]
    assert [(t.state, t.fidelity, t.reward) for t in trials] == [(t.state, t.fidelity, t.reward) for t in whole]


def test_stages_that_a_twin_has_paid_for_are_reused(jobs, store, tmp_path):
    config = replace(CONFIG, space="mnasnet:variant=cell", trials=60, seed=3)
    trials = new_search(config, store, tmp_path).run()
    paid = [(job.until, str(job.spec)) for job in jobs]
    assert len(paid) == len(set(paid))
    assert any(t.is_reused for t in trials)


def test_screened_candidates_are_not_trained_and_strategies_learn_nothing_of_them(jobs, store, tmp_path, monkeypatch):
    monkeypatch.setattr(Evaluator, "proxies", lambda self, spec: {"synflow": computed.number_of(spec)}, raising=False)
    trials = new_search(replace(CONFIG, fidelity="full", screen="synflow:keep=0.4"), store, tmp_path).run()
    screened = [t for t in trials if t.state is State.PRUNED]
    trained = [t for t in trials if t.state is State.COMPLETE]
    assert len(screened) + len(trained) == 24
    assert len(jobs) == len(trained) < 15
    assert {t.reward for t in screened} == {None}
    assert all(t.error.startswith("screened out: synflow of") and "latency_ms" not in t.metrics for t in screened)
    assert min(t.metrics["synflow"] for t in trained[1:]) > min(t.metrics["synflow"] for t in screened)
    assert len(open_search("s", store, tmp_path, trials=30).run()) == 30


def test_what_was_admitted_before_an_interruption_is_not_screened_again(jobs, store, tmp_path, monkeypatch):
    monkeypatch.setattr(Evaluator, "proxies", lambda self, spec: {"synflow": -float(len(jobs))})  # ever worse
    train = module.run_training

    def train_or_stop(job):
        if len(jobs) == 3:
            raise KeyboardInterrupt
        return train(job)

    monkeypatch.setattr(module, "run_training", train_or_stop)
    config = replace(CONFIG, screen="synflow:keep=0.9")
    with pytest.raises(KeyboardInterrupt):
        new_search(config, store, tmp_path).run()
    (stopped,) = [t for t in store.trials("s") if t.state is State.RUNNING]
    assert "synflow" in stopped.metrics
    monkeypatch.setattr(module, "run_training", train)
    trials = open_search("s", store, tmp_path).run()
    assert "accuracy" in trials[stopped.number].metrics


def test_a_stored_stage_that_the_search_does_not_have_is_named(jobs, store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "run_training", lambda job: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        new_search(CONFIG, store, tmp_path).run()
    (running,) = [t for t in store.trials("s") if t.state is State.RUNNING]
    store.update_trial("s", replace(running, fidelity=0.3))
    with pytest.raises(StoreError, match=f"trial {running.number} for 0.3"):
        open_search("s", store, tmp_path).run()


def test_costs_screen_without_a_network(jobs, store, tmp_path, monkeypatch):
    trials = new_search(replace(CONFIG, fidelity="full", screen="macs:first=10"), store, tmp_path).run()
    assert {t.number for t in trials if t.state is State.PRUNED} < set(range(10))
    assert all(t.state is State.COMPLETE for t in trials if t.number >= 10)


def test_baselines_train_to_the_end_unscreened():
    zoo, random = companions(replace(CONFIG, strategy="ppo", screen="params", baselines=True))
    assert (zoo.fidelity, zoo.screen) == ("full", None)
    assert (random.fidelity, random.screen) == (CONFIG.fidelity, None)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"fidelity": "ash"}, UnknownNameError),
        ({"fidelity": "asha:factor=0"}, UsageError),
        ({"screen": "x"}, UsageError),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_stored(change, error, store, tmp_path):
    with pytest.raises(error):
        new_search(replace(CONFIG, **change), store, tmp_path)
    assert store.searches() == []
