from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from paretonas.errors import MachineError, UsageError
from paretonas.network.cost import spec_cost
from paretonas.report.aims import Aims
from paretonas.report.charts import order_chart, series_of
from paretonas.report.describe import describe
from paretonas.report.drawing import DrawnPart, dearest_and_cheapest, draw
from paretonas.report.figure import check_figure_path, front_figure, save_figure
from paretonas.report.labels import box_of, place_labels
from paretonas.report.table import trials_table, write_parquet
from paretonas.space import Architecture, Interface
from paretonas.space.nasbench import CELL_OPS, Cell201Spec
from paretonas.trial import State, Trial
from paretonas.zoo.zoo import zoo_spec


def _trial(number, accuracy, latency, state=State.COMPLETE):
    metrics = {"accuracy": accuracy, "latency_ms": latency} if accuracy is not None else {"params": 5}
    evidence = {"latency_ms": f"id{number}", "cost": None}
    return Trial(number, Architecture("toy", (number,)), f"{number}", state, metrics, evidence, accuracy, told=number)


IMAGENET = Interface.of_images(channels=3, resolution=224, classes=1000)
ALONE = Aims("accuracy", {"latency_ms": None})
AIMED = Aims("accuracy", {"latency_ms": 2.5})
TRIALS = [
    _trial(0, 0.5, 2.0),
    _trial(1, 0.7, 3.0),
    _trial(2, 0.6, 3.5),
    _trial(3, 0.4, 1.0),
    _trial(4, None, 0.0, State.FAILED),
    _trial(5, 0.7, 3.0),
]


def test_table_has_a_row_a_trial_and_nulls_where_a_metric_is_missing(tmp_path):
    write_parquet(TRIALS, tmp_path / "t.parquet")
    rows = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert rows == trials_table(TRIALS).to_pylist()
    with pytest.raises(MachineError, match="Not a directory"):
        write_parquet(TRIALS, tmp_path / "t.parquet" / "u.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    assert [row["accuracy"] for row in rows] == [0.5, 0.7, 0.6, 0.4, None, 0.7]
    assert rows[4]["state"] == "failed"
    assert rows[3]["choices"] == [3]
    assert rows[3]["evidence"] == '{"latency_ms": "id3", "cost": null}'


def _groups(plain):
    """Numbers of the trials that a figure marks, by the legend."""
    groups = {}
    for layer in plain["layer"]:
        for row in layer["data"]["values"]:
            if "group" in row:
                groups.setdefault(row["group"], []).append(row["trial"])
    return groups


def test_figure_marks_the_front_and_the_target(tmp_path):
    figure = front_figure(TRIALS, "toy", AIMED)
    plain = figure.to_dict()
    groups = _groups(plain)
    assert groups == {"front of the search": [0, 1, 3], "its other trials": [2, 5]}
    assert "target 2.5 ms" in plain["title"]
    save_figure(figure, tmp_path / "f.svg")
    assert "latency (ms)" in (tmp_path / "f.svg").read_text()
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.html"):
        save_figure(figure, tmp_path / "f.pdf")
    with pytest.raises(UsageError, match="folder that exists"):
        save_figure(figure, tmp_path / "no" / "f.png")


def test_figure_shows_other_searches_beside_and_names_published_networks(tmp_path):
    zoo = [replace(_trial(0, 0.65, 2.2), spec_hash="v2"), replace(_trial(1, 0.66, 2.25), spec_hash="a1")]
    beside = {"random search": [_trial(9, 0.3, 1.5)], "published networks": zoo}
    figure = front_figure(TRIALS, "toy", AIMED, beside, {"v2": "mobilenet-v2 x0.5", "a1": "mnasnet-a1 x0.5"})
    groups = _groups(figure.to_dict())
    assert groups["random search"] == [9]
    assert groups["published networks"] == [0, 1]
    save_figure(figure, tmp_path / "f.svg")
    drawn = (tmp_path / "f.svg").read_text()
    for name in ("mobilenet-v2 x0.5", "mnasnet-a1 x0.5", "random search", "published networks"):
        assert f">{name}<" in drawn


@given(st.lists(st.tuples(st.floats(0, 640), st.floats(0, 380)), min_size=1, max_size=7), st.integers(3, 22))
@settings(max_examples=40, deadline=None)
def test_names_never_overlap_as_long_as_there_are_few(points, length):
    labels = place_labels(points, ["m" * length] * len(points), [], 640, 380)
    boxes = [box_of(point, label) for point, label in zip(points, labels, strict=True)]
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0
        assert right <= 640
        for other_left, other_top, other_right, other_bottom in boxes[:i]:
            assert not (left < other_right and right > other_left and top < other_bottom and bottom > other_top)


def test_names_avoid_points():
    alone = place_labels([(300.0, 200.0)], ["mnasnet-a1"], [], 640, 380)
    beside = place_labels([(300.0, 200.0)], ["mnasnet-a1"], [(330.0, 200.0)], 640, 380)
    assert (alone[0].dx, alone[0].align) == (9.0, "left")
    assert (beside[0].dx, beside[0].align) == (-9.0, "right")


def test_html_figure_needs_no_network_and_runs_nothing_of_a_store(tmp_path):
    hostile = "</script><script>alert(1)</script>\x1b"
    save_figure(front_figure(TRIALS, hostile, ALONE), tmp_path / "f.html")
    page = (tmp_path / "f.html").read_text()
    assert 'src="http' not in page
    assert page.count("<script") == 3
    assert "default-src 'none'; script-src 'sha256-" in page
    assert "\\\\x1b" in page
    save_figure(front_figure(TRIALS, hostile, ALONE), tmp_path / "f.svg")
    drawn = (tmp_path / "f.svg").read_text()
    assert "<script" not in drawn
    assert "\\x1b" in drawn


def test_figure_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "f.png").mkdir()
    (tmp_path / "file").touch()
    for path, error, words in [("f.png", UsageError, "is a folder"), ("file/f.svg", MachineError, "cannot be written")]:
        with pytest.raises(error, match=words):
            check_figure_path(tmp_path / path)
        with pytest.raises(error, match=words):
            save_figure(front_figure(TRIALS, "toy", ALONE), tmp_path / path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.png", "file"]


@pytest.mark.parametrize(("accuracies", "top"), [((0.9, 1.0), 100.0), ((1.0, 1.0), 100.0), ((0.4, 0.5), 50.6)])
def test_axis_of_a_share_ends_at_all_of_it(accuracies, top):
    trials = [_trial(i, accuracy, 1.0 + i) for i, accuracy in enumerate(accuracies)]
    charts = [front_figure(trials, "toy", ALONE), order_chart(series_of({"toy": trials}), "accuracy")]
    for chart in charts:
        scales = [layer["encoding"]["y"]["scale"] for layer in chart.to_dict()["layer"]]
        assert [scale["domain"][1] for scale in scales] == pytest.approx([top] * len(scales))


def test_figure_has_a_panel_for_each_device(tmp_path):
    both = [
        replace(t, metrics={"accuracy": 0.1 * (t.number + 1), "latency_ms.phone": 1.0 + t.number, "latency_ms.pi": 9.0})
        for t in TRIALS
    ]
    zoo = [replace(both[0], spec_hash="v2")]
    aims = Aims("accuracy", {"latency_ms.phone": 2.5, "latency_ms.pi": None})
    figure = front_figure(both, "toy", aims, {"published networks": zoo}, {"v2": "mobilenet-v2 x0.5"})
    titles = [panel["title"] for panel in figure.to_dict()["vconcat"]]
    assert titles == ["on phone · dashed: target 2.5 ms · ring: recommended", "on pi · ring: recommended"]
    save_figure(figure, tmp_path / "f.svg")
    drawn = (tmp_path / "f.svg").read_text()
    assert "latency on phone (ms)" in drawn
    assert "latency on pi (ms)" in drawn
    assert drawn.count(">mobilenet-v2 x0.5<") == 4  # a halo and a text in each


def test_a_ring_marks_what_is_recommended():
    def rings(trials, aims):
        chart = front_figure(trials, "t", aims).to_dict()
        return [layer["data"]["values"] for layer in chart["layer"] if layer["mark"].get("filled") is False]

    assert rings(TRIALS, AIMED) == [[{"latency": 2.0, "quality": 50.0}]]  # trial 0 is the best within 2.5 ms
    assert rings(TRIALS, ALONE) == [[{"latency": 3.0, "quality": 70.0}]]
    final = {"test_accuracy": 0.9, "final_latency_ms": 2.6}
    finished = [replace(t, metrics={**t.metrics, **final}) if t.number == 3 else t for t in TRIALS]
    assert rings(finished, ALONE) == [[{"latency": 1.0, "quality": 40.0}]]  # where the search saw the finalist


def test_figure_without_complete_trials_or_latencies_is_refused():
    with pytest.raises(UsageError, match="none yet"):
        front_figure([TRIALS[4]], "toy", ALONE)
    with pytest.raises(UsageError, match="has no latencies"):
        front_figure(TRIALS, "toy", Aims("accuracy", {}))


def test_description_adds_up_to_the_network():
    spec = zoo_spec("mnasnet-a1")
    cost = spec_cost(spec, IMAGENET)
    rows = describe(spec, cost, IMAGENET)
    assert sum(row.params for row in rows) == cost.params
    assert sum(row.macs for row in rows) == cost.macs
    assert [row.side for row in rows] == [112, 112, 56, 28, 14, 14, 7, 7, 7, None]
    assert rows[3].what == "3 x mbconv3 5x5, se 0.25, stride 2, skip identity"


def test_cells_are_described_in_their_order():
    spec = Cell201Spec((CELL_OPS[3],) * 6, channels=16, cells=1)
    interface = Interface.of_images(channels=3, resolution=32, classes=10)
    cost = spec_cost(spec, interface)
    rows = describe(spec, cost, interface)
    names = ["stem", "cell0", "reduction1", "cell1", "reduction2", "cell2", "classifier"]
    assert [row.name for row in rows] == names
    assert [row.side for row in rows] == [32, 32, 16, 16, 8, 8, None]
    assert sum(row.params for row in rows) == cost.params
    # Six 3x3 convolutions from 16 to 16 channels, each with a normalization.
    assert rows[1].params == 6 * (16 * 16 * 9 + 32)
    assert [part.output for part in draw(spec, interface, {})][1] == "16 x 32 x 32"


def test_images_that_are_not_square_have_no_side():
    wide = Interface(
        (replace(IMAGENET.inputs[0], shape=(1, 3, 64, 128)),),
        IMAGENET.outputs,
    )
    spec = zoo_spec("mnasnet-a1")
    assert {row.side for row in describe(spec, spec_cost(spec, wide), wide)} == {None}


def test_foreign_models_are_described_by_their_top_modules():
    spec = zoo_spec("mobilenet-v3-small")
    cost = spec_cost(spec, IMAGENET)
    assert sum(row.macs for row in describe(spec, cost, IMAGENET)) == cost.macs
    assert draw(spec, IMAGENET, {})[0].picture == ""


def test_the_dearest_and_the_cheapest_part_are_found_among_those_that_matter():
    def part(name, macs, share, latency):
        latencies = {} if latency is None else {"latency_ms": (latency, 0.1)}
        return DrawnPart(name, "", "", Markup(""), 0, 0.0, macs, share, latencies)

    parts = [part("stem", 2_000_000, 0.5, 1.0), part("block1", 1_000_000, 0.25, 2.0), part("tiny", 10, 0.001, 9.0)]
    assert dearest_and_cheapest(parts, "latency_ms") == (("block1", 2.0), ("stem", 0.5))
    assert dearest_and_cheapest([*parts[:1], part("unmeasured", 500_000, 0.2, None)], "latency_ms") is None
    assert dearest_and_cheapest(parts, "latency_ms.pi") is None
