"""What every result says of itself, and tables that can be pasted into docs/results."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paretonas.device.runner.moment import processor


def conditions() -> dict[str, Any]:
    """Date, machine, versions and the command; of paths, the last part only."""
    words = (Path(word).name if os.sep in word else word for word in sys.argv[1:])
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("paretonas", "torch", "torchvision", "onnxruntime")},
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words]),
    }


def print_conditions(found: dict[str, Any]) -> None:
    """One line each."""
    for key, value in found.items():
        print(f"{key}: {value}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table in Markdown."""
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |")


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows as Parquet in one step, so that a reader or an interruption never meets half a file."""
    draft = path.with_name(path.name + ".part")
    pq.write_table(pa.Table.from_pylist(list(rows)), draft)
    draft.replace(path)
