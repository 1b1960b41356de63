"""A user's own measurements: a table of networks and their latencies, from which a predictor is fitted."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretonas.errors import DataError, ParetonasError
from paretonas.evaluation.fitting import Sample
from paretonas.space import SearchSpace, Spec, spec_from_json, spec_to_json
from paretonas.zoo import zoo_spec

LATENCY, NETWORKS = "latency_ms", ("spec", "network", "choices")
"""Columns: milliseconds; and what says which network, one of them."""
MOST = 500
"""Rows: a fit takes the cube of their number."""


@dataclass(frozen=True)
class OwnTable:
    """Networks that somebody else measured.

    Args:
        name: Of the file, with its digest.
        samples: Its rows.
    """

    name: str
    samples: tuple[Sample, ...]


def read_own_table(path: Path, space: SearchSpace) -> OwnTable:
    """The measurements of a file.

    Args:
        path: CSV or Parquet, with a column `latency_ms`, and one of `spec` (JSON), `network` (a name of the zoo with
            its options) and `choices` (numbers of the space's choices, with commas between).
        space: That `choices` are of.

    Raises:
        DataError: It cannot be read, lacks a column, or a row is not a network with its milliseconds.
    """
    rows = _rows(path)
    named = [column for column in NETWORKS if rows and column in rows[0]]
    if not rows or LATENCY not in rows[0] or len(named) != 1:
        has = f"the columns {', '.join(rows[0])}" if rows else "no rows"
        raise DataError(
            f"A table of measurements has a column {LATENCY}, in milliseconds, and one of {', '.join(NETWORKS)}, but "
            f"{path} has {has}."
        )
    if len(rows) > MOST:
        raise DataError(f"A table of measurements has {MOST} rows at most, but {path} has {len(rows)}. Give a part.")
    samples = []
    for number, row in enumerate(rows, start=1):
        try:
            spec = _spec(named[0], row[named[0]], space)
            samples.append(Sample(spec_to_json(spec), _milliseconds(row[LATENCY]), "", 0.0))
        except (ParetonasError, ValueError) as error:
            raise DataError(
                f"A row is a network and what it takes, but row {number} of {path} is not: {error}"
            ) from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return OwnTable(f"{path.name} ({digest[:12]})", tuple(samples))


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import csv, parquet

    if not path.is_file():
        raise DataError(f"A table of measurements is a file that exists, but there is no {path}.")
    try:
        table = parquet.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"A table of measurements is a CSV or Parquet file, but {path} is none: {error}") from error
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _spec(column: str, value: object, space: SearchSpace) -> Spec:
    text = str(value)
    if column == "spec":
        data = json.loads(text) if not isinstance(value, Mapping) else value
        return spec_from_json(data)
    if column == "network":
        return zoo_spec(text)
    return space.decode(space.architecture([int(choice) for choice in text.strip("[]").split(",")]))


def _milliseconds(value: object) -> float:
    milliseconds = float(str(value))
    if not 0 < milliseconds < math.inf:
        raise ValueError(f"{LATENCY} is positive, but got {value}")
    return milliseconds
