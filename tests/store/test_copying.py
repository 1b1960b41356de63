import sqlite3

import pytest

from paretonas.errors import MachineError, UsageError
from paretonas.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store.db")
    store.create_search("s", {"a": 1})
    yield store
    store.close()


def test_copy_is_one_whole_file_with_what_is_not_in_the_first_yet(store, tmp_path):
    assert (tmp_path / "store.db-wal").stat().st_size > 0
    file = tmp_path / "a?b#c%d [1].db"
    store.copy_to(file)
    assert sorted(path.name for path in tmp_path.glob("a*")) == [file.name]
    assert Store(file).config("s") == {"a": 1}


def test_copy_is_taken_while_another_writes(store, tmp_path):
    with sqlite3.connect(tmp_path / "store.db") as writer:
        writer.execute("insert into searches (name, config, created, seconds) values ('t', '{}', '', 0)")
        store.copy_to(tmp_path / "copy.db")
        writer.rollback()
    writer.close()
    assert [one.name for one in Store(tmp_path / "copy.db").searches()] == ["s"]


def test_copy_that_cannot_be_is_one_sentence_and_leaves_nothing(store, tmp_path):
    with pytest.raises(UsageError, match="is the store itself"):
        store.copy_to(tmp_path / "store.db")
    with pytest.raises(MachineError, match="No such file"):
        store.copy_to(tmp_path / "no" / "copy.db")
    with pytest.raises(MachineError, match="it is a folder"):
        store.copy_to(tmp_path)
    assert store.config("s") == {"a": 1}
    assert not list(tmp_path.glob("*.part"))


def test_store_is_there_once_it_was_written(tmp_path):
    store = Store(tmp_path / "home" / "store.db")
    assert not store.is_there
    store.create_search("s", {})
    assert store.is_there
    store.close()
