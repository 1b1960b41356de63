"""Metrics, declared once: what a number is called, which way it is better, how it is printed, and when it is known.

Limits, goals, columns, axes, report and console read this table; nothing else names a metric to learn its direction.
A metric that is not declared is an error. Another package declares its own by an entry point of `paretonas.metric`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from paretonas.registry import Registry

metrics = Registry(
    "metric",
    {
        "accuracy": "paretonas.objective.metric:ACCURACY",
        "ap": "paretonas.objective.metric:AP",
        "ap50": "paretonas.objective.metric:AP50",
        "ap75": "paretonas.objective.metric:AP75",
        "balanced_accuracy": "paretonas.objective.metric:BALANCED_ACCURACY",
        "estimated_ms": "paretonas.objective.metric:ESTIMATED",
        "estimated_spread": "paretonas.objective.metric:ESTIMATED_SPREAD",
        "gradient_norm": "paretonas.objective.metric:GRADIENT_NORM",
        "examples_per_second": "paretonas.objective.metric:EXAMPLES_PER_SECOND",
        "jacobian_covariance": "paretonas.objective.metric:JACOBIAN_COVARIANCE",
        "latency_flags": "paretonas.objective.metric:LATENCY_FLAGS",
        "latency_ms": "paretonas.objective.metric:LATENCY",
        "latency_spread": "paretonas.objective.metric:LATENCY_SPREAD",
        "macro_f1": "paretonas.objective.metric:MACRO_F1",
        "macs": "paretonas.objective.metric:MACS",
        "params": "paretonas.objective.metric:PARAMS",
        "peak_memory_bytes": "paretonas.objective.metric:PEAK_MEMORY",
        "perplexity": "paretonas.objective.metric:PERPLEXITY",
        "reward": "paretonas.objective.metric:REWARD",
        "synflow": "paretonas.objective.metric:SYNFLOW",
        "top5_accuracy": "paretonas.objective.metric:TOP5_ACCURACY",
        "train_loss": "paretonas.objective.metric:TRAIN_LOSS",
        "train_seconds": "paretonas.objective.metric:TRAIN_SECONDS",
        "weight_bytes": "paretonas.objective.metric:WEIGHT_BYTES",
    },
)

FEW_MILLIONS = 0.1
"""What is printed in millions and below this is printed in thousands."""

Known = Literal["cost", "untrained", "device", "training"]
"""From the spec alone; from a network before training; from a device; from training. Earlier ones come first."""

DERIVED = {"test_": "test", "exported_": "exported", "final_": "final"}
"""Prefix -> word: the metric of a finalist on test images, of its exported file, and after its final training."""


@dataclass(frozen=True)
class Metric:
    """A measured number.

    Args:
        name: With its unit ("latency_ms"); no dot.
        title: For people.
        is_rising: Whether more is better.
        known: When.
        unit: As it is printed.
        scale: What is printed is the number times this (100 for a fraction in percent).
        form: Of the printed number, as in a format string.
        most: Largest value that it can have.
    """

    name: str
    title: str
    is_rising: bool
    known: Known
    unit: str = ""
    scale: float = 1.0
    form: str = ".4g"
    most: float = math.inf

    def text(self, value: float) -> str:
        """The value for people.

        >>> metric("accuracy").text(0.7525), metric("latency_ms").text(1.25), metric("params").text(1200)
        ('75.25 %', '1.25 ms', '1.2 k')
        """
        shown = value * self.scale
        if self.unit.startswith("M") and 0 < abs(shown) < FEW_MILLIONS:
            return f"{1e3 * shown:.1f} k{self.unit[1:]}"
        is_long = self.form.endswith("g") and 1000 <= abs(shown) < 1e12  # an exponent is hard to read
        return (f"{shown:,.0f}" if is_long else f"{shown:{self.form}}") + (f" {self.unit}" if self.unit else "")

    def phrase(self, value: float) -> str:
        """The value in a sentence: where it has no unit that tells, with its title.

        >>> metric("accuracy").phrase(0.6), metric("test_perplexity").phrase(61.5)
        ('60.00 %', 'test perplexity 61.50')
        """
        return self.text(value) if self.unit else f"{self.title} {self.text(value)}"

    @property
    def axis(self) -> str:
        """Title and unit, for an axis or the head of a column."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def at_best(self, value: float) -> float:
        """The value with its sign changed if less is better, so that the largest is the best."""
        return value if self.is_rising else -value


@lru_cache(maxsize=256)
def metric(name: str) -> Metric:
    """The declaration of a metric as trials name it: `latency_ms`, `latency_ms.phone`, `test_accuracy`.

    Raises:
        UnknownNameError: It is not declared.

    >>> metric("final_latency_ms.phone").title
    'final latency on phone'
    """
    base, _, device = name.partition(".")
    prefix = next((p for p in DERIVED if base not in metrics and base.startswith(p) and base[len(p) :] in metrics), "")
    declared: Metric = metrics.load(base.removeprefix(prefix))
    title = " ".join(filter(None, (DERIVED.get(prefix), declared.title, f"on {device}" if device else "")))
    return replace(declared, name=name, title=title)


def on_device(name: str, device: str) -> str:
    """The name of a device's metric; a search of one device leaves the device's own name out.

    >>> on_device("latency_ms", "phone"), on_device("latency_ms", "")
    ('latency_ms.phone', 'latency_ms')
    """
    return f"{name}.{device}" if device else name


def of_kind(name: str, values: Mapping[str, float]) -> dict[str, float]:
    """Those of `values` that are the metric `name`, on whichever device.

    >>> of_kind("latency_ms", {"latency_ms.phone": 9.0, "params": 1e6})
    {'latency_ms.phone': 9.0}
    """
    return {key: value for key, value in values.items() if key.partition(".")[0] == name}


def latencies(names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that are latencies, measured or estimated, on whichever device.

    >>> latencies(("params", "latency_ms.phone", "estimated_ms.pi", "latency_spread.phone"))
    ('latency_ms.phone', 'estimated_ms.pi')
    """
    return tuple(name for name in names if name.partition(".")[0] in (LATENCY.name, ESTIMATED.name))


REWARD = Metric("reward", "reward", True, "training", form=".4f")
ACCURACY = Metric("accuracy", "accuracy", True, "training", "%", 100.0, ".2f", most=1.0)
TOP5_ACCURACY = Metric("top5_accuracy", "top-5 accuracy", True, "training", "%", 100.0, ".2f", most=1.0)
BALANCED_ACCURACY = Metric("balanced_accuracy", "balanced accuracy", True, "training", "%", 100.0, ".2f", most=1.0)
MACRO_F1 = Metric("macro_f1", "macro-F1", True, "training", "%", 100.0, ".2f", most=1.0)
AP = Metric("ap", "AP", True, "training", "%", 100.0, ".2f", most=1.0)
AP50 = Metric("ap50", "AP at an overlap of .50", True, "training", "%", 100.0, ".2f", most=1.0)
AP75 = Metric("ap75", "AP at an overlap of .75", True, "training", "%", 100.0, ".2f", most=1.0)
PERPLEXITY = Metric("perplexity", "perplexity", False, "training", form=".2f")
TRAIN_LOSS = Metric("train_loss", "training loss", False, "training")
TRAIN_SECONDS = Metric("train_seconds", "training time", False, "training", "s", form=".0f")
EXAMPLES_PER_SECOND = Metric("examples_per_second", "training speed", True, "training", "examples/s", form=".0f")
LATENCY = Metric("latency_ms", "latency", False, "device", "ms", form=".3g")
LATENCY_SPREAD = Metric("latency_spread", "spread of latency", False, "device", "%", 100.0, ".1f")
ESTIMATED = Metric("estimated_ms", "estimated latency", False, "device", "ms", form=".3g")
ESTIMATED_SPREAD = Metric("estimated_spread", "spread of estimated latency", False, "device", "%", 100.0, ".1f")
LATENCY_FLAGS = Metric("latency_flags", "flags of latency", False, "device", form=".0f")
PARAMS = Metric("params", "params", False, "cost", "M", 1e-6, ".2f")
MACS = Metric("macs", "MACs", False, "cost", "M", 1e-6, ".1f")
WEIGHT_BYTES = Metric("weight_bytes", "weights", False, "cost", "MB", 1e-6, ".2f")
PEAK_MEMORY = Metric("peak_memory_bytes", "peak memory", False, "cost", "MB", 1e-6, ".2f")
SYNFLOW = Metric("synflow", "synflow", True, "untrained")
JACOBIAN_COVARIANCE = Metric("jacobian_covariance", "jacobian covariance", True, "untrained")
GRADIENT_NORM = Metric("gradient_norm", "gradient norm", True, "untrained")
