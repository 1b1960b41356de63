"""A table of architectures and of what was measured of them, as a search space: every strategy runs on it in seconds.

Source: ours. Tables of this kind: Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021
(NAS-Bench-Macro); Dong and Yang, NAS-Bench-201, ICLR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from paretonas.errors import DataError
from paretonas.space.nasbench import canonical_cell, parse_cell
from paretonas.space.space import Architecture, Choice, Decision, SearchSpace
from paretonas.space.spec import Spec

USUAL = ("ops", "arch")
"""Columns that hold the decisions where none are named."""
NETWORK = "network"
"""Column of strings that are equal in rows which write one network in several ways."""


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

    A table may hold a part of what its decisions span. An architecture that it lacks stands for the row of its length
    that differs from it in the fewest decisions, the first of several, so that every strategy can search it. Rows that
    write one network in several ways stand for the first of them.

    Args:
        name: The file's, without suffix.
        decisions: One for each symbol that the longest row holds.
        rows: Choices -> number of the row.
        columns: Name -> the numbers of all rows.
        canonical: Choices -> those of the row that stands for all which compute the same, if the table tells.
        first: Choices -> those of the first row of the same network, where it is another.
    """

    name: str
    decisions: tuple[Decision, ...]
    rows: Mapping[tuple[int, ...], int]
    columns: Mapping[str, Sequence[float]]
    canonical: Mapping[tuple[int, ...], tuple[int, ...]] | None = None
    first: Mapping[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict)

    def space(self) -> SearchSpace:
        """The architectures that the decisions span."""

        def decode(values: Mapping[str, Choice]) -> Spec:
            choices = tuple(index[value] for index, value in zip(indices, values.values(), strict=False))
            nearest = self.nearest(choices)
            row = (d.choices[c] for d, c in zip(self.decisions, nearest, strict=False))
            return TabularSpec(self.name, tuple(map(str, row)))

        def representative(choices: tuple[int, ...]) -> tuple[int, ...]:
            nearest = self.nearest(choices)
            return nearest if self.canonical is None else self.canonical.get(nearest, nearest)

        indices = [{choice: i for i, choice in enumerate(decision.choices)} for decision in self.decisions]
        is_plain = self.canonical is None and self.is_whole and not self.first
        lengths = tuple(sorted({len(choices) for choices in self.rows}))
        name = f"tabular/{self.name}"
        return SearchSpace(name, self.decisions, decode, None if is_plain else representative, lengths)

    @property
    def is_whole(self) -> bool:
        """Whether it holds every architecture that its decisions span."""
        lengths = {len(choices) for choices in self.rows}
        sizes = [len(decision.choices) for decision in self.decisions]
        return len(self.rows) == sum(math.prod(sizes[:length]) for length in lengths)

    def nearest(self, choices: tuple[int, ...]) -> tuple[int, ...]:
        """The choices of the row that stands for an architecture: its own, the first of its network, or the nearest."""
        if choices not in self.rows:
            if choices not in self._stands_for:
                rows = self._choices[len(choices)]
                self._stands_for[choices] = tuple(rows[int((rows != choices).sum(axis=1).argmin())].tolist())
            choices = self._stands_for[choices]
        return self.first.get(choices, choices)

    @cached_property
    def _choices(self) -> dict[int, Any]:
        """(n, length) of all rows of each length."""
        import numpy as np

        by_length: dict[int, list[tuple[int, ...]]] = {}
        for choices in self.rows:
            by_length.setdefault(len(choices), []).append(choices)
        return {length: np.array(rows) for length, rows in by_length.items()}

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
        decisions: The columns that hold an architecture: lists of symbols, of one length each unless there is but one
            such column; single symbols; or one column of strings, of which every character is a symbol. None given:
            `ops` or `arch`.

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
    symbols = [_symbols(name, columns[name], len(names) == 1, path.name) for name in names]
    titles = [title for name, values in zip(names, symbols, strict=True) for title in _titles(name, values)]
    written = [tuple(chain(*parts)) for parts in zip(*symbols, strict=True)]
    offered = [tuple(sorted({row[i] for row in written if i < len(row)})) for i in range(len(titles))]
    spanned = tuple(map(Decision, titles, offered))
    indices = [{choice: i for i, choice in enumerate(choices)} for choices in offered]
    keys = [tuple(index[symbol] for index, symbol in zip(indices, row, strict=False)) for row in written]
    rows = {key: i for i, key in enumerate(keys)}
    if len(rows) < len(keys):
        raise DataError(
            f"Rows of a table differ in {_list(names)}, but {len(keys) - len(rows)} of {path.name} repeat others."
        )
    numbers = {name: values for name, values in columns.items() if name not in names and _are_numbers(values)}
    kept = {name: [_number(v) for v in values] for name, values in numbers.items()}
    return Table(path.stem, spanned, rows, kept, _canonical(columns, keys), _first(columns, keys))


def _first(columns: Mapping[str, list[Any]], keys: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Rows -> the first row of the same network, where a column says so and it is another."""
    found: dict[Any, tuple[int, ...]] = {}
    networks = columns.get(NETWORK, [])
    if not all(isinstance(network, str) for network in networks):
        return {}
    firsts = [found.setdefault(network, key) for network, key in zip(networks, keys, strict=False)]
    return {key: first for key, first in zip(keys, firsts, strict=False) if key != first}


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


def _symbols(name: str, values: list[Any], is_alone: bool, file: str) -> list[tuple[Choice, ...]]:
    """What a column holds of each row."""
    first = values[0]
    if not (isinstance(first, list) or (is_alone and isinstance(first, str))):
        return [(symbol,) for symbol in _checked(name, values, file)]
    lengths = {len(value) for value in values if type(value) is type(first)}
    is_one_length = len(lengths) == 1 or (is_alone and isinstance(first, list))
    if not (all(type(value) is type(first) for value in values) and is_one_length and min(lengths) > 0):
        raise DataError(
            f"Column {name!r} holds as many symbols in every row, one at least; lists that are the only column may "
            f"differ. {file} is otherwise."
        )
    _checked(name, [symbol for value in values for symbol in value], file)
    return [tuple(value) for value in values]


def _titles(name: str, values: list[tuple[Choice, ...]]) -> list[str]:
    """Of the decisions that a column holds."""
    longest = max(map(len, values))
    return [name] if longest == 1 else [f"{name}.{i}" for i in range(longest)]


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
