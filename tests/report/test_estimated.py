"""Estimates of a search in its report: under their own name, with the predictor's error, beside what was measured."""

from dataclasses import replace

import pytest
from made import add, config_of, trials

from paretonas.errors import StoreError
from paretonas.report.aims import Aims, Pair
from paretonas.report.estimated import Compared, estimates_of
from paretonas.report.page import write_report
from paretonas.report.searched import read_searches
from paretonas.store import Store

DEVICE = [{"device": "onnxruntime", "name": "", "target_ms": 2.0, "estimate": 100}]
FITTING = {
    "samples": [{"spec": {}, "latency_ms": 1.0, "latency": ""}] * 90,
    "error": 0.021,
    "within": 0.9,
    "rank": 0.87,
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store.db")


@pytest.fixture
def searched(store):
    predictor = store.put("predictor", {"networks": 100}, FITTING)
    made = trials([(0.8, 1.5), (0.9, 1.9), (0.7, 1.2)], names=("accuracy", "estimated_ms"))
    for i, trial in enumerate(made):
        numbers = {"latency_ms": trial.metrics["estimated_ms"], "low_ms": 1.0, "high_ms": 2.0}
        id = store.put("estimate", {"spec": trial.spec_hash, "predictor": predictor}, numbers)
        metrics = {**trial.metrics, "estimated_spread": 0.05 + 0.01 * i}
        made[i] = replace(trial, metrics=metrics, evidence={"estimated_ms": id})
    made[1] = replace(made[1], metrics={**made[1].metrics, "test_accuracy": 0.88, "latency_ms": 2.0})
    store.create_search("s", config_of("s", device=DEVICE))
    store.add_trials("s", made)
    return made


def test_aims_are_at_the_estimate_and_finalists_at_their_own_latency():
    aims = Aims.of({"device": [*DEVICE], "recorded": {"quality": "accuracy"}})
    assert aims.latencies == {"estimated_ms": 2.0}
    (pair,), (final,) = aims.pairs(), aims.pairs(is_final=True)
    assert pair == Pair("accuracy", "estimated_ms", 2.0)
    assert pair.is_estimated
    assert pair.beside("spread") == "estimated_spread"
    assert final == Pair("test_accuracy", "latency_ms", 2.0, True)
    assert not final.is_estimated


def test_one_of_several_devices_may_be_estimated():
    devices = [{"name": "phone", "target_ms": 9.0, "estimate": 50}, {"name": "pi", "target_ms": 80.0}]
    assert Aims.of({"device": devices}).latencies == {"estimated_ms.phone": 9.0, "latency_ms.pi": 80.0}


def test_predictor_behind_the_estimates_is_found_by_the_ids_that_trials_keep(store, searched, tmp_path):
    (found,) = estimates_of(read_searches(store, "s", tmp_path)[0], store)
    assert (found.title, found.networks, found.trials) == ("estimated latency", 90, 3)
    assert (found.error, found.within, found.rank) == (0.021, 0.9, 0.87)
    assert found.spread == pytest.approx(0.06)
    assert found.finalists == (Compared(1, 1.9, 2.0),)
    assert found.finalists[0].error == pytest.approx(-0.05)


def test_damaged_predictor_is_a_store_error(store, searched, tmp_path):
    store.put("predictor", {"networks": 100}, {"samples": []})
    with pytest.raises(StoreError, match="A stored predictor holds"):
        estimates_of(read_searches(store, "s", tmp_path)[0], store)


def test_page_says_what_is_estimated_and_how_well(store, searched, tmp_path):
    write_report(tmp_path / "page.html", store, "s", tmp_path)
    said = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "the estimated latency is what a predictor says, fitted on 90 measured networks" in said
    assert "it errs by 2.1 % on average" in said
    assert "trial 1 2 ms where 1.9 ms was estimated." in said
    assert "estimated latency (ms)" in said  # the axis
    assert "without raw samples" in said
    assert "3 trials: 0, 1, 2" not in said


def test_measured_searches_have_none(store, tmp_path):
    add(store, "s", trials([(0.8, 1.5)]))
    assert estimates_of(read_searches(store, "s", tmp_path)[0], store) == []
