"""A table of architectures and of what was measured of them, as a search space: every strategy runs on it in seconds.

Source: ours. Tables of this kind: Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021
(NAS-Bench-Macro); Dong and Yang, NAS-Bench-201, ICLR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from paretonas.errors import DataError
from paretonas.space.nasbench import canonical_cell, parse_cell
from paretonas.space.space import Architecture, Choice, Decision, SearchSpace
from paretonas.space.spec import Spec

USUAL = ("ops", "arch")
"""Columns that hold the decisions where none are named."""


@dataclass(frozen=True)
class TabularSpec(Spec):
    """A row of a table; what it means as a network, only the table's makers know.

    Args:
        table: Name of the table.
        values: What the row decides, in order.
    """

    kind: ClassVar[str] = "tabular"
    table: str
    values: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """Architectures by their choices, and columns of numbers.

    A table may hold a part of what its decisions span. An architecture that it lacks stands for the row that differs
    from it in the fewest decisions, the first of several, so that every strategy can search it.

    Args:
        name: The file's, without suffix.
        decisions: One for each symbol that a row holds.
        rows: Choices -> number of the row.
        columns: Name -> the numbers of all rows.
        canonical: Choices -> those of the row that stands for all which compute the same, if the table tells.
    """

    name: str
    decisions: tuple[Decision, ...]
    rows: Mapping[tuple[int, ...], int]
    columns: Mapping[str, Sequence[float]]
    canonical: Mapping[tuple[int, ...], tuple[int, ...]] | None = None

    def space(self) -> SearchSpace:
        """The architectures that the decisions span."""

        def decode(values: Mapping[str, Choice]) -> Spec:
            choices = tuple(index[value] for index, value in zip(indices, values.values(), strict=True))
            nearest = self.nearest(choices)
            row = (d.choices[c] for d, c in zip(self.decisions, nearest, strict=True))
            return TabularSpec(self.name, tuple(map(str, row)))

        def representative(choices: tuple[int, ...]) -> tuple[int, ...]:
            nearest = self.nearest(choices)
            return nearest if self.canonical is None else self.canonical.get(nearest, nearest)

        indices = [{choice: i for i, choice in enumerate(decision.choices)} for decision in self.decisions]
        is_plain = self.canonical is None and self.is_whole
        return SearchSpace(f"tabular/{self.name}", self.decisions, decode, None if is_plain else representative)

    @property
    def is_whole(self) -> bool:
        """Whether it holds every architecture that its decisions span."""
        return len(self.rows) == math.prod(len(decision.choices) for decision in self.decisions)

    def nearest(self, choices: tuple[int, ...]) -> tuple[int, ...]:
        """The choices of the row that stands for an architecture: its own, or the nearest."""
        if choices in self.rows:
            return choices
        if choices not in self._stands_for:
            differing = (self._choices != choices).sum(axis=1)
            self._stands_for[choices] = tuple(self._choices[int(differing.argmin())].tolist())
        return self._stands_for[choices]

    @cached_property
    def _choices(self) -> Any:
        """(n, decisions) of all rows."""
        import numpy as np

        return np.array(list(self.rows))

    @cached_property
    def _stands_for(self) -> dict[tuple[int, ...], tuple[int, ...]]:
        return {}

    def column(self, name: str) -> Sequence[float]:
        """The numbers of a column.

        Raises:
            DataError: No such column of numbers; the message lists those there are.
        """
        if name not in self.columns:
            raise DataError(f"{self.name} has the columns of numbers {', '.join(self.columns)}, but not {name!r}.")
        return self.columns[name]

    def row(self, architecture: Architecture) -> int:
        """The number of the row that stands for it."""
        return self.rows[self.nearest(architecture.choices)]


def read_table(path: Path, decisions: Sequence[str] = ()) -> Table:
    """Read a Parquet file.

    Args:
        path: Of the file.
        decisions: The columns that hold an architecture: lists of symbols, of one length each; single symbols; or one
            column of strings, of which every character is a symbol. None given: `ops` or `arch`.

    Raises:
        DataError: No such file or column, or rows that are alike.
    """
    columns = _read_columns(path)
    names = tuple(decisions) or next(((name,) for name in USUAL if name in columns), ())
    if not names:
        raise DataError(
            f"Decisions stand in a column called {' or '.join(USUAL)} or are named, but {path.name} has "
            f"{_list(columns)}."
        )
    missing = [name for name in names if name not in columns]
    if missing:
        raise DataError(f"{path.name} has the columns {_list(columns)}, but not {missing[0]!r}.")
    symbols = [symbol for name in names for symbol in _symbols(name, columns[name], len(names) == 1, path.name)]
    spanned = tuple(Decision(name, tuple(sorted(set(values)))) for name, values in symbols)
    indices = [{choice: i for i, choice in enumerate(decision.choices)} for decision in spanned]
    columns_of_indices = [[index[v] for v in values] for index, (_, values) in zip(indices, symbols, strict=True)]
    keys = list(zip(*columns_of_indices, strict=True))
    rows = {key: i for i, key in enumerate(keys)}
    if len(rows) < len(keys):
        raise DataError(
            f"Rows of a table differ in {_list(names)}, but {len(keys) - len(rows)} of {path.name} repeat others."
        )
    numbers = {name: values for name, values in columns.items() if name not in names and _are_numbers(values)}
    kept = {name: [_number(v) for v in values] for name, values in numbers.items()}
    return Table(path.stem, spanned, rows, kept, _canonical(columns, keys))


def _canonical(
    columns: Mapping[str, list[Any]], keys: Sequence[tuple[int, ...]]
) -> dict[tuple[int, ...], tuple[int, ...]] | None:
    """Rows -> the row that stands for all which compute the same, if a column writes cells as NAS-Bench-201 does."""
    for values in columns.values():
        if not all(isinstance(value, str) for value in values):
            continue
        cells = [parse_cell(value) for value in values]
        if all(cells):
            by_cell = dict(zip(cells, keys, strict=True))
            return {key: by_cell.get(canonical_cell(cell), key) for cell, key in by_cell.items() if cell}
    return None


def _read_columns(path: Path) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"A table is a Parquet file, but there is no file {path}.")
    try:
        table = pq.read_table(path)
        columns = {name: table[name].to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"A table is a Parquet file, but {path} cannot be read: {error}") from None
    if not table.num_rows:
        raise DataError(f"A table has rows, but {path} has none.")
    return columns


def _symbols(name: str, values: list[Any], is_alone: bool, file: str) -> list[tuple[str, list[Choice]]]:
    """The decisions that a column holds, each with the symbols of all rows."""
    first = values[0]
    if isinstance(first, list) or (is_alone and isinstance(first, str)):
        if not all(type(value) is type(first) and len(value) == len(first) for value in values) or not first:
            raise DataError(f"Column {name!r} holds as many symbols in every row, but not in {file}.")
        return [(f"{name}.{i}", _checked(name, [v[i] for v in values], file)) for i in range(len(first))]
    return [(name, _checked(name, values, file))]


def _checked(name: str, values: list[Any], file: str) -> list[Choice]:
    kind = type(values[0])
    if kind not in (int, str) or not all(type(value) is kind for value in values):
        raise DataError(
            f"Symbols of a column are all whole numbers or all strings, but not those of {name!r} in {file}."
        )
    return values


def _are_numbers(values: list[Any]) -> bool:
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _list(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(names)
