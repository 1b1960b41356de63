"""What is left open is picked by measuring, once a machine, and recorded."""

from dataclasses import replace

import pytest
from abacus import CONFIG

from paretonas.errors import TrainingError
from paretonas.loop.listener import Listener
from paretonas.registry import Selection
from paretonas.search.search import new_search, open_search
from paretonas.search.tune import BARE, tune
from paretonas.space import spec_to_json
from paretonas.task import recipes
from paretonas.training import autotune
from paretonas.training.autotune import SpeedJob


@pytest.fixture(autouse=True)
def _one_step_tells(monkeypatch):
    monkeypatch.setattr(autotune, "STEPS", 2)  # the first warms up


OPEN = Selection("search", {"epochs": 0.5})
FIXED = CONFIG.recipe


@pytest.mark.slow  # bfloat16 takes half a minute on a processor without it
def test_what_is_open_is_measured_once_and_recorded(store, tmp_path):
    config, notes = replace(CONFIG, recipe=OPEN), []
    first = new_search(config, store, tmp_path, Listener(note=notes.append))
    picked = first.trained_evaluator().schooling.recipe
    assert picked.layout != "auto"
    assert picked.precision != "auto"
    assert sum("was the fastest here" in note for note in notes) == 1
    recorded = recipes.create(store.config("s")["recipe"])
    assert (recorded.layout, recorded.precision) == (picked.layout, picked.precision)
    new_search(replace(config, name="t"), store, tmp_path, Listener(note=notes.append))
    assert sum("Trying how training" in note for note in notes) == 1
    assert open_search("s", store, tmp_path).trained_evaluator().schooling.recipe == recorded


def test_what_is_fixed_is_not_tried(store, tmp_path):
    notes = []
    search = new_search(CONFIG, store, tmp_path, Listener(note=notes.append))
    assert not any("fastest" in note for note in notes)
    assert search.config.executor == CONFIG.executor
    assert store.evaluations("tuning") == []


@pytest.fixture
def job(store, tmp_path):
    """A typical network of digits, to be trained as the argument says."""
    task = new_search(CONFIG, store, tmp_path).trained_evaluator().task

    def job(recipe):
        return SpeedJob(spec_to_json(task.typical.scaled(0.25)), task, recipes.create(recipe), "cpu")

    return job


def test_workers_are_picked_only_where_the_user_leaves_them_open(store, job):
    notes = []
    for executor in (Selection("serial"), Selection("process", {"workers": 1})):
        assert tune(job(FIXED), executor, store, notes.append) == (recipes.create(FIXED), executor)
    assert notes == []


@pytest.mark.slow
def test_what_was_picked_on_this_machine_is_taken_from_the_cache(store, job):
    _, executor = tune(job(OPEN), Selection("serial"), store, lambda text: None)
    ((key, value),) = store.evaluations("tuning")
    assert key["machine"]["is_sharing"] is False
    assert executor == Selection("serial")
    store.put("tuning", key, {**value, "layout": "contiguous", "precision": "bfloat16"})
    recipe, _ = tune(job(OPEN), Selection("serial"), store, lambda text: None)
    assert (recipe.layout, recipe.precision) == ("contiguous", "bfloat16")
    machine = {**key["machine"], "is_sharing": True}
    store.put("tuning", {**key, "machine": machine}, {**value, "workers": 3, "threads": 2})
    _, executor = tune(job(OPEN), BARE, store, lambda text: None)
    assert executor == Selection("process", {"workers": 3, "threads": 2})


@pytest.mark.slow
def test_a_damaged_row_is_measured_again(store, job):
    tune(job(OPEN), Selection("serial"), store, lambda text: None)
    ((key, _),) = store.evaluations("tuning")
    store.put("tuning", key, {"layout": "spiral"})
    notes = []
    tune(job(OPEN), Selection("serial"), store, notes.append)
    assert notes[0].startswith("Trying how training is fastest here")
    assert "layout" in store.get("tuning", key)
    assert "precision" in store.get("tuning", key)


def test_what_never_trains_is_an_error(store, job):
    with pytest.raises(TrainingError):
        tune(job(Selection("search", {"lr": 1e30, "clip": 0.0})), Selection("serial"), store, lambda text: None)
