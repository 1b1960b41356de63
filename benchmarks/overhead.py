"""What a trial costs beside its own training and timing: ask, tell, store and the loop around them.

A search of MnasNet's space runs through the real loop and a real SQLite file, with an evaluator that answers at once
and keeps what it answers in the store, as the real one does. Time is kept for each thousand trials, so that one sees
whether a trial costs more the longer the search.

    ask, tell   in the strategy
    store       all calls of the store: five writes and the reads between them, each a transaction
    rest        of the time between two trials: decoding and hashing specs, bookkeeping of the loop

Usage: python benchmarks/overhead.py OUTPUT [--trials 10000] [--window 1000] [--strategies random nsga2 …]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

from conditions import conditions, print_conditions, print_table, write_rows

from paretonas import SearchConfig, Store
from paretonas.executor import executors
from paretonas.latency import Latency, latency_from_json
from paretonas.loop.halving import schedulers
from paretonas.loop.loop import Listener, Loop, Progress
from paretonas.objective import Objective
from paretonas.space import Spec, spaces, spec_hash
from paretonas.space.mnasnet import MnasNetSpec
from paretonas.strategy import strategies
from paretonas.trial import Metrics

STRATEGIES = ("random", "regularized-evolution", "nsga2", "ppo", "surrogate:goals=reward")
SHORT = {"surrogate:goals=reward": 600}
"""Strategies that are not meant for ten thousand trials, and after how many they stop here."""
ASK, TELL = "ask", "tell"
STORE = ("add_trials", "update_trial", "get", "put")
PAIRS = 10
SCHEDULE = "/proc/self/schedstat"


@dataclass(frozen=True)
class Row:
    """Milliseconds a trial over a window of trials; `wall_ms` includes waiting for a core."""

    strategy: str
    first: int
    last: int
    ask_ms: float
    tell_ms: float
    store_ms: float
    rest_ms: float
    everything_ms: float
    wall_ms: float
    largest_ask_ms: float


class Clock:
    """Seconds spent in functions, by what they are counted under.

    Where Linux tells for how long this process stood in the queue for a core, that is not counted: it is the time of
    whatever else runs on the machine. Waiting for the disk is.
    """

    def __init__(self) -> None:
        self._schedule = os.open(SCHEDULE, os.O_RDONLY) if os.path.exists(SCHEDULE) else None
        self.seconds: dict[str, float] = defaultdict(float)
        self.largest: dict[str, float] = defaultdict(float)

    def now(self) -> float:
        """Seconds since any moment."""
        queued = 0 if self._schedule is None else int(os.pread(self._schedule, 80, 0).split()[1])
        return time.perf_counter() - 1e-9 * queued

    def watch(self, thing: object, method: str, name: str) -> None:
        """Count all calls of a method of `thing` under `name`."""
        original: Callable[..., Any] = getattr(thing, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = self.now()
            try:
                return original(*args, **kwargs)
            finally:
                taken = self.now() - begin
                self.seconds[name] += taken
                self.largest[name] = max(self.largest[name], taken)

        setattr(thing, method, timed)


class Instant:
    """An evaluator whose answers cost nothing but their storage.

    Args:
        store: Keeps them.
    """

    is_here = True

    def __init__(self, store: Store):
        self._store = store

    def cost(self, spec: Spec) -> Metrics:
        """A number that follows from the blocks."""
        return {"params": _size(spec)}

    def proxies(self, spec: Spec) -> Metrics:
        """None."""
        return {}

    def latency(self, spec: Spec) -> Latency | None:
        """Grows with the size; kept with all its runs."""
        key = {"spec": spec_hash(spec), "device": "none"}
        known = self._store.get("latency", key)
        if known is not None:
            return latency_from_json(known)
        runs = tuple(1e-6 * _size(spec) * (1 + 0.01 * i) for i in range(PAIRS))
        latency = Latency(runs, runs, (1e-3,) * PAIRS, (1e-3,) * PAIRS, 1e-3)
        self._store.put("latency", key, asdict(latency))
        return latency

    def trained(self, spec: Spec, fidelity: float) -> Metrics | None:
        """What was answered before."""
        return self._store.get("accuracy", self._key(spec, fidelity))

    def remember(self, spec: Spec, fidelity: float, metrics: Metrics) -> None:
        """Keep it."""
        self._store.put("accuracy", self._key(spec, fidelity), metrics)

    def job(self, spec: Spec, fidelity: float, state: Path) -> Spec:
        """The spec."""
        return spec

    def run(self, spec: Spec) -> dict[str, float]:
        """Rises with the size, ever more slowly, with noise that belongs to the spec."""
        size = _size(spec)
        return {"accuracy": size / (size + 2000.0) + 0.05 * Random(spec_hash(spec)).random()}

    def _key(self, spec: Spec, fidelity: float) -> dict[str, Any]:
        return {"spec": spec_hash(spec), "fidelity": fidelity}


def _size(spec: Spec) -> float:
    assert isinstance(spec, MnasNetSpec)
    return float(sum(b.filters * b.layers * b.expansion * (b.kernel + 4 * b.se_ratio) / 3 for b in spec.blocks))


def measure(strategy: str, trials: int, window: int, home: Path) -> list[Row]:
    """One search; a row for each window."""
    store = Store(home / "store.db")
    config = SearchConfig(name="overhead", data="none", strategy=strategy, trials=trials)
    store.create_search(config.name, {})
    space = spaces.create("mnasnet").build()
    started = strategies.create(strategy).start(space, 0)
    clock, rows = Clock(), list[Row]()
    clock.watch(started, "ask", ASK)
    clock.watch(started, "tell", TELL)
    for method in STORE:
        clock.watch(store, method, "store")
    begin, wall = clock.now(), time.perf_counter()

    def progress(now: Progress) -> None:
        nonlocal begin, wall
        if now.ended % window == 0:
            parts = {name: 1e3 * clock.seconds[name] / window for name in (ASK, TELL, "store")}
            everything = 1e3 * (clock.now() - begin) / window
            rest, largest = everything - sum(parts.values()), 1e3 * clock.largest[ASK]
            passed = 1e3 * (time.perf_counter() - wall) / window
            first = now.ended - window + 1
            rows.append(Row(strategy, first, now.ended, *parts.values(), rest, everything, passed, largest))
            print(f"\r{strategy}: {now.ended} of {trials}, {everything:.2f} ms a trial  ", end="", flush=True)
            clock.seconds.clear()
            clock.largest.clear()
            begin, wall = clock.now(), time.perf_counter()

    listener = Listener(note=lambda text: None, progress=progress)
    with executors.create("serial").start() as executor:
        scheduler, objective = schedulers.create("full").start(), Objective(target_ms=1.0)
        evaluator = Instant(store)
        Loop(config, store, home, space, started, evaluator, objective, executor, scheduler, listener).run()
    store.close()
    print()
    return rows


def main(options: argparse.Namespace) -> None:
    """Run, print, and write `overhead.parquet` and `overhead.json`."""
    about = conditions()
    print_conditions(about)
    options.output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for strategy in options.strategies:
        trials = min(options.trials, SHORT.get(strategy, options.trials))
        window = min(options.window, trials // 6 if strategy in SHORT else options.window)
        with tempfile.TemporaryDirectory(prefix="paretonas-overhead-") as home:
            rows += measure(strategy, trials, window, Path(home))
        write_rows([asdict(row) for row in rows], options.output / "overhead.parquet")
    (options.output / "overhead.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    names = [field.name for field in fields(Row)]
    cells = [[f"{v:.2f}" if isinstance(v, float) else v for v in asdict(row).values()] for row in rows]
    print_table(names, cells)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    main(parser.parse_args())
