import itertools

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """Three ternary decisions; accuracy and latency both rise with their sum, a little apart."""
    rows = list(itertools.product(range(3), repeat=3))
    path = tmp_path_factory.mktemp("table") / "toy.parquet"
    columns = {
        "ops": [list(row) for row in rows],
        "valid": [50.0 + 5 * sum(row) + row[0] for row in rows],
        "test": [40.0 + 5 * sum(row) + row[2] for row in rows],
        "ms": [1.0 + sum(row) - 0.1 * row[1] for row in rows],
        "gaps": [None if row == (2, 2, 2) else 0.5 for row in rows],
        "slow gaps": [None if row == (2, 2, 2) else 1.0 + sum(row) for row in rows],
        "flops": [1000 * (1 + sum(row)) for row in rows],
    }
    pq.write_table(pa.table(columns), path)
    return path
