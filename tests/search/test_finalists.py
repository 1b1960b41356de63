import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import paretonas.search.finalists as module
from paretonas.errors import ExportError, TrainingError, UsageError, WorkError
from paretonas.evaluation.job import TrainingJob, run_training
from paretonas.export.checkpoint import load_checkpoint
from paretonas.export.onnx import export_onnx
from paretonas.search.config import SearchConfig
from paretonas.search.finalists import choose, export_trial, score_exported, train_trials
from paretonas.search.search import new_search
from paretonas.space import Architecture, spec_to_json
from paretonas.store import Store
from paretonas.task.recipe import Recipe
from paretonas.trial import State, Trial

RECIPE = Recipe(epochs=0.5, batch_size=64, lr=0.1)


def _trial(number, reward, spec="a", state=State.COMPLETE):
    return Trial(number, Architecture("toy", (0,)), spec, state, {"accuracy": 0.5}, reward)


def test_choice_is_the_best_by_reward_with_specs_that_differ():
    trials = [
        _trial(0, 0.1, "a"),
        _trial(1, 0.9, "b"),
        _trial(2, 0.9, "b"),
        _trial(3, 0.5, "c"),
        _trial(4, None, "d", State.FAILED),
    ]
    assert [t.number for t in choose(trials, top=3)] == [1, 3, 0]
    assert [t.number for t in choose(trials, numbers=[0, 2])] == [0, 2]


def test_choice_of_what_cannot_be_trained_is_refused():
    with pytest.raises(UsageError, match="none yet"):
        choose([_trial(0, None, state=State.FAILED)])
    with pytest.raises(UsageError, match="7 is not one"):
        choose([_trial(0, 0.5)], numbers=[7])


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    config = SearchConfig(
        "s", "digits", target_ms=1.0, width=0.25, strategy="random", trials=2, executor="serial",
        recipe="search:epochs=0.1,batch_size=64,layout=channels-last,precision=float32", torch_device="cpu",
    )  # fmt: skip
    search = new_search(config, Store(home / "store.db"), home)
    search.run()
    return search


def _trials(search):
    return search.store.trials("s")


def test_finalists_are_scored_once_and_stored(searched, monkeypatch):
    trials = choose(_trials(searched), top=1)
    finalist = train_trials(searched, trials, RECIPE)[0]
    assert finalist.metrics["exported_accuracy"] == pytest.approx(finalist.metrics["test_accuracy"], abs=0.002)
    stored = {t.number: t for t in _trials(searched)}[finalist.trial]
    assert stored.metrics["test_accuracy"] == finalist.metrics["test_accuracy"]
    assert stored.metrics["final_latency_ms"] == finalist.metrics["latency_ms"]
    assert stored.metrics["latency_ms"] == trials[0].metrics["latency_ms"]
    assert stored.reward == trials[0].reward

    monkeypatch.setattr(module, "run_training", lambda job: pytest.fail("trained twice"))
    assert train_trials(searched, trials, RECIPE)[0].metrics["train_seconds"] == finalist.metrics["train_seconds"]


def test_one_failing_finalist_leaves_the_others(searched, monkeypatch):
    trials = choose(_trials(searched), top=2)
    assert len(trials) == 2
    recipe = replace(RECIPE, lr=0.3)

    def train(job):
        if job.checkpoint.name == f"trial-{trials[0].number}.safetensors":
            raise TrainingError("the loss is nan")
        return run_training(job)

    monkeypatch.setattr(module, "run_training", train)
    failing, sound = (trial.number for trial in trials)
    with pytest.raises(WorkError, match=rf"trial {failing}: the loss is nan.*finished: {sound}"):
        train_trials(searched, trials, recipe)
    assert "test_accuracy" in {t.number: t for t in _trials(searched)}[trials[1].number].metrics
    assert not list(searched.home.glob("s/*.progress"))


def test_another_recipe_is_trained_anew_and_back_again(searched):
    trials = choose(_trials(searched), top=1)
    first = train_trials(searched, trials, RECIPE)[0]
    other = train_trials(searched, trials, replace(RECIPE, lr=0.4))[0]
    back = train_trials(searched, trials, RECIPE)[0]
    assert other.metrics["train_loss"] != first.metrics["train_loss"]
    assert back.metrics["train_loss"] == pytest.approx(first.metrics["train_loss"])
    assert back.metrics["exported_accuracy"] == pytest.approx(back.metrics["test_accuracy"], abs=0.002)


def test_training_that_is_not_final_scores_validation_images(searched):
    finalist = train_trials(searched, choose(_trials(searched), top=1), RECIPE, is_final=False)[0]
    assert "test_accuracy" not in finalist.metrics
    assert 0 <= finalist.metrics["accuracy"] <= 1
    assert finalist.onnx.name.endswith("-val.onnx")


def test_exported_file_that_disagrees_fails_loudly(searched, tmp_path):
    checkpoint = tmp_path / "c.safetensors"
    spec = searched.space.decode(_trials(searched)[0].architecture)
    recipe, folder = replace(RECIPE, epochs=0.2), searched.image_task().data.folder
    job = TrainingJob(spec_to_json(spec), folder, recipe, 0, "cpu", True, checkpoint)
    score = run_training(job)
    trained = load_checkpoint(checkpoint)
    onnx = tmp_path / "m.onnx"
    export_onnx(trained.model, trained.spec, trained.input_shape, onnx)
    split = searched.image_task().data.test
    assert score_exported(onnx, trained, split, score["test_accuracy"]) == pytest.approx(score["test_accuracy"])
    with pytest.raises(ExportError, match="instead of"):
        score_exported(onnx, trained, split, score["test_accuracy"] + 0.1)
    with torch.no_grad():
        trained.model.classifier.bias += 1.0 * torch.arange(10)
    with pytest.raises(ExportError, match="differs by"):
        score_exported(onnx, trained, split, score["test_accuracy"])


def test_export_gives_the_trained_weights(searched, tmp_path):
    finalist = train_trials(searched, choose(_trials(searched), top=1), RECIPE)[0]
    path = export_trial("s", searched.home, finalist.trial, "safetensors", tmp_path / "copy.safetensors")
    a, b = load_checkpoint(finalist.checkpoint), load_checkpoint(path)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1, 8, 8), np.float32))
    assert torch.equal(a.model(x), b.model(x))
    assert json.loads(finalist.onnx.with_suffix(".json").read_text())["spec_hash"]


def test_export_of_an_untrained_trial_is_refused(searched):
    untrained = len(_trials(searched))
    with pytest.raises(UsageError, match="paretonas train s --trial"):
        export_trial("s", searched.home, untrained, "onnx")
