"""A candidate of a device that computes in int8 is scored by its int8 file."""

import numpy as np
import pytest
from small_networks import SMALL

from paretonas.device import parse_device
from paretonas.evaluation.job import Folders, Schooling, TrainingJob, run_training
from paretonas.evaluation.quantized import quantized
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.export.checkpoint import load_checkpoint
from paretonas.space import spec_to_json
from paretonas.store import Store
from paretonas.task import recipes
from paretonas.task.classification import Classification
from paretonas.training.fit import as_run

RECIPE = recipes.create("search:epochs=2,layout=channels-last,precision=float32")
SCHOOLING = Schooling(RECIPE, torch_device="cpu", width=0.25)
INT8 = "phone=onnxruntime:precision=int8@ssh:nowhere"


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    task = Classification("digits", train_images=200, val_images=100)
    task.prepare(tmp_path_factory.mktemp("data"))
    return task


@pytest.fixture
def evaluator(task, tmp_path):
    """Of a device that nobody reaches, as nothing is timed."""
    devices = tuple(map(parse_device, (INT8, "here=onnxruntime")))
    folders = Folders(tmp_path / "cache", tmp_path / "run")
    return TrainedEvaluator(task, devices, SCHOOLING, Store(tmp_path / "store.db"), folders)


def test_a_candidate_has_the_quality_of_its_int8_file(evaluator, task, tmp_path, monkeypatch):
    job = TrainingJob(spec_to_json(SMALL), task, RECIPE, 0, "cpu", checkpoint=tmp_path / "own.safetensors")
    plain = run_training(job)
    trained = load_checkpoint(job.checkpoint)
    seen = []

    def score(task, run, part):
        images = np.random.default_rng(0).standard_normal((3, *task.interface.inputs[0].shape[1:])).astype(np.float32)
        seen.append((part, run((images,))[0], as_run(trained.model)((images,))[0]))
        return {"accuracy": 0.25}

    (stage,) = (one for one in evaluator.stages() if one.name == "training")
    call = stage.call(SMALL)
    with monkeypatch.context() as patched:
        patched.setattr(Classification, "score", score)
        patched.setattr("paretonas.evaluation.quantized.examples_of", lambda *asked: [noise(task)])
        metrics = call.function(*call.arguments)
    assert metrics["train_loss"] == plain["train_loss"]
    assert metrics["accuracy"] == 0.25
    ((part, found, exact),) = seen
    assert part == "val"
    assert found.shape == exact.shape
    assert 0 < np.abs(found - exact).max() < 0.5 * np.abs(exact).max()
    assert list((tmp_path / "cache").iterdir()) == []


def noise(task):
    return (np.random.default_rng(1).standard_normal((50, *task.interface.inputs[0].shape[1:])).astype(np.float32),)


@pytest.mark.parametrize(
    "device", [INT8, pytest.param("phone=litert:precision=int8@ssh:nowhere", marks=pytest.mark.slow)]
)
def test_its_score_is_real(task, tmp_path, device):
    job = TrainingJob(spec_to_json(SMALL), task, RECIPE, 0, "cpu", checkpoint=tmp_path / "own.safetensors")
    plain = run_training(job)
    trained = load_checkpoint(job.checkpoint)
    with quantized(trained.model, SMALL, task, device, tmp_path) as run:
        assert abs(task.score(run, "val")["accuracy"] - plain["accuracy"]) <= 0.1
    assert {file.name for file in tmp_path.iterdir()} == {"own.safetensors"}


def test_it_is_kept_apart_from_that_of_float_weights(evaluator, task, tmp_path):
    plain = TrainedEvaluator(task, evaluator.devices[1:], SCHOOLING, evaluator._cache, evaluator._folders)
    assert evaluator.lesson.engine == "OnnxRuntime(threads=1, precision='int8', keep=())"
    assert plain.lesson.engine == ""
    assert "engine" not in plain.lesson.to_json()
    assert evaluator.training_key(SMALL, 1.0) != plain.training_key(SMALL, 1.0)
    here = (parse_device("onnxruntime:precision=int8"),)
    quantizing = TrainedEvaluator(task, here, SCHOOLING, evaluator._cache, evaluator._folders)
    assert quantizing.about().lines[-1].endswith("scored in int8")
