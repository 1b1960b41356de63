"""Training and timing that others paid for: a trial's metrics looked up in a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from paretonas.errors import TrainingError
from paretonas.space import Architecture
from paretonas.space.tabular import Table

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

    def metrics(self, architecture: Architecture) -> dict[str, float]:
        """All that is known of an architecture: `accuracy` as a fraction, `latency_ms`, `params`, `macs`.

        Raises:
            TrainingError: The table has a gap there.
        """
        row = self.table.row(architecture)
        accuracy = math.nan if row is None else self.table.column(self.metric)[row] / self._scale
        if row is None or math.isnan(accuracy):
            raise TrainingError(f"{self.table.name} has no {self.metric} of {architecture.choices}.")
        found = {"accuracy": accuracy}
        if self.latency is not None:
            found["latency_ms"] = self.table.column(self.latency)[row]
        costs = {metric: self.table.columns[name][row] for name, metric in COSTS.items() if name in self.table.columns}
        return found | costs
