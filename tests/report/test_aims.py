"""What stored configurations say they are after, as TOML, and as the configurations of real searches."""

import tomllib
from dataclasses import replace

import pytest
from made import BOTH, config_of

from paretonas.evaluation.table import TableSource
from paretonas.registry import Selection
from paretonas.report.aims import Aims, Pair, data_name, device_names
from paretonas.report.table import config_toml, settings
from paretonas.search.config import DeviceConfig, Recorded, SearchConfig
from paretonas.search.sections import config_from_json, config_to_json


def _task(data="/photos/cats/"):
    return Selection("classification", {"data": data})


def test_a_pair_of_finalists_knows_the_searchs_own_latency():
    aims = Aims("accuracy", {"latency_ms.phone": 2.0, "estimated_ms.pi": 3.0})
    for is_final in (False, True):
        assert [pair.searched for pair in aims.pairs(is_final)] == list(aims.latencies)


def test_the_only_device_goes_without_its_name():
    alone = SearchConfig("s", task=_task(), devices=(DeviceConfig("torch", "phone", 9.0),))
    assert Aims.of(config_to_json(alone)).latencies == {"latency_ms": 9.0}
    assert Aims.of({}) == Aims("accuracy", {"latency_ms": None})


def test_several_devices_have_targets_of_their_own():
    devices = (DeviceConfig("torch", "phone", 9.0), DeviceConfig("onnxruntime:threads=2", "pi"))
    config = config_to_json(SearchConfig("s", task=_task(), devices=devices))
    aims = Aims.of(config)
    assert aims.latencies == {"latency_ms.phone": 9.0, "latency_ms.pi": None}
    assert aims.target_words == "9 ms on phone"
    assert aims.pairs(is_final=True)[1] == Pair("test_accuracy", "final_latency_ms.pi", None, True)
    assert device_names(config) == "phone=torch, pi=onnxruntime:threads=2"
    assert data_name(config) == "cats"


@pytest.mark.parametrize("latency", [(), ("lat",), ("phone=a", "lat on pi")])
def test_columns_of_a_table_are_named_as_its_evaluator_does(latency):
    source = TableSource("/tables/nas.parquet", "valid", latency)
    config = config_to_json(SearchConfig("t", table=source))
    assert list(Aims.of(config).latencies) == list(source.columns)
    assert data_name(config) == "nas.parquet"
    assert device_names(config) == (", ".join(latency) or "none")


def test_a_table_has_the_targets_of_its_columns():
    source = TableSource("nas.parquet", "perplexity", ("phone=a", "pi=b"), quality="perplexity")
    devices = (DeviceConfig("table", "phone", 3.0), DeviceConfig("table", "pi", 4.0))
    aims = Aims.of(config_to_json(SearchConfig("t", table=source, devices=devices)))
    assert aims == Aims("perplexity", {"latency_ms.phone": 3.0, "latency_ms.pi": 4.0})
    alone = replace(source, latency=("a",))
    named = SearchConfig("t", table=alone, devices=(DeviceConfig("table", "", 3.0),))
    assert Aims.of(config_to_json(named)).latencies == {"latency_ms": 3.0}


def test_the_recorded_quality_is_believed():
    assert Aims.of(config_of("s", recorded={"quality": "perplexity"})).quality == "perplexity"


@pytest.mark.parametrize("data", ["a/b c", 'quo"te\\back', "größe 🐈", "line\nbreak\ttab\x7f\x01"])
def test_toml_repeats_a_search(data):
    config = SearchConfig(
        "cats.2",
        task=_task(data),
        space=Selection("mnasnet", {"width": 0.5, "resolution": 32}),
        strategy=Selection("surrogate", {"initial": 5}),
        goals=("accuracy", "latency_ms"),
        prior=("old@9",),
        reward=Selection("mnasnet", {"alpha": -0.07, "beta": -1.0}),
        limits=("params<=2e6", "macs<=3e8"),
        devices=(DeviceConfig("onnxruntime:threads=2", "phone", 9.5), DeviceConfig("torch", "pi")),
        fidelity=Selection("asha"),
        screen=Selection("synflow"),
        baselines=True,
        models=("my.models:small",),
        recorded=Recorded("b2ee", "abacus", 1000),
    )
    toml = config_toml(config_to_json(config))
    assert "recorded" not in tomllib.loads(toml)
    assert config_from_json(tomllib.loads(toml)) == replace(config, recorded=Recorded())


def test_toml_repeats_a_search_on_a_table():
    config = SearchConfig("t", table=TableSource("nas.parquet", "valid", ("phone=a", "pi=b"), ("ops",)))
    assert config_from_json(tomllib.loads(config_toml(config_to_json(config)))) == config


def test_settings_are_flat():
    flat = settings(config_of("s", device=BOTH, objective={"limits": ["params<=2e6"]}))
    assert flat["device[1].target_ms"] == 20.0
    assert flat["strategy.batch"] == 10
    assert flat["objective.limits"] == ["params<=2e6"]
    assert flat["recorded.validation"] == 1000
