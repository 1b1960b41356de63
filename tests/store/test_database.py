"""What only reads writes nothing; what is refused is told apart: what cannot be from what the machine refuses."""

import os
import sqlite3
import threading

import pytest
import sqlalchemy as sa

from paretonas.errors import MachineError, StoreError
from paretonas.store import Store
from paretonas.store import sqlite as sqlite_module
from paretonas.testing.store import some_trial

NOBODY = 65534


@pytest.fixture
def path(tmp_path):
    """A store that its writer has closed."""
    return fill(tmp_path / "store.db")


def fill(path):
    store = Store(path)
    store.create_search("s", {"seed": 1})
    store.add_trials("s", [some_trial(0)])
    store.close()
    return path


def read(path):
    store = Store(path)
    found = store.config("s"), store.trials("s"), [search.name for search in store.searches()]
    store.close()
    return found


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


WHOLE = {"seed": 1}, [some_trial(0)], ["s"]


@pytest.fixture
def unprivileged(tmp_path):
    """Makes a folder one that cannot be written to, also by the superuser, whose process steps down for the test."""
    folders = [above for above in tmp_path.parents if above.owner() == "root" and not above.stat().st_mode & 0o001]

    def close_to_writers(folder):
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        if os.geteuid() == 0:
            for above in folders:
                above.chmod(0o711)  # and stays so: other tests share it
            os.seteuid(NOBODY)

    yield close_to_writers
    os.seteuid(os.getuid())
    tmp_path.chmod(0o755)


# Reading


@pytest.mark.parametrize("location", ["store.db", "no/such/home/store.db", "sqlite:///folder/x.db"])
def test_a_store_that_is_not_there_is_read_as_an_empty_one_and_not_made(tmp_path, monkeypatch, location):
    monkeypatch.chdir(tmp_path)
    store = Store(location)
    assert store.searches() == []
    assert store.evaluations("latency") == []
    assert store.get("latency", {}) is store.evaluation("0") is None
    with pytest.raises(StoreError, match="Known: none"):
        store.trials("s")
    assert os.listdir(tmp_path) == []
    store.put("kind", {}, {"a": 1})  # which makes it, with its folder
    assert Store(location).get("kind", {}) == {"a": 1}
    assert store.searches() == []


def test_an_empty_file_is_a_store_to_be(tmp_path):
    (tmp_path / "store.db").touch()
    assert Store(tmp_path / "store.db").searches() == []
    assert contents(tmp_path) == {"store.db": b""}
    fill(tmp_path / "store.db")
    assert read(tmp_path / "store.db") == WHOLE


def test_reading_changes_no_byte(path):
    before = contents(path.parent)
    assert read(path) == WHOLE
    assert contents(path.parent) == before


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize("table", ["bookmarks", "trials", "schema"])
def test_the_database_of_another_program_is_refused_and_left_as_it_was(tmp_path, journal, table):
    path = tmp_path / "places.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute(f"CREATE TABLE {table} (a)")
        connection.execute("CREATE TABLE visits (a)")
    connection.close()
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=r"places.sqlite has tables of another program \(.*visits\)"):
        Store(path)
    assert contents(tmp_path) == before


def test_read_only_media_are_read_at_once(path, unprivileged):
    unprivileged(path.parent)
    assert read(path) == WHOLE
    store = Store(path)
    with pytest.raises(MachineError, match="Choose a place that can be written to"):
        store.put("kind", {}, {})
    with pytest.raises(MachineError, match="Whoever writes into a search locks a file"), store.hold("s"):
        pass


def test_what_a_killed_writer_left_is_read_where_its_files_are_together(path, unprivileged):
    leave_unfolded(path)
    unprivileged(path.parent)
    assert [trial.number for trial in Store(path).trials("s")] == [0, 1]


def test_what_was_written_last_and_cannot_be_read_is_said(path, unprivileged):
    leave_unfolded(path)
    path.with_name("store.db-shm").unlink()
    unprivileged(path.parent)
    with pytest.raises(MachineError, match=r"Copy store\.db and store.db-wal together"):
        Store(path)


def test_what_a_killed_writer_left_is_read_without_the_index(path):
    leave_unfolded(path)
    path.with_name("store.db-shm").unlink()
    assert [trial.number for trial in Store(path).trials("s")] == [0, 1]


def test_a_store_without_what_was_written_last_opens(path):
    leave_unfolded(path)
    path.with_name("store.db-wal").unlink()
    assert read(path) == WHOLE


def leave_unfolded(path):
    """A second trial that is in the log only, as after a kill."""
    child = os.fork()
    if not child:
        Store(path).add_trials("s", [some_trial(1)])
        os._exit(0)
    os.waitpid(child, 0)
    assert path.with_name("store.db-wal").stat().st_size


def test_a_store_that_may_not_be_read_is_refused(path, unprivileged):
    unprivileged(path.parent)
    os.seteuid(os.getuid())
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    with pytest.raises(MachineError, match="cannot be read: Permission denied"):
        Store(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(StoreError, match="is no regular file"):
            Store(place)


# Others


def test_who_waits_says_for_whom_and_gives_up(path, monkeypatch, capfd):
    monkeypatch.setattr(sqlite_module, "SILENT", 0.05)
    monkeypatch.setattr(sqlite_module, "PATIENCE", 0.3)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    store = Store(path)
    assert store.trials("s") == [some_trial(0)]
    with pytest.raises(MachineError, match=r"database is locked\. End the process that writes into it"):
        store.put("kind", {}, {})
    said = capfd.readouterr().err
    assert said == f"Waiting for another process, which writes into {path}.\n"
    with Store(path).hold("s"), pytest.raises(MachineError):
        Store(path).put("kind", {}, {})
    assert f"Waiting for process {os.getpid()} (" in capfd.readouterr().err
    other.rollback()
    other.close()
    store.put("kind", {}, {})


def test_how_long_is_waited_may_stand_in_the_url(path):
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(MachineError, match="database is locked"):
        Store(f"sqlite:///{path}?timeout=0").put("kind", {}, {})
    other.close()
    with pytest.raises(StoreError, match="could not convert string to float"):
        Store(f"sqlite:///{path}?timeout=soon")


def test_who_waits_goes_on_when_the_other_is_done(path, monkeypatch):
    monkeypatch.setattr(sqlite_module, "SILENT", 0.01)
    other = sqlite3.connect(path, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, other.rollback)
    timer.start()
    Store(path).put("kind", {}, {"a": 1})
    timer.join()
    other.close()
    assert Store(path).get("kind", {}) == {"a": 1}


@pytest.mark.parametrize("error", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR])
def test_only_who_is_busy_is_waited_for(path, monkeypatch, error):
    store, calls = Store(path), []

    def fail(connection, *_):
        calls.append(1)
        raise failure(error)

    sa.event.listen(store._database._engine, "before_cursor_execute", fail)
    with pytest.raises(StoreError):
        store.put("kind", {}, {})
    assert len(calls) == 1


def failure(code, message="it broke"):
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return sa.exc.OperationalError("", {}, error)


# What the machine refuses


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (sqlite3.SQLITE_FULL, "Free some space"),
        (sqlite3.SQLITE_IOERR_WRITE, "Look after the disk"),
        (sqlite3.SQLITE_IOERR_FSYNC, "Look after the disk"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "Choose a place that can be written to"),
        (sqlite3.SQLITE_CANTOPEN, "Choose a place that you may read and write"),
    ],
)
@pytest.mark.parametrize("at", ["before_cursor_execute", "commit"])
def test_what_the_machine_refuses_is_its_fault(path, at, code, remedy):
    store = Store(path)
    store.put("kind", {"before": 1}, {})

    def fail(*_):
        raise failure(code)

    sa.event.listen(store._database._engine, at, fail)
    with pytest.raises(MachineError, match=f"store.db cannot be used: it broke. {remedy}, then go on"):
        store.add_trials("s", [some_trial(1)])
    assert read(path) == WHOLE
    sa.event.remove(store._database._engine, at, fail)
    store.add_trials("s", [some_trial(1)])


def test_a_full_disk_is_the_machines_fault_and_takes_nothing(path):
    store = Store(path)
    with store._database._engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={connection.exec_driver_sql('PRAGMA page_count').scalar()}")
    with pytest.raises(MachineError, match=r"database or disk is full\. Free some space"):
        store.put("kind", {}, {"text": "x" * 500_000})
    assert read(path) == WHOLE


@pytest.mark.parametrize("fate", ["moved", "removed", "replaced"])
def test_what_is_written_into_a_file_that_is_gone_is_not_lost_in_silence(path, fate, tmp_path):
    fill(tmp_path / "other.db")
    store = Store(path)
    store.put("kind", {}, {})
    path.unlink() if fate == "removed" else path.rename(tmp_path / "gone.db")
    if fate == "replaced":
        (tmp_path / "other.db").rename(path)
    for call in (lambda: store.put("kind", {}, {}), lambda: store.evaluations("kind")):
        with pytest.raises(MachineError, match=r"moved, removed or replaced while it was open.*Bring back"):
            call()


def test_a_key_that_is_taken_is_our_error(path):
    store, error = Store(path), sa.exc.IntegrityError("", {}, sqlite3.IntegrityError("it is taken"))

    def fail(*_):
        raise error

    sa.event.listen(store._database._engine, "commit", fail)
    with pytest.raises(StoreError, match=r"keys of their own, but of .*store\.db: it is taken"):
        store.put("kind", {}, {})


def test_a_damaged_file_is_said(path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"is damaged: .*Bring back a copy"):
        read(path)
