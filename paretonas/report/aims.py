"""What a stored search is after: its quality, its latencies and their targets, by its recorded configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretonas.objective.metric import ESTIMATED, LATENCY, metric, on_device
from paretonas.trial import Metrics

USUAL_QUALITY = "accuracy"
"""Where a configuration does not tell."""


@dataclass(frozen=True)
class Pair:
    """A quality and a latency that belong together: of the search's trainings, or of the final ones; on one device.

    Args:
        quality: Name of the metric (`accuracy`, `test_accuracy`).
        latency: Name of the metric (`latency_ms.phone`, `final_latency_ms.phone`, `estimated_ms.phone`).
        target_ms: Latency to aim at; None: no target.
        is_final: Whether they are of finalists.
    """

    quality: str
    latency: str
    target_ms: float | None = None
    is_final: bool = False

    @property
    def device(self) -> str:
        """Name of the device; empty where it is the only one."""
        return self.latency.partition(".")[2]

    @property
    def searched(self) -> str:
        """The search's own latency on the device, beside which that of finalists is kept."""
        if self.is_final and not self.latency.startswith("final_"):
            return on_device(ESTIMATED.name, self.device)
        return self.latency.removeprefix("final_")

    def is_in(self, metrics: Metrics) -> bool:
        """Whether both are there."""
        return self.quality in metrics and self.latency in metrics

    @property
    def is_estimated(self) -> bool:
        """Whether a predictor says the latency."""
        return is_estimate(self.latency)

    def beside(self, what: str) -> str:
        """Another metric of the same timing or estimate by its full name: its `spread`, or its `flags`."""
        base, dot, device = self.latency.partition(".")
        return f"{base.removesuffix('_ms')}_{what}{dot}{device}"


@dataclass(frozen=True)
class Aims:
    """What a search is after.

    Args:
        quality: Name of the metric that its task is about.
        latencies: Name of the metric of each device's latency -> milliseconds to aim at; None: no target.
    """

    quality: str
    latencies: Mapping[str, float | None]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Aims:
        """Those of a stored configuration.

        >>> Aims.of({"device": [{"name": "phone", "target_ms": 9.0}, {"name": "pi"}]}).latencies
        {'latency_ms.phone': 9.0, 'latency_ms.pi': None}
        >>> Aims.of({"device": [{"estimate": 100}]}).latencies
        {'estimated_ms': None}
        """
        table, devices = config.get("table"), config.get("device") or [{}]
        names = [one.get("name", "") for one in devices] if table is None else _columns(table.get("latency", ()))
        targets = {one.get("name", ""): one.get("target_ms") for one in devices}
        kinds = {one.get("name", ""): ESTIMATED if one.get("estimate") else LATENCY for one in devices}
        if len(names) == 1:  # the only one goes without its name
            names, targets, kinds = [""], {"": devices[0].get("target_ms")}, {"": next(iter(kinds.values()))}
        quality = config.get("recorded", {}).get("quality") or (table or {}).get("quality") or USUAL_QUALITY
        return cls(quality, {on_device(kinds.get(name, LATENCY).name, name): targets.get(name) for name in names})

    def pairs(self, is_final: bool = False) -> tuple[Pair, ...]:
        """The quality with each latency.

        Args:
            is_final: Those of finalists: the quality on the test part, the latency of the exported file.
        """
        if not is_final:
            return tuple(Pair(self.quality, name, target) for name, target in self.latencies.items())
        measured = zip(map(measured_finally, self.latencies), self.latencies.values(), strict=True)
        return tuple(Pair(f"test_{self.quality}", name, target, True) for name, target in measured)

    @property
    def target_words(self) -> str:
        """The targets.

        >>> Aims("accuracy", {"latency_ms.phone": 9.0, "latency_ms.pi": 80.0}).target_words
        '9 ms on phone, 80 ms on pi'
        """
        given = [(metric(name), name.partition(".")[2], ms) for name, ms in self.latencies.items() if ms is not None]
        texts = (latency.text(target) + (f" on {device}" if device else "") for latency, device, target in given)
        return ", ".join(texts) or "none"


def is_estimate(name: str) -> bool:
    """Whether a latency is one that a predictor says.

    >>> is_estimate("estimated_ms.phone"), is_estimate("latency_ms.phone")
    (True, False)
    """
    return name.partition(".")[0] == ESTIMATED.name


def measured(name: str) -> str:
    """The name of the measured latency on the device of another one.

    >>> measured("estimated_ms.phone"), measured("latency_ms")
    ('latency_ms.phone', 'latency_ms')
    """
    return on_device(LATENCY.name, name.partition(".")[2])


def measured_finally(name: str) -> str:
    """The name under which a trial has a finalist's own latency; the search's own is in its way where it measured.

    >>> measured_finally("estimated_ms.phone"), measured_finally("latency_ms")
    ('latency_ms.phone', 'final_latency_ms')
    """
    return measured(name) if is_estimate(name) else f"final_{name}"


def data_name(config: Mapping[str, Any]) -> str:
    """What a search learns from, in a word.

    >>> data_name({"task": {"name": "classification", "data": "/photos/cats/"}})
    'cats'
    """
    task = config.get("task", {})
    path = task.get("data") or config.get("table", {}).get("file") or task.get("name", "unknown")
    return str(path).rstrip("/").rsplit("/", 1)[-1]


def device_names(config: Mapping[str, Any]) -> str:
    """Where a search measures: its devices, or the columns of its table."""
    if "table" in config:
        return ", ".join(config["table"].get("latency", ())) or "none"
    devices = ((one.get("name"), one.get("device", "")) for one in config.get("device") or [])
    return ", ".join(f"{name}={device}" if name else device for name, device in devices)


def _columns(latencies: Sequence[str]) -> list[str]:
    """Names of the devices that a table's `device=column`, or the columns themselves, stand for."""
    named = (name or column for name, _, column in (text.rpartition("=") for text in latencies))
    return ["".join(c if c.isalnum() or c in "-_" else "-" for c in name) for name in named]
