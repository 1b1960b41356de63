"""A lease of a server's store: it is renewed, it ends, and whoever lost it writes nothing more."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from paretonas.errors import MachineError, StoreError
from paretonas.store import Store, Work, holder, lease, row_lock
from paretonas.testing.store import some_trial


@pytest.fixture
def url(new_postgres):
    url = new_postgres()
    with closing(Store(url)) as store:
        store.create_search("s", {})
        store.add_trials("s", [some_trial(0)])
    return url


@pytest.fixture
def stores(url):
    """Two processes' stores, as it were."""
    with closing(Store(url)) as first, closing(Store(url)) as second:
        yield first, second


@pytest.fixture
def _elsewhere(monkeypatch):
    """Nobody knows whose processes are gone, as of those on another machine."""
    monkeypatch.setattr(holder, "_system", lambda: "")


@pytest.mark.usefixtures("_elsewhere")
def test_a_lease_ends_some_time_after_its_holder_and_the_taker_says_so(stores, monkeypatch, capfd):
    monkeypatch.setattr(row_lock, "LASTS", 0.5)
    monkeypatch.setattr(lease, "FIRST", 1000.0)
    first, second = stores
    with first.hold("s"):
        with pytest.raises(
            StoreError, match=r"process \d+ \(.*\) on .*, for 0 min. If it is gone, its lease ends in 1 s"
        ):
            second.hold("s").__enter__()
        assert capfd.readouterr().err == ""
        time.sleep(0.6)
        with second.hold("s"):
            assert "last heard of 1 s ago: its lease of 0 s has ended." in capfd.readouterr().err


@pytest.mark.usefixtures("_elsewhere")
def test_a_lease_is_renewed(stores, monkeypatch):
    monkeypatch.setattr(row_lock, "LASTS", 0.3)
    monkeypatch.setattr(lease, "FIRST", 0.03)
    monkeypatch.setattr(lease, "BEAT", 0.03)
    first, second = stores
    with first.hold("s"):
        time.sleep(0.5)
        with pytest.raises(StoreError, match="another one holds 's'"):
            second.hold("s").__enter__()
    with second.hold("s"):
        pass


@pytest.mark.usefixtures("_elsewhere")
def test_who_has_lost_its_lease_writes_nothing_more(stores, monkeypatch):
    monkeypatch.setattr(row_lock, "LASTS", 0.2)
    monkeypatch.setattr(lease, "FIRST", 1000.0)
    first, second = stores
    with first.hold("s"):
        time.sleep(0.3)
        first.set_seconds("s", 1.0)  # nobody has taken it
        with second.hold("s"):
            for call in (
                lambda: first.add_trials("s", [some_trial(1)]),
                lambda: first.update_trial("s", some_trial(0)),
                lambda: first.set_seconds("s", 2.0),
                lambda: first.set_config("s", {"a": 1}),
                lambda: first.delete_search("s"),
            ):
                with pytest.raises(
                    MachineError, match=r"not heard of for longer than its lease of .* and process \d+ "
                ):
                    call()
            second.add_trials("s", [some_trial(2)])
    assert [trial.number for trial in second.trials("s")] == [0, 2]
    assert second.seconds("s") == 1.0


def test_what_the_first_gives_back_is_not_the_seconds(stores, monkeypatch):
    monkeypatch.setattr(row_lock, "LASTS", 0.0)
    first, second = stores
    hold = first.hold("s")
    hold.__enter__()
    with second.hold("s"):
        hold.__exit__(None, None, None)
        assert second.standing("s").runner is not None
        second.set_seconds("s", 3.0)
    assert second.standing("s").runner is None


def test_one_of_many_that_take_a_search_at_once_has_it(url):
    stores = [Store(url) for _ in range(6)]
    holds = [store.hold("s") for store in stores]

    def take(hold):
        try:
            hold.__enter__()
        except StoreError:
            return None
        return hold

    with ThreadPoolExecutor(6) as pool:
        taken = [hold for hold in pool.map(take, holds) if hold is not None]
    assert len(taken) == 1
    taken[0].__exit__(None, None, None)
    for store in stores:
        store.close()


def test_what_is_told_is_read_by_others(stores, monkeypatch):
    monkeypatch.setattr(lease, "FIRST", 0.05)
    monkeypatch.setattr(lease, "BEAT", 0.05)
    first, second = stores
    work = Work(0, "training", "node-7", 3.5, 0.25)
    with first.hold("s"), first.telling("s", lambda: [work]):
        _until(lambda: second.standing("s").works == (work,))
        runner = second.standing("s").runner
        assert runner.is_heard
        assert runner.silence < 5
    assert second.standing("s").works == ()


def test_who_cannot_say_what_it_is_at_is_there_all_the_same(stores, monkeypatch):
    monkeypatch.setattr(lease, "FIRST", 0.05)
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(row_lock, "LASTS", 0.3)
    first, second = stores
    with first.hold("s"), first.telling("s", lambda: 1 / 0):
        time.sleep(0.4)
        assert second.standing("s").runner.is_heard


HOLDER = """
import sys
from paretonas.store import Store, row_lock
from paretonas.testing.store import some_trial

row_lock.LASTS = float(sys.argv[2])
store = Store(sys.argv[1])
with store.hold("s"):
    print("held", flush=True)
    for line in sys.stdin:
        store.set_seconds("s", float(line))
        print("written", flush=True)
"""


@pytest.fixture
def held(url):
    """Starts a process that holds the search, with a lease of so many seconds."""
    processes = []

    def hold(lasts):
        words = [sys.executable, "-c", HOLDER, url, str(lasts)]
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def test_a_killed_holder_of_this_machine_is_known_to_be_gone(held, stores, capfd):
    process, (store, _) = held(60), stores
    with pytest.raises(StoreError, match=f"process {process.pid} "):
        store.hold("s").__enter__()
    process.kill()
    process.wait()
    with store.hold("s"):
        assert f"Going on in the place of process {process.pid} (" in capfd.readouterr().err


@pytest.mark.slow
def test_a_holder_that_was_paused_for_longer_than_its_lease_stops(held, stores, capfd):
    process, (store, _) = held(2), stores
    process.stdin.write("1\n")
    process.stdin.flush()
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(StoreError, match="its lease ends in"):
        store.hold("s").__enter__()
    time.sleep(3.0)
    with store.hold("s"):
        assert "its lease of 2 s has ended" in capfd.readouterr().err
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate("2\n")
        assert process.returncode == 1
        assert "MachineError: A search is written by one process at a time, but this one was not heard of" in err
        store.set_seconds("s", 5.0)
    assert store.seconds("s") == 5.0


def _until(claim):
    deadline = time.monotonic() + 20
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.02)
