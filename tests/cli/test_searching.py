"""What search and resume are told of tables and of data that were moved."""

import json

import pyarrow.parquet as pq
import pytest


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--target-ms", "phone=2"), "one of its latencies (ms), but got 'phone'"),
        (("--device", "phone=onnxruntime"), "--latency NAME=COLUMN"),
        (("--metric", "absent"), "not 'absent'"),
        (("--latency", "b=absent"), "not 'absent'"),
        (("--decisions", "ops, absent"), "not 'absent'"),
        (("--limit", "params<=1e6"), "but got 'params'"),
        (("--goals", "accuracy+params"), "but got 'params'"),
        (("--screen", "params:keep=0.5"), "but got 'params'"),
    ],
)
def test_what_a_table_does_not_have_is_an_error(command, toy_search, words, says):
    said = command(*toy_search, *words)
    assert said.code == 2
    assert says in " ".join(said.err.split())
    assert "Traceback" not in said.err


def test_a_search_goes_on_with_data_that_were_moved(command, toy_search, tmp_path):
    home = toy_search[:2]
    assert command(*toy_search, "--baselines", "--strategy", "local-search").code == 0
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "toy.parquet").rename(tmp_path / "moved" / "toy.parquet")
    said = command(*home, "resume", "t", "--trials", "6")
    assert said.code == 2
    assert "were moved: --data DATA" in " ".join(said.err.split())
    said = command(*home, "resume", "t", "--trials", "6", "--data", f"table:{moved}", "--json")
    assert said.code == 0, said.err
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert sum("trial" in line for line in lines) == 4  # of the search and its baseline
    assert [line["search"] for line in lines if "recommended" in line] == ["t", "t.random"]
    assert command(*home, "resume", "t", "--trials", "7").code == 0  # it is known there from now on
    assert json.loads(command(*home, "show", "t", "--json").out)["config"]["table"]["file"] == str(moved)


def test_other_data_are_not_those_that_were_moved(command, toy_search, tmp_path):
    home = toy_search[:2]
    assert command(*toy_search).code == 0
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(tmp_path / "toy.parquet").slice(0, 8), other)
    said = command(*home, "resume", "t", "--data", f"table:{other}")
    assert said.code == 2
    assert "still called toy.parquet" in " ".join(said.err.split())
    (tmp_path / "else").mkdir()
    said = command(*home, "resume", "t", "--data", f"table:{other.rename(tmp_path / 'else' / 'toy.parquet')}")
    assert said.code == 2
    assert "have changed since" in " ".join(said.err.split())
    assert command(*home, "resume", "t", "--data", "photos").code == 2
    assert str(tmp_path / "toy.parquet") in command(*home, "show", "t", "--toml").out
