"""What an exported file sees, by what it says of itself alone."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from format_names import QUICK
from onnx import helper
from PIL import Image

from paretonas.cli.predicting import draw_all, predictions
from paretonas.errors import ExportError, MachineError, MeasureError, UsageError
from paretonas.export import formats
from paretonas.export.checkpoint import load_checkpoint
from paretonas.network import build
from paretonas.search.boxes import anchors_of, decoding_of, suppression_of
from paretonas.space import Interface
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.task.metadata import ImageClasses
from paretonas.zoo import zoo_spec

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 8, 2, 1, 3, 0.25, "none"),), stem_filters=8, head_filters=16)
SUFFIXES = [formats.load(name).suffix for name in QUICK]


DETECTOR = zoo_spec("ssdlite:backbone=mobilenet-v2,width=0.25,last_filters=32")
INTERFACE = Interface.of_images(channels=3, resolution=16, classes=3)
TOLD = ImageClasses.of(("cat", "dog", "[b]eel[/b]"), 3, (0.5, 0.25)).to_json()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network in every format, and two images."""
    folder = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    model = build(SPEC, INTERFACE)
    for name in QUICK:
        formats.create(name).write(model, SPEC, INTERFACE, folder / f"m.{name}", TOLD)
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def predict(folder, name):
    return predictions(folder / name, [folder / "0.png", folder / "1.png"], None)


def changed(folder, name, **changes):
    """The ONNX file with other things said of it."""
    model = onnx.load(folder / "m.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props} | changes
    del model.metadata_props[:]
    helper.set_model_props(model, {key: value for key, value in told.items() if value is not None})
    onnx.save(model, folder / name)
    return name


def test_every_format_sees_the_same_and_needs_no_file_beside(folder):
    assert not (folder / "m.json").exists()
    found = predict(folder, "m.onnx")
    assert [row["input"] for row in found] == [str(folder / "0.png"), str(folder / "1.png")]
    assert {row["class"] for row in found} <= set(TOLD["classes"])
    for suffix in SUFFIXES:
        again = predict(folder, f"m{suffix}")
        assert [row["class"] for row in again] == [row["class"] for row in found]
        assert [row["probability"] for row in again] == pytest.approx([row["probability"] for row in found], abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": '["cat"]'}, "1 classes do not fit"),
        ({"classes": None}, "lacks 'classes'"),
        ({"std": "0"}, "`std > 0`"),
        ({"mean": "NaN"}, "`0 <= mean <= 1`"),
        ({"classes": "[" * 10_000}, "classes is a list"),
        ({"colours": '"grey"'}, "grey images"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused(folder, change, message):
    with pytest.raises(UsageError, match=message):
        predict(folder, changed(folder, "changed.onnx", **change))


def test_a_file_of_others_or_none_is_refused(folder):
    with pytest.raises(UsageError, match="metadata lacks 'kind'"):
        predict(folder, changed(folder, "silent.onnx", **dict.fromkeys(TOLD)))
    (folder / "text.onnx").write_text("no model")
    with pytest.raises((MeasureError, ExportError), match=r"text\.onnx"):
        predict(folder, "text.onnx")


@pytest.mark.slow
def test_the_command_prints_a_row_an_image(folder, command):
    run = command("predict", folder / "m.onnx", folder / "0.png", folder / "1.png", "--json")
    assert run.code == 0, run.err
    assert json.loads(run.out) == predict(folder, "m.onnx")
    shown = command("predict", folder / "m.safetensors", folder / "0.png")
    assert shown.code == 0
    assert "0.png" in shown.out


@pytest.mark.slow
def test_a_model_that_never_ends_is_ended(folder, command, tmp_path):
    """Its loop goes on for as long as a constant is true."""
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy")
    step = helper.make_tensor_value_info("step", onnx.TensorProto.INT64, [])
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, []) for name in ("goes", "on")]
    a, b = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "ab")
    nodes = [helper.make_node("Identity", ["goes"], ["on"]), helper.make_node("Neg", ["a"], ["b"])]
    body = helper.make_graph(nodes, "body", [step, ends[0], a], [ends[1], b])
    true = helper.make_tensor("true", onnx.TensorProto.BOOL, [], [True])
    graph = helper.make_graph([helper.make_node("Loop", ["", "true", "x"], ["y"], body=body)], "loop", [x], [y], [true])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), tmp_path / "a.onnx")
    run = command("--home", tmp_path, "measure", tmp_path / "a.onnx", "--time-limit", "20s")
    assert run.code == 1
    assert "cannot be timed on onnxruntime with --time-limit 20s" in run.err
    assert "Traceback" not in run.err


DETECTORS = {"ssdlite": DETECTOR, "faster-rcnn": zoo_spec("faster-rcnn:width=0.25,filters=8,box_filters=16")}


@pytest.fixture(scope="module", params=DETECTORS)
def detector(folder, request):
    """The files of a detector with random weights that says much of what it knows nothing of, without their suffix."""
    spec = DETECTORS[request.param]
    interface = spec.usual_interface(3, 64, 2)
    torch.manual_seed(0)
    model = build(spec, interface)
    lasts = [module[-1] for module in model.heads.classes] if request.param == "ssdlite" else [model.boxes.logits]
    for layer in lasts:
        torch.nn.init.normal_(layer.bias, std=2.0)
    said = {"detector": request.param, "colours": "RGB", "layout": "NCHW", "resize": "longer-side", "padding": 114}
    said |= {"interpolation": "bilinear-antialiased", "mean": 0.5, "std": 0.25}
    for name in ("onnx", "safetensors"):
        formats.create(name).write(
            model,
            spec,
            interface,
            folder / f"{request.param}.{name}",
            {"kind": "boxes", "classes": ["cat", "eel"], **said},
        )
    return folder / request.param


def test_boxes_are_told_in_pixels_of_the_image_and_drawn(detector, command, in_this_process, tmp_path):
    image = detector.parent / "0.png"
    for suffix in (".onnx", ".safetensors"):
        ran = command("predict", detector.with_suffix(suffix), image, "--draw", tmp_path / "seen", "--json")
        assert ran.code == 0, ran.err
        (row,) = json.loads(ran.out)
        assert row["boxes"]
        for box in row["boxes"]:
            left, top, right, bottom = box["box"]
            assert 0 <= left <= right <= 30
            assert 0 <= top <= bottom <= 20
            assert (box["class"] in ("cat", "eel"), box["score"] >= 0.3) == (True, True)
        with Image.open(row["drawn"]) as drawn:
            assert drawn.size == (30, 20)
    table = command("predict", detector.with_suffix(".onnx"), image).out
    assert table.count("0.png") == len(row["boxes"])
    least = max(box["score"] for box in row["boxes"])
    sure = json.loads(command("predict", detector.with_suffix(".onnx"), image, "--score", least, "--json").out)
    assert len(sure[0]["boxes"]) < len(row["boxes"])


@pytest.mark.parametrize("detector", ["faster-rcnn"], indirect=True)  # whose boxes the network itself tells
def test_boxes_are_told_by_a_process_of_their_own(detector, command):
    file, image = detector.with_suffix(".onnx"), detector.parent / "0.png"
    (row,) = json.loads(command("predict", file, image, "--json").out)
    assert row["boxes"] == predictions(file, [image], None)[0]["boxes"]


@pytest.mark.slow
def test_a_file_that_ends_in_boxes_sees_what_the_raw_one_sees(detector, command):
    file, ending, image = detector.with_suffix(".onnx"), detector.with_name("ending.onnx"), detector.parent / "1.png"
    told = formats.create("onnx").metadata(file)
    if told["detector"] == "faster-rcnn":
        pytest.skip("its files do not end in boxes")
    decoding = decoding_of(anchors_of(told, DETECTOR.usual_interface(3, 64, 2)))
    told = {**told, "suppression": suppression_of(decoding), "threshold": 0.4}
    chosen, trained = formats.create("onnx:boxes=true"), load_checkpoint(detector.with_suffix(".safetensors"))
    chosen.write(trained.model, trained.spec, trained.interface, ending, told, decoding)
    for asked, least in (((), 0.4), (("--score", "0.7"), 0.7)):
        ran = command("predict", ending, image, "--json", *asked)
        assert ran.code == 0, ran.err
        raw = json.loads(command("predict", file, image, "--json", "--score", least).out)
        assert json.loads(ran.out) == raw
        assert raw[0]["boxes"]


def test_images_of_any_kind_are_drawn_as_the_network_sees_them(tmp_path):
    deep = Image.fromarray(np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16))
    clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    files = [tmp_path / "tief ü 1.png", tmp_path / "clear.png"]
    for image, file in zip((deep, clear), files, strict=True):
        image.save(file)
    boxes = [{"class": "Zähler", "score": 0.9, "box": [4, 20, 9, 25]}], []
    seen = [{"input": str(file), "boxes": some} for file, some in zip(files, boxes, strict=True)]
    drawn = [np.asarray(Image.open(file)) for file in draw_all(seen, tmp_path / "seen")]
    assert 100 < drawn[0].mean() < 160, "it reaches from black to white"
    assert (drawn[1] == 255).all(), "what is clear lies over white"


def test_what_can_be_read_is_looked_at_and_the_rest_is_said(folder, command, tmp_path):
    broken, seen = tmp_path / "broken.png", tmp_path / "seen"
    broken.write_bytes((folder / "0.png").read_bytes()[:40])
    asked = broken, folder / "0.png", tmp_path / "none.png"
    ran = command("predict", folder / "m.onnx", *asked, "--draw", seen, "--json")
    assert ran.code == 2
    (row,) = json.loads(ran.out)
    assert row["input"] == str(folder / "0.png")
    assert [*seen.iterdir()] == [Path(row["drawn"])]
    said = "".join(ran.err.split())
    assert "broken.png:" in said
    assert "none.png:" in said
    nothing = command("predict", folder / "m.onnx", broken)
    assert (nothing.code, nothing.out) == (2, "")


def test_a_folder_that_takes_no_images_is_said(tmp_path):
    (tmp_path / "seen").write_text("a file")
    with pytest.raises(MachineError, match="seen takes no images: File exists"):
        draw_all([], tmp_path / "seen")


def test_texts_are_not_drawn(command, monkeypatch, tmp_path):
    monkeypatch.setattr("paretonas.cli.predicting.alone", lambda *_: [{"input": "a.txt", "next": "dog"}])
    ran = command("predict", tmp_path / "w.onnx", tmp_path / "a.txt", "--draw", tmp_path)
    assert ran.code == 2
    assert "goes on with texts" in " ".join(ran.err.split())
