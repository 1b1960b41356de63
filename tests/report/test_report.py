import pyarrow.parquet as pq
import pytest

from paretonas.errors import UsageError
from paretonas.network.cost import spec_cost
from paretonas.network.zoo import zoo_spec
from paretonas.report import describe, front_figure, front_trials, save_figure, trials_table, write_parquet
from paretonas.space import Architecture
from paretonas.trial import State, Trial


def _trial(number, accuracy, latency, state=State.COMPLETE):
    metrics = {"accuracy": accuracy, "latency_ms": latency} if accuracy is not None else {"params": 5}
    return Trial(number, Architecture("toy", (number,)), f"{number}", state, metrics, accuracy, told=number)


TRIALS = [
    _trial(0, 0.5, 2.0),
    _trial(1, 0.7, 3.0),
    _trial(2, 0.6, 3.5),
    _trial(3, 0.4, 1.0),
    _trial(4, None, 0.0, State.FAILED),
    _trial(5, 0.7, 3.0),
]


def test_front_is_what_no_other_beats_fastest_first():
    assert [t.number for t in front_trials(TRIALS)] == [3, 0, 1]


def test_table_has_a_row_a_trial_and_nulls_where_a_metric_is_missing(tmp_path):
    write_parquet(TRIALS, tmp_path / "t.parquet")
    rows = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert rows == trials_table(TRIALS).to_pylist()
    assert [row["accuracy"] for row in rows] == [0.5, 0.7, 0.6, 0.4, None, 0.7]
    assert rows[4]["state"] == "failed"
    assert rows[3]["choices"] == [3]


def test_figure_marks_the_front_and_the_target(tmp_path):
    figure = front_figure(TRIALS, "toy", target_ms=2.5)
    plain = figure.to_dict()
    marked = [row["trial"] for row in plain["layer"][0]["data"]["values"] if row["is_front"]]
    assert marked == [0, 1, 3]
    assert "target 2.5 ms" in plain["title"]
    save_figure(figure, tmp_path / "f.svg")
    assert "latency (ms)" in (tmp_path / "f.svg").read_text()
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.html"):
        save_figure(figure, tmp_path / "f.pdf")
    with pytest.raises(UsageError, match="folder that exists"):
        save_figure(figure, tmp_path / "no" / "f.png")


def test_html_figure_needs_no_network(tmp_path):
    save_figure(front_figure(TRIALS, "toy"), tmp_path / "f.html")
    assert 'src="http' not in (tmp_path / "f.html").read_text()


def test_figure_without_complete_trials_is_refused():
    with pytest.raises(UsageError, match="none yet"):
        front_figure([TRIALS[4]], "toy")


def test_description_adds_up_to_the_network():
    spec = zoo_spec("mnasnet-a1")
    cost = spec_cost(spec, 224, 1000)
    rows = describe(spec, cost, 224)
    assert sum(row.params for row in rows) == cost.params
    assert sum(row.macs for row in rows) == cost.macs
    assert [row.side for row in rows] == [112, 112, 56, 28, 14, 14, 7, 7, 7, 1]
    assert rows[3].what == "3 x mbconv3 5x5, se 0.25, stride 2, skip identity"


def test_foreign_models_are_described_by_their_top_modules():
    spec = zoo_spec("mobilenet-v3-small")
    cost = spec_cost(spec, 224, 1000)
    assert sum(row.macs for row in describe(spec, cost, 224)) == cost.macs
