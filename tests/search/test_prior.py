from dataclasses import replace

import pytest
import toy_table

from paretonas.errors import StoreError, UsageError
from paretonas.loop.plan import Budget
from paretonas.registry import Selection
from paretonas.search.config import DeviceConfig, Recorded, SearchConfig
from paretonas.search.prior import compared, counted
from paretonas.search.search import new_search, open_search
from paretonas.search.sections import config_to_json

ON_PHOTOS = SearchConfig(
    "cats",
    task=Selection("classification", {"data": "photos"}),
    recipe=Selection("search", {"epochs": 3}),
    devices=(DeviceConfig("onnxruntime", target_ms=5.0),),
    recorded=Recorded("accuracy", "1234", "ONNX Runtime on a laptop", 100),
)


def recorded(config, store):
    store.create_search(config.name, config_to_json(config))
    return config


# What is written


@pytest.mark.parametrize("text", ["", "cats@", "cats@x", "cats@1:same", "@3", "cats:alike@3", "cats@1@2"])
def test_what_is_no_earlier_search_is_refused(store, text):
    with pytest.raises(UsageError, match="An earlier search is NAME or NAME@N, with :alike or :other after it"):
        counted(text, store)


def test_trials_are_counted_and_what_was_said_is_kept(store):
    recorded(ON_PHOTOS, store)
    assert [counted(text, store) for text in ("cats", "cats:other", "cats@7", "cats@7:alike")] == [
        "cats@0", "cats@0:other", "cats@7", "cats@7:alike",
    ]  # fmt: skip
    with pytest.raises(StoreError, match="No search is called 'dogs'"):
        counted("dogs", store)


# Conditions


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"seed": 5},
        {"strategy": Selection("random")},
        {"budget": Budget(trials=7)},
        {"reward": Selection("hard")},
        {"devices": (DeviceConfig("onnxruntime", target_ms=9.0),)},
        {"task": Selection("classification", {"data": "moved/photos"})},
    ],
)
def test_what_decides_no_number_leaves_conditions_alike(store, change):
    recorded(ON_PHOTOS, store)
    assert compared("cats@3", store, replace(ON_PHOTOS, name="new", **change)) == "cats@3:alike"


@pytest.mark.parametrize(
    "change",
    [
        {"task": Selection("language")},
        {"recipe": Selection("search", {"epochs": 4})},
        {"devices": (DeviceConfig("torch", target_ms=5.0),)},
        {"recorded": replace(ON_PHOTOS.recorded, digest="5678")},
        {"recorded": replace(ON_PHOTOS.recorded, measured_on="ONNX Runtime on a phone")},
    ],
)
def test_another_task_recipe_or_device_is_another_condition(store, change):
    recorded(ON_PHOTOS, store)
    assert compared("cats@3", store, replace(ON_PHOTOS, name="new", **change)) == "cats@3:other"


def test_what_somebody_says_of_conditions_is_believed(store):
    recorded(ON_PHOTOS, store)
    other = replace(ON_PHOTOS, name="new", recipe=Selection("search", {"epochs": 4}))
    assert compared("cats@3:alike", store, other) == "cats@3:alike"
    assert compared("cats@3:other", store, ON_PHOTOS) == "cats@3:other"


def test_another_column_of_a_table_is_another_condition(store, tmp_path):
    table = toy_table.write_table(tmp_path / "toy.parquet")
    new_search(toy_table.config(table), store, tmp_path).run()
    source = toy_table.source(table, metric="params", latency=("pi-ms",))
    later = toy_table.config(table, "surrogate", name="later", table=source, prior=("toy",))
    search = new_search(later, store, tmp_path)
    assert search.config.prior == ("toy@12:other",)
    assert [prior.is_alike for prior in search.plan().prior] == [False]


def test_a_resumed_search_proposes_what_it_would_have(store, tmp_path):
    table = toy_table.write_table(tmp_path / "toy.parquet")
    new_search(toy_table.config(table), store, tmp_path).run()
    source = toy_table.source(table, latency=("pi-ms",))

    def later(trials):
        return toy_table.config(table, "surrogate", trials, name="later", table=source, prior=("toy",))

    whole = new_search(later(9), store, tmp_path).run()
    store.delete_search("later")
    new_search(later(4), store, tmp_path).run()
    recorded = open_search("later", store, tmp_path).config
    resumed = open_search("later", store, tmp_path, change=replace(recorded, budget=Budget(trials=9))).run()
    assert [trial.architecture for trial in resumed] == [trial.architecture for trial in whole]
