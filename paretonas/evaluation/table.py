"""A table in the place of training and timing: what others paid for is looked up.

It has the stages that a search on data has, so that what a limit prunes is not looked up, and costs a search nothing.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from paretonas.errors import DataError, MeasureError, TrainingError, UsageError
from paretonas.evaluation.evaluator import INLINE, About, Call, Evaluator, Evidence, Listens, Stage
from paretonas.objective.metric import metric, on_device
from paretonas.space import Architecture, Spec
from paretonas.space.table import Table, TabularSpec, read_table
from paretonas.trial import Metrics

COSTS = {"params": "params", "macs": "macs", "flops": "macs"}
"""Column -> metric, where a table has them; tables call MACs FLOPs."""

Lookup = Callable[[Spec], Metrics]


@dataclass(frozen=True)
class TableSource:
    """A table of networks that others trained, and what its columns mean; read on first use.

    Args:
        file: Parquet.
        metric: Column of the quality, in its own unit or as it is printed (accuracies in percent).
        latency: Columns of latencies in milliseconds, each as `column` or `device=column`; of several, each has a name.
        decisions: Columns that hold the architecture; none: `ops` or `arch`.
        quality: What the column `metric` is: a declared metric.

    Raises:
        UsageError: An undeclared quality, or names of devices that repeat.
    """

    file: str
    metric: str
    latency: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    quality: str = "accuracy"

    def __post_init__(self) -> None:
        metric(self.quality)
        object.__setattr__(self, "file", str(Path(self.file).expanduser().resolve()))  # to go on from any folder
        if len(self.columns) < len(self.latency):
            raise UsageError(f"Latencies of a table have names of their own, but got {', '.join(self.latency)}.")

    @property
    def path(self) -> Path:
        """Of the file."""
        return Path(self.file)

    @property
    def columns(self) -> dict[str, str]:
        """Metric -> column, for each latency; the only one goes without its device's name."""
        alone = len(self.latency) == 1
        columns = (text.rpartition("=")[2] for text in self.latency)
        named = zip(self.names, columns, strict=True)
        return {on_device("latency_ms", "" if alone else name): column for name, column in named}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the devices that its latencies are of."""
        return tuple(_name(name or column) for name, _, column in (text.rpartition("=") for text in self.latency))

    @cached_property
    def table(self) -> Table:
        """Read once; its columns are checked.

        Raises:
            DataError: No such file or column.
        """
        table = read_table(self.path, self.decisions)
        for column in (self.metric, *self.columns.values()):
            table.column(column)
        return table

    @cached_property
    def digest(self) -> str:
        """Of the file's contents."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]


def _name(text: str) -> str:
    """A column as the name of a device."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in text)


class TableEvaluator(Evaluator):
    """Looks up.

    Args:
        source: Where.
    """

    is_buildable = False

    def __init__(self, source: TableSource):
        self._source, self.quality = source, source.quality

    @property
    def table(self) -> Table:
        """What is looked up in."""
        return self._source.table

    def prepare(self, listener: Listens) -> None:
        self.table  # noqa: B018 - is read now

    def stages(self) -> tuple[Stage, ...]:
        costs = tuple(COSTS[column] for column in COSTS if column in self.table.columns)
        stages = [_stage("cost", costs, self.costs)] if costs else []
        stages += [_stage(name, (name,), self._latency_lookup(name)) for name in self._source.columns]
        return (*stages, _stage("training", (self.quality,), self.score))

    def about(self) -> About:
        source, table = self._source, self.table
        part = "" if table.is_whole else f", {len(table.rows):,} of {table.space().size:.3g} architectures"
        columns = ", ".join(source.columns.values())
        lines = (f"on the table {table.name}{part}", f"{source.quality}: {source.metric}")
        measured_on = ", ".join(filter(None, (table.name, columns and f"columns {columns}")))
        return About((*lines, f"latencies {columns}") if columns else lines, source.digest, measured_on)

    def usual_ms(self, name: str, listener: Listens) -> float:
        """The median of the column."""
        column = self._source.columns[name]
        values = [value for value in self.table.column(column) if 0 < value < math.inf]
        if not values:
            raise DataError(f"A column of latencies has numbers, but {column} of {self.table.name} has none.")
        median = statistics.median(values)
        listener.note(f"No target latency was given: aiming at {median:.3g} ms, the median of {column}.")
        return median

    # Looking up

    def row(self, spec: Spec) -> int:
        """The number of a spec's row."""
        if not isinstance(spec, TabularSpec):
            raise TrainingError(f"A table has rows of its own kind, but got {spec!r}.")
        # A short architecture has values for the first decisions alone.
        choices = tuple(index[value] for index, value in zip(self._indices, spec.values, strict=False))
        return self.table.row(Architecture(spec.table, choices))

    def costs(self, spec: Spec) -> dict[str, float]:
        """`params` and `macs`, as far as the table has them."""
        row = self.row(spec)
        return {COSTS[name]: self.table.columns[name][row] for name in COSTS if name in self.table.columns}

    def latency(self, spec: Spec, name: str) -> float:
        """A latency of a spec in milliseconds.

        Raises:
            MeasureError: The table has a gap there.
        """
        value = self.table.column(self._source.columns[name])[self.row(spec)]
        if not 0 < value < math.inf:
            raise MeasureError(f"{self.table.name} has no {self._source.columns[name]} of {_values(spec)}: {value}.")
        return value

    def score(self, spec: Spec) -> dict[str, float]:
        """The quality of a spec.

        Raises:
            TrainingError: The table has a gap there.
        """
        value = self.table.column(self._source.metric)[self.row(spec)] / self._scale
        if not math.isfinite(value):
            raise TrainingError(f"{self.table.name} has no {self._source.metric} of {_values(spec)}.")
        return {self.quality: value}

    def _latency_lookup(self, name: str) -> Lookup:
        device = name.partition(".")[2]

        def look_up(spec: Spec) -> dict[str, float]:
            return {name: self.latency(spec, name), on_device("latency_flags", device): 0.0}

        return look_up

    @cached_property
    def _scale(self) -> float:
        """What 1 is written as: fractions may be written in percent."""
        largest = max((v for v in self.table.column(self._source.metric) if math.isfinite(v)), default=0.0)
        scale = metric(self.quality).scale
        return scale if scale > 1 and largest > 1 else 1.0

    @cached_property
    def _indices(self) -> Sequence[Mapping[str, int]]:
        return [{str(choice): i for i, choice in enumerate(d.choices)} for d in self.table.decisions]


def _values(spec: Spec) -> str:
    return " ".join(spec.values) if isinstance(spec, TabularSpec) else repr(spec)


def _stage(name: str, gives: tuple[str, ...], look_up: Lookup) -> Stage:
    def keep(spec: Spec, metrics: Metrics) -> Evidence:
        return Evidence({key: float(value) for key, value in metrics.items() if math.isfinite(value)})

    return Stage(name, INLINE, gives, lambda spec: None, lambda spec: Call(look_up, (spec,)), keep)
