"""Finalists that a checkpoint teaches: real digits, an abacus."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from abacus import CONFIG
from safetensors.torch import save_file

from paretonas.errors import ExportError, UsageError
from paretonas.export.checkpoint import load_checkpoint
from paretonas.loop.plan import Budget
from paretonas.report.aims import Aims
from paretonas.report.evidence import read_final
from paretonas.search.finalists import train_trials
from paretonas.search.finish import Finishing
from paretonas.search.search import new_search
from paretonas.search.teacher import SavedTeacher, Teaching
from paretonas.space.transform import Transform
from paretonas.store import Store
from paretonas.task.recipe import Recipe

RECIPE = Recipe(epochs=0.5, batch_size=64, lr=0.1)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of one trial."""
    home = tmp_path_factory.mktemp("home")
    search = new_search(replace(CONFIG, budget=Budget(trials=1)), Store(home / "store.db"), home)
    search.run()
    return search


@pytest.fixture(scope="module")
def teacher(searched):
    """The weights of a network twice as wide."""
    wide = Finishing(RECIPE, transform=Transform(width=2.0))
    return train_trials(searched, searched.store.trials("s"), wide)[0].checkpoint


def taught(searched, file, *, recipe=RECIPE, shares=None, **options):
    finishing = Finishing(recipe, teaching=Teaching(file, **options))
    told = (lambda _: None) if shares is None else shares.append
    (finalist,) = train_trials(searched, searched.store.trials("s"), finishing, told)
    return finalist


def test_a_finalist_learns_from_another_architecture_and_its_file_says_so(searched, teacher):
    (plain,) = train_trials(searched, searched.store.trials("s"), Finishing(RECIPE))
    finalist = taught(searched, teacher, weight=2.0, temperature=3.0)
    assert finalist.metrics["train_loss"] > plain.metrics["train_loss"]  # the divergence is part of it
    assert finalist.metrics["params"] < sum(p.numel() for p in load_checkpoint(teacher).model.parameters())
    info = json.loads(finalist.checkpoint.with_suffix(".json").read_text())
    assert info["teacher"] == {"digest": SavedTeacher(teacher).digest, "weight": 2.0, "temperature": 3.0}
    (trial,) = searched.store.trials("s")
    assert trial.metrics["test_accuracy"] == finalist.metrics["test_accuracy"]


def test_with_the_same_teacher_it_is_trained_once_and_with_another_anew(searched, teacher):
    first = taught(searched, teacher)
    shares = []
    assert taught(searched, teacher, shares=shares).metrics == first.metrics
    assert shares == []
    assert taught(searched, teacher, temperature=4.0).metrics["train_loss"] != first.metrics["train_loss"]


@pytest.mark.slow
def test_a_teacher_is_part_of_how_a_finalist_was_trained(searched, teacher):
    finalist = taught(searched, teacher, weight=0.25)
    (trial,) = searched.store.trials("s")
    final = read_final(trial, finalist.checkpoint.with_suffix(".json"), Aims("accuracy", {"latency_ms": 1.0}))
    assert final.recipe["teacher"]["weight"] == 0.25
    assert sum(count for *_, count in final.confused) == searched.trained_evaluator().task.examples["test"]
    right = sum(count for shown, found, count in final.confused if shown == found)
    assert right / sum(count for *_, count in final.confused) == pytest.approx(
        finalist.metrics["exported_accuracy"], abs=1e-9
    )
    assert final.classes == tuple("0123456789")


def test_a_teacher_is_a_checkpoint_that_is_read_and_not_unpickled(searched, tmp_path):
    with pytest.raises(UsageError, match=r"is a \.safetensors file"):
        Teaching(tmp_path / "model.pt")
    with pytest.raises(UsageError, match="cannot be read"):
        Teaching(tmp_path / "absent.safetensors")
    save_file({"weight": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(ExportError, match="is a file that paretonas wrote"):
        taught(searched, tmp_path / "bare.safetensors")


def test_a_teacher_whose_place_its_student_would_take_is_refused(searched):
    (plain,) = train_trials(searched, searched.store.trials("s"), Finishing(RECIPE))
    before = plain.checkpoint.read_bytes()
    with pytest.raises(UsageError, match="copy it first"):
        taught(searched, plain.checkpoint)
    assert plain.checkpoint.read_bytes() == before


def test_a_teacher_of_other_images_is_refused_before_anything_is_trained(searched, teacher):
    finishing = Finishing(RECIPE, transform=Transform(resolution=16), teaching=Teaching(teacher))
    shares = []
    with pytest.raises(UsageError, match=r"is fed images of 1 x 16 x 16 .* but .*width-2.* 1 x 8 x 8"):
        train_trials(searched, searched.store.trials("s"), finishing, shares.append)
    assert shares == []


def test_a_saved_teacher_is_its_file(teacher):
    saved = SavedTeacher(teacher)
    expected = load_checkpoint(teacher)
    assert saved.interface == expected.interface
    assert saved.metadata == expected.info
    assert saved.name.endswith(".safetensors")
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1, 8, 8), np.float32))
    assert torch.equal(saved.network()(x), expected.model(x))
    assert not saved.network().training
