"""Boxes that are light on dark: wide ones and tall ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from paretonas.device import parse_device
from paretonas.errors import DataError, SpecError, UsageError
from paretonas.search.rescore import rescore
from paretonas.space import Interface
from paretonas.task.decode import predict
from paretonas.task.detection import Detection
from paretonas.task.metadata import check_metadata
from paretonas.task.recipe import DETECTION_SEARCH, Recipe
from paretonas.testing.task import TaskContract
from paretonas.training.fit import Session, as_run, fit
from paretonas.training.state import StateFile
from paretonas.zoo import zoo_spec

SIDE, SMALL = 64, "ssdlite:backbone=mobilenet-v2,width=0.25,last_filters=32"
SMALL_OF_TWO_STAGES = "faster-rcnn:width=0.25,filters=8,box_filters=16,proposals=20"


def write_boxes(folder, images=24):
    """COCO's format; every fourth image shows nothing."""
    rng, entries, annotations = np.random.default_rng(0), [], []
    (folder / "images").mkdir(parents=True)
    for i in range(images):
        pixels = rng.integers(0, 40, (48, SIDE, 3)).astype(np.uint8)
        if i % 4:
            tall = int(i % 2)
            width, height = (12, 28) if tall else (28, 12)
            x, y = int(rng.integers(0, SIDE - width)), int(rng.integers(0, 48 - height))
            pixels[y : y + height, x : x + width] = 220
            box = {"bbox": [x, y, width, height], "category_id": 1 + tall, "iscrowd": 0}
            annotations.append({"id": len(annotations), "image_id": i, **box})
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        entries.append({"id": i, "file_name": f"{i}.png", "width": SIDE, "height": 48})
    categories = [{"id": 1, "name": "wide"}, {"id": 2, "name": "tall"}]
    plain = {"images": entries, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(plain))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_boxes(tmp_path_factory.mktemp("boxes"))


class Detecting(TaskContract):
    @pytest.fixture(autouse=True)
    def _cache(self, monkeypatch, tmp_path_factory):
        monkeypatch.setenv("PARETONAS_CACHE", str(tmp_path_factory.getbasetemp() / "boxes-cache"))

    @pytest.fixture
    def recipe(self):
        return Recipe(batch_size=4, lr=0.64, crop=0.0, min_area=0.5, layout="contiguous", precision="float32")


class TestSSDLite(Detecting):
    @pytest.fixture
    def task(self, folder):
        return Detection(str(folder), resolution=SIDE)

    @pytest.fixture
    def spec(self):
        return zoo_spec(SMALL)


class TestRetinaNet(Detecting):
    @pytest.fixture
    def task(self, folder):
        return Detection(str(folder), resolution=128, detector="retinanet")

    @pytest.fixture
    def spec(self):
        return zoo_spec("retinanet:backbone=mobilenet-v2,width=0.25,filters=8,separable=true,head_layers=1")


class TestFasterRCNN(Detecting):
    @pytest.fixture
    def task(self, folder):
        return Detection(str(folder), resolution=SIDE, detector="faster-rcnn")

    @pytest.fixture
    def spec(self):
        return zoo_spec(SMALL_OF_TWO_STAGES)

    def test_a_network_looks_at_as_many_proposals_as_its_spec_says(self, task, spec, recipe):
        assert task.interface.outputs[2].shape == (1, 100, 4)
        assert spec.with_state(task.interface).outputs[2].shape == (1, 20, 4)
        assert task.network(spec, recipe).count == 20

    def test_an_interrupted_training_goes_on_to_the_same_losses(self, task, spec, recipe, tmp_path):
        recipe = replace(recipe, epochs=2)

        def losses(*sessions):
            torch.manual_seed(0)
            for session in sessions:
                fitted = fit(task.network(spec, recipe), task, recipe, 1, session)
            return fitted.losses

        state = StateFile(tmp_path / "state", "key")
        assert losses(Session(until=0.5, state=state), Session(state=state)) == losses(Session())


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A task, and what has begun to learn it."""
    task = Detection(str(folder), resolution=128, detector="retinanet")
    task.prepare(tmp_path_factory.mktemp("cache"))
    recipe = replace(DETECTION_SEARCH, epochs=40, batch_size=4, min_area=0.7, layout="contiguous", precision="float32")
    spec = zoo_spec("retinanet:backbone=mobilenet-v2,width=0.25,filters=16,separable=true,head_layers=1")
    torch.manual_seed(0)
    return task, fit(task.network(spec, recipe), task, recipe, 0).model


def test_boxes_are_learned(trained):
    task, model = trained
    examined = task.examine(as_run(model), "train")
    assert examined.metrics["ap50"] > 0.2
    assert set(examined.details["ap_by_class"]) == {"wide", "tall"}


def test_a_file_s_metadata_are_enough_to_see_boxes_in_any_image(trained, folder):
    task, model = trained
    check_metadata(task.metadata, task.interface)
    document = json.loads((folder / "train.json").read_text())
    overlaps = []
    for annotation in document["annotations"]:
        path = folder / "images" / f"{annotation['image_id']}.png"
        seen = predict(as_run(model), path, task.metadata, task.interface, 0.1)["boxes"]  # it has learned little
        x, y, w, h = annotation["bbox"]
        overlaps.append(max((overlap(one["box"], (x, y, x + w, y + h)) for one in seen), default=0))
    assert np.mean(overlaps) > 0.4


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_stages_find_blood_cells(real_data, tmp_path):
    """After a minute or two of training, in the module and in its file."""
    task = Detection(str(real_data / "bccd"), resolution=128, detector="faster-rcnn")
    task.prepare(tmp_path)
    recipe = replace(DETECTION_SEARCH, epochs=8, layout="contiguous", precision="float32")
    spec = zoo_spec("faster-rcnn:width=0.5")
    torch.manual_seed(0)
    model = task.network(spec, recipe)
    assert task.score(as_run(model), "val")["ap"] < 0.01
    trained = fit(model, task, recipe, 0).model
    expected = task.score(as_run(trained), "val")
    assert expected["ap"] > 0.1
    device = parse_device("onnxruntime")
    file = device.export(trained, spec, task.interface, tmp_path / "cells")
    assert rescore(device, file, trained, task, "val", expected["ap"]).metrics["ap"] == pytest.approx(expected["ap"])


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, width) * max(0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize(
    ("changed", "interface"),
    [
        ({"classes": ["one"]}, None),
        ({"detector": "ssdlite"}, None),
        ({"detector": "faster-rcnn"}, None),
        ({"detector": "yolo"}, None),
        ({"padding": 300}, None),
        ({"std": 0.0}, None),
        ({}, Interface.of_images(3, 128, 2)),
    ],
)
def test_metadata_that_do_not_fit_are_refused(trained, changed, interface):
    task, _ = trained
    with pytest.raises(UsageError):
        check_metadata({**task.metadata, **changed}, interface or task.interface)


def test_a_classifier_is_no_detector(trained):
    with pytest.raises(SpecError, match="--space nas-fpn"):
        trained[0].network(zoo_spec("mobilenet-v2"), Recipe())
    with pytest.raises(SpecError, match="has to be ssdlite"):
        trained[0].network(zoo_spec(SMALL), Recipe())


def test_what_suits_it_is_of_its_detector(trained):
    task, _ = trained
    assert task.usual.space == "nas-fpn"
    assert replace(task, detector="ssdlite").usual.space == "ssdlite"
    assert replace(task, detector="faster-rcnn").usual.space == "faster-rcnn"
    assert "mixup" in task.unused


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolution": 100},
        {"resolution": 64, "detector": "retinanet"},
        {"resolution": 96, "detector": "faster-rcnn"},
        {"val_images": 0},
    ],
)
def test_numbers_out_of_range_are_refused(folder, wrong):
    with pytest.raises(DataError):
        Detection(str(folder), **wrong)
