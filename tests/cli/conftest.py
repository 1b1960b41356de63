"""A command in this process, and a home with a search of made-up numbers: nothing is trained or timed."""

import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paretonas import cli
from paretonas.cli import measuring, predicting
from paretonas.space import Architecture
from paretonas.store import Store
from paretonas.trial import State, Trial


@pytest.fixture
def made(tmp_path):
    """A home with the search `s`, whose trial 1 has failed with an error of several lines."""
    store = Store(tmp_path / "home" / "store.db")
    store.create_search("s", {"name": "s", "task": {"name": "classification", "data": "[b]cats[/b]"}, "device": [{}]})
    metrics = {"accuracy": 0.9, "latency_ms": 2.0, "params": 1200.0}
    complete = Trial(0, Architecture("toy", (1,)), "a" * 16, State.COMPLETE, metrics, reward=0.9, told=0)
    error = "Traceback\n  in \x1b[2J[red]file[/red]\nValueError: no"
    store.add_trials("s", [complete, Trial(1, Architecture("toy", (2,)), "b" * 16, State.FAILED, error=error, told=1)])
    store.close()
    return tmp_path / "home"


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `paretonas WORDS` and gives its exit code, standard output and standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["paretonas", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return SimpleNamespace(code=end.value.code or 0, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def in_this_process(monkeypatch):
    """What a command does in a process of its own, so that it can be ended, is done in this one."""

    def at_once(function, *args, seconds=None):
        return function(*args)

    for module in (measuring, predicting):
        monkeypatch.setattr(module, "alone", at_once)


@pytest.fixture
def toy_search(tmp_path):
    """Words of a search `t` of a table of nine networks, in a home of its own."""
    rows = [[a, b] for a in range(3) for b in range(3)]
    columns = {"ops": rows, "acc": [0.5 + 0.05 * sum(row) for row in rows], "ms": [1.0 + row[0] for row in rows]}
    pq.write_table(pa.table(columns), tmp_path / "toy.parquet")
    words = ("--data", f"table:{tmp_path / 'toy.parquet'}", "--metric", "acc", "--latency", "ms", "--trials", "4")
    return ("--home", tmp_path / "home", "search", "t", *words, "--strategy", "random")
