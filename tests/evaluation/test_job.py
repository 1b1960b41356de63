"""What workers do: train and score one network; real digits, real files."""

import json
import pickle
from dataclasses import dataclass, fields, replace

import pytest
import torch

from paretonas.errors import TrainingError
from paretonas.evaluation.job import TrainingJob, run_training
from paretonas.export.checkpoint import load_checkpoint
from paretonas.objective import metric
from paretonas.space import spec_to_json
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.task.classification import Classification
from paretonas.task.recipe import Recipe
from paretonas.training.progress import read_share

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 8, 1, 2, 3),), stem_filters=8, head_filters=16)
OTHER = replace(SPEC, head_filters=32)
RECIPE = Recipe(epochs=4, batch_size=50, lr=0.1, crop=0.0, layout="contiguous", precision="float32")
SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "top5_accuracy")
TIMES = ("train_seconds", "examples_per_second")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    task = Classification("digits", train_images=100, val_images=100)
    task.prepare(tmp_path_factory.mktemp("data"))
    return task


@pytest.fixture
def job(task):
    return TrainingJob(spec_to_json(SPEC), task, RECIPE, 3, "cpu")


def timeless(metrics):
    return {name: value for name, value in metrics.items() if name not in TIMES}


# Identity


def changed(job, **change):
    return replace(job, **change).identity() != job.identity()


def test_identity_is_of_all_that_decides_the_outcome(job):
    assert changed(job, spec=spec_to_json(OTHER))
    assert changed(job, task=Classification("digits", train_images=50, val_images=100))
    assert changed(job, recipe=replace(RECIPE, lr=0.2))
    assert changed(job, seed=4)
    assert changed(job, is_final=True)


def test_identity_is_of_nothing_else(job, tmp_path):
    assert not changed(job, torch_device="auto")
    assert not changed(job, recipe=replace(RECIPE, about="words"))
    assert not changed(job, until=0.5)  # a later share goes on from the file of an earlier one
    for name in ("checkpoint", "progress", "state"):
        assert not changed(job, **{name: tmp_path / "file"})


def test_identity_is_json_and_a_job_pickles(job):
    assert json.loads(json.dumps(job.identity())) == job.identity()
    copy = pickle.loads(pickle.dumps(job))
    assert copy.identity() == job.identity()


# Training


def test_a_training_gives_declared_metrics_of_the_validation_part(job, task):
    state = torch.get_rng_state()
    found = run_training(job)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.keys() == {*SCORES, "train_loss", *TIMES}
    assert all(metric(name).known == "training" and isinstance(value, float) for name, value in found.items())
    assert found["accuracy"] * task.examples["val"] == pytest.approx(round(found["accuracy"] * 100))
    assert timeless(run_training(job)) == timeless(found)
    assert timeless(run_training(replace(job, seed=4))) != timeless(found)


def test_a_final_training_learns_from_all_but_the_test_part_and_is_scored_there(job, task, tmp_path):
    checkpoint = tmp_path / "final.safetensors"
    found = run_training(replace(job, is_final=True, checkpoint=checkpoint))
    assert found.keys() == {*(f"test_{name}" for name in SCORES), "train_loss", *TIMES}
    assert found["test_accuracy"] * task.examples["test"] == pytest.approx(
        round(found["test_accuracy"] * task.examples["test"])
    )
    assert timeless(found)["train_loss"] != run_training(job)["train_loss"]


def test_weights_are_left_with_all_that_is_needed_to_use_them(job, task, tmp_path):
    job = replace(job, checkpoint=tmp_path / "weights.safetensors")
    found = run_training(job)
    trained = load_checkpoint(job.checkpoint)
    assert (trained.spec, trained.interface) == (SPEC, task.interface)
    assert trained.info["metrics"] == found
    assert trained.info["job"] == job.identity()
    assert trained.info["classes"] == task.metadata["classes"]


def test_progress_is_told_and_the_state_is_gone_in_the_end(job, tmp_path):
    job = replace(job, progress=tmp_path / "p", state=tmp_path / "made" / "on" / "the" / "way" / "s")
    run_training(job)
    assert read_share(job.progress) == 1.0
    assert not job.state.exists()


def test_shares_of_a_training_add_up_to_the_whole(job, tmp_path):
    job = replace(job, state=tmp_path / "s")
    early = run_training(replace(job, until=0.25))
    assert job.state.exists()
    middle = run_training(replace(job, until=0.5))
    whole = run_training(job)
    assert timeless(whole) == timeless(run_training(replace(job, state=None)))
    assert len({found["train_loss"] for found in (early, middle, whole)}) == 3


@dataclass(frozen=True)
class Changed(Classification):
    """Digits, with something wrong."""

    stops: int = -1
    quality = "accuracy"

    def loss(self, model, batch, at):
        if at.step == self.stops:
            raise KeyboardInterrupt
        return super().loss(model, batch, at)


@dataclass(frozen=True)
class Unscored(Classification):
    """Says nothing of its quality."""

    said: object = (("train_loss", 0.5),)

    def score(self, run, part):
        return dict(self.said) if self.said else self.said


@dataclass(frozen=True)
class Diverging(Classification):
    """No loss is a number."""

    def loss(self, model, batch, at):
        return super().loss(model, batch, at) * float("nan")


def of(kind, task, **options):
    made = kind(**{f.name: getattr(task, f.name) for f in fields(task)}, **options)
    vars(made)["images"] = task.images
    return made


def test_an_interrupted_share_goes_on_from_the_one_before(job, task, tmp_path):
    stopped, going = (replace(job, task=of(Changed, task, stops=n), state=tmp_path / "s") for n in (5, -1))
    run_training(replace(stopped, until=0.5))
    with pytest.raises(KeyboardInterrupt):
        run_training(stopped)
    assert timeless(run_training(going)) == timeless(run_training(job))


def test_a_score_without_the_quality_is_an_error(job, task):
    with pytest.raises(TrainingError, match="The score of Unscored has its quality 'accuracy', but it has train_loss"):
        run_training(replace(job, task=of(Unscored, task)))


@pytest.mark.parametrize("said", [None, (("accuracy", "high"),), (("accuracy", None),)])
def test_a_score_that_is_no_numbers_is_an_error(job, task, said):
    with pytest.raises(TrainingError, match="The score of Unscored is numbers by their names, but got "):
        run_training(replace(job, task=of(Unscored, task, said=said)))


def test_a_training_that_diverges_is_an_error(job, task):
    with pytest.raises(TrainingError, match="Training diverged: the loss of step 1 of 8 is nan"):
        run_training(replace(job, task=of(Diverging, task)))
