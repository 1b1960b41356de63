"""A search whose candidates are rows of a table: the same loop, store, report and command."""

import itertools
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paretonas import cli
from paretonas.errors import DataError, UsageError
from paretonas.search.config import SearchConfig, companions
from paretonas.search.search import baselines, new_search, open_search
from paretonas.store import Store
from paretonas.trial import State


@pytest.fixture
def table(tmp_path):
    rows = list(itertools.product(range(3), repeat=4))
    columns = {
        "ops": [list(row) for row in rows],
        "acc": [None if row == (0, 0, 0, 0) else 50.0 + 5 * sum(row) for row in rows],
        "ms": [1.0 + sum(row) + 0.1 * row[0] for row in rows],
        "params": [1000 * (1 + row[3]) for row in rows],
    }
    path = tmp_path / "toy.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def config(table, **change):
    return SearchConfig(**{"name": "toy", "data": f"table:{table}", "metric": "acc", "latency": "ms", **change})


def test_trials_are_looked_up_and_rewarded(table, store, tmp_path):
    search = new_search(config(table, strategy="enumeration", trials=81, target_ms=5.0), store, tmp_path)
    trials = {t.architecture.choices: t for t in search.run()}
    one = trials[1, 0, 2, 0]
    assert one.metrics["accuracy"] == pytest.approx(0.65)
    assert one.metrics["latency_ms"] == pytest.approx(4.1)
    assert (one.metrics["params"], one.metrics["latency_flags"]) == (1000.0, 0)
    assert one.reward == pytest.approx(0.65 * (4.1 / 5) ** -0.07)
    gap = trials[0, 0, 0, 0]
    assert gap.state is State.FAILED
    assert "has no acc" in gap.error


def test_limits_prune_rows(table, store, tmp_path):
    trials = new_search(config(table, strategy="random", trials=30, limits=("params<=2000",)), store, tmp_path).run()
    assert {t.state for t in trials if t.architecture.choices[3] == 2} == {State.PRUNED}
    assert State.COMPLETE in {t.state for t in trials}


@pytest.mark.parametrize("strategy", ["surrogate:goals=accuracy+latency_ms,initial=5", "nsga2:population=4"])
def test_it_goes_on_as_if_it_had_not_stopped(table, tmp_path, strategy):
    whole = new_search(config(table, strategy=strategy, trials=24), Store(tmp_path / "a.db"), tmp_path / "a").run()
    store = Store(tmp_path / "b.db")
    new_search(config(table, strategy=strategy, trials=12), store, tmp_path / "b").run()
    resumed = open_search("toy", store, tmp_path / "b", trials=24)
    assert resumed.config.strategy.startswith(strategy.partition(":")[0])
    assert [t.architecture for t in resumed.run()] == [t.architecture for t in whole]


def test_median_latency_is_the_target_where_none_is_given(table, store, tmp_path):
    search = new_search(config(table, trials=1), store, tmp_path)
    assert search.config.target_ms == pytest.approx(5.1)
    assert new_search(config(table, name="free", latency=None, trials=1), store, tmp_path).config.target_ms is None


def test_baseline_of_a_table_is_random_search(table, store, tmp_path):
    search = new_search(config(table, strategy="local-search", trials=5, baselines=True), store, tmp_path)
    assert [found.config.name for found in baselines(search)] == ["toy.random"]
    assert companions(config(table, strategy="random", baselines=True)) == ()


def test_changed_table_is_refused(table, store, tmp_path):
    new_search(config(table, trials=1), store, tmp_path)
    pq.write_table(pq.read_table(table).slice(1), table)
    with pytest.raises(DataError, match="has changed since"):
        open_search("toy", store, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": None}, "names the column of accuracies"),
        ({"metric": "absent"}, "not 'absent'"),
        ({"space": "mnasnet:width=0.5"}, "space of a table is its own"),
        ({"data": "digits"}, "Columns are those of a table"),
        ({"data": "table:absent.parquet"}, "there is no file"),
        ({"decisions": ("absent",)}, "not 'absent'"),
    ],
)
def test_what_cannot_be_is_refused(table, store, tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        new_search(config(table, **change), store, tmp_path)
    assert not store.searches()


def test_a_table_is_screened_by_the_costs_that_it_has(table, store, tmp_path):
    trials = new_search(config(table, strategy="random", trials=30, screen="params"), store, tmp_path).run()
    assert {t.reward for t in trials if t.state is State.PRUNED} == {None}
    with pytest.raises(UsageError, match="toy by params, but got"):
        new_search(config(table, name="other", screen="synflow"), store, tmp_path)


def test_the_command_searches_shows_reports_and_refuses_to_train(table, tmp_path, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["paretonas", "--home", str(tmp_path / "home"), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    words = ("--data", f"table:{table}", "--metric", "acc", "--latency", "ms", "--trials", "12", "--decisions", "ops")
    code, out, err = run("search", "toy", *words, "--strategy", "local-search:initial=3")
    assert code == 0, err
    assert "Pareto front of toy" in out
    assert "paretonas train" not in out
    assert run("report", "toy", "--output", tmp_path / "toy.html")[0] == 0
    assert run("front", "toy", "--plot", tmp_path / "toy.svg")[0] == 0
    for refused in (("train", "toy", "--final"), ("proxies", "toy")):
        code, _, err = run(*refused)
        assert code == 2
        assert "row of a table" in " ".join(err.split())
    code, out, _ = run("search", "free", "--data", f"table:{table}", "--metric", "acc", "--trials", "5")
    assert code == 0
    assert "Best of free" in out
    assert json.loads(run("show", "free", "--json")[1])["config"]["metric"] == "acc"
