"""Writes a store's searches and raw timings as Parquet files, to be kept with the results.

Usage: python benchmarks/export_store.py HOME OUTPUT
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from paretonas import Store
from paretonas.report import write_parquet


def main(home: Path, output: Path) -> None:
    """One file a search, and `timings.parquet`: a row for every latency that was measured, with all its samples."""
    output.mkdir(parents=True, exist_ok=True)
    store = Store(home / "store.db")
    for search in store.searches():
        write_parquet(store.trials(search.name), output / f"{search.name}.parquet")
        print(f"{search.name}: {sum(search.trials.values())} trials, ran {search.seconds:.0f} s")
    rows = [{"spec_hash": key["spec"], "pairs": key["pairs"], **value} for key, value in store.evaluations("latency")]
    pq.write_table(pa.Table.from_pylist(rows), output / "timings.parquet")
    print(f"{len(rows)} timings")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
