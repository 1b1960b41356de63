import os
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock, Timeout

from paretonas.device import lock
from paretonas.device.lock import measuring_lock
from paretonas.device.runner.moment import lock_files
from paretonas.errors import MachineError

HOLD = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from paretonas.device.lock import measuring_lock
with measuring_lock("here"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Keep out of the way of real measurements on this machine."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_lock_is_held_and_let_go(own_folder):
    path, note = lock_files("here")
    with measuring_lock("here"):
        assert path.parent == note.parent == own_folder
        with pytest.raises(Timeout):
            FileLock(path).acquire(timeout=0)
        assert note.read_text(encoding="utf-8").startswith(f"process {os.getpid()} (")
    assert not note.exists()
    with FileLock(path).acquire(timeout=0):
        pass


def test_an_error_inside_lets_go():
    with pytest.raises(ZeroDivisionError), measuring_lock("here"):
        _ = 1 / 0
    with FileLock(lock_files("here")[0]).acquire(timeout=0):
        pass


def test_two_machines_do_not_exclude_each_other():
    with measuring_lock("here"), measuring_lock("adb:192.168.0.7/5555"):
        pass


def test_who_waits_longer_says_for_whom(own_folder, monkeypatch, capsys):
    monkeypatch.setattr(lock, "SILENT", 0.2)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(own_folder), "search  my\nrun"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        held = threading.Event()

        def wait():
            with measuring_lock("here"):
                held.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not held.wait(0.6)
        holder.stdin.close()
        thread.join(timeout=60)
    assert held.is_set()
    expected = (
        f"Waiting for process {holder.pid} (-c {own_folder} search my run), which is measuring on this machine.\n"
    )
    assert capsys.readouterr().err == expected  # once


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b" \n"])
def test_a_note_that_cannot_be_read_is_another_process(content, monkeypatch, capsys):
    monkeypatch.setattr(lock, "SILENT", 0.0)
    path, note = lock_files("pi@raspberry")
    if content is not None:
        note.write_bytes(content)
    held = threading.Event()

    def hold():
        with FileLock(path):
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with measuring_lock("pi@raspberry"):
        pass
    thread.join()
    assert capsys.readouterr().err == "Waiting for another process, which is measuring on pi@raspberry.\n"


def test_nothing_is_said_where_nobody_is_waited_for(capsys):
    with measuring_lock("here"):
        pass
    assert capsys.readouterr().err == ""


def test_a_lock_that_cannot_be_had_is_the_machines_fault(own_folder, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(own_folder / "nothing" / "file"))
    (own_folder / "nothing").touch()
    with pytest.raises(MachineError, match=r"holds the lock .*paretonas-measuring-here"), measuring_lock("here"):
        pass


def test_a_system_without_user_numbers_has_a_lock(monkeypatch):
    monkeypatch.delattr(os, "getuid")
    assert lock_files("here")[0].name == "paretonas-measuring-here-own.lock"
