"""A search is written by one process at a time, however that process names the store."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from paretonas.errors import MachineError, StoreError
from paretonas.store import Store, lease
from paretonas.store.holder import Holder

HOLDER = """
import sys
from paretonas.store import Store

with Store(sys.argv[1]).hold(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    Store(tmp_path / "store.db").create_search("cats", {})
    return tmp_path / "store.db"


@pytest.fixture
def held(tmp_path):
    """Starts a process that holds a search until its input ends or it is killed."""
    script, processes = tmp_path / "holder.py", []
    script.write_text(HOLDER)

    def hold(location, name="cats"):
        words = [sys.executable, str(script), str(location), name]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.communicate()


def is_free(location, name="cats"):
    store = Store(location)
    try:
        with store.hold(name):
            return True
    except StoreError:
        return False


@pytest.fixture
def names(path, tmp_path, monkeypatch):
    """Ways to name one file."""
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return {
        "path": path,
        "url": f"sqlite:///{path}",
        "url with an option": f"sqlite:///{path}?timeout=5",
        "uri": f"sqlite:///file:{path}?uri=true",
        "relative": "store.db",
        "relative url": "sqlite:///store.db",
        "link": tmp_path / "link.db",
        "through a linked folder": tmp_path / "folder" / "store.db",
        "with dots": f"{tmp_path}/empty/../store.db",
    }


@pytest.mark.parametrize("theirs", ["path", "url"])
def test_names_of_one_file_exclude_each_other(held, names, theirs):
    process = held(names[theirs])
    assert [name for name, location in names.items() if is_free(location)] == []
    assert [name for name, location in names.items() if is_free(location, "dogs")] == list(names)
    process.communicate()
    assert [name for name, location in names.items() if is_free(location)] == list(names)


def test_the_message_names_the_process_and_its_command(held, path):
    process = held(path)
    with pytest.raises(StoreError) as caught, Store(path).hold("cats"):
        pass
    message = str(caught.value)
    assert f"process {process.pid} (" in message
    assert f"holder.py {path} cats" in message
    assert f"cats) on {socket.gethostname()}, for 0 min" in message
    process.communicate()
    assert not list(path.parent.glob("store.db.locks/*.holder"))  # who ends leaves no word of itself


def test_a_killed_holder_frees_the_search_for_another_which_is_named_in_its_place(held, path):
    first = held(path)
    first.kill()
    first.wait()
    assert is_free(path)
    second = held(f"sqlite:///{path}")
    with pytest.raises(StoreError, match=f"process {second.pid} "), Store(path).hold("cats"):
        pass


def test_the_note_of_a_killed_holder_is_not_taken_for_anothers(held, path, monkeypatch):
    first = held(path)
    first.kill()
    first.wait()
    monkeypatch.setattr(Path, "write_text", no_space)  # the next one cannot leave a note
    with Store(path).hold("cats"), pytest.raises(StoreError, match=r"another one holds 'cats'\.$"):
        Store(path).hold("cats").__enter__()


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said(path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(MachineError, match=f"{os.strerror(number)}.* A local disk has locks"):
        Store(path).hold("cats").__enter__()


def test_the_words_of_a_holder_command_no_terminal():
    said = str(Holder(7, "lab\x07", "paretonas \x1b[2J grün\u202e \udcff"))
    assert said == r"process 7 (paretonas \x1b[2J grün\u202e \udcff) on lab\x07"


def test_a_holder_is_heard_of_again_whatever_came_up_once(path, monkeypatch):
    monkeypatch.setattr(lease, "FIRST", 0.01)
    monkeypatch.setattr(lease, "BEAT", 0.01)
    store, beats, again = Store(path), [], threading.Event()

    def beat(*_):
        beats.append(1)
        if len(beats) == 1:
            raise OSError(errno.EINTR, "Interrupted")
        again.set()

    monkeypatch.setattr(store._database.leases._lock, "beat", beat)
    with store.hold("cats"):
        assert again.wait(20)


def test_a_search_is_not_held_by_who_cannot_say_so(path, monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", start)
        with pytest.raises(MachineError, match=r"can't start new thread\. Close programs"):
            Store(path).hold("cats").__enter__()
    assert is_free(path)


def test_holder_that_nobody_can_read_is_not_named(path):
    holder = path.with_name("store.db.locks") / "cats.holder"
    with Store(path).hold("cats"):
        for text in ("", "{", "[]", "{}", '{"pid": "x", "command": "y", "since": 0}', "\x00", None):
            holder.unlink() if text is None else holder.write_text(text)
            with pytest.raises(StoreError, match=r"another one holds 'cats'\.$"), Store(path).hold("cats"):
                pass


def test_files_beside_each_other_have_holds_of_their_own(path, tmp_path):
    Store(tmp_path / "other.db").create_search("cats", {})
    with Store(path).hold("cats"):
        assert is_free(tmp_path / "other.db")
        assert not is_free(path)


def test_stores_in_memory_are_held_by_nobody_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for location in ("sqlite://", "sqlite:///:memory:"):
        first, second = Store(location), Store(location)
        with first.hold("cats"), second.hold("cats"):
            pass
    assert os.listdir(tmp_path) == []


def test_reading_writes_no_locks(path):
    store = Store(path)
    store.trials("cats")
    store.searches()
    assert not path.with_name("store.db.locks").exists()
