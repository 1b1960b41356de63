"""Boxes that are light on dark: wide ones and tall ones."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from paretonas.device import parse_device
from paretonas.errors import DataError, SpecError, UsageError
from paretonas.export import ModelFile, formats
from paretonas.export.boxes import boxes_interface
from paretonas.search.boxes import decoding_of, suppression_of
from paretonas.search.rescore import rescore
from paretonas.space import Interface
from paretonas.space.detector import DetectorSpec, NeckSpec
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.task.decode import predict
from paretonas.task.detection import Detection
from paretonas.task.metadata import check_metadata
from paretonas.task.recipe import Recipe
from paretonas.task.recipe_book import DETECTION_SEARCH
from paretonas.testing.task import TaskContract
from paretonas.training.fit import Session, as_run, fit
from paretonas.training.state import StateFile
from paretonas.zoo import zoo_spec

SIDE = 64
BACKBONE = MnasNetSpec(
    tuple(
        BlockSpec("mbconv", 3, filters, 1, stride, 2) for filters, stride in ((8, 1), (8, 2), (16, 2), (16, 2), (24, 2))
    ),
    stem_filters=8,
    head_filters=16,
)
SMALL = DetectorSpec(BACKBONE, "ssdlite", last_filters=32)
RETINANET = DetectorSpec(BACKBONE, "retinanet", NeckSpec(16, is_separable=True), head_layers=1)
SUPPRESSION = {"least_score": 0.05, "most_overlap": 0.5, "candidates": 1000, "most_boxes": 100}
ENDING = boxes_interface(Interface.of_images(3, 128, 2))
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
        return SMALL


class TestRetinaNet(Detecting):
    @pytest.fixture
    def task(self, folder):
        return Detection(str(folder), resolution=128, detector="retinanet")

    @pytest.fixture
    def spec(self):
        return RETINANET


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
    sizes = {"epochs": 20, "batch_size": 4, "lr": 0.32, "min_area": 1.0}
    recipe = replace(DETECTION_SEARCH, layout="contiguous", precision="float32", **sizes)
    torch.manual_seed(0)
    return task, fit(task.network(RETINANET, recipe), task, recipe, 0).model


def test_boxes_are_learned(trained):
    task, model = trained
    examined = task.examine(as_run(model), "train")
    assert examined.metrics["ap50"] > 0.2
    told = examined.details["boxes"]
    assert [one["name"] for one in told["classes"]] == ["wide", "tall"]
    assert [one["boxes"] for one in told["classes"]] == [
        sum(int((labels == k).sum()) for labels in task.images.train.labels) for k in (0, 1)
    ]
    assert examined.metadata == {"threshold": told["all"]["threshold"]}
    assert len(told["images"]) == 4


def test_a_file_that_ends_in_boxes_sees_and_scores_as_the_network_does(trained, folder, tmp_path):
    task, model = trained
    metadata = {**task.metadata, "suppression": suppression_of(decoding_of(task._boxes))}
    interface = boxes_interface(task.interface)
    spec = RETINANET
    files, device = [], parse_device("onnxruntime")
    for name, given in (("onnx", ()), ("onnx:boxes=true", (decoding_of(task._boxes),))):
        files.append(ModelFile(tmp_path / f"{len(given)}.onnx", task.interface))
        formats.create(name).write(model, spec, task.interface, files[-1].path, metadata, *given)
    assert device.runtime.interface(files[1].path) == interface
    raw, ending = map(device.open, files)

    def look(images):
        return [one for i in range(len(images)) for one in task.found(raw, images[i : i + 1])]

    expected, found = task.see(look, "train"), task.see(partial(task.found_by_file, ending), "train")
    assert sum(len(one.boxes) for one in expected) > 100
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a.labels, b.labels)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-3)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
    assert task.precision(found, "train").ap == pytest.approx(task.precision(expected, "train").ap, abs=1e-6)
    check_metadata(metadata, interface)
    image = folder / "images" / "1.png"
    boxes = predict(ending, image, metadata, interface, 0.1)["boxes"]
    assert boxes == predict(raw, image, task.metadata, task.interface, 0.1)["boxes"]


def test_boxes_of_a_score_of_the_threshold_that_the_file_says_are_told(trained, folder):
    task, model = trained
    image = folder / "images" / "1.png"

    def scores(*least, **said):
        seen = predict(as_run(model), image, {**task.metadata, **said}, task.interface, *least)
        return [box["score"] for box in seen["boxes"]]

    every = scores(0.0)
    assert len(every) > 3
    assert scores() == [score for score in every if score >= 0.3]
    assert scores(threshold=0.0) == every
    assert scores(threshold=every[1]) in (every[:1], every[:2])  # scores are rounded
    assert scores(0.0, threshold=1.0) == every


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
        ({"threshold": 1.5}, None),
        ({"suppression": SUPPRESSION}, None),
        ({"suppression": {**SUPPRESSION, "least_score": 1.0}}, ENDING),
        ({"suppression": {**SUPPRESSION, "most_overlap": -0.1}}, ENDING),
        ({"suppression": {**SUPPRESSION, "most_boxes": 0}}, ENDING),
        ({"suppression": {"least_score": 0.5}}, ENDING),
        ({"suppression": "inside"}, ENDING),
        ({}, ENDING),
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
        trained[0].network(SMALL, Recipe())


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
