"""The timing protocol: every run of the candidate alternates with one of a fixed reference network.

Both models are loaded several times. The headline is the fastest candidate over the fastest reference, averaged over
loads (`Latency.ratio`), on a CPU clock for one thread and on the wall clock otherwise. What slows the machine slows
both, and the CPU clock does not count the time that others were given. The clocks are arguments, so that tests can give
their own.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from paretonas.errors import UsageError

Run = Callable[[], object]

Clock = Literal["thread", "process", "wall"]
"""What the headline is read from: the CPU time of the calling thread or of all threads of the process, or the wall."""


@dataclass(frozen=True)
class Clocks:
    """Where times come from, in seconds.

    Args:
        wall: Wall clock.
        cpu: CPU time of what runs the model.
    """

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.thread_time


def clocks_for(clock: Clock) -> Clocks:
    """This system's: CPU time of the whole process for "process", else of the calling thread."""
    return Clocks(cpu=time.process_time if clock == "process" else time.thread_time)


@dataclass(frozen=True)
class Protocol:
    """How a latency is measured.

    Args:
        pairs: Runs of candidate and reference: 10 to screen, 20 for the record.
        loads: How often both models are loaded anew meanwhile, the pairs shared out evenly. Where a model's memory
            happens to lie moves its latency by a percent or two, which no number of runs averages out.
        shortest: Seconds; a model that takes less is repeated inside a run until the run takes that long.
        settled: Warm-up ends once three runs in a row lie within this share of their fastest.
        warmup: Most runs of a warm-up.
        preempted: Mean wall over mean CPU time above which others took the core away.
        drifted: Median of the reference over its fastest tenth above which others shared the core's resources.
        slowed: Median of the reference over its calibrated latency above which the machine is another one than when it
            was calibrated: networks that differ in kind are then slowed differently.
        pause: Seconds before a slowed measurement is repeated for the first time, doubled for each repeat: a host
            changes its mind within seconds, or minutes.
        attempts: How often a flagged measurement is made before it is kept with its flags, those flagged alike as one.

    Raises:
        UsageError: A value out of range.
    """

    pairs: int = 20
    loads: int = 4
    shortest: float = 1e-3
    settled: float = 0.1
    warmup: int = 20
    preempted: float = 1.05
    drifted: float = 1.05
    slowed: float = 1.1
    pause: float = 2.0
    attempts: int = 3

    def __post_init__(self) -> None:
        is_few = 2 <= self.pairs <= 100_000 and 3 <= self.warmup <= 100_000
        if not (is_few and 1 <= self.attempts <= 100 and 1 <= self.loads <= 100):
            raise UsageError(
                "`2 <= pairs <= 100000`, `1 <= loads, attempts <= 100` and `3 <= warmup <= 100000` must hold, "
                f"but got {self}."
            )

    @property
    def portions(self) -> tuple[int, ...]:
        """Pairs of each load, two or more.

        >>> Protocol(pairs=10).portions, Protocol(pairs=5).portions
        ((3, 3, 2, 2), (3, 2))
        """
        loads = min(self.loads, self.pairs // 2)
        return tuple(self.pairs // loads + (i < self.pairs % loads) for i in range(loads))


@dataclass(frozen=True)
class Samples:
    """Seconds of every run; entry i of each tuple is of pair i, and `loads` are the pairs of each load.

    With `is_summary`, each entry is instead what another program tells of several runs, on the wall clock alone.
    """

    candidate_wall: tuple[float, ...]
    candidate_cpu: tuple[float, ...]
    reference_wall: tuple[float, ...]
    reference_cpu: tuple[float, ...]
    is_settled: bool = True
    loads: tuple[int, ...] = ()
    is_summary: bool = False


def joined(measurements: Sequence[Samples]) -> Samples:
    """Several measurements of the same two models as one, with the loads of all."""

    def seconds(name: str) -> tuple[float, ...]:
        return tuple(chain.from_iterable(getattr(one, name) for one in measurements))

    return Samples(
        candidate_wall=seconds("candidate_wall"),
        candidate_cpu=seconds("candidate_cpu"),
        reference_wall=seconds("reference_wall"),
        reference_cpu=seconds("reference_cpu"),
        is_settled=all(one.is_settled for one in measurements),
        loads=tuple(chain.from_iterable(one.loads or (len(one.candidate_wall),) for one in measurements)),
        is_summary=any(one.is_summary for one in measurements),
    )


def time_pairs(
    candidate: Callable[[], Run],
    reference: Callable[[], Run],
    protocol: Protocol,
    clocks: Clocks | None = None,
    clock: Clock = "thread",
) -> Samples:
    """Run both in turn.

    Args:
        candidate: Loads the candidate and gives what runs it.
        reference: Likewise the reference.
        protocol: How.
        clocks: Where times come from; None: `clocks_for(clock)`.
        clock: The headline's: on it, every load is warmed up until it settles.
    """
    clocks = clocks or clocks_for(clock)
    rows: list[tuple[float, ...]] = []
    is_settled = True
    with _NoGarbageCollection():
        for pairs in protocol.portions:
            timers = [_timer(run, protocol, clocks) for run in (candidate(), reference())]
            is_settled &= all([_warm_up(timer, protocol, clock) for timer in timers])
            rows += [(*timers[0](), *timers[1]()) for _ in range(pairs)]
    candidate_wall, candidate_cpu, reference_wall, reference_cpu = zip(*rows, strict=True)
    return Samples(candidate_wall, candidate_cpu, reference_wall, reference_cpu, is_settled, protocol.portions)


def headline_clock(samples: Samples, clock: Clock) -> Clock:
    """The one that such times are read from, on a runtime of that clock: a summary knows the wall's alone."""
    return "wall" if samples.is_summary else clock


def headline_flags(
    samples: Samples, clock: Clock, protocol: Protocol, calibrated: float | None = None
) -> tuple[str, ...]:
    """What speaks against a measurement.

    "preempted": others ran on the core meanwhile. "contended": the reference, on the headline's clock, was slower than
    its fastest tenth by more than the protocol allows. "slowed": it was slower than when it was calibrated, in seconds,
    by more than the protocol allows. "unsettled": the warm-up never came to rest.
    """
    flags = []
    clock = headline_clock(samples, clock)
    wall = statistics.fmean(samples.candidate_wall) + statistics.fmean(samples.reference_wall)
    cpu = statistics.fmean(samples.candidate_cpu) + statistics.fmean(samples.reference_cpu)
    if clock != "wall" and wall > protocol.preempted * cpu:
        flags.append("preempted")
    reference = samples.reference_wall if clock == "wall" else samples.reference_cpu
    fastest = sorted(reference)[len(reference) // 10]
    if statistics.median(reference) > protocol.drifted * fastest:
        flags.append("contended")
    if calibrated is not None and statistics.median(reference) > protocol.slowed * calibrated:
        flags.append("slowed")
    if not samples.is_settled:
        flags.append("unsettled")
    return tuple(flags)


def _timer(run: Run, protocol: Protocol, clocks: Clocks) -> Callable[[], tuple[float, float]]:
    """A function that gives wall and CPU seconds of one run, averaged over repeats if the model is very fast."""

    def timed(repeats: int) -> tuple[float, float]:
        wall, cpu = clocks.wall(), clocks.cpu()
        for _ in range(repeats):
            run()
        cpu, wall = clocks.cpu() - cpu, clocks.wall() - wall
        return wall / repeats, cpu / repeats

    run()
    once = min(timed(1)[0] for _ in range(3))
    repeats = max(1, min(1000, round(protocol.shortest / max(once, 1e-9) + 0.5))) if once < protocol.shortest else 1
    return lambda: timed(repeats)


def _warm_up(timer: Callable[[], tuple[float, float]], protocol: Protocol, clock: Clock) -> bool:
    """Run until three times in a row are alike; whether that happened."""
    last: list[float] = []
    for _ in range(protocol.warmup):
        last = [*last[-2:], timer()[0 if clock == "wall" else 1]]
        if len(last) == 3 and max(last) <= (1 + protocol.settled) * min(last):
            return True
    return False


class _NoGarbageCollection:
    """Python's collector stays out of the way for a while."""

    def __enter__(self) -> None:
        self._was_enabled = gc.isenabled()
        gc.collect()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was_enabled:
            gc.enable()
