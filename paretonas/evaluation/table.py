"""Training and timing that others paid for: a trial's metrics looked up in a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from paretonas.errors import TrainingError
from paretonas.latency import Latency
from paretonas.space import Architecture, Spec
from paretonas.space.table import Table, TabularSpec
from paretonas.trial import Metrics

COSTS = {"params": "params", "macs": "macs", "flops": "macs"}
"""Column -> metric, where a table has them; tables call MACs FLOPs."""


@dataclass(frozen=True)
class TabularTask:
    """A table as a task.

    Args:
        table: Where the numbers are.
        metric: Column of accuracies, as fractions or in percent.
        latency: Column of latencies in milliseconds, if any.

    Raises:
        DataError: No such column.
    """

    table: Table
    metric: str
    latency: str | None = None

    def __post_init__(self) -> None:
        for column in (self.metric, self.latency):
            if column is not None:
                self.table.column(column)

    @cached_property
    def _scale(self) -> float:
        """What an accuracy of 1 is written as."""
        return 100.0 if max(v for v in self.table.column(self.metric) if not math.isnan(v)) > 1 else 1.0

    @property
    def known_costs(self) -> dict[str, str]:
        """Costs that the table has, and their columns."""
        return {metric: name for name, metric in COSTS.items() if name in self.table.columns}

    def metrics(self, architecture: Architecture) -> dict[str, float]:
        """All that is known of an architecture: `accuracy` as a fraction, `latency_ms`, `params`, `macs`.

        Raises:
            TrainingError: The table has a gap there.
        """
        row = self._row(architecture)
        found = {"accuracy": self.accuracy(architecture)}
        if self.latency is not None:
            found["latency_ms"] = self.table.column(self.latency)[row]
        return found | self.costs(architecture)

    def accuracy(self, architecture: Architecture) -> float:
        """As a fraction.

        Raises:
            TrainingError: The table has a gap there.
        """
        found = self.table.column(self.metric)[self._row(architecture)] / self._scale
        if math.isnan(found):
            raise TrainingError(f"{self.table.name} has no {self.metric} of {architecture.choices}.")
        return found

    def costs(self, architecture: Architecture) -> dict[str, float]:
        """`params` and `macs`, as far as the table has them.

        Raises:
            TrainingError: The table has a gap there.
        """
        row = self._row(architecture)
        return {metric: self.table.columns[name][row] for metric, name in self.known_costs.items()}

    def _row(self, architecture: Architecture) -> int:
        row = self.table.row(architecture)
        if row is None:
            raise TrainingError(f"{self.table.name} has no row of {architecture.choices}.")
        return row


class TableEvaluator:
    """A table in the place of training and timing.

    Args:
        task: What is looked up.
    """

    is_here = False

    def __init__(self, task: TabularTask):
        self._task = task
        self._known: dict[Spec, Metrics] = {}
        self._indices = [{str(c): i for i, c in enumerate(d.choices)} for d in task.table.decisions]

    def cost(self, spec: Spec) -> Metrics:
        """What the table knows of costs."""
        return self._task.costs(self._architecture(spec))

    def proxies(self, spec: Spec) -> Metrics:
        """None: nothing is built."""
        return {}

    def latency(self, spec: Spec) -> Latency | None:
        """The table's figure, of which nobody knows the samples."""
        if self._task.latency is None:
            return None
        seconds = self._task.metrics(self._architecture(spec))["latency_ms"] / 1e3
        return Latency((seconds,), (seconds,), (1.0,), (1.0,), 1.0, flags=("summary-only",))

    def trained(self, spec: Spec, fidelity: float) -> Metrics | None:
        """What was looked up before."""
        return self._known.get(spec)

    def remember(self, spec: Spec, fidelity: float, metrics: Metrics) -> None:
        """Say so when it is proposed again."""
        self._known[spec] = metrics

    def job(self, spec: Spec, fidelity: float, state: Path) -> Architecture:
        """What is looked up."""
        return self._architecture(spec)

    def run(self, architecture: Architecture) -> dict[str, float]:
        """The accuracy of a row."""
        return {"accuracy": self._task.accuracy(architecture)}

    def _architecture(self, spec: Spec) -> Architecture:
        if not isinstance(spec, TabularSpec):
            raise TrainingError(f"A table has rows of its own kind, but got {spec!r}.")
        table = self._task.table
        choices = (index[value] for index, value in zip(self._indices, spec.values, strict=True))
        return Architecture(table.space().name, tuple(choices))
