"""Is a device fit to be searched on? Can it be reached, and how far apart are networks that can be told apart?

Two networks that differ little are timed in turn, several times each, as candidates are. How a network's latencies
scatter says how often the faster of two, a given share apart, is timed as the faster one.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from paretonas.device import Device
from paretonas.device.calibration import calibrate, reference_interface
from paretonas.evaluation.latencies import QUICK, RECORD
from paretonas.evaluation.measure import exported
from paretonas.export import ModelFile
from paretonas.files import scratch_folder
from paretonas.latency import Latency
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

Counting = Callable[[int, int], None]

NETWORK, WIDTHS = "mobilenet-v2", (0.5, 0.53)
"""Which are some percent apart."""
APART = 0.05
"""Share of a latency by which two networks shall be told apart."""
ENOUGH = 0.95
"""Of pairs that are ordered right."""
MOST_THROTTLED = "throttled"

REMEDIES = {
    "preempted": "Other programs take the core away: end them, or use a machine of its own.",
    "contended": "Other programs share caches and memory: end them, or use a machine of its own.",
    "slowed": "The machine is slower than when it was calibrated: let it cool, plug it in, check its power settings.",
    "unsettled": "Runs never came to rest: fix the processor's frequency (governor `performance`).",
    MOST_THROTTLED: "The processor was slowed for its heat: let it cool, or cool it, and time with pauses.",
}
"""What to do about a flag."""


@dataclass(frozen=True)
class Check:
    """What a device was found to be.

    Args:
        facts: Engine, version, processor.
        reference_ms: Of the reference network, calibrated.
        noise: Standard deviation of a network's latency from one timing to the next, as a share.
        drift: How much slower the second half of the timings was in seconds on the wall, as a share; below 0: faster.
        gap: By how much the two networks differed, as a share of the faster one.
        ordered: Share of the pairs of their timings in which that one was the faster.
        told_apart: Share of pairs of networks, 5 % apart, that are expected to be ordered right.
        flags: How often timings were flagged.
        timings: How many there were.
        conditions: Of the last one.
    """

    facts: Mapping[str, Any]
    reference_ms: float
    noise: float
    drift: float
    gap: float
    ordered: float
    told_apart: float
    flags: Mapping[str, int]
    timings: int
    conditions: Mapping[str, Any]

    @property
    def is_fit(self) -> bool:
        """Whether two networks 5 % apart are told apart often enough."""
        return self.told_apart >= ENOUGH

    @property
    def advice(self) -> list[str]:
        """What to do, the most frequent trouble first; nothing where all is well."""
        if self.is_fit and not self.flags:
            return []
        remedies = [REMEDIES[flag] for flag in sorted(self.flags, key=lambda flag: -self.flags[flag])]
        return remedies or ["Timings scatter, and nothing says why: time again when the machine is idle."]


def check_device(device: Device, folder: Path, show: Counting, rounds: int = 10, side: int = 32) -> Check:
    """Measure the reference, then two networks that are little apart in turn.

    Args:
        device: Any.
        folder: For files that are needed for a moment.
        show: Is told how many timings are done, of how many.
        rounds: Timings of either, 3 or more.
        side: Of the images in pixels.

    Raises:
        ExportError: A network could not be exported, or its file disagrees with it.
        MeasureError: It could not be timed.
        MachineError: The device cannot be reached.
    """
    interface = reference_interface(Interface.of_images(3, side, 10))
    facts = device.facts
    with torch.random.fork_rng(devices=[]), scratch_folder(folder) as passing:
        show(0, 2 * rounds)
        calibrated = calibrate(device, passing, interface, RECORD).calibrated
        files = [_file(device, interface, width, side, passing) for width in WIDTHS]
        found: list[list[Latency]] = [[], []]
        for done in range(2 * rounds):
            found[done % 2].append(device.measure(files[done % 2], passing, calibrated, QUICK))
            show(done + 1, 2 * rounds)
    flags = Counter(flag for latency in (*found[0], *found[1]) for flag in latency.flags if flag in REMEDIES)
    conditions = found[1][-1].conditions
    if any(latency.conditions.get("throttled") == "yes" for latency in (*found[0], *found[1])):
        flags[MOST_THROTTLED] += 1
    return Check(facts, calibrated * 1e3, **_told(found), flags=dict(flags), timings=2 * rounds, conditions=conditions)


def _file(device: Device, interface: Interface, width: float, side: int, folder: Path) -> ModelFile:
    (folder / str(width)).mkdir()
    return exported(device, zoo_spec(NETWORK, width, side), interface, folder / str(width))


def _told(found: Sequence[Sequence[Latency]]) -> dict[str, float]:
    """The numbers of a check from the timings of two networks."""
    one, other = ([latency.ratio for latency in latencies] for latencies in found)
    noise = math.sqrt(statistics.fmean(statistics.variance(map(math.log, ratios)) for ratios in (one, other)))
    faster, slower = sorted((one, other), key=statistics.median)
    gap = statistics.median(slower) / statistics.median(faster) - 1
    pairs = [a < b for a in faster for b in slower]
    walls = [statistics.median(latency.reference_wall) for pair in zip(*found, strict=True) for latency in pair]
    half = len(walls) // 2
    return {
        "noise": noise,
        "drift": statistics.median(walls[half:]) / statistics.median(walls[:half]) - 1,
        "gap": gap,
        "ordered": statistics.fmean(pairs),
        "told_apart": told_apart(APART, noise),
    }


def told_apart(gap: float, noise: float) -> float:
    """Share of pairs of timings that order two networks right, if timings scatter normally on a logarithmic scale.

    `Phi(log(1 + gap) / (sqrt(2) * noise))`.

    Args:
        gap: Between the networks, as a share.
        noise: Standard deviation of a timing, as a share.

    >>> round(told_apart(0.05, 0.02), 3), told_apart(0.05, 0.0)
    (0.958, 1.0)
    """
    return statistics.NormalDist().cdf(math.log1p(gap) / (math.sqrt(2) * noise)) if noise else 1.0
