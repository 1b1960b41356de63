"""How long a latency is measured, against what it is calibrated, and what a trial says of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from paretonas.device import Device
from paretonas.device.calibration import calibrate, reference_interface
from paretonas.device.timing import Protocol
from paretonas.evaluation import keys
from paretonas.evaluation.keys import Cache
from paretonas.latency import Estimate, Latency, latency_from_json
from paretonas.objective.metric import on_device
from paretonas.space import Interface

QUICK, RECORD = Protocol(pairs=10), Protocol(pairs=20, attempts=6)
"""For candidates, and for the record: that waits up to a minute for a slowed machine."""

LATENCIES = ("latency_ms", "latency_spread", "latency_flags")
ESTIMATES = ("estimated_ms", "estimated_spread")


def calibrated_seconds(device: Device, interface: Interface, folder: Path, cache: Cache) -> float:
    """Seconds of the device's reference network for what such networks are fed: measured once, then known."""
    key = keys.calibration(reference_interface(interface), device.identity)
    known = key.get(cache)
    if known is None:
        latency = calibrate(device, folder, interface, RECORD)
        key.put(cache, asdict(latency))
        return latency.calibrated
    return latency_from_json(known).calibrated


def latency_metrics(latency: Latency, device: str) -> dict[str, float]:
    """What a trial says of a latency: the headline, its spread, and how many flags it has."""
    values = (latency.latency_ms, latency.spread, float(len(set(latency.flags) - {"summary-only"})))
    return {on_device(name, device): value for name, value in zip(LATENCIES, values, strict=True)}


def estimate_metrics(estimate: Estimate, device: str) -> dict[str, float]:
    """What a trial says of an estimated latency: the number, and half its interval as a share of it."""
    values = (estimate.latency_ms, estimate.spread)
    return {on_device(name, device): value for name, value in zip(ESTIMATES, values, strict=True)}
