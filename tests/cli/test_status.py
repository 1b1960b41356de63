"""What is said of where a search stands, by whatever store."""

import json
import os
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest

from paretonas.cli import console
from paretonas.cli import status as status_module
from paretonas.store import Store, Work, lease
from paretonas.testing.store import some_trial
from paretonas.trial import State


def flat(text):
    return " ".join(text.split())


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with the search `s` of ten trials: three are complete, one has failed, two run."""
    monkeypatch.setattr(lease, "FIRST", 0.02)
    monkeypatch.setattr(lease, "BEAT", 0.02)
    with closing(Store(tmp_path / "home" / "store.db")) as store:
        store.create_search("s", {"name": "s", "task": {"data": "digits"}, "budget": {"trials": 10}})
        store.add_trials("s", map(some_trial, range(6)))
        for number in range(3):
            store.update_trial("s", replace(some_trial(number), state=State.COMPLETE, told=number), seconds=7.0)
        error = "Traceback …\nTrainingError: it [b]diverged[/b]\x1b[2J"
        store.update_trial("s", replace(some_trial(3), state=State.FAILED, told=3, error=error))
        for number in (4, 5):
            store.update_trial("s", replace(some_trial(number), state=State.RUNNING))
        yield store


@pytest.fixture
def look(tmp_path, command):
    return lambda *words: command("--home", tmp_path / "home", "status", "s", *words)


def test_who_runs_a_search_and_what_runs_where_is_said(store, look):
    works = [Work(4, "training", "node-1", 65.0, 0.4), Work(5, "latency_ms.phone", "node-2", 3.0)]
    with store.hold("s"), store.telling("s", lambda: works):
        _until(lambda: store.standing("s").works)
        store.add_trials("s", [some_trial(6)])
        store.update_trial("s", replace(some_trial(6), state=State.COMPLETE, told=4))
        said, data = flat(look().out), json.loads(look("--json").out)
    assert "s: 5 of 10 trials ended (4 complete, 1 failed, 2 running)" in said
    assert f"held by process {os.getpid()} (" in said
    assert "4 training node-1 1 min 5 s 40% 5 latency_ms.phone node-2 3 s" in said
    assert "ended a minute in the last" in said
    assert "left: done at" in said
    assert "trial 3 failed, " in said
    assert "ago: TrainingError: it [b]diverged[/b]\\x1b[2J" in said
    assert data["running"][0] == {"trial": 4, "stage": "training", "node": "node-1", "seconds": 65.0, "share": 0.4}
    assert (data["trials"], data["ended"]) == ({"complete": 4, "failed": 1, "running": 2}, 5)
    assert data["runner"]["pid"] == os.getpid()
    assert data["runner"]["is_heard"]
    assert 0 < data["ended_per_minute"] <= 5 * 60
    assert data["seconds_left"] == pytest.approx(5 * 60 / data["ended_per_minute"])


def test_a_search_that_nobody_runs_says_how_to_go_on(store, look):
    assert "Nobody works on it. Go on with: paretonas resume s" in flat(look().out)
    data = json.loads(look("--json").out)
    assert (data["runner"], data["seconds_left"], data["ended_per_minute"], data["running"]) == (None, None, None, [])


def test_jobs_that_were_begun_again_are_said(store, look, tmp_path, command):
    assert ("begun again" in look().out, json.loads(look("--json").out)["retries"]) == (False, 0)
    assert "retries" not in command("--home", tmp_path / "home", "show", "s").out
    store.update_trial("s", replace(some_trial(4), state=State.RUNNING, retries=1))
    assert "once a job was begun again, as its worker or node was lost" in flat(look().out)
    store.update_trial("s", replace(some_trial(5), state=State.RUNNING, retries=2))
    assert "3 times a job was begun again, as its worker or node was lost" in flat(look().out)
    assert json.loads(look("--json").out)["retries"] == 3
    head, *rows = command("--home", tmp_path / "home", "show", "s").out.splitlines()[1:8]
    assert head.split() == ["trial", "state", "reward", "retries", "spec"]
    assert [row.split()[2:-1] for row in rows[3:6]] == [[], ["1"], ["2"]]
    trials = json.loads(command("--home", tmp_path / "home", "show", "s", "--json").out)["trials"]
    assert [trial["retries"] for trial in trials] == [0, 0, 0, 0, 1, 2]


def test_a_runner_that_was_killed_is_not_taken_for_one(store, look):
    child = os.fork()
    if not child:
        with store.hold("s"):
            time.sleep(0.3)
            os._exit(0)
    os.waitpid(child, 0)
    said = flat(look().out)
    assert f"Nobody works on it: process {child} (" in said
    assert "Go on with: paretonas resume s" in said


def test_watching_ends_with_the_search(store, look, monkeypatch):
    monkeypatch.setattr(status_module, "EVERY", 0.05)
    has_begun = threading.Event()

    def run():
        with store.hold("s"):
            has_begun.set()
            time.sleep(0.5)
            store.add_trials("s", map(some_trial, range(6, 10)))
            for number in range(4, 10):
                store.update_trial("s", replace(some_trial(number), state=State.COMPLETE, told=number))

    thread = threading.Thread(target=run)
    thread.start()
    has_begun.wait()
    said = look("--watch", "--json")
    thread.join()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert rows[0]["ended"] in (4, 10), said.err
    assert rows[-1]["ended"] == 10, said.err
    assert (rows[-1]["ended"], rows[-1]["runner"]) == (10, None)
    assert "its budget of trials is used up" in flat(look().out)


def test_an_unknown_search_is_an_error(store, command, tmp_path):
    said = command("--home", tmp_path / "home", "status", "other")
    assert (said.code, "Known: s" in said.err) == (2, True)
    assert not console.out.is_terminal


def _until(claim):
    deadline = time.monotonic() + 20
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.02)
