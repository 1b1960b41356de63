"""Scores by shared weights in a report: that they are scores, and whether they rank networks."""

from dataclasses import replace

import pytest
from made import add, config_of, trials

from paretonas.errors import StoreError
from paretonas.objective.trust import Trust
from paretonas.report.page import write_report
from paretonas.report.scored import Scored, scores_of
from paretonas.report.searched import read_searches
from paretonas.store import Store

CHECK = {"networks": 12, "tau": 0.61, "low": 0.3, "high": 0.8, "tau_macs": 0.5, "lost": 0.012}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store.db")


@pytest.fixture
def searched(store):
    made = trials([(0.8, 1.5), (0.9, 1.9), (0.7, 1.2)])
    for i, trial in enumerate(made[:2]):
        key = {"spec": trial.spec_hash, "origin": {"kind": "supernet", "digest": "mine"}}
        id = store.put("scored", key, {"accuracy": trial.metrics["accuracy"]})
        made[i] = replace(trial, evidence={"supernet": id})
    store.create_search("s", config_of("s"))
    store.add_trials("s", made)
    return store


def found(store, tmp_path):
    (search,) = read_searches(store, "s", tmp_path)
    return scores_of(search, store)


def page_of(store, tmp_path):
    write_report(tmp_path / "page.html", store, "s", tmp_path)
    return (tmp_path / "page.html").read_text()


def test_scores_are_told_with_the_check_of_their_supernet(searched, tmp_path):
    searched.put("trust", {"supernet": "another"}, {**CHECK, "tau": 0.9})
    assert found(searched, tmp_path) == Scored(2, None)
    searched.put("trust", {"supernet": "mine"}, CHECK)
    assert found(searched, tmp_path) == Scored(2, Trust(**CHECK))
    page = page_of(searched, tmp_path)
    assert "2 trials of s were scored by weights that all of them share" in page
    assert "Kendall's tau of 0.61 (0.30 to 0.80), counting their MACs with 0.50" in page
    assert "1.20 points below" in page


def test_trained_trials_have_no_scores(store, tmp_path):
    add(store, "s", trials([(0.8, 1.5)]))
    assert found(store, tmp_path) is None
    assert "How good the scores are" not in page_of(store, tmp_path)


@pytest.mark.parametrize("damaged", [{}, {**CHECK, "tau": None}, {**CHECK, "low": "low"}])
def test_a_damaged_check_is_a_clear_error(searched, tmp_path, damaged):
    searched.put("trust", {"supernet": "mine"}, damaged)
    with pytest.raises(StoreError, match="check of a supernet"):
        found(searched, tmp_path)
