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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

from conditions import conditions, print_conditions, print_table, write_rows

from paretonas import Store
from paretonas.evaluation import keys
from paretonas.evaluation.evaluator import (
    INLINE,
    WORKERS,
    About,
    Call,
    Evaluator,
    Evidence,
    Listens,
    Stage,
    device_lane,
)
from paretonas.evaluation.keys import Key, Lesson
from paretonas.evaluation.latencies import LATENCIES, latency_metrics
from paretonas.executor import executors
from paretonas.latency import Latency, latency_from_json
from paretonas.loop.gates import Limits
from paretonas.loop.listener import Listener, Progress
from paretonas.loop.loop import Loop
from paretonas.loop.plan import Budget, Lane, Plan, default_goals
from paretonas.objective import Goals, Objective
from paretonas.space import Interface, SearchSpace, Spec, spaces, spec_hash
from paretonas.space.mnasnet import MnasNetSpec
from paretonas.strategy import Prior, Strategy, StrategyOptions, strategies
from paretonas.task.recipe_book import SEARCH
from paretonas.trial import Metrics

STRATEGIES = ("random", "regularized-evolution", "nsga2", "ppo", "surrogate")
SHORT = {"surrogate": 600}
"""Strategies that are not meant for ten thousand trials, and after how many they stop here."""
ASK, TELL = "ask", "tell"
STORE = ("add_trials", "update_trial", "get", "put", "id_of")
PAIRS = 10
INTERFACE = Interface.of_images(channels=3, resolution=224, classes=1000)
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


@dataclass(frozen=True)
class Watched(StrategyOptions):
    """A strategy whose asks and tells are counted.

    Args:
        options: Of the strategy.
        clock: Counts.
    """

    options: StrategyOptions
    clock: Clock

    @property
    def pursues(self) -> str:  # type: ignore[override]
        """As the strategy does."""
        return self.options.pursues

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        strategy = self.options.start(space, seed, goals, prior)
        for method in (ASK, TELL):
            self.clock.watch(strategy, method, method)
        return strategy


class Instant(Evaluator):
    """An evaluator whose answers cost nothing but their storage.

    Args:
        store: Keeps them, under keys such as real ones have.
    """

    quality = "accuracy"

    def __init__(self, store: Store):
        self._store = store

    def prepare(self, listener: Listens) -> None:
        """Nothing."""

    def stages(self) -> tuple[Stage, ...]:
        return (
            Stage("cost", INLINE, ("params",), lambda spec: None, _cost_call, lambda spec, found: Evidence(found)),
            self._latency_stage(),
            self._training_stage(),
        )

    def about(self) -> About:
        return About((), "", "")

    def _latency_stage(self) -> Stage:
        def key(spec: Spec) -> Key:
            return keys.latency(spec, INTERFACE, {"runtime": "none"}, "float32", PAIRS)

        def known(spec: Spec) -> Evidence | None:
            found = key(spec).get(self._store)
            if found is None:
                return None
            return Evidence(latency_metrics(latency_from_json(found), ""), key(spec).id(self._store))

        def keep(spec: Spec, latency: Latency) -> Evidence:
            return Evidence(latency_metrics(latency, ""), key(spec).put(self._store, asdict(latency)))

        return Stage("latency_ms", device_lane(""), LATENCIES, known, lambda spec: Call(_latency, (spec,)), keep)

    def _training_stage(self) -> Stage:
        def key(spec: Spec) -> Key:
            return keys.training(spec, Lesson("none", "none", SEARCH, seed=0), share=1.0)

        def known(spec: Spec) -> Evidence | None:
            found = key(spec).get(self._store)
            return None if found is None else Evidence(found, key(spec).id(self._store))

        def keep(spec: Spec, metrics: Metrics) -> Evidence:
            return Evidence(metrics, key(spec).put(self._store, metrics))

        return Stage("training", WORKERS, ("accuracy",), known, lambda spec: Call(_score, (spec,)), keep, share=1.0)


def _cost_call(spec: Spec) -> Call:
    return Call(lambda: {"params": _size(spec)}, ())


def _latency(spec: Spec) -> Latency:
    """Grows with the size; with all its runs."""
    runs = tuple(1e-6 * _size(spec) * (1 + 0.01 * i) for i in range(PAIRS))
    return Latency(runs, runs, (1e-3,) * PAIRS, (1e-3,) * PAIRS, 1e-3)


def _score(spec: Spec) -> dict[str, float]:
    """Rises with the size, ever more slowly, with noise that belongs to the spec."""
    size = _size(spec)
    return {"accuracy": size / (size + 2000.0) + 0.05 * Random(spec_hash(spec)).random()}


def _size(spec: Spec) -> float:
    """A number that follows from the blocks."""
    assert isinstance(spec, MnasNetSpec)
    return float(sum(b.filters * b.layers * b.expansion * (b.kernel + 4 * b.se_ratio) / 3 for b in spec.blocks))


def plan(strategy: str, trials: int, clock: Clock, store: Store) -> Plan:
    """A search as it would be with data and a device; what the strategy takes is counted."""
    options: StrategyOptions = strategies.create(strategy)
    evaluator, objective = Instant(store), Objective(targets={"latency_ms": 1.0})
    return Plan(
        name="overhead",
        space=spaces.create("mnasnet").build(),
        strategy=Watched(options, clock),
        seed=0,
        goals=Goals(default_goals(options, evaluator.quality, evaluator.stages())),
        objective=objective,
        evaluator=evaluator,
        gates=(Limits(objective),),
        budget=Budget(trials=trials),
    )


def measure(strategy: str, trials: int, window: int, home: Path) -> list[Row]:
    """One search; a row for each window."""
    store, clock, rows = Store(home / "store.db"), Clock(), list[Row]()
    planned = plan(strategy, trials, clock, store)
    store.create_search(planned.name, {})
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

    with executors.create("serial").start() as device, executors.create("serial").start() as workers:
        lanes = {device_lane(""): Lane(device), WORKERS: Lane(workers)}
        Loop(planned, store, lanes, Listener(progress=progress)).run()
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
