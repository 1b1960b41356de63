"""A search whose candidates a supernet scores: recorded first, then trained, checked and mined; it goes on there."""

from dataclasses import replace

import pytest
from abacus import CONFIG

from paretonas.evaluation import trained
from paretonas.evaluation.evaluator import Call
from paretonas.evaluation.supernet import SupernetEvaluator
from paretonas.loop.listener import Listener
from paretonas.loop.plan import Budget
from paretonas.objective.trust import Trust
from paretonas.registry import Selection
from paretonas.search.config import SupernetConfig
from paretonas.search.mining import runner
from paretonas.search.search import new_search, open_search
from paretonas.store import Store
from paretonas.trial import State


@pytest.fixture
def config():
    options = {"epochs": 2.0, "batch_size": 50, "layout": "channels-last", "precision": "float32"}
    supernet = SupernetConfig(Selection("sandwich"), Selection("supernet", options), examples=50, checked=0)
    return replace(CONFIG, supernet=supernet, budget=Budget(trials=4))


def test_it_is_recorded_before_anything_is_trained_and_tells_what_comes_first(config, store, tmp_path):
    search = new_search(config, store, tmp_path)
    (phase,) = search.evaluator.phases()
    assert phase.what == "training the supernet"
    assert phase.seconds is not None
    assert phase.seconds > 0
    assert store.config("s")["supernet"]["recipe"]["epochs"] == 2.0
    assert not list(tmp_path.rglob("supernet-*.safetensors"))


def test_stopped_while_the_supernet_learns_it_goes_on_and_trains_it_once(config, store, tmp_path, monkeypatch):
    whole = new_search(replace(config, name="whole"), Store(tmp_path / "other.db"), tmp_path / "other").run()
    steps = []

    def stop(self, done, steps_in_all):
        steps.append(done)
        if len(steps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("paretonas.training.progress.ProgressFile.step", stop)
    with pytest.raises(KeyboardInterrupt):
        new_search(config, store, tmp_path).run()
    assert store.trials("s") == []
    notes = []
    trials = open_search("s", store, tmp_path, Listener(note=notes.append)).run()
    assert sum("supernet was trained" in note for note in notes) == 1
    assert [trial.state for trial in trials] == [State.COMPLETE] * 4
    assert [(t.architecture, t.metrics["accuracy"]) for t in trials] == [
        (t.architecture, t.metrics["accuracy"]) for t in whole
    ]
    again = open_search("s", store, tmp_path)
    assert again.evaluator.phases() == ()


def test_a_search_of_another_name_is_scored_by_the_same_supernet(config, store, tmp_path):
    new_search(config, store, tmp_path).run()
    (file,) = tmp_path.glob("pretrained/supernet-*.safetensors")
    notes = []
    search = new_search(replace(config, name="other"), store, tmp_path, Listener(note=notes.append))
    assert search.evaluator.phases() == ()
    assert len(search.run()) == 4
    assert f"The supernet was trained before: {file}." in notes
    (phase,) = new_search(replace(config, name="new", seed=config.seed + 1), store, tmp_path).evaluator.phases()
    assert phase.what == "training the supernet"


@pytest.mark.parametrize(("tau", "strategy"), [(0.4, "regularized"), (0.6, "random")])
def test_where_the_supernet_is_left_aside_the_fallback_chooses(config, store, tmp_path, monkeypatch, tau, strategy):
    def checked(self, listener):
        return Trust(tau, 0.1, 0.8, 0.5, 0.0, 12)

    monkeypatch.setattr(SupernetEvaluator, "_checked", checked)
    supernet = replace(config.supernet, checked=5, fallback=Selection("regularized-evolution"))
    search = new_search(replace(config, supernet=supernet, strategy=Selection("random")), store, tmp_path)
    assert len(search.run()) == 4
    assert type(search.plan().strategy).__name__.lower().startswith(strategy)


def test_what_was_trained_alone_for_the_check_is_kept_one_by_one(config, store, tmp_path, monkeypatch):
    checked = replace(config, supernet=replace(config.supernet, checked=5))
    search, begun, train = new_search(checked, store, tmp_path), [], trained.run_training
    assert [phase.what for phase in search.evaluator.phases()] == [
        "training the supernet",
        "training 5 networks alone, to check the supernet",
    ]

    def two(job):
        begun.append(job)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return train(job)

    with monkeypatch.context() as patch:
        patch.setattr(trained, "run_training", two)
        with pytest.raises(KeyboardInterrupt):
            search.run()
    (phase,) = open_search("s", store, tmp_path).evaluator.phases()
    assert phase.what.startswith("training 3 networks alone")


def test_several_calls_run_as_trainings_do_and_all_are_told_of():
    ended = [one for some in runner(Selection("serial"))([Call(abs, (-i,)) for i in range(4)]) for one in some]
    assert sorted(ended) == [(i, i) for i in range(4)]
