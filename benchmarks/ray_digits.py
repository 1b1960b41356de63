"""A search of digits with real trainings: by processes, and by three nodes of Ray, killed and gone on with.

    process        one worker: the order of tells is that of the proposals
    ray            one worker on three nodes, likewise: the same proposals and accuracies are to come out
    ray killed     three workers on three nodes; SIGKILL ends the search twice and a node once, and it goes on

Latency is measured, but not rewarded, as no two runs measure the same. Of each search a fresh strategy is told the
stored trials in the order in which the search was: its proposals are to be those that the store holds.

Usage: python benchmarks/ray_digits.py OUTPUT [--trials 12]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from conditions import conditions, print_conditions, print_table, write_rows
from ray_measures import NODES, busy_workers, cluster, tell

from paretonas import Store
from paretonas.loop.loop import AHEAD
from paretonas.search.search import open_search
from paretonas.testing.replay import replayed_proposals
from paretonas.trial import State

NAME = "digits"
KILLED_AT, NODE_KILLED_AT = (2, 5), 3
"""Trials that have ended when the search is killed, and when a node is."""
SEARCH = (
    "search", NAME, "--data", "digits", "--width", "0.25", "--reward", "power",
    "--strategy", "regularized-evolution:population=4,tournament=2",
    "--recipe", "search:epochs=1,batch_size=64,layout=channels-last,precision=float32",
)  # fmt: skip


def begun(home: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """A command of paretonas."""
    command = [sys.executable, "-m", "paretonas", "--home", str(home), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(home: Path) -> int:
    """Trials that have."""
    if not (home / "store.db").exists():
        return 0
    with closing(Store(home / "store.db")) as store:
        if NAME not in {summary.name for summary in store.searches()}:
            return 0
        return sum(trial.state.is_final for trial in store.trials(NAME))


def training(home: Path) -> int:
    """Trials that are at it."""
    with closing(Store(home / "store.db")) as store:
        return sum(trial.state is State.RUNNING for trial in store.trials(NAME))


def run(home: Path, executor: str, trials: int, nodes: Any = None) -> dict[str, Any]:
    """One search; with nodes, it is killed, as is one of them."""
    begin, kills, left = time.perf_counter(), list(KILLED_AT) if nodes else [], []
    process = begun(home, [*SEARCH, "--trials", str(trials), "--executor", executor])
    is_node_alive = bool(nodes)
    while process.poll() is None:
        time.sleep(0.2)
        done = ended(home)
        if kills and done >= kills[0] and training(home):
            kills.pop(0)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            time.sleep(3.0)
            left += busy_workers(nodes.pid)
            process = begun(home, ["resume", NAME])
        elif is_node_alive and done >= NODE_KILLED_AT and len(busy_workers(nodes.pid)) == NODES:  # one on each
            time.sleep(1.0)
            is_node_alive = False
            tell(nodes, "kill 0")
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{executor}: {err.decode()}\n{out.decode()}")
    with closing(Store(home / "store.db")) as store:
        again = sum(trial.retries for trial in store.trials(NAME))
    seconds = time.perf_counter() - begin
    is_killed = bool(nodes) and not is_node_alive
    return {"seconds": seconds, "left_running": len(left), "is_node_killed": is_killed, "begun_again": again}


def looked_at(home: Path, workers: int) -> tuple[list[dict[str, Any]], bool]:
    """All trials, and whether they are what a fresh strategy proposes when it is told them."""
    store = Store(home / "store.db")
    search = open_search(NAME, store, home)
    trials = store.trials(NAME)
    replayed = replayed_proposals(search.plan(), trials, batch=AHEAD * workers)
    same = replayed == [trial.architecture for trial in trials]
    rows = [
        {
            "number": trial.number, "told": trial.told, "spec": trial.spec_hash, "state": trial.state.value,
            "accuracy": trial.metrics.get("accuracy"), "train_loss": trial.metrics.get("train_loss"),
            "seconds": trial.seconds,
        }
        for trial in trials
    ]  # fmt: skip
    store.close()
    return rows, same


def main(options: argparse.Namespace) -> None:
    """Run, print, and write `digits.parquet` and `digits.json`."""
    os.environ["OMP_NUM_THREADS"] = "1"
    about = conditions()
    print_conditions(about)
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    by_spec: dict[str, set[tuple[float, float]]] = {}
    with cluster(cpus=1) as (nodes, address), tempfile.TemporaryDirectory(prefix="paretonas-digits-") as folder:
        arms = {
            "process": ("process:workers=1", 1, None),
            "ray": (f"ray:address={address},workers=1", 1, None),
            "ray killed": (f"ray:address={address}", 3, nodes),
        }
        for arm, (executor, workers, killed) in arms.items():
            home = Path(folder) / arm.replace(" ", "-")
            found = run(home, executor, options.trials, killed)
            trials, same = looked_at(home, workers)
            rows += [{"arm": arm, **trial} for trial in trials]
            for trial in trials:
                by_spec.setdefault(trial["spec"], set()).add((trial["accuracy"], trial["train_loss"]))
            complete = sum(trial["state"] == "complete" for trial in trials)
            told.append({"arm": arm, "complete": complete, "replayed": same, **found})
            print(told[-1], flush=True)
    about["runs"] = told
    first, second = ([(r["spec"], r["accuracy"]) for r in rows if r["arm"] == arm] for arm in ("process", "ray"))
    about["same_proposals_and_accuracies"] = first == second
    about["specs_of_two_results"] = sum(len(results) > 1 for results in by_spec.values())
    print(about["same_proposals_and_accuracies"], about["specs_of_two_results"])
    write_rows(rows, options.output / "digits.parquet")
    (options.output / "digits.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print_table(list(told[0]), [list(one.values()) for one in told])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--trials", type=int, default=8)
    main(parser.parse_args())
