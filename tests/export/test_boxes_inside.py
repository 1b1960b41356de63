"""What comes after a detector, in ONNX, beside torchvision's: the same boxes in the same order."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported import Exits, open_session

from paretonas.errors import ExportError, UsageError
from paretonas.export import formats
from paretonas.export.boxes import Decoding, boxes_interface
from paretonas.export.onnx import export_directly
from paretonas.export.onnx.boxes import add_boxes, boxes_model
from paretonas.network import build
from paretonas.search.boxes import decoding_of
from paretonas.space import Interface, Port
from paretonas.task.detecting import Anchors, read_boxes
from paretonas.zoo import zoo_spec

KINDS = [Anchors("retinanet", 128, 3), Anchors("ssdlite", 128, 3), Anchors("ssdlite", 96, 1)]
each_kind = pytest.mark.parametrize("anchors", KINDS, ids=lambda one: f"{one.head}-{one.classes}")


def run(decoding, logits, offsets):
    session = onnxruntime.InferenceSession(boxes_model(decoding).SerializeToString())
    return read_boxes(session.run(None, {"logits": logits, "offsets": offsets}), decoding.classes)


def made_up(anchors, seed, mean=-1.0):
    """Outputs in which about every score is another."""
    n, rng = len(decoding_of(anchors).anchors), np.random.default_rng(seed)
    logits = rng.normal(mean, 1.0, (1, n, anchors.classes + (anchors.head == "ssdlite"))).astype(np.float32)
    return logits, rng.normal(0.0, 1.0, (1, n, 4)).astype(np.float32)


def assert_alike(found, expected):
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-4)  # pixels
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert [x.dtype for x in (found.boxes, found.labels, found.scores)] == [np.float32, np.int64, np.float32]


@each_kind
@pytest.mark.parametrize("seed", range(3))
def test_boxes_are_torchvisions(anchors, seed):
    outputs = made_up(anchors, seed)
    (expected,) = anchors.found(*outputs)
    assert len(expected.boxes) == 100
    assert_alike(run(decoding_of(anchors), *outputs), expected)


@each_kind
@pytest.mark.parametrize("most", [1, 7, 40])
def test_candidates_are_limited_as_torchvisions_are(anchors, most, monkeypatch):
    """Of a level or of a class: with few of them there are other boxes."""
    outputs, decoding = made_up(anchors, 0), decoding_of(anchors)
    monkeypatch.setattr(anchors.detector[0], "topk_candidates", most)
    (expected,) = anchors.found(*outputs)
    found = run(replace(decoding, candidates=most), *outputs)
    assert_alike(found, expected)
    assert len(found.boxes) < 100 or not np.array_equal(found.boxes, run(decoding, *outputs).boxes)


@each_kind
def test_where_nothing_is_seen_there_is_no_box(anchors):
    logits, offsets = made_up(anchors, 0, mean=-20.0)
    if anchors.head == "ssdlite":
        logits[..., 0] = 20.0
    found = run(decoding_of(anchors), logits, offsets)
    assert (found.boxes.shape, found.labels.shape, found.scores.shape) == ((0, 4), (0,), (0,))


@each_kind
def test_whatever_is_far_or_large_is_cut_off_at_the_edge(anchors):
    logits, _ = made_up(anchors, 0)
    offsets = np.full((1, logits.shape[1], 4), 300.0, np.float32)
    offsets[:, ::2] *= -1
    found = run(decoding_of(anchors), logits, offsets)
    assert_alike(found, anchors.found(logits, offsets)[0])
    assert (found.boxes.min(), found.boxes.max()) == (0, anchors.resolution)


def by_hand(*boxes, most_overlap, most_boxes=100):
    """Anchors that are the boxes."""
    anchors = np.array(boxes, np.float32)
    return Decoding(anchors, (len(boxes),), (1.0,) * 4, 4.0, 32, 2, "sigmoid", 9, 0.5, most_overlap, most_boxes)


def seen(decoding, *logits):
    offsets = np.zeros((1, len(decoding.anchors), 4), np.float32)
    found = run(decoding, np.array([logits], np.float32), offsets)
    scores = [round(score, 3) for score in found.scores.tolist()]
    return list(zip(found.boxes.tolist(), found.labels.tolist(), scores, strict=True))


WHOLE, PART, APART = [0.0, 0.0, 20.0, 10.0], [0.0, 0.0, 11.0, 10.0], [20.0, 20.0, 32.0, 32.0]


def test_of_overlapping_boxes_of_a_class_the_better_stays():
    decoding = by_hand(WHOLE, PART, APART, most_overlap=0.5)
    assert seen(decoding, (1, -9), (2, -9), (0.5, -9)) == [(PART, 0, 0.881), (APART, 0, 0.622)]
    assert seen(decoding, (1, -9), (-9, 2), (0.5, -9)) == [(PART, 1, 0.881), (WHOLE, 0, 0.731), (APART, 0, 0.622)]
    assert seen(decoding, (3, 4), (-9, -9), (-9, -9)) == [(WHOLE, 1, 0.982), (WHOLE, 0, 0.953)]


@pytest.mark.parametrize(("most_overlap", "stays"), [(0.55, False), (0.56, True)])
def test_an_overlap_of_the_limit_is_judged_as_torchvision_judges_it(most_overlap, stays):
    """110 / 200 is in 32 bits the number next above 0.55."""
    found = seen(by_hand(WHOLE, PART, most_overlap=most_overlap), (2, -9), (1, -9))
    assert [box for box, *_ in found] == [WHOLE, PART][: 1 + stays]


def test_a_score_of_the_limit_is_not_enough():
    assert seen(by_hand(WHOLE, APART, most_overlap=0.5), (0, -9), (0.1, -9)) == [(APART, 0, 0.525)]


def test_the_best_of_all_classes_are_kept():
    decoding = by_hand(WHOLE, APART, most_overlap=0.5, most_boxes=2)
    assert seen(decoding, (1, 3), (2, -9)) == [(WHOLE, 1, 0.953), (APART, 0, 0.881)]


# Files


SPEC = zoo_spec("ssdlite:backbone=mobilenet-v2,width=0.25,last_filters=32")
INTERFACE = SPEC.usual_interface(3, 64, 2)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build(SPEC, INTERFACE).eval()


def test_a_file_that_ends_in_boxes_takes_one_image_and_says_its_shapes(model, tmp_path):
    decoding = decoding_of(Anchors("ssdlite", 64, 2))
    written = formats.create("onnx:boxes=true")
    written.write(model, SPEC, INTERFACE, tmp_path / "a.onnx", {"kind": "boxes"}, decoding)
    formats.create("onnx").write(model, SPEC, INTERFACE, tmp_path / "raw.onnx")
    assert written.metadata(tmp_path / "a.onnx") == {"kind": "boxes"}
    session, images = open_session(tmp_path / "a.onnx"), np.random.default_rng(0).normal(0, 1, (1, 3, 64, 64))
    fed = {"images": images.astype(np.float32)}
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("images", [1, 3, 64, 64])]
    told = [("boxes", ["boxes", 4]), ("labels", ["boxes"]), ("scores", ["boxes"])]
    assert [(x.name, x.shape) for x in session.get_outputs()] == told
    raw = open_session(tmp_path / "raw.onnx").run(None, fed)
    assert_alike(read_boxes(session.run(None, fed), 2), Anchors("ssdlite", 64, 2).found(*raw)[0])
    assert onnx.load(tmp_path / "a.onnx").opset_import[0].version == 13
    nodes = [node.name for node in onnx.load(tmp_path / "a.onnx").graph.node]
    assert any(name.startswith("boxes/nonmaxsuppression") for name in nodes)


def test_its_interface_is_of_one_box():
    outputs = [(port.name, port.shape, port.dtype) for port in boxes_interface(INTERFACE).outputs]
    assert outputs == [("boxes", (1, 4), "float32"), ("labels", (1,), "int64"), ("scores", (1,), "float32")]
    assert boxes_interface(INTERFACE).inputs == INTERFACE.inputs


def test_what_is_given_without_being_asked_for_or_not_given_is_refused(model, tmp_path):
    decoding = decoding_of(Anchors("ssdlite", 64, 2))
    for name, given in (("onnx:boxes=true", None), ("onnx", decoding), ("safetensors", decoding)):
        with pytest.raises(ExportError, match="boxes=true"):
            formats.create(name).write(model, SPEC, INTERFACE, tmp_path / "a", {}, given)
    with pytest.raises(UsageError, match="Options: none"):
        formats.create("safetensors:boxes=true")
    assert not list(tmp_path.iterdir())


def test_boxes_are_made_of_logits_and_offsets_alone(tmp_path):
    port = Port("x", (1, 4, 2, 2))
    interface = Interface((port, replace(port, name="y")), (replace(port, name="sum"), Port("mean", (1, 4))))
    export_directly(Exits().eval(), interface, tmp_path / "a.onnx")
    with pytest.raises(ExportError, match="logits and offsets, but got sum, mean"):
        add_boxes(tmp_path / "a.onnx", decoding_of(KINDS[0]))
