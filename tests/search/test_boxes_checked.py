"""Files that end in boxes are held against torchvision's, and a wrong one never stays."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from paretonas.device import parse_device
from paretonas.errors import ExportError, UsageError
from paretonas.export import formats
from paretonas.export.checkpoint import save_checkpoint
from paretonas.network import build
from paretonas.search import boxes, exporting
from paretonas.search.boxes import anchors_of, decoding_of, disagreement, suppression_of
from paretonas.search.exporting import export_trial
from paretonas.space import Interface
from paretonas.store import Store
from paretonas.task.detecting import Anchors
from paretonas.task.found import Found
from paretonas.task.metadata import ImageBoxes, check_metadata
from paretonas.zoo import zoo_spec

SPECS = {
    "ssdlite": zoo_spec("ssdlite:backbone=mobilenet-v2,width=0.25,last_filters=32"),
    "retinanet": zoo_spec("retinanet:backbone=mobilenet-v2,width=0.25,filters=8,separable=true,head_layers=1"),
}


def told(detector):
    pixels = ("RGB", "NCHW", "longer-side", 114, "bilinear-antialiased", 0.5, 0.25)
    return ImageBoxes("boxes", ("cat", "eel"), detector, *pixels).to_json()


@pytest.fixture(params=list(SPECS))
def detector(request):
    return request.param


@pytest.fixture
def home(detector, tmp_path):
    """Of a search `s` whose trial 3 has weights, which see something in noise."""
    Store(tmp_path / "store.db").create_search("s", {})
    spec = SPECS[detector]
    interface = spec.usual_interface(3, 128, 2)
    torch.manual_seed(0)
    model = build(spec, interface)
    for name, parameter in model.heads.named_parameters():
        if name.endswith("bias") and "classes" in name:
            torch.nn.init.normal_(parameter, std=2.0)
    (tmp_path / "s").mkdir()
    save_checkpoint(model, spec, interface, tmp_path / "s/trial-3.safetensors", told(detector) | {"threshold": 0.4})
    return tmp_path


def export(home, format="onnx:boxes=true", path=None):
    return export_trial(Store(home / "store.db"), "s", home, 3, format, path)


def test_a_file_that_ends_in_boxes_lies_beside_the_raw_one_and_says_so(home, detector):
    raw, path = export(home, "onnx"), export(home)
    assert (raw.name, path.name) == ("trial-3.onnx", "trial-3-boxes.onnx")
    assert sorted(file.name for file in (home / "s").iterdir()) == [
        "trial-3-boxes.onnx", "trial-3-boxes.onnx.json", "trial-3.onnx", "trial-3.safetensors",
    ]  # fmt: skip
    said, plain = (formats.create("onnx").metadata(file) for file in (path, raw))
    assert json.loads((home / "s/trial-3-boxes.onnx.json").read_text()) == said
    candidates, least, overlap = {"retinanet": (1000, 0.05, 0.5), "ssdlite": (400, 0.01, 0.55)}[detector]
    assert said["suppression"] == {
        "least_score": least, "most_overlap": overlap, "candidates": candidates, "most_boxes": 100,
    }  # fmt: skip
    assert [port["name"] for port in said["interface"]["outputs"]] == ["boxes", "labels", "scores"]
    assert {name for name in said if said[name] != plain.get(name)} == {"suppression", "interface"}
    assert (said["threshold"], said["trial"]) == (0.4, 3)
    check_metadata(said, parse_device("onnxruntime").runtime.interface(path))


def test_a_file_whose_boxes_are_others_does_not_stay(home, monkeypatch):
    path = export(home)
    before = path.read_bytes()
    true = exporting.decoding_of
    monkeypatch.setattr(exporting, "decoding_of", lambda anchors: replace(true(anchors), most_overlap=0.9))
    with pytest.raises(ExportError, match="none like them"):
        export(home)
    assert path.read_bytes() == before
    assert len(list((home / "s").iterdir())) == 3


def test_what_was_added_is_held_against_torchvisions(home, monkeypatch):
    monkeypatch.setattr(boxes, "decoding_of", lambda anchors: replace(decoding_of(anchors), side=64))
    with pytest.raises(ExportError, match="none like them"):
        export(home)
    assert not list((home / "s").glob("*boxes*"))


@pytest.mark.parametrize("metadata", [{"kind": "classes"}, {"kind": "boxes", "detector": "yolo"}, {}])
def test_what_is_no_such_detector_cannot_end_in_boxes(metadata):
    with pytest.raises(UsageError, match=r"without boxes=true"):
        anchors_of(metadata, Interface.of_images(3, 64, 2))


def test_anchors_are_of_the_metadata_and_the_interface():
    interface = SPECS["ssdlite"].usual_interface(3, 64, 2)
    anchors = anchors_of(told("ssdlite"), interface)
    assert anchors == Anchors("ssdlite", 64, 2)
    decoding = decoding_of(anchors)
    assert decoding.levels == (96, 24, 6, 6, 6, 6)
    assert len(decoding.anchors) == interface.outputs[0].shape[1] == sum(decoding.levels)
    assert suppression_of(decoding)["most_boxes"] == 100


def seen(*rows):
    boxes, labels, scores = zip(*rows, strict=True) if rows else ((), (), ())
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Found(corners, np.array(labels, np.int64), np.array(scores, np.float32))


@pytest.mark.parametrize(
    ("found", "share"),
    [
        ([((0, 0, 9, 9), 1, 0.9), ((5, 5, 9, 9), 0, 0.8)], 0.0),
        ([((5, 5, 9, 9), 0, 0.8), ((0, 0, 9, 9.05), 1, 0.9005)], 0.0),
        ([((0, 0, 9, 9.2), 1, 0.9), ((5, 5, 9, 9), 0, 0.8)], 0.5),
        ([((0, 0, 9, 9), 0, 0.9), ((5, 5, 9, 9), 0, 0.8)], 0.5),
        ([((0, 0, 9, 9), 1, 0.91), ((5, 5, 9, 9), 0, 0.8)], 0.5),
        ([((0, 0, 9, 9), 1, 0.9)], 1 / 3),
        ([], 1.0),
    ],
)
def test_boxes_disagree_that_have_none_like_them(found, share):
    expected = seen(((0, 0, 9, 9), 1, 0.9), ((5, 5, 9, 9), 0, 0.8))
    assert disagreement(seen(*found), expected) == pytest.approx(share)
    assert disagreement(expected, seen(*found)) == pytest.approx(share)
    assert disagreement(seen(), seen()) == 0.0
