import sqlite3
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretonas.errors import StoreError
from paretonas.latency import latency_from_json
from paretonas.store import Store
from paretonas.testing.store import some_trial
from paretonas.trial import State


@pytest.fixture
def path(tmp_path):
    store = Store(tmp_path / "store.db")
    store.create_search("s", {"name": "s", "data": "digits"})
    store.add_trials("s", [some_trial(0)])
    store.put("kind", {"a": 1}, {"b": 2})
    store.close()
    return tmp_path / "store.db"


def _set(path, table, column, value):
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    connection.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("choices", "[0,"),
        ("choices", '{"a": 1}'),
        ("choices", '["x"]'),
        ("metrics", "[]"),
        ("metrics", '{"accuracy": "high"}'),
        ("metrics", "\x00"),
        ("evidence", "[]"),
        ("evidence", '{"latency": 7}'),
        ("evidence", '{"latency": ["0"]}'),
        ("evidence", "nonsense"),
        ("state", "sleeping"),
        ("context", "7"),
    ],
)
def test_damaged_trial_is_named(path, column, value):
    _set(path, "trials", column, value)
    with pytest.raises(StoreError, match="trial 0"):
        Store(path).trials("s")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(column=st.sampled_from(["choices", "metrics", "evidence", "context", "state"]), value=st.text(max_size=20))
def test_any_text_in_a_row_gives_our_error_or_a_trial(path, column, value):
    _set(path, "trials", column, value)
    try:
        trials = Store(path).trials("s")
    except StoreError:
        return
    assert len(trials) == 1


def test_damaged_configuration_and_evaluation_are_named(path):
    _set(path, "searches", "config", "nonsense")
    _set(path, "evaluations", "value", "[1]")
    with pytest.raises(StoreError, match="configuration of search 's'"):
        Store(path).config("s")
    store = Store(path)
    with pytest.raises(StoreError, match="kind 'kind'"):
        store.get("kind", {"a": 1})
    with pytest.raises(StoreError, match="kind 'kind'"):
        store.evaluations("kind")
    with pytest.raises(StoreError, match="the evaluation '"):
        store.evaluation(store.id_of("kind", {"a": 1}))


def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "store.db"
    path.write_text("dear diary " * 500)
    with pytest.raises(StoreError, match=r"but .* is none: file is not a database"):
        Store(path)
    assert path.read_text().startswith("dear diary")


def test_url_of_an_unknown_database_is_refused():
    with pytest.raises(StoreError, match="but nonsense://here is none"):
        Store("nonsense://here")


@pytest.mark.parametrize(("version", "age"), [(1, "an older"), (3, "an older"), (99, "a newer")])
def test_store_of_another_version_is_refused(path, version, age):
    _set(path, "schema", "version", version)
    with pytest.raises(StoreError, match=f"reads stores of schema 5, but .* has {version}, of {age} version"):
        Store(path)


def test_any_text_of_an_error_is_kept(path):
    store = Store(path)
    store.update_trial("s", replace(some_trial(0), state=State.FAILED, error="a\0b \udcff grün", told=0))
    assert store.trials("s")[0].error == "a\\x00b \\udcff grün"


SOUND = {name: [1.0, 1.0] for name in ("candidate_wall", "candidate_cpu", "reference_wall", "reference_cpu")}


def test_sound_latency_is_read():
    assert latency_from_json({**SOUND, "calibrated": 2e-3}).latency_ms == 2.0


@pytest.mark.parametrize(
    "damage",
    [
        {"candidate_wall": "x"},
        {"candidate_cpu": [1.0, 2.0, 3.0]},
        {"reference_cpu": [0.0, 0.0]},
        {"candidate_cpu": [], "reference_cpu": []},
        {"flags": 7},
        {"colour": "red"},
        {"calibrated": None},
    ],
)
def test_damaged_latency_is_refused(damage):
    with pytest.raises(StoreError, match="raw samples"):
        latency_from_json({**SOUND, "calibrated": 2e-3, **damage})


@pytest.mark.parametrize("data", [None, [], {}, "latency"])
def test_what_is_no_latency_at_all_is_refused(data):
    with pytest.raises(StoreError, match="raw samples"):
        latency_from_json(data)


def test_database_that_fails_later_gives_our_error(path):
    store = Store(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE trials")
    connection.close()
    with pytest.raises(StoreError, match="no such table"):
        store.trials("s")


def test_home_that_cannot_be_made_gives_our_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="file is no folder"):
        Store(tmp_path / "file" / "store.db")
