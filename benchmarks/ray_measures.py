"""The searches of `ray_trials.py`, and the cluster that they and `ray_digits.py` run on."""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from conditions import conditions, print_conditions, print_table, write_rows
from sleeping import train

from paretonas import Store
from paretonas.compare import Contest
from paretonas.evaluation.around import Around
from paretonas.evaluation.evaluator import WORKERS, Call, Evidence, Stage
from paretonas.executor import Executor, Job, executors
from paretonas.loop.listener import Listener, Progress
from paretonas.loop.loop import Loop
from paretonas.loop.plan import Lane
from paretonas.registry import Selection
from paretonas.space import Spec, spec_hash

WIDTH, NODES = 32, 3
METRIC = "cifar10_valid_acc_12ep"
TITLE = b"ray::run"
"""Of a worker at a job of ours."""
KINDS = ("ray::", "raylet/raylet", "gcs_server")
PROFILED = 25
"""Functions whose own time is kept."""


class Sleeping(Around):
    """A table's evaluator, whose last stage takes as long as a training, among the workers.

    Args:
        inner: The table's.
        mean: Seconds of a training, which differ from network to network by their logarithm; 0: none.

    Attributes:
        kept: How often the end of a training was taken in, by the network.
    """

    def __init__(self, inner: Any, mean: float):
        super().__init__(inner)
        self._mean, self.kept = mean, Counter[str]()

    def stages(self) -> tuple[Stage, ...]:
        *first, last = self._inner.stages()

        def call(spec: Spec) -> Call:
            looked = last.call(spec)
            seconds = self._mean * Random(spec_hash(spec)).lognormvariate(-0.125, 0.5)
            return Call(train, (seconds, looked.function(*looked.arguments)))

        def keep(spec: Spec, metrics: Mapping[str, float]) -> Evidence:
            self.kept[spec_hash(spec)] += 1
            return last.keep(spec, metrics)

        return (*first, replace(last, lane=WORKERS, call=call, keep=keep))


class Instant(Executor):
    """Has done a job when it is submitted, and says so of one after the other."""

    workers = WIDTH

    def __init__(self) -> None:
        self._done: list[Job[Any]] = []

    def submit(self, key: str, function: Any, *args: Any, timeout: float | None = None) -> Job[Any]:
        from paretonas.executor import attempt

        job: Job[Any] = Job(key)
        job.finish(attempt(lambda seconds, metrics: dict(metrics), *args))
        self._done.append(job)
        return job

    def wait(self, timeout: float | None = None) -> list[Job[Any]]:
        return [self._done.pop(0)] if self._done else []

    @property
    def idle(self) -> int:
        return WIDTH - len(self._done)

    def close(self) -> None:
        self._done.clear()


@dataclass(frozen=True)
class InstantOptions:
    """No work at all."""

    def start(self) -> Executor:
        """It."""
        return Instant()


class Killer(threading.Thread):
    """Kills busy workers at random moments, and a node in the middle.

    Args:
        nodes: The process that holds the cluster.
        progress: Trials that have ended, as they end.
        trials: Of the whole search.
        share: So many workers are killed for each trial.
    """

    def __init__(self, nodes: subprocess.Popen[str], trials: int, share: float):
        super().__init__(daemon=True)
        random = Random(0)
        self._at = sorted(random.uniform(0.02, 0.98) * trials for _ in range(round(share * trials)))
        self._nodes, self._random, self._trials = nodes, random, trials
        self.ended, self.killed, self.nodes_killed, self.stopped = 0, 0, 0, False

    def run(self) -> None:
        while not self.stopped:
            if self._at and self.ended >= self._at[0]:
                victims = busy_workers(self._nodes.pid)
                if victims:
                    self._at.pop(0)
                    with suppress(OSError):
                        os.kill(self._random.choice(victims), signal.SIGKILL)
                        self.killed += 1
            elif not self.nodes_killed and self.ended >= self._trials / 2:
                self.nodes_killed = 1
                tell(self._nodes, "kill 0")
            else:
                time.sleep(0.01)


def busy_workers(root: int) -> list[int]:
    """Workers below a process that are at a job, as their titles say."""
    parents, titled = {}, []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                pid = int(folder.name)
                parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                title = (folder / "cmdline").read_bytes()
                if title.startswith(TITLE):
                    titled.append(pid)
    return [pid for pid in titled if root in ancestors(pid, parents)]


def processor_seconds() -> dict[int, tuple[str, float]]:
    """Of each process of this session's user: what it is, and the time of cores that it has taken."""
    taken = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError):
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parts = (folder / "stat").read_text().rpartition(")")[2].split()
                ticks = int(parts[11]) + int(parts[12])
                is_own = int(parts[1]) == os.getpid() and "spawn_main" in title  # workers of ours, or the steward
                kind = "ours" if is_own else next((name for name in KINDS if name in title[:300]), "")
                taken[int(folder.name)] = kind, ticks / os.sysconf("SC_CLK_TCK")
    return taken


def by_kind(before: dict[int, tuple[str, float]], trials: int) -> dict[str, float]:
    """Milliseconds of cores a trial, by the kind of processes, since then; of those that live."""
    spent: Counter[str] = Counter()
    for pid, (kind, seconds) in processor_seconds().items():
        if kind:
            spent[kind] += 1e3 * (seconds - before.get(pid, ("", 0.0))[1]) / trials
    return dict(spent)


def ancestors(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Of a process."""
    while pid in parents:
        pid = parents[pid]
        yield pid


@contextmanager
def cluster(cpus: int = WIDTH // 2) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A head and nodes, of which two hold all jobs, in a process of their own; and the address."""
    words = ["--nodes", str(NODES), "--cpus", str(cpus)]
    command = [sys.executable, str(Path(__file__).with_name("ray_nodes.py")), *words]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def tell(process: subprocess.Popen[str], words: str) -> None:
    """A word to the cluster, and its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(words + "\n")
    process.stdin.flush()
    process.stdout.readline()


def resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(arm: str, options: argparse.Namespace, home: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One search: a row for each window, and what became of it all."""
    with cluster() if arm.startswith("ray") else unclustered() as (nodes, address):
        selections = {
            "instant": InstantOptions(),
            "process": executors.create(Selection("process", {"workers": WIDTH, "pin": False})),
            "ray": executors.create(Selection("ray", {"address": address, "workers": WIDTH})),
        }
        with selections[arm.partition("-")[0]].start() as executor:
            for n in range(WIDTH):  # workers start once
                executor.submit(f"warm {n}", train, 0.5, {})
            while executor.wait():
                pass
            killer = Killer(nodes, options.trials, options.killed) if nodes and arm == "ray" else None
            return searched(arm, executor, killer, options, home)


@contextmanager
def unclustered() -> Iterator[tuple[None, str]]:
    """No cluster."""
    yield None, ""


def searched(
    arm: str, executor: Executor, killer: Killer | None, options: argparse.Namespace, home: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The search itself."""
    plan = Contest(options.table, METRIC, trials=options.trials).plan("random", 0)
    evaluator = Sleeping(plan.evaluator, 0.0 if arm == "instant" else options.mean)
    plan = replace(plan, evaluator=evaluator, batch=None)
    store, rows, notes = Store(home / f"{arm}.db"), list[dict[str, Any]](), list[str]()
    store.create_search(plan.name, {})
    begin = then = time.perf_counter()
    cpu = time.process_time()

    def progress(now: Progress) -> None:
        nonlocal then, cpu
        if killer:
            killer.ended = now.ended
        if now.ended % options.window == 0:
            passed, used = time.perf_counter() - then, time.process_time() - cpu
            rows.append({
                "arm": arm, "ended": now.ended, "trials_a_second": options.window / passed,
                "head_ms_a_trial": 1e3 * used / options.window, "head_mib": resident(),
                "killed": killer.killed if killer else 0,
            })  # fmt: skip
            then, cpu = time.perf_counter(), time.process_time()

    if killer:
        killer.start()
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    before = processor_seconds()
    loop = Loop(plan, store, {WORKERS: Lane(executor)}, Listener(note=notes.append, progress=progress))
    trials = loop.run()
    profile.disable()
    seconds, spent = time.perf_counter() - begin, by_kind(before, options.trials)
    if killer:
        killer.stopped = True
        killer.join()
    told = sorted(trial.told for trial in trials if trial.told is not None)
    stored = store.trials(plan.name)
    whole = {
        "arm": arm, "trials": len(trials), "seconds": seconds, "trials_a_second": len(trials) / seconds,
        "complete": sum(trial.state.value == "complete" for trial in stored),
        "told_once": told == list(range(options.trials)), "kept": sum(evaluator.kept.values()),
        "numbers": len({trial.number for trial in stored}),
        "workers_killed": killer.killed if killer else 0, "nodes_killed": killer.nodes_killed if killer else 0,
        "attempts_lost": sum(int(note.split("lost ")[1].split()[0]) for note in notes if " lost " in note),
        **{f"ms_{kind}": spent.get(kind, 0.0) for kind in ("ours", *KINDS)},
        "store_mib": (home / f"{arm}.db").stat().st_size / 2**20,
        "hashes": [trial.spec_hash for trial in stored],
        "profile": profiled(profile) if options.profile else [],
    }  # fmt: skip
    store.close()
    return rows, whole


def profiled(profile: cProfile.Profile) -> list[dict[str, Any]]:
    """The functions that took most."""
    stats: Any = pstats.Stats(profile)
    found = [
        {"function": f"{Path(file).name}:{line} {name}", "calls": calls, "own_seconds": own, "seconds": whole}
        for (file, line, name), (calls, _, own, whole, _) in stats.stats.items()
    ]
    return sorted(found, key=lambda one: -one["own_seconds"])[:PROFILED]


def main(options: argparse.Namespace) -> None:
    """Run, print, and write rows of all windows, of all searches, of the profiles, and the conditions."""
    about = conditions()
    print_conditions(about)
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    wholes: list[dict[str, Any]] = []
    for arm in options.arms:
        with tempfile.TemporaryDirectory(prefix="paretonas-ray-") as home:
            some, whole = measure(arm, options, Path(home))
        rows += some
        wholes.append(whole)
        print({key: value for key, value in whole.items() if key not in ("hashes", "profile")}, flush=True)
    same = len({tuple(whole.pop("hashes")) for whole in wholes}) == 1
    print(f"the same proposals in all arms: {same}")
    profiles = [{"arm": whole["arm"], **one} for whole in wholes for one in whole.pop("profile")]
    for whole in wholes:
        whole["same_proposals"] = same
    name = options.name
    write_rows(rows, options.output / f"{name}.parquet")
    write_rows(wholes, options.output / f"{name}-wholes.parquet")
    if profiles:
        write_rows(profiles, options.output / f"{name}-profile.parquet")
    (options.output / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    step = max(1, options.trials // options.window // 8)
    cells = [[f"{v:.1f}" if isinstance(v, float) else v for v in row.values()] for row in rows[step - 1 :: step]]
    print_table(list(rows[0]), cells)
