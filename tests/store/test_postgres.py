"""A server's store: what cannot be is said with its remedy; what passes is waited for, and nothing is lost."""

import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from postgres_server import PASSWORD, QUOTED

from paretonas.errors import MachineError, MissingPackageError, StoreError
from paretonas.store import Store, row_lock
from paretonas.testing.store import some_trial
from paretonas.trial import State


@pytest.fixture
def url(new_postgres):
    """Of an empty database."""
    return new_postgres()


@pytest.fixture
def store(url):
    store = Store(url)
    yield store
    store.close()


def name_in(url):
    """Of a database."""
    return unquote(url.rpartition("/")[2])


# What cannot be


@pytest.mark.parametrize(
    ("user", "database", "port", "problem"),
    [
        ("me:wrong", "nas", None, 'password authentication failed for user "me".*Mend user and password of the URL'),
        ("me", "nas", None, "no password supplied.*a password may stand in PGPASSWORD or in ~/.pgpass"),
        (f"me:{QUOTED}", "no such; db", None, r"createdb -h 127\.0\.0\.1 -p \d+ -U me 'no such; db'$"),
        ("nobody:x", "nas", None, "password authentication failed"),
        (f"me:{QUOTED}", "nas?colour=red", None, 'invalid connection option "colour".*Mend the options'),
    ],
)
def test_what_cannot_be_is_said_at_once(postgres, monkeypatch, user, database, port, problem):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    location = postgres.url(user=user).removesuffix("postgres") + database.replace(" ", "%20").replace(";", "%3B")
    with pytest.raises(StoreError, match=problem) as caught:
        Store(location)
    said = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in said
    assert QUOTED not in said
    assert "wrong" not in said


def test_a_host_that_is_not_there_is_said_at_once():
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=r"failed to resolve host 'nowhere\.invalid'.*Mend the host"):
        Store("postgresql://nowhere.invalid/nas")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(MachineError, match=r"Connection refused.*See to the server, then go on"):
        Store(f"postgresql://127.0.0.1:{port}/nas")


def test_the_driver_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'psycopg\[binary\]'$"):
        Store("postgresql://here/nas")


def test_the_database_of_another_program_is_refused_and_left_as_it_was(postgres, url):
    name = name_in(url)
    postgres.execute("CREATE TABLE bookmarks (a int)", database=name)
    with pytest.raises(StoreError, match=r"has tables of another program \(bookmarks\).*createdb -h 127\.0\.0\.1"):
        Store(url)
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    assert postgres.execute(tables, database=name) == [(1,)]


def test_a_schema_of_its_own_is_a_store(postgres, url):
    name = name_in(url)
    postgres.execute("CREATE TABLE bookmarks (a int)", "CREATE SCHEMA nas", database=name)
    with closing(Store(f"{url}?options=-csearch_path%3Dnas")) as store:
        store.create_search("s", {})
        assert [search.name for search in store.searches()] == ["s"]


@pytest.mark.parametrize(("version", "age"), [(3, "an older"), (99, "a newer")])
def test_a_store_of_another_version_is_refused(postgres, url, store, version, age):
    store.create_search("s", {})
    name = name_in(url)
    postgres.execute(f"UPDATE schema SET version = {version}", database=name)
    with pytest.raises(StoreError, match=f"has {version}, of {age} version"):
        Store(url)


def test_who_may_only_read_reads(postgres, url, store):
    store.create_search("s", {"seed": 1})
    name = name_in(url)
    role = "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN PASSWORD 'x'"
    postgres.execute(*role, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest", database=name)
    with closing(Store(url.replace(f"me:{QUOTED}", "guest:x"))) as read:
        assert read.config("s") == {"seed": 1}
        assert read.standing("s").runner is None
        for call in (lambda: read.put("kind", {}, {}), lambda: read.hold("s").__enter__()):
            with pytest.raises(MachineError, match=r"permission denied for table .*who writes ALL on both"):
                call()
    postgres.execute("DROP OWNED BY guest", "DROP ROLE guest", database=name)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_any_encoding_of_a_database_takes_our_text(postgres, encoding):
    postgres.execute("DROP DATABASE IF EXISTS old", f"CREATE DATABASE old ENCODING '{encoding}' TEMPLATE template0")
    with closing(Store(postgres.url("old"))) as store:
        store.create_search("s", {"colour": "grün, 緑"})
        assert store.config("s") == {"colour": "grün, 緑"}


def test_any_text_of_an_error_is_kept(store):
    store.create_search("s", {})
    store.add_trials("s", [some_trial(0)])
    store.update_trial("s", replace(some_trial(0), state=State.FAILED, error="a\0b \udcff \ud800 grün", told=0))
    assert store.trials("s")[0].error == "a\\x00b \\udcff \\ud800 grün"


def test_a_program_that_keeps_what_we_need_is_waited_for_and_then_named(url, store, monkeypatch):
    monkeypatch.setattr(row_lock, "WAITING", "200ms")
    store.create_search("s", {})
    with store.hold("s"):
        psycopg = pytest.importorskip("psycopg")
        with closing(psycopg.connect(url)) as other:
            other.execute("SELECT * FROM holds FOR UPDATE")
            with closing(Store(url)) as second, pytest.raises(MachineError, match="Another transaction stands in the"):
                second.hold("s").__enter__()


# What passes


def cut(postgres):
    """All connections of stores."""
    postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'paretonas'")


def test_connections_that_are_cut_lose_nothing(postgres, url, store, capfd):
    store.create_search("s", {})
    store.add_trials("s", [some_trial(0)])
    has_ended = threading.Event()

    def disturb():
        while not has_ended.wait(0.03):
            cut(postgres)

    thread = threading.Thread(target=disturb)
    thread.start()
    for i in range(15):
        store.add_trials("s", [some_trial(i + 1)])
        store.update_trial("s", replace(some_trial(i), state=State.COMPLETE, told=i))
        store.put("kind", {"i": i}, {"value": i})
        assert store.get("kind", {"i": i}) == {"value": i}
    has_ended.set()
    thread.join()
    assert [trial.told for trial in store.trials("s")] == [*range(15), None]
    assert len(store.evaluations("kind")) == 15


def test_a_server_that_was_killed_is_waited_for(postgres, store, capfd):
    store._database._backend.silent, store._database._backend.pauses = 0.0, (0.05, 0.1)
    store.create_search("s", {})
    written = []

    def write():
        for i in range(200):
            store.add_trials("s", [some_trial(i)])
            written.append(i)
            if len(written) > 30 and has_returned.is_set():
                return

    has_returned = threading.Event()
    thread = threading.Thread(target=write)
    thread.start()
    while len(written) < 5:
        time.sleep(0.01)
    postgres.kill()
    postgres.start()
    has_returned.set()
    thread.join()
    assert [trial.number for trial in store.trials("s")] == written
    assert "Trying again for 120 s." in capfd.readouterr().err


def test_patience_ends_with_how_to_go_on(postgres, store, monkeypatch):
    store.create_search("s", {})
    store._database._backend.patience = 0.2
    postgres.kill()
    try:
        with pytest.raises(MachineError, match=r"cannot be reached: .*See to the server, then go on: nothing"):
            store.trials("s")
    finally:
        postgres.start()
    assert store.trials("s") == []


def test_what_was_waited_for_in_vain_is_not_waited_for_by_what_ends_a_session(postgres, store, monkeypatch, capfd):
    backend = store._database._backend
    backend.patience, backend.silent = 0.2, 0.0

    def session(name):
        store.create_search(name, {})
        with store.hold(name):
            postgres.kill()
            try:
                store.set_seconds(name, 1.0)
            finally:
                with suppress(MachineError):
                    store.set_seconds(name, 2.0)

    def stop(seconds):
        raise KeyboardInterrupt

    try:
        with pytest.raises(MachineError, match="See to the server"):
            session("s")
        postgres.start()
        backend.patience = 60.0
        with monkeypatch.context() as stopped:
            stopped.setattr("paretonas.store.database.time", SimpleNamespace(monotonic=time.monotonic, sleep=stop))
            with pytest.raises(KeyboardInterrupt):
                session("t")
    finally:
        postgres.start()
    assert capfd.readouterr().err.count("Trying again for") == 2  # once a session
    assert [store.seconds(name) for name in "st"] == [0.0, 0.0]


@contextmanager
def through_a_bad_line(postgres, word, times):
    """A port that passes all on to the server, but loses the answer when the client has sent a word."""
    listening, left = socket.create_server(("127.0.0.1", 0)), [times]

    def serve():
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", postgres.port))
            threading.Thread(target=pump, args=(server, client, None), daemon=True).start()
            threading.Thread(target=pump, args=(client, server, word), daemon=True).start()

    def pump(source, sink, cut_at):
        with source, sink:
            while data := receive(source):
                if cut_at is not None and cut_at in data and left[0]:
                    left[0] -= 1
                    sink.sendall(data)
                    source.shutdown(socket.SHUT_RDWR)
                    time.sleep(0.1)  # the server does what it was told
                    return
                try:
                    sink.sendall(data)
                except OSError:
                    return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1], left
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def receive(source):
    try:
        return source.recv(65536)
    except OSError:
        return b""


def test_what_was_committed_though_nobody_heard_is_not_refused_the_second_time(postgres, url):
    Store(url).close()
    with through_a_bad_line(postgres, b"COMMIT", times=0) as (port, left):
        store = Store(url.replace(str(postgres.port), str(port)))
        with closing(store):
            store.put("kind", {}, {})
            left[0] = 1
            store.create_search("s", {"seed": 1})
            assert left[0] == 0
            left[0] = 1
            store.add_trials("s", [some_trial(0), some_trial(1)])
            assert left[0] == 0
            with pytest.raises(StoreError, match="number of its own"):
                store.add_trials("s", [some_trial(1), some_trial(2)])
            with pytest.raises(StoreError, match="'s' exists"):
                store.create_search("s", {"seed": 1})
            assert [trial.number for trial in store.trials("s")] == [0, 1]


WRITER = """
import sys
from dataclasses import replace
from paretonas.store import Store
from paretonas.testing.store import some_trial
from paretonas.trial import State

store, me = Store(sys.argv[1]), int(sys.argv[2])
name = f"s{me}"
store.create_search(name, {"seed": me})
with store.hold(name):
    for i in range(50):
        store.add_trials(name, [some_trial(i)])
        store.put("own", {"me": me, "i": i}, {"value": i})
        store.put("shared", {"i": i}, {"value": i})
        store.update_trial(name, replace(some_trial(i), state=State.COMPLETE, told=i), seconds=float(i))
        assert store.get("shared", {"i": i}) == {"value": i}
        assert len(store.trials(name)) == i + 1
        store.searches(), store.standing(name)
store.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_cut", [False, True])
def test_eight_processes_write_and_read_at_once(postgres, url, is_cut):
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, str(i)], stderr=subprocess.PIPE, text=True)
        for i in range(8)
    ]
    while is_cut and any(process.poll() is None for process in processes):
        time.sleep(0.2)
        cut(postgres)
    said = [process.communicate()[1].splitlines() for process in processes]
    ends = [process.returncode for process in processes]
    assert ends == [0] * 8, "\n".join(line for end, lines in zip(ends, said, strict=True) if end for line in lines)
    assert all(line.endswith("Trying again for 120 s.") for lines in said for line in lines)
    with closing(Store(url)) as store:
        assert all(len(store.trials(f"s{i}")) == 50 and store.seconds(f"s{i}") == 49.0 for i in range(8))
        assert len(store.evaluations("own")) == 400
        assert len(store.evaluations("shared")) == 50
        assert store.standing("s0").runner is None


def test_a_server_store_is_copied_into_a_file(store, tmp_path):
    store.create_search("s", {"seed": 1})
    store.add_trials("s", [replace(some_trial(i), seed=2**40) for i in range(1100)])
    store.put("kind", {"a": 1}, {"b": 2})
    with store.hold("s"):
        store.copy_to(tmp_path / "a?b#c [1].db")
    with closing(Store(tmp_path / "a?b#c [1].db")) as copy:
        assert copy.trials("s") == store.trials("s")
        assert copy.searches() == store.searches()
        assert copy.get("kind", {"a": 1}) == {"b": 2}
        assert copy.standing("s").runner is None
    assert [path.name for path in tmp_path.iterdir()] == ["a?b#c [1].db"]
