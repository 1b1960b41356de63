"""A user's own table of networks and latencies."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paretonas.errors import DataError
from paretonas.evaluation.own_table import MOST, read_own_table
from paretonas.space import spaces, spec_from_json, spec_to_json
from paretonas.zoo import zoo_spec

SPACE = spaces.create("mnasnet:resolution=32,width=0.5").build()


def written(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return path


def test_networks_are_named_in_three_ways(tmp_path):
    by_name = written(tmp_path, "network,latency_ms\nmnasnet-a1:width=0.5,1.5\nmobilenet-v2,3\n")
    table = read_own_table(by_name, SPACE)
    assert table.name.startswith("mine.csv (")
    assert [sample.latency_ms for sample in table.samples] == [1.5, 3.0]
    assert spec_from_json(table.samples[0].spec) == zoo_spec("mnasnet-a1:width=0.5")
    choices = ",".join("0" for _ in SPACE.decisions)
    by_choices = written(tmp_path, f'choices,latency_ms,note\n"{choices}",2.5,kept\n')
    wanted = SPACE.decode(SPACE.architecture([0] * len(SPACE.decisions)))
    assert spec_from_json(read_own_table(by_choices, SPACE).samples[0].spec) == wanted
    by_spec = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"spec": [json.dumps(spec_to_json(wanted))], "latency_ms": [2.5]}), by_spec)
    assert spec_from_json(read_own_table(by_spec, SPACE).samples[0].spec) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network,ms\nmobilenet-v2,3\n", "a column latency_ms, in milliseconds, .* has the columns network, ms"),
        ("latency_ms\n3\n", "one of spec, network, choices, .* has the columns latency_ms"),
        ("network,spec,latency_ms\na,b,3\n", "one of spec, network, choices"),
        ("network,latency_ms\n", "has no rows"),
        ("network,latency_ms\nmobilenet-v2,3\nno-such,3\n", "row 2 of .* is not: .*no-such"),
        ("network,latency_ms\nmobilenet-v2,-3\n", "row 1 of .* latency_ms is positive, but got -3"),
        ("network,latency_ms\nmobilenet-v2,\n", "row 1 of .* is not: could not convert"),
        ("network,latency_ms\nmobilenet-v2,nan\n", "row 1 of .* is not: "),
        ("choices,latency_ms\n7,3\n", "row 1 of .* is not: "),
        ("choices,latency_ms\nfew,3\n", "row 1 of .* is not: invalid literal"),
        ("spec,latency_ms\n{,3\n", "row 1 of .* is not: "),
        ("network,latency_ms\n" + "mobilenet-v2,3\n" * (MOST + 1), "500 rows at most, but .* has 501"),
    ],
)
def test_what_is_no_table_of_networks_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_own_table(written(tmp_path, text), SPACE)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no"):
        read_own_table(tmp_path / "absent.csv", SPACE)
    (tmp_path / "bytes.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="is a CSV or Parquet file, but"):
        read_own_table(tmp_path / "bytes.parquet", SPACE)
