"""Calls of the system that fail or kill: what a search comes to is the same, and no file is torn."""

import importlib
import itertools
import json
import shutil
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from paretonas import Store
from paretonas.space import Architecture
from paretonas.trial import State, Trial

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
faults, kills, syscalls, wholeness = map(importlib.import_module, ("faults", "kills", "syscalls", "wholeness"))

SEED = 12
HOME = Path("/runs")
EACH = 8
"""Faults of each kind that a search of a table goes through here; the campaign has more."""
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace: apt-get install strace")


# Traces

TRACE = """\
71  mkdir("/runs", 0777) = -1 EEXIST (File exists)
71  write(3</runs/a.json.host.71.part>, ""..., 80) = 80
72  write(1<pipe:[5]>, ""..., 4) = 4
71  write(4</runs/store.db-wal>, ""..., 24 <unfinished ...>
71  <... write resumed>) = 24
71  fsync(3</runs/a.json.host.71.part>) = 0
71  rename("/runs/a.json.host.71.part", "/runs/a.json") = 0
71  unlinkat(5</runs/cache>, "old.npy", 0) = 0
72  renameat2(AT_FDCWD</home>, "/runs/b", AT_FDCWD</home>, "c", 0) = -1 EIO (Input/output error) (INJECTED)
71  fsync(6</runs/gone.part>(deleted)) = 0
72  +++ killed by SIGKILL +++
"""


def calls(text):
    return syscalls.read_calls(text.splitlines())


def test_calls_are_read_with_their_paths_and_numbers():
    assert [(c.thread, c.name, c.nth, c.paths, c.is_done) for c in calls(TRACE)] == [
        (71, "mkdir", 1, ("/runs",), False),
        (71, "write", 1, ("/runs/a.json.host.71.part",), True),
        (72, "write", 1, (), True),
        (71, "write", 2, ("/runs/store.db-wal",), True),
        (71, "fsync", 1, ("/runs/a.json.host.71.part",), True),
        (71, "rename", 1, ("/runs/a.json.host.71.part", "/runs/a.json"), True),
        (71, "unlinkat", 1, ("/runs/cache/old.npy",), True),
        (72, "renameat2", 1, ("/runs/b", "/home/c"), False),
        (71, "fsync", 2, ("/runs/gone.part",), True),
    ]


WRITE, SYNC = '7 write(3</runs/a.part>, ""..., 9) = 9\n', "7 fsync(3</runs/a.part>) = 0\n"
SYNC_FAILED = SYNC.replace("= 0", "= -1 EIO (Input/output error)")
RENAME, SYNC_FOLDER = '7 rename("/runs/a.part", "/runs/a") = 0\n', "7 fsync(4</runs>) = 0\n"
UNSYNCED = "/runs/a.part is renamed before it is synced"
UNNAMED = "the folder of /runs/a is not synced after the rename"


@pytest.mark.parametrize(
    ("trace", "broken"),
    [
        (WRITE + SYNC + RENAME + SYNC_FOLDER, []),
        (WRITE + RENAME + SYNC_FOLDER, [UNSYNCED]),
        (WRITE + SYNC + WRITE + RENAME + SYNC_FOLDER, [UNSYNCED]),
        (WRITE + SYNC_FAILED + RENAME + SYNC_FOLDER, [UNSYNCED]),
        (WRITE + SYNC + RENAME, [UNNAMED]),
        (WRITE + SYNC + RENAME + SYNC_FOLDER.replace("7 ", "8 "), [UNNAMED]),
        ('7 write(3</runs/page.html>, ""..., 9) = 9\n', ["/runs/page.html is written under its own name"]),
        ('7 pwrite64(3</runs/store.db-wal>, ""..., 9, 0) = 9\n', []),
        ('7 write(3</elsewhere/page.html>, ""..., 9) = 9\n', []),
        (
            '7 write(3</runs/draft/a.npy>, ""..., 9) = 9\n7 rename("/runs/draft", "/runs/b") = 0\n' + SYNC_FOLDER,
            ["/runs/draft/a.npy is renamed before it is synced"],
        ),
        (
            '7 write(3</runs/draft/a.npy>, ""..., 9) = 9\n7 unlink("/runs/draft/a.npy") = 0\n'
            '7 rename("/runs/draft", "/runs/b") = 0\n' + SYNC_FOLDER,
            [],
        ),
    ],
)  # fmt: skip
def test_rules_of_files_are_read_from_a_trace(trace, broken):
    assert syscalls.rule_breaks(calls(trace), HOME) == broken


def test_faults_are_said_as_strace_reads_them():
    assert syscalls.Fault("KILL", "rename", 3).option == "inject=rename:signal=KILL:when=3"
    assert syscalls.Fault("EIO", "fsync", 1).option == "inject=fsync:error=EIO:when=1"
    assert syscalls.Fault("ENOSPC+", "pwrite64", 9).option == "inject=pwrite64:error=ENOSPC:when=9+"


def test_any_beginning_of_the_faults_has_every_kind_of_call_and_file():
    made = [syscalls.Call(7, "pwrite64", n, ("store.db-wal",)) for n in range(1, 90)]
    made += [syscalls.Call(7, "rename", 1, ("a.json.part", "a.json")), syscalls.Call(7, "fsync", 1, ("a.json.part",))]
    expected = faults.Undisturbed({}, tuple(made), 7, ())
    found = faults.faults_of(expected, Random(SEED))
    every = {(kind, name) for kind, names in syscalls.FAULTS.items() for name in names}
    assert len(found) == len(set(found)) == 4 * 89 + 3 * 2
    assert {(fault.kind, fault.name) for fault in found[:10]} == {
        pair for pair in every if pair[1] in ("pwrite64", "rename", "fsync")
    }
    assert found == faults.faults_of(expected, Random(SEED))
    elsewhere = faults.faults_of(replace(expected, first=8), Random(SEED))
    assert {fault.kind for fault in elsewhere} == {"ENOSPC", "ENOSPC+", "EIO"}
    assert not any(fault.is_of_first for fault in elsewhere)


@pytest.mark.parametrize(
    ("code", "said", "problem"),
    [
        (0, "done", None),
        (1, "error: No space left on device. Free some space, then go on.", None),
        (1, "", "without saying why"),
        (2, "error: A store is", "exit code is 2"),
        (1, "Traceback (most recent call last)", "a traceback"),
        (-9, "", "exit code is -9"),
    ],
)
def test_a_command_absorbs_an_error_or_says_it(code, said, problem):
    found = faults.judged(syscalls.Ran(code, said, 1.0), syscalls.Fault("ENOSPC", "write", 1))
    assert found == [] if problem is None else problem in found[0]


# Homes


def test_half_a_file_is_found_and_whole_ones_are_not(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    np.save(tmp_path / "b.npy", np.arange(100))
    save_file({"w": np.arange(100)}, tmp_path / "c.safetensors")
    with sqlite3.connect(tmp_path / "d.db") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    connection.close()
    assert wholeness.torn(tmp_path) == []
    (tmp_path / "e.onnx").touch()
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "f.json.host.7.part").touch()
    assert [line.partition(" ")[0] for line in wholeness.torn(tmp_path)] == [
        "a.json", "b.npy", "c.safetensors", "d.db", "e.onnx",
    ]  # fmt: skip
    assert wholeness.left_over(tmp_path) == ["f.json.host.7.part was left"]


def test_trials_are_compared_but_for_what_a_clock_says(tmp_path):
    def described(home, **change):
        store = Store(home / wholeness.STORE)
        store.create_search("s", {})
        metrics = {"accuracy": 0.5, "latency_ms": 2.0, "final_examples_per_second": 3.0}
        usual = {"metrics": metrics, "told": 0, "seconds": 1.0}
        store.add_trials("s", [Trial(0, Architecture("toy", (1,)), "a" * 16, State.COMPLETE, **{**usual, **change})])
        store.close()
        return wholeness.trials(home, "s")

    usual = described(tmp_path / "a")
    slower = described(
        tmp_path / "b", metrics={"accuracy": 0.5, "latency_ms": 9.0, "final_examples_per_second": 1.0}, seconds=7.0
    )
    worse = described(tmp_path / "c", metrics={"accuracy": 0.4, "latency_ms": 2.0, "final_examples_per_second": 3.0})
    assert wholeness.differences(slower, usual) == []
    assert wholeness.differences(worse, usual) == ["trial 0: metrics: accuracy is 0.4, not 0.5"]
    assert wholeness.differences(described(tmp_path / "d", told=1), usual) == ["trial 0: told is 1, not 0"]
    assert wholeness.differences(wholeness.trials(tmp_path / "nowhere", "s"), usual) == ["trial 0 is missing"]


def test_a_phase_is_seen_in_the_home(tmp_path):
    assert kills.look(tmp_path, 7) == kills.Seen()
    store = Store(tmp_path / wholeness.STORE)
    store.create_search(kills.NAME, {})
    store.set_seconds(kills.NAME, 3.0)
    states = {State.WAITING: None, State.RUNNING: None, State.PRUNED: "screened out: params"}
    at = Architecture("toy", (1,))
    store.add_trials(
        kills.NAME, [Trial(n, at, "a" * 16, state, error=error) for n, (state, error) in enumerate(states.items())]
    )
    (tmp_path / "store.db.locks").mkdir()
    (tmp_path / "store.db.locks" / f"{kills.NAME}.holder").write_text(json.dumps({"pid": 7}))
    seen, before = kills.look(tmp_path, 7), kills.Seen()
    store.close()
    begun = {name for name, phase in kills.SEARCHING.items() if phase.has_begun(seen, before)}
    assert begun == {"start", "training", "screen"}
    begun = {name for name, phase in kills.SEARCHING.items() if phase.has_begun(seen, seen)}
    assert begun == {"start"}  # nothing happened since this session began
    assert not kills.look(tmp_path, 8).is_held


# Under strace


def made_up_table(path):
    """Of 81 networks, one of which was never trained."""
    rows = list(itertools.product(range(3), repeat=4))
    columns = {
        "ops": [list(row) for row in rows],
        "acc": [50.0 + 5 * sum(row) if any(row) else None for row in rows],
        "ms": [1.0 + sum(row) + 0.1 * row[0] for row in rows],
        "params": [1000 * (1 + row[3]) for row in rows],
    }
    pq.write_table(pa.table(columns), path)
    return (str(path), "acc", "ms")


def assert_undisturbed_by(case, kinds, count, folder):
    expected = faults.undisturbed(case, folder)
    assert expected.broken == ()
    every = faults.faults_of(expected, Random(case.seed))
    chosen = [fault for kind in kinds for fault in [f for f in every if f.kind == kind][:count]]
    rows = [faults.disturb(case, fault, expected) for fault in chosen]
    assert {f"{row['fault']} {row['call']} {row['nth']}: {row['problems']}" for row in rows if row["problems"]} == set()
    assert any(row["is_hit"] for row in rows)


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", list(syscalls.FAULTS))
@pytest.mark.parametrize(("strategy", "screen"), [("regularized-evolution:population=4", ""), ("random", "params")])
def test_a_search_of_a_table_comes_to_the_same(tmp_path, kind, strategy, screen):
    case = faults.table_case(made_up_table(tmp_path / "toy.parquet"), strategy, SEED, screen, trials=10)
    assert_undisturbed_by(case, [kind], EACH, tmp_path)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The cases on digits by name, their beginnings made once."""
    return {case.name: case for case in faults.digits_cases(tmp_path_factory.mktemp("digits"), SEED)}


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["search", "train", "export"])
def test_a_search_on_digits_its_final_training_and_its_export_come_to_the_same(digits, tmp_path, name):
    assert_undisturbed_by(digits[name], syscalls.FAULTS, 2, tmp_path)
