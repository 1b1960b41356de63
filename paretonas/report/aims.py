"""What a stored search is after: its quality, its latencies and their targets, by its recorded configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretonas.objective.metric import LATENCY, metric, on_device
from paretonas.trial import Metrics

USUAL_QUALITY = "accuracy"
"""Where a configuration does not tell."""


@dataclass(frozen=True)
class Pair:
    """A quality and a latency that belong together: of the search's trainings, or of the final ones; on one device.

    Args:
        quality: Name of the metric (`accuracy`, `test_accuracy`).
        latency: Name of the metric (`latency_ms.phone`, `final_latency_ms.phone`).
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

    def is_in(self, metrics: Metrics) -> bool:
        """Whether both are there."""
        return self.quality in metrics and self.latency in metrics

    def beside(self, name: str) -> str:
        """Another metric of the same timing (`latency_spread`), by its full name."""
        return self.latency.replace(LATENCY.name, name)


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
        """
        table, devices = config.get("table"), config.get("device") or [{}]
        names = [one.get("name", "") for one in devices] if table is None else _columns(table.get("latency", ()))
        targets = {one.get("name", ""): one.get("target_ms") for one in devices}
        if len(names) == 1:  # the only one goes without its name
            names, targets = [""], {"": devices[0].get("target_ms")}
        quality = config.get("recorded", {}).get("quality") or (table or {}).get("quality") or USUAL_QUALITY
        return cls(quality, {on_device(LATENCY.name, name): targets.get(name) for name in names})

    def pairs(self, is_final: bool = False) -> tuple[Pair, ...]:
        """The quality with each latency.

        Args:
            is_final: Those of finalists: the quality on the test part, the latency of the exported file.
        """
        test, final = ("test_", "final_") if is_final else ("", "")
        return tuple(
            Pair(test + self.quality, final + name, target, is_final) for name, target in self.latencies.items()
        )

    @property
    def target_words(self) -> str:
        """The targets.

        >>> Aims("accuracy", {"latency_ms.phone": 9.0, "latency_ms.pi": 80.0}).target_words
        '9 ms on phone, 80 ms on pi'
        """
        given = [(metric(name), name.partition(".")[2], ms) for name, ms in self.latencies.items() if ms is not None]
        texts = (latency.text(target) + (f" on {device}" if device else "") for latency, device, target in given)
        return ", ".join(texts) or "none"


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
