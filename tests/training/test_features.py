"""Detectors that learn from the features of a backbone that stays as it is."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from small_boxes import write_squares

from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.space import Interface
from paretonas.task.detection import Detection
from paretonas.task.recipe import Recipe
from paretonas.task.task import At
from paretonas.training import features
from paretonas.training.features import OnFeatures
from paretonas.training.fit import Session, fit
from paretonas.training.state import StateFile
from paretonas.training.weights import Weights, load_weights
from paretonas.zoo import zoo_spec

SPEC = zoo_spec("ssdlite:backbone=mobilenet-v2,width=0.25,last_filters=32")
RECIPE = Recipe(epochs=6, batch_size=4, lr=0.1, crop=0.0, min_area=0.5, layout="contiguous", precision="float32")


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    folder = write_squares(tmp_path_factory.mktemp("boxes"), 12)
    task = Detection(str(folder), resolution=64)
    task.prepare(tmp_path_factory.mktemp("cache"))
    return task


@pytest.fixture
def task(boxes, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "VIEWS", 2)
    torch.manual_seed(0)
    save_file(build(SPEC.backbone, Interface.of_images(3, 32, 5)).state_dict(), tmp_path / "backbone.safetensors")
    return OnFeatures(boxes, SPEC.backbone, Weights.of(tmp_path / "backbone.safetensors"), tmp_path / "cache")


def detector(task, seed=0):
    torch.manual_seed(seed)
    model = task.network(SPEC, RECIPE)
    load_weights(model, task.weights.file, 2)
    return model


def batches(task, steps):
    return list(task.batches("train", RECIPE, 3, steps))


def test_features_are_computed_once_and_come_again(task):
    model, at = detector(task), At(0, 10, 3, RECIPE)
    per_epoch = task.examples["train"] // 4
    kept = 2 * per_epoch
    first = [task.loss(model, batch, at).item() for batch in batches(task, range(kept))]
    assert len(list(task.cache.glob("features-*/*.safetensors"))) == kept
    model.get_submodule("backbone").forward = None  # nobody asks it again
    again = [task.loss(model, batch, at).item() for batch in batches(task, range(kept))]
    assert again == first
    later = [task.loss(model, batch, at).item() for batch in batches(task, range(kept, 2 * kept))]
    assert sorted(later) == sorted(first)


def test_the_loss_is_the_task_s_with_the_backbone_s_own_statistics(task, boxes):
    model, at = detector(task), At(0, 10, 3, RECIPE)
    (batch,) = batches(task, range(1))
    found = task.loss(model, batch, at).item()
    model.get_submodule("backbone").eval()
    assert boxes.loss(model, batch[1], at).item() == pytest.approx(found, rel=2e-3), "half precision"


def test_the_backbone_stays_and_the_rest_learns(task):
    model = detector(task)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = fit(model, task, RECIPE, 3).model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("backbone."))
    assert not torch.equal(before["neck.last.0.weight"], after["neck.last.0.weight"])


def test_interrupted_it_goes_on_to_the_same_losses(task, tmp_path):
    whole = fit(detector(task), task, RECIPE, 3).losses
    state = StateFile(tmp_path / "a.state", {})
    fit(detector(task), task, RECIPE, 3, Session(state=state, until=0.5))
    assert fit(detector(task), task, RECIPE, 3, Session(state=state)).losses == whole


def test_damaged_features_are_computed_again(task):
    model, at = detector(task), At(0, 10, 3, RECIPE)
    (batch,) = batches(task, range(1))
    before = task.loss(model, batch, at).item()
    (file,) = task.cache.glob("features-*/*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    (batch,) = batches(task, range(1))
    assert batch[0] == file
    assert task.loss(model, batch, at).item() == before


def test_other_weights_views_or_settings_have_other_features(task):
    others = [replace(RECIPE, min_area=0.9), replace(RECIPE, batch_size=2), replace(RECIPE, is_flipped=False)]
    names = {task._key("train", recipe, 0) for recipe in (RECIPE, *others)}
    names |= {replace(task, weights=Weights(task.weights.file, "other"))._key("train", RECIPE, 0)}
    assert len(names) == 5
    assert task._key("train", replace(RECIPE, epochs=1, lr=0.2), 0) in names


def test_a_detector_on_another_backbone_is_refused(task):
    for spec in (zoo_spec("ssdlite:backbone=mnasnet-a1"), SPEC.backbone):
        with pytest.raises(SpecError, match="Detectors on features have the backbone"):
            task.network(spec, RECIPE)
