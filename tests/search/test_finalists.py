"""From a trial to a trained, exported, re-scored and re-timed network: real digits, real files, an abacus."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from abacus import CONFIG
from format_names import each_format
from PIL import Image
from safetensors.torch import load_file

from paretonas.device import parse_device
from paretonas.errors import ExportError, StoreError, TrainingError, UnknownNameError, UsageError, WorkError
from paretonas.evaluation.job import TrainingJob, run_training
from paretonas.export import formats
from paretonas.export.checkpoint import load_checkpoint
from paretonas.files import written_aside
from paretonas.loop.plan import Budget
from paretonas.objective import metric
from paretonas.registry import Selection
from paretonas.search.choice import choose, numbered
from paretonas.search.config import DeviceConfig
from paretonas.search.exporting import export_trial
from paretonas.search.finalists import train_trials
from paretonas.search.finish import Finishing
from paretonas.search.rescore import rescore
from paretonas.search.search import new_search
from paretonas.space import Architecture, spec_from_json, spec_hash, spec_to_json
from paretonas.space.transform import Transform
from paretonas.store import Store
from paretonas.task.classification import Classification
from paretonas.task.metadata import check_metadata
from paretonas.task.recipe import Recipe
from paretonas.task.task import Examination
from paretonas.trial import State, Trial

RECIPE = Recipe(epochs=0.5, batch_size=64, lr=0.1)
BY_RECIPE = Finishing(RECIPE)
TIMES = ("train_seconds", "examples_per_second")


def timeless(metrics):
    return {name: value for name, value in metrics.items() if name not in TIMES}


# Choosing


def _trial(number, accuracy, latency_ms, spec="", state=State.COMPLETE, **more):
    metrics = {"accuracy": accuracy, "latency_ms": latency_ms, **more}
    return Trial(number, Architecture("toy", (0,)), spec or str(number), state, metrics, reward=1.0)


AT_2 = {"latency_ms": 2.0}
FRONT = [(0.50, 0.5), (0.60, 1.0), (0.70, 1.9), (0.80, 2.2), (0.85, 4.0), (0.90, 16.0)]


def chosen(trials, top, targets=AT_2, quality="accuracy"):
    return [trial.number for trial in choose(trials, quality, targets, top)]


def test_the_best_within_the_target_is_chosen_before_better_ones_above_it():
    trials = [_trial(i, *values) for i, values in enumerate(FRONT)]
    assert chosen(trials, 1) == [2]
    assert all(2 in chosen(trials, top) for top in range(1, 7))


def test_the_others_are_of_the_front_and_spread_over_the_latencies():
    beaten = [_trial(i, *values) for i, values in [(6, (0.69, 1.95)), (7, (0.79, 2.3)), (8, (0.10, 32.0))]]
    trials = [*beaten, *(_trial(i, *values) for i, values in enumerate(FRONT))]
    # 16 ms is 8.4 times as slow as trial 2, and 0.5 ms then 3.8 times as fast; 4 ms lies in the middle of the rest.
    assert chosen(trials, 3) == [2, 5, 0]
    assert chosen(trials, 4) == [2, 5, 0, 4]
    assert sorted(chosen(trials, 6)) == [0, 1, 2, 3, 4, 5]


def test_where_the_front_is_short_the_next_one_follows():
    trials = [_trial(0, 0.6, 1.0), _trial(1, 0.5, 1.5), _trial(2, 0.4, 1.1), _trial(3, 0.55, 1.2)]
    assert chosen(trials, 2) == [0, 3]
    assert sorted(chosen(trials, 9)) == [0, 1, 2, 3]


def test_a_network_is_chosen_once_however_often_it_was_tried():
    trials = [_trial(0, 0.6, 1.0, "a"), _trial(1, 0.6, 1.0, "a"), _trial(2, 0.5, 0.5, "b")]
    assert chosen(trials, 3) == [0, 2]


def test_where_nothing_is_within_the_target_the_nearest_is_chosen_first():
    assert chosen([_trial(0, 0.9, 8.0), _trial(1, 0.6, 2.5), _trial(2, 0.8, 4.0)], 2) == [1, 0]


def test_without_a_target_the_best_is_chosen_and_without_latencies_the_best_ones_are():
    trials = [_trial(i, *values) for i, values in enumerate(FRONT)]
    assert chosen(trials, 2, {"latency_ms": None}) == [5, 0]
    assert chosen(trials, 3, {}) == [5, 4, 3]


def test_of_a_falling_quality_the_smallest_are_chosen():
    trials = [_trial(i, 0.0, ms, perplexity=p) for i, (p, ms) in enumerate([(90.0, 1.0), (70.0, 1.9), (60.0, 8.0)])]
    assert chosen(trials, 2, quality="perplexity") == [1, 2]


def test_what_is_recommended_for_any_of_several_devices_is_chosen_first():
    def trial(number, accuracy, phone, pi):
        metrics = {"accuracy": accuracy, "latency_ms.phone": phone, "latency_ms.pi": pi}
        return replace(_trial(number, 0, 0), metrics=metrics)

    trials = [trial(0, 0.5, 1.0, 10), trial(1, 0.7, 1.9, 40), trial(2, 0.6, 9.0, 19), trial(3, 0.8, 30.0, 30)]
    assert chosen(trials, 4, {"latency_ms.phone": 2.0, "latency_ms.pi": 20.0}) == [0, 1, 2, 3]


def test_what_finalists_turned_out_to_be_changes_no_choice():
    trials = [_trial(i, *values) for i, values in enumerate(FRONT)]
    before = chosen(trials, 3)
    trials[2].metrics.update(test_accuracy=0.2, exported_accuracy=0.2, final_latency_ms=3.0)
    assert chosen(trials, 3) == before


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(UsageError, match="none yet"):
        chosen([_trial(0, 0.5, 1.0, state=State.FAILED)], 1)
    with pytest.raises(UsageError, match="7 is not one"):
        numbered([_trial(0, 0.5, 1.0)], [7])
    with pytest.raises(UsageError, match="1 is not one"):
        numbered([_trial(0, 0.5, 1.0), _trial(1, 0.5, 1.0, state=State.PRUNED)], [0, 1])


def test_named_trials_are_those_in_their_order():
    trials = [_trial(i, *values) for i, values in enumerate(FRONT)]
    assert [t.number for t in numbered(trials, [4, 0])] == [4, 0]


# Finishing


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of two trials on one device."""
    home = tmp_path_factory.mktemp("home")
    search = new_search(replace(CONFIG, budget=Budget(trials=2)), Store(home / "store.db"), home)
    search.run()
    return search


def _trials(search):
    return search.store.trials("s")


@pytest.fixture(scope="module")
def best(searched):
    """The recommended trial, as the search left it."""
    return choose(_trials(searched), "accuracy", {"latency_ms": 1.0})


@pytest.fixture(scope="module")
def finalist(searched, best):
    """What became of it."""
    return train_trials(searched, best, BY_RECIPE)[0]


def test_a_finalist_is_scored_on_test_images_and_so_is_its_file(finalist):
    metrics = finalist.metrics
    assert metrics["exported_accuracy"] == pytest.approx(metrics["test_accuracy"], abs=0.005)
    assert {"latency_ms", "latency_spread", "train_loss", "params", "macs", *TIMES} <= metrics.keys()
    assert "accuracy" not in metrics
    assert finalist.files.keys() == {"onnx"}
    assert finalist.files["onnx"].name == f"trial-{finalist.trial}.onnx"
    assert finalist.checkpoint.name == f"trial-{finalist.trial}.safetensors"
    assert finalist.flags == ()


def test_the_trial_keeps_what_the_search_said_beside_the_final_metrics(searched, best, finalist):
    (before,) = best
    after = {t.number: t for t in _trials(searched)}[finalist.trial]
    assert after.metrics["test_accuracy"] == finalist.metrics["test_accuracy"]
    assert after.metrics["exported_accuracy"] == finalist.metrics["exported_accuracy"]
    assert after.metrics["final_latency_ms"] == finalist.metrics["latency_ms"]
    assert after.metrics["final_train_loss"] == finalist.metrics["train_loss"]
    assert before.metrics.items() <= after.metrics.items()
    assert not any(name.startswith("final_params") for name in after.metrics)
    assert replace(after, metrics=before.metrics) == before


def test_the_exported_file_is_the_trained_network(finalist):
    model = load_checkpoint(finalist.checkpoint).model
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 8), np.float32)
    (found,) = onnxruntime.InferenceSession(finalist.files["onnx"]).run(None, {"images": x})
    with torch.inference_mode():
        np.testing.assert_allclose(found, model(torch.from_numpy(x)).numpy(), rtol=1e-3, atol=1e-4)


def test_a_finalist_tells_all_that_is_needed_to_use_and_repeat_it(searched, best, finalist):
    info = json.loads(finalist.checkpoint.with_suffix(".json").read_text())
    spec = spec_from_json(info["spec"])
    assert spec == searched.space.decode(best[0].architecture)
    assert info["spec_hash"] == spec_hash(spec) == best[0].spec_hash
    assert info["metrics"] == finalist.metrics
    assert info["transform"] == asdict(Transform())
    assert info["interface"] == json.loads(json.dumps(asdict(searched.trained_evaluator().task.interface)))
    assert (info["kind"], info["classes"]) == ("classes", [str(n) for n in range(10)])
    assert info["recipe"] == {**asdict(RECIPE), "layout": "channels-last", "precision": "float32"}  # the search's
    assert (info["trial"], info["seed"], info["is_final"]) == (finalist.trial, 0, True)
    (latency,) = info["latency"].values()
    assert len(latency["candidate_wall"]) == 20


def test_what_was_trained_before_is_not_trained_again(searched, best, finalist):
    shares = []
    again = train_trials(searched, best, BY_RECIPE, shares.append)[0]
    assert shares == []
    assert again.metrics == finalist.metrics


def test_what_only_the_score_tells_is_said_by_all_files_and_told_once(searched, best, finalist, monkeypatch):
    def scored(*_):
        return Examination(
            {"accuracy": finalist.metrics["test_accuracy"]}, 0.01, {"seen": 1}, {"threshold": told.pop()}
        )

    told = [0.5, 0.25]
    monkeypatch.setattr("paretonas.search.finish.rescore", scored)
    for _ in range(2):
        train_trials(searched, best, BY_RECIPE)
        assert formats.create("onnx").metadata(finalist.files["onnx"])["threshold"] == 0.25
        assert load_checkpoint(finalist.checkpoint).info["threshold"] == 0.25
        beside = json.loads(finalist.checkpoint.with_suffix(".json").read_text())
        assert (beside["threshold"], beside["details"]) == (0.25, {"seen": 1})
    finalist.checkpoint.unlink()  # for those that come after
    monkeypatch.undo()
    train_trials(searched, best, BY_RECIPE)


def test_what_a_killed_session_left_half_written_is_swept(searched, best, finalist):
    folder = finalist.checkpoint.parent
    killed = subprocess.Popen([sys.executable, "-c", "pass"])
    killed.wait()
    with written_aside(folder / "trial-9.json") as draft:
        draft.touch()
        left = folder / draft.name.replace(str(os.getpid()), str(killed.pid))
    for again in (
        lambda: train_trials(searched, best, BY_RECIPE),
        lambda: export_trial(searched.store, searched.config.name, searched.home, finalist.trial, "onnx"),
    ):
        left.touch()
        again()
        assert not left.exists()


def test_training_again_from_nothing_gives_the_same(searched, best, finalist):
    before = load_file(finalist.checkpoint)
    for path in searched.home.glob(f"s/trial-{finalist.trial}.*"):
        path.unlink()
    shares = []
    again = train_trials(searched, best, BY_RECIPE, shares.append)[0]
    assert shares[-1] == {finalist.trial: 1.0}
    assert timeless(again.metrics) == timeless(finalist.metrics)
    after = load_file(again.checkpoint)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not list(searched.home.glob("s/*.progress"))
    assert not list(searched.home.glob("s/*.state"))


def test_another_recipe_is_trained_anew_and_back_again(searched, best):
    first = train_trials(searched, best, BY_RECIPE)[0]
    other = train_trials(searched, best, Finishing(replace(RECIPE, lr=0.4)))[0]
    back = train_trials(searched, best, BY_RECIPE)[0]
    assert other.metrics["train_loss"] != first.metrics["train_loss"]
    assert timeless(back.metrics) == timeless(first.metrics)


def test_a_second_finalist_of_a_trial_takes_the_place_of_the_first(searched, finalist):
    (trial,) = numbered(_trials(searched), [finalist.trial])
    other = train_trials(searched, [trial], Finishing(replace(RECIPE, lr=0.4)))[0]
    (stored,) = numbered(_trials(searched), [finalist.trial])
    assert stored.metrics.keys() == trial.metrics.keys()
    for name in ("test_accuracy", "exported_accuracy"):
        assert stored.metrics[name] == other.metrics[name]
    assert stored.metrics["final_train_loss"] == other.metrics["train_loss"] != trial.metrics["final_train_loss"]
    assert stored.metrics["accuracy"] == trial.metrics["accuracy"]
    for name in stored.metrics:
        assert metric(name).name == name
    train_trials(searched, [trial], BY_RECIPE)


def test_another_seed_has_files_of_its_own_and_leaves_the_trial_alone(searched, best, finalist):
    before = _trials(searched)
    other = train_trials(searched, best, replace(BY_RECIPE, seed=7))[0]
    assert other.files["onnx"].name == f"trial-{finalist.trial}-seed7.onnx"
    assert other.metrics["train_loss"] != finalist.metrics["train_loss"]
    assert _trials(searched) == before
    assert json.loads(other.checkpoint.with_suffix(".json").read_text())["seed"] == 7
    same = train_trials(searched, best, replace(BY_RECIPE, seed=0))[0]
    assert same.checkpoint == finalist.checkpoint


def test_training_that_is_not_final_scores_validation_images(searched, best):
    before = _trials(searched)
    finalist = train_trials(searched, best, replace(BY_RECIPE, is_final=False))[0]
    assert "test_accuracy" not in finalist.metrics
    assert 0 <= finalist.metrics["accuracy"] <= 1
    assert finalist.files["onnx"].name == f"trial-{finalist.trial}-val.onnx"
    assert _trials(searched) == before


@pytest.mark.parametrize(
    ("transform", "name", "side"),
    [
        (Transform(width=2.0), "width-2", 8),
        pytest.param(Transform(width=0.5, resolution=16), "width-0.5.resolution-16", 16, marks=pytest.mark.slow),
    ],
)
def test_a_transformed_finalist_has_files_of_its_own_and_leaves_the_trial_alone(
    searched, best, finalist, transform, name, side
):
    before = _trials(searched)
    found = train_trials(searched, best, replace(BY_RECIPE, transform=transform))[0]
    assert found.files["onnx"].name == f"trial-{finalist.trial}-{name}.onnx"
    spec = transform.apply(searched.space.decode(best[0].architecture))
    trained = load_checkpoint(found.checkpoint)
    assert trained.spec == spec
    assert trained.interface.image_shape == (1, side, side)
    info = json.loads(found.checkpoint.with_suffix(".json").read_text())
    assert info["transform"] == asdict(transform)
    assert info["spec_hash"] == spec_hash(spec)
    assert (found.metrics["params"] > finalist.metrics["params"]) == (max(transform.width, transform.depth) > 1)
    assert _trials(searched) == before


def test_a_finalist_begins_with_weights_of_a_file(searched, best, finalist):
    before = _trials(searched)
    still = replace(RECIPE, lr=1e-9, epochs=0.1, warmup=0.0, weight_decay=0.0, bn_momentum=1e-9)
    found = train_trials(searched, best, Finishing(still, weights=finalist.checkpoint))[0]
    assert re.fullmatch(rf"trial-{finalist.trial}-weights-[0-9a-f]{{8}}\.safetensors", found.checkpoint.name)
    theirs, ours = (load_checkpoint(path).model.state_dict() for path in (finalist.checkpoint, found.checkpoint))
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name].float(), tensor.float(), atol=1e-6) or "num_batches" in name
    assert _trials(searched) == before


def test_cells_that_were_found_learn_other_images_in_another_skeleton(tmp_path):
    for i in range(60):
        (tmp_path / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (4 * i, 0, 0)).save(tmp_path / "photos" / "ab"[i % 2] / f"{i}.png")
    config = replace(
        CONFIG, space=Selection("pnasnet", {"blocks": 1, "cells": 3, "filters": 4}), budget=Budget(trials=1)
    )
    search = new_search(config, Store(tmp_path / "store.db"), tmp_path)
    trial = search.run()[0]
    transform = Transform(resolution=32, skeleton="cifar", cells=4, filters=8)
    finishing = Finishing(RECIPE, transform=transform, data=str(tmp_path / "photos"))
    found = train_trials(search, [trial], finishing)[0]
    name = r"trial-0-resolution-32\.skeleton-cifar\.cells-4\.filters-8-data-[0-9a-f]{8}\.onnx"
    assert re.fullmatch(name, found.files["onnx"].name)
    trained = load_checkpoint(found.checkpoint)
    assert (trained.spec.cells, trained.spec.filters) == (4, 8)
    assert trained.spec.normal == search.space.decode(trial.architecture).normal
    assert trained.interface.image_shape == (3, 32, 32)
    assert search.store.trials("s")[0].metrics == trial.metrics


def test_each_device_gets_a_file_in_its_format_and_a_latency(tmp_path):
    devices = (
        DeviceConfig("torch@abacus:desk", "desk", 1.0),
        DeviceConfig("onnxruntime@abacus:phone", "phone", 1.0),
        DeviceConfig("onnxruntime:threads=2@abacus:tablet", "tablet", 1.0),
        DeviceConfig("onnxruntime:precision=int8@abacus:watch", "watch", 1.0),
    )
    search = new_search(
        replace(CONFIG, devices=devices, budget=Budget(trials=1)), Store(tmp_path / "store.db"), tmp_path
    )
    trials = search.run()
    notes = []
    search.listener = replace(search.listener, note=notes.append)
    finalist = train_trials(search, trials, BY_RECIPE)[0]
    number, files = finalist.trial, finalist.files
    assert {name: path.name for name, path in files.items()} == {
        "safetensors": f"trial-{number}.safetensors",
        "onnx": f"trial-{number}.onnx",
        "onnx-int8": f"trial-{number}-int8.onnx",
    }
    assert ("DequantizeLinear" in {node.op_type for node in onnx.load(files["onnx-int8"]).graph.node}) is True
    lost = finalist.metrics["test_accuracy"] - finalist.metrics["exported_accuracy"]
    assert any("in int8" in note and "keep=" in note for note in notes) == (lost > 0.005)
    (stored,) = search.store.trials("s")
    for device in ("desk", "phone", "tablet", "watch"):
        assert stored.metrics[f"final_latency_ms.{device}"] == finalist.metrics[f"latency_ms.{device}"] > 0
    info = json.loads(finalist.checkpoint.with_suffix(".json").read_text())
    assert info["latency"].keys() == {"desk", "phone", "tablet", "watch"}


@pytest.mark.slow
def test_a_device_of_another_format_still_leaves_an_onnx_file(tmp_path):
    devices = (DeviceConfig("torch@abacus", target_ms=1.0),)
    search = new_search(
        replace(CONFIG, devices=devices, budget=Budget(trials=1)), Store(tmp_path / "store.db"), tmp_path
    )
    finalist = train_trials(search, search.run(), BY_RECIPE)[0]
    assert "onnx" in finalist.files
    assert finalist.files["onnx"].exists()
    assert finalist.metrics["latency_ms"] > 0


# What goes wrong


@dataclass(frozen=True)
class Fussy(Classification):
    """Digits, but one network diverges."""

    refused: str = ""

    def network(self, spec, recipe):
        if spec_hash(spec) == self.refused:
            raise TrainingError("the loss is nan")
        return super().network(spec, recipe)


def test_one_failing_finalist_leaves_the_others(tmp_path):
    search = new_search(replace(CONFIG, budget=Budget(trials=2)), Store(tmp_path / "store.db"), tmp_path)
    search.run()
    failing, sound = choose(_trials(search), "accuracy", {"latency_ms": 1.0}, top=2)
    task = search.trained_evaluator().task
    options = {f.name: getattr(task, f.name) for f in fields(task)}
    search.evaluator.task = Fussy(**options, refused=failing.spec_hash)
    search.evaluator.task.prepare(tmp_path / "cache")
    with pytest.raises(WorkError, match=rf"trial {failing.number}: the loss is nan.*finished: {sound.number}"):
        train_trials(search, [failing, sound], BY_RECIPE)
    stored = {t.number: t.metrics for t in _trials(search)}
    assert "test_accuracy" in stored[sound.number]
    assert "test_accuracy" not in stored[failing.number]
    assert not list(tmp_path.glob("s/*.progress"))


def test_a_recipe_that_cannot_be_is_refused(searched, best):
    with pytest.raises(UsageError, match="nonsense"):
        train_trials(searched, best, Finishing(replace(RECIPE, optimizer="nonsense")))


def test_a_search_that_another_process_holds_is_left_alone(searched, best, finalist, tmp_path):
    with Store(searched.home / "store.db").hold("s"):
        with pytest.raises(StoreError, match="one process at a time"):
            train_trials(searched, best, BY_RECIPE)
        with pytest.raises(StoreError, match="one process at a time"):
            export_trial(searched.store, "s", searched.home, finalist.trial, "onnx")
        export_trial(searched.store, "s", searched.home, finalist.trial, "onnx", tmp_path / "m.onnx")


def test_exported_file_that_disagrees_fails_loudly(searched, tmp_path):
    task, device = searched.trained_evaluator().task, parse_device("onnxruntime")
    spec = searched.space.decode(_trials(searched)[0].architecture)
    job = TrainingJob(spec_to_json(spec), task, RECIPE, 0, "cpu", True, tmp_path / "c.safetensors")
    expected = run_training(job)["test_accuracy"]
    trained = load_checkpoint(job.checkpoint)
    file = device.export(trained.model, trained.spec, trained.interface, tmp_path / "m")
    examined = rescore(device, file, trained.model, task, "test", expected)
    assert examined.metrics["accuracy"] == pytest.approx(expected)
    with pytest.raises(ExportError, match="instead of"):
        rescore(device, file, trained.model, task, "test", expected + 0.1)
    with torch.no_grad():
        trained.model.classifier.bias += 1.0 * torch.arange(10)
    with pytest.raises(ExportError, match="differs by"):
        rescore(device, file, trained.model, task, "test", expected)


# Exporting


def test_export_gives_the_trained_weights(searched, finalist, tmp_path):
    path = export_trial(
        searched.store, "s", searched.home, finalist.trial, "safetensors", tmp_path / "copy.safetensors"
    )
    a, b = load_checkpoint(finalist.checkpoint), load_checkpoint(path)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1, 8, 8), np.float32))
    assert torch.equal(a.model(x), b.model(x))


ORIGIN = {"search", "trial", "transform", "spec", "spec_hash", "recipe", "seed", "is_final", "paretonas", "interface"}


def test_a_file_says_how_it_is_used_and_where_it_comes_from(searched, finalist):
    told = formats.create("onnx").metadata(finalist.files["onnx"])
    check_metadata(told, load_checkpoint(finalist.checkpoint).interface)
    assert told["classes"] == list("0123456789")
    assert told.keys() == set(searched.trained_evaluator().task.metadata) | ORIGIN
    assert (told["search"], told["trial"], told["is_final"]) == ("s", finalist.trial, True)
    assert spec_hash(spec_from_json(told["spec"])) == told["spec_hash"]
    beside = json.loads(finalist.checkpoint.with_suffix(".json").read_text())
    assert told.items() <= beside.items()
    assert beside.keys() - told.keys() == {"metrics", "details", "latency", "date"}


@each_format
def test_export_elsewhere_says_the_same_and_has_it_beside(searched, finalist, tmp_path, name):
    told = formats.create("onnx").metadata(finalist.files["onnx"])
    path = export_trial(searched.store, "s", searched.home, finalist.trial, name, tmp_path / "cats")
    assert formats.create(name).metadata(path) == told
    assert json.loads((tmp_path / "cats.json").read_text()) == told
    assert {file.name for file in tmp_path.iterdir()} == {"cats", "cats.json"}


def test_export_writes_beside_the_weights_where_nobody_says(searched, finalist):
    finalist.files["onnx"].unlink()
    assert export_trial(searched.store, "s", searched.home, finalist.trial, "onnx") == finalist.files["onnx"]
    assert finalist.files["onnx"].exists()
    assert export_trial(searched.store, "s", searched.home, finalist.trial, "safetensors") == finalist.checkpoint


def test_export_of_an_untrained_trial_is_refused(searched):
    untrained = len(_trials(searched))
    with pytest.raises(UsageError, match="paretonas train s --trial"):
        export_trial(searched.store, "s", searched.home, untrained, "onnx")


def test_a_classifier_cannot_end_in_boxes(searched, finalist):
    with pytest.raises(UsageError, match=r"Files that end in boxes are of detectors.*'classes'"):
        export_trial(searched.store, "s", searched.home, finalist.trial, "onnx:boxes=true")
    assert not list(finalist.checkpoint.parent.glob("*boxes*"))


def test_export_to_what_cannot_be_is_refused(searched, finalist, tmp_path):
    with pytest.raises(UnknownNameError, match="No export format is called"):
        export_trial(searched.store, "s", searched.home, finalist.trial, "papyrus")
    with pytest.raises(UsageError, match="a folder that exists"):
        export_trial(searched.store, "s", searched.home, finalist.trial, "onnx", tmp_path / "nowhere" / "m.onnx")
