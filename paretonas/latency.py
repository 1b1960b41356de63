"""A measured latency: the raw times of a candidate and of the reference network that ran in turn with it.

And what a predictor says of one that was not measured, which is another type.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from paretonas.errors import MeasureError, SpecError, StoreError
from paretonas.space import read_json


@dataclass(frozen=True)
class Latency:
    """Raw times of a candidate and of the reference network that ran in alternation with it.

    All statistics are computed from the samples; pair i is one run of each, in the same process and engine.

    Args:
        candidate_wall: Wall-clock seconds of a candidate run, one entry a pair.
        candidate_cpu: CPU seconds of the same runs.
        reference_wall: Wall-clock seconds of the reference runs.
        reference_cpu: CPU seconds of the reference runs.
        loads: Pairs after each load of both models, in order; empty: all after one.
        calibrated: The reference's latency in seconds, measured once for a device, runtime version and thread count.
        clock: Which clock the headline uses: "thread" or "process" for the CPU time of the calling thread or of all
            threads of the process, else "wall".
        conditions: Device, version, threads, CPU, core, load, date.
        flags: Why the measurement is not beyond doubt: "preempted", "contended", "slowed", "unsettled", "summary-only".
        attempts: How many times it was measured before it was kept.
    """

    candidate_wall: tuple[float, ...]
    candidate_cpu: tuple[float, ...]
    reference_wall: tuple[float, ...]
    reference_cpu: tuple[float, ...]
    calibrated: float
    clock: str = "thread"
    conditions: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    attempts: int = 1
    loads: tuple[int, ...] = ()

    @property
    def candidate(self) -> tuple[float, ...]:
        """Seconds of the candidate on the headline clock."""
        return self.candidate_wall if self.clock == "wall" else self.candidate_cpu

    @property
    def reference(self) -> tuple[float, ...]:
        """Seconds of the reference on the headline clock."""
        return self.reference_wall if self.clock == "wall" else self.reference_cpu

    @property
    def pair_ratios(self) -> tuple[float, ...]:
        """Candidate over reference, pair by pair, on the headline clock."""
        return tuple(candidate / reference for candidate, reference in zip(self.candidate, self.reference, strict=True))

    @property
    def ratio(self) -> float:
        """How many times the reference's latency: the fastest runs of either after each load, averaged over loads.

        Whatever disturbs a run makes it slower, so the fastest is the least disturbed; where the models' memory lies
        differs from load to load, and averages out.

        Raises:
            ValueError: The samples are not as many as the loads say.
        """
        return fastest_ratio(self.candidate, self.reference, self.loads)

    @property
    def latency_ms(self) -> float:
        """The headline: `ratio` times the reference's calibrated latency, in milliseconds."""
        return self.ratio * self.calibrated * 1e3

    @property
    def spread(self) -> float:
        """Interquartile range of the pair ratios over their median; 0 of a single pair."""
        if len(self.pair_ratios) < 2:
            return 0.0
        low, median, high = statistics.quantiles(self.pair_ratios, n=4)
        return (high - low) / median


def fastest_ratio(candidate: Sequence[float], reference: Sequence[float], loads: Sequence[int] = ()) -> float:
    """Mean over loads of the fastest candidate over the fastest reference.

    Args:
        candidate: Seconds of its runs.
        reference: Seconds of its runs, as many.
        loads: How many of them belong to each load, in order; empty: all to one.

    Raises:
        ValueError: Numbers that do not agree.

    >>> fastest_ratio([4.0, 2.0, 9.0, 8.0], [1.0, 2.0, 2.0, 3.0], (2, 2))
    3.0
    """
    counts = tuple(loads) or (len(candidate),)
    if not len(candidate) == len(reference) == sum(counts) or min(counts) < 1:
        raise ValueError(f"as many runs of either as the loads have, but {len(candidate)}, {len(reference)}, {counts}")
    ends = list(accumulate(counts))
    parts = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return statistics.fmean(min(candidate[part]) / min(reference[part]) for part in parts)


def latency_from_json(data: object) -> Latency:
    """A stored latency, checked.

    Raises:
        StoreError: A damaged row.
    """
    try:
        latency: Latency = read_json(Latency, data, "latency")
        latency.latency_ms  # noqa: B018 - lengths that differ or zeros show here
    except (SpecError, ValueError, ZeroDivisionError) as error:
        raise StoreError(f"A stored latency holds its raw samples, but: {error}") from None
    return latency


@dataclass(frozen=True)
class Estimate:
    """What a predictor says of a latency that nobody measured.

    Args:
        latency_ms: Milliseconds.
        low_ms: Lower end of the interval.
        high_ms: Its upper end. Of networks like those that the predictor was fitted on, nine in ten lie between.

    Raises:
        MeasureError: `0 < low_ms <= latency_ms <= high_ms` does not hold.

    >>> Estimate(latency_ms=2.0, low_ms=1.5, high_ms=2.5).spread
    0.25
    """

    latency_ms: float
    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.low_ms <= self.latency_ms <= self.high_ms < math.inf:
            raise MeasureError(f"`0 < low_ms <= latency_ms <= high_ms` must hold, but got {self}.")

    @property
    def spread(self) -> float:
        """Half the interval, as a share of the estimate."""
        return (self.high_ms - self.low_ms) / 2 / self.latency_ms


def estimate_from_json(data: object) -> Estimate:
    """A stored estimate, checked.

    Raises:
        StoreError: A damaged row.
    """
    try:
        estimate: Estimate = read_json(Estimate, data, "estimate")
    except SpecError as error:
        raise StoreError(f"A stored estimate holds milliseconds and their interval, but: {error}") from None
    return estimate
