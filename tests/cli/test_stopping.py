"""Signals: one sentence, the exit code, no traceback."""

import importlib
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest

from paretonas.cli import stopping

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def _nothing_is_ignored():
    """Whoever runs the tests in the background has some signals ignored."""
    for number in stopping.SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def endings(monkeypatch):
    """Instead of ending the process: what it would have ended with."""
    codes = []

    def end(code):
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", end)
    return codes


def _ends(body, is_command=True):
    """The exit code of what runs in a command, or before any."""
    with pytest.raises(SystemExit) as end:
        _run(body, is_command)
    return end.value.code


def _run(body, is_command=True):
    stopping.watch()
    with stopping.unwound() if is_command else nullcontext():
        body()


@pytest.mark.parametrize("number", CODES)
def test_first_signal_unwinds_a_command_and_is_its_exit_code(number, capsys, endings):
    unwinding = []

    def work():
        stopping.say_when_stopped("Stopped; go on.")
        try:
            signal.raise_signal(number)
        finally:
            unwinding.append("done")

    assert (_ends(work), unwinding, endings) == (CODES[number], ["done"], [])
    assert capsys.readouterr().err == "Stopped; go on.\n"


def test_whatever_a_signal_is_turned_into_ends_as_stopped(capsys, endings):
    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("a library has caught it") from None

    assert _ends(work) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_second_signal_ends_at_once(capfd, endings):
    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)

    _ends(work)
    assert endings == [143]  # the first one's
    assert "Stopped.\n" in capfd.readouterr().err


def test_signal_before_a_command_ends_at_once(capfd, endings):
    _ends(lambda: signal.raise_signal(signal.SIGINT), is_command=False)
    assert endings == [130]
    assert "nothing was stored" in capfd.readouterr().err


def test_signal_in_the_middle_of_an_import_ends_at_once(tmp_path, monkeypatch, endings):
    (tmp_path / "interrupted_module.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _ends(lambda: importlib.import_module("interrupted_module"))
    assert endings == [130]


class _Fragile:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_interrupt_where_nothing_can_be_raised_ends_at_once(capfd, endings):
    _run(lambda: _Fragile() and None)
    assert endings == [130]
    assert "Stopped.\n" in capfd.readouterr().err


def test_ignored_signals_stay_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    stopping.watch()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signal.raise_signal(signal.SIGHUP)


def test_signal_after_a_command_ends_at_once_and_says_nothing(capfd, endings):
    def work():
        with stopping.unwound():
            pass
        signal.raise_signal(signal.SIGINT)

    _ends(work, is_command=False)
    assert endings == [130]
    assert capfd.readouterr().err == ""


def test_a_search_that_is_stopped_says_how_to_go_on(command, toy_search, monkeypatch):
    from paretonas.search.search import Search

    monkeypatch.setattr(Search, "run", lambda _: signal.raise_signal(signal.SIGTERM))
    said = command(*toy_search)
    assert said.code == 143
    assert said.err.endswith("Go on with: paretonas resume t\n")
    said = command(*toy_search[:2], "resume", "t")
    assert said.code == 143
    assert said.err.endswith("paretonas resume t\n")
    monkeypatch.setattr(Search, "prepare", lambda _: signal.raise_signal(signal.SIGINT))
    said = command(*(word if word != "t" else "t2" for word in toy_search))
    assert said.code == 130
    assert "nothing of the search is stored yet" in said.err


@pytest.mark.slow
def test_ctrl_c_again_and_again_at_any_time_is_no_traceback(tmp_path):
    """As a terminal sends it: to the whole group, workers and all."""
    words = ("search", "s", "--data", "digits", "--width", "0.25", "--trials", "50", "--target-ms", "1",
             "--recipe", "search:epochs=1", "--executor", "process:workers=2")  # fmt: skip
    for i, seconds in enumerate((1, 2, 3, 5, 7, 9, 12, 15, 20)):
        command = [sys.executable, "-m", "paretonas", "--home", str(tmp_path / str(i)), *words]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   start_new_session=True)  # fmt: skip
        time.sleep(seconds)
        for _ in range(1 + i % 3):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.05)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (130, -signal.SIGINT), err  # which a shell calls 130 too
        assert "Traceback" not in out + err, err
        assert "Exception ignored" not in err
        assert err.splitlines()[-1].startswith("Stopped")
