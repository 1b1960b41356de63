"""Kill -9 in the middle of a real search with worker processes; resuming loses nothing that was finished."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from paretonas.search.search import open_search
from paretonas.store import Store
from paretonas.testing.replay import replayed_proposals
from paretonas.trial import State


def _command(home, *words):
    return [sys.executable, "-m", "paretonas", "--home", str(home), *words]


def _states(home):
    try:
        with closing(sqlite3.connect(home / "store.db")) as connection:
            return [state for (state,) in connection.execute("SELECT state FROM trials")]
    except sqlite3.OperationalError:  # it is not made yet
        return []


def _wait_for(claim, what, seconds=200):
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.1)


def _children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "workers", "number"), [(signal.SIGKILL, 1, 5), (signal.SIGTERM, 2, 10)])
def test_a_killed_search_resumes_without_loss(tmp_path, sent, workers, number):
    process = subprocess.Popen(
        _command(
            tmp_path, "search", "s", "--data", "digits", "--width", "0.25", "--trials", str(number), "--target-ms", "1",
            "--strategy", "regularized-evolution:population=3,tournament=2",
            "--recipe", "search:epochs=1,batch_size=64,layout=channels-last,precision=float32",
            "--executor", f"process:workers={workers}",
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    _wait_for(lambda: _states(tmp_path).count("complete") >= 2 or process.poll() is not None, "two complete trials")
    assert process.poll() is None, process.stderr.read()
    children = _children(process.pid)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    if sent == signal.SIGTERM:
        assert process.returncode == 143
        assert "paretonas resume s" in err
    _wait_for(lambda: not any(map(_is_alive, children)), "the workers to end")
    before = {t.number: t for t in Store(tmp_path / "store.db").trials("s") if t.state is State.COMPLETE}
    assert len(before) >= 2

    done = subprocess.run(_command(tmp_path, "resume", "s"), capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "store.db")
    trials = store.trials("s")
    assert [t.number for t in trials] == list(range(number))
    assert {t.state for t in trials} == {State.COMPLETE}
    assert {t.number: t for t in trials if t.number in before} == before
    assert sorted(t.told for t in trials) == list(range(number))
    search = open_search("s", store, tmp_path)
    assert replayed_proposals(search.plan(), trials, batch=4 * workers) == [t.architecture for t in trials]
