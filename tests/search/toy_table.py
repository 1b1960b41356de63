"""A table of 81 networks, of which one was never trained and another never timed."""

import itertools
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from paretonas.evaluation.table import TableSource
from paretonas.loop.plan import Budget
from paretonas.search.config import SearchConfig
from paretonas.strategy import strategies

ROWS = list(itertools.product(range(3), repeat=4))


def write_table(path):
    """Columns of accuracies in percent, perplexities, two latencies, and params."""
    columns = {
        "ops": [list(row) for row in ROWS],
        "acc": [None if row == (0, 0, 0, 0) else 50.0 + 5 * sum(row) for row in ROWS],
        "ppl": [100.0 - 5 * sum(row) for row in ROWS],
        "ms": [float("nan") if row == (0, 0, 0, 1) else 1.0 + sum(row) + 0.1 * row[0] for row in ROWS],
        "pi-ms": [2.0 + 2 * sum(row) for row in ROWS],
        "params": [1000 * (1 + row[3]) for row in ROWS],
    }
    pq.write_table(pa.table(columns), path)
    return path


def source(path, **change):
    """What its columns mean."""
    return TableSource(**{"file": str(path), "metric": "acc", "latency": ("ms",), **change})


def config(path, strategy="random", trials=12, **change):
    """A search of it."""
    usual = SearchConfig("toy", table=source(path), strategy=strategies.read(strategy), budget=Budget(trials=trials))
    return replace(usual, **change)
