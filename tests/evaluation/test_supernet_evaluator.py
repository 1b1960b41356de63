"""Candidates that are scored by shared weights."""

import pickle
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from paretonas.errors import SpecError, StoreError, TrainingError, UsageError
from paretonas.evaluation.evaluator import WORKERS
from paretonas.evaluation.job import Folders, Schooling
from paretonas.evaluation.keys import digest
from paretonas.evaluation.supernet import Mining, SupernetEvaluator
from paretonas.evaluation.supernet_job import ScoringJob, SupernetJob, run_scoring, run_supernet
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.loop.listener import Listener
from paretonas.objective.trust import Trust, trust
from paretonas.space import Decision, SearchSpace, spec_to_json
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.store import Store
from paretonas.task.classification import Classification
from paretonas.task.recipe import Recipe
from paretonas.training.supernet import Single, Supernet

RECIPE = Recipe(epochs=6, batch_size=32, lr=0.3, crop=0.0, layout="contiguous", precision="float32", bn_momentum=0.3)
SHORT = replace(RECIPE, epochs=1)


def block(values):
    made = BlockSpec(
        "mbconv", int(values["kernel"]), 8, int(values["layers"]), 2, int(values["expansion"]), 0.0, "identity"
    )
    return MnasNetSpec((made,), stem_filters=8, head_filters=16)


@dataclass(frozen=True)
class Blocks:
    """A small space."""

    def build(self):
        offered = {"kernel": (3, 5), "layers": (1, 2), "expansion": (2, 4)}
        return SearchSpace("blocks", tuple(Decision(*one) for one in offered.items()), block)


class Told(Listener):
    def __init__(self):
        self.notes, self.counted = [], []

    def note(self, text):
        self.notes.append(text)

    def counting(self, what, done, total):
        self.counted.append((what, done, total))


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    task = Classification("digits", train_images=300, val_images=100)
    task.prepare(tmp_path_factory.mktemp("data"))
    return task


@pytest.fixture(scope="module")
def weights(task, tmp_path_factory):
    """A trained supernet."""
    folder = tmp_path_factory.mktemp("pretrained")
    job = SupernetJob(Supernet(task, Blocks()), RECIPE, 0, "cpu", folder)
    job = replace(job, file=folder / f"supernet-{digest(job.identity())}.safetensors")
    run_supernet(job)
    return job


class Runner:
    """Runs calls here, and counts them."""

    def __init__(self):
        self.calls = []

    def __call__(self, calls):
        for place, one in reversed(list(enumerate(calls))):
            self.calls.append(one.function.__name__)
            pickle.dumps(one.arguments)
            yield []
            yield [(place, one.function(*one.arguments))]


@pytest.fixture
def make(task, weights, tmp_path):
    """An evaluator whose supernet is trained already, unless another file is given."""
    store = Store(tmp_path / "store.db")

    def make(folder=weights.file.parent, recipe=RECIPE, **options):
        folders = Folders(tmp_path / "cache", tmp_path / "run")
        alone = TrainedEvaluator(task, (), Schooling(SHORT, 0, "cpu"), store, folders)
        mining = Mining(Supernet(task, Blocks()), recipe, **{"checked": 0, "examples": 64, **options})
        runner = Runner()
        return SupernetEvaluator(alone, alone, mining, runner, store, folder), runner

    return make


def test_scores_are_those_of_the_subnet(task, weights):
    spec = Supernet(task, Blocks()).family.smallest
    job = ScoringJob(spec_to_json(spec), weights.supernet, RECIPE, 0, "cpu", weights.file, 64)
    metrics = run_scoring(pickle.loads(pickle.dumps(job)))
    assert metrics["accuracy"] > 0.15, "ten classes"
    assert run_scoring(job) == metrics


def test_a_trained_supernet_is_not_trained_again(make, weights, tmp_path):
    evaluator, runner = make()
    evaluator.begin(told := Told())
    assert runner.calls == []
    assert told.notes == [f"The supernet was trained before: {weights.file}."]
    for changed in (make(tmp_path / "new", SHORT), make(recipe=SHORT)):
        changed[0].begin(told := Told())
        assert changed[1].calls == ["run_supernet"]
        assert any("trained in" in note for note in told.notes)
        assert told.counted[-1] == ("training the supernet", 100, 100)


def test_the_score_takes_the_place_of_the_training(make, task):
    evaluator, _ = make()
    evaluator.begin(Told())
    stages = {stage.name: stage for stage in evaluator.stages()}
    assert list(stages) == ["cost", "supernet"]
    stage, spec = stages["supernet"], Supernet(task, Blocks()).family.smallest
    assert (stage.lane, stage.gives) == (WORKERS, task.scores)
    assert stage.known(spec) is None
    evidence = stage.evidence(spec)
    assert set(evidence.metrics) == set(stage.gives)
    assert stage.known(spec) == evidence
    assert evidence.id is not None


def test_scores_of_other_weights_are_others(make, task, tmp_path):
    spec = Supernet(task, Blocks()).family.smallest
    evaluator, _ = make()
    evaluator.begin(Told())
    evaluator.stages()[-1].evidence(spec)
    for other, _ in (make(tmp_path / "other", SHORT), make(examples=65)):
        assert other.stages()[-1].known(spec) is None


def test_it_is_checked_by_networks_that_are_trained_alone(make):
    evaluator, runner = make(checked=6)
    evaluator.begin(told := Told())
    assert evaluator.trust.networks == 6
    assert runner.calls == ["run_scoring"] * 6 + ["run_training"] * 6
    assert "tau" in told.notes[1]
    again, runner = make(checked=6)
    again.begin(Told())
    assert runner.calls == []
    assert again.trust == evaluator.trust
    ((key, kept),) = again._cache.evaluations("trust")
    assert key["networks"] == 6
    assert kept == asdict(evaluator.trust)


def test_where_macs_rank_as_well_candidates_are_trained_alone(make):
    evaluator, _ = make()
    evaluator.begin(Told())
    evaluator.trust = Trust(0.5, 0.1, 0.8, 0.5, 0.0, 12)
    assert [stage.name for stage in evaluator.stages()] == ["cost", "training"]
    evaluator.trust = Trust(0.6, 0.1, 0.8, 0.5, 0.0, 12)
    assert [stage.name for stage in evaluator.stages()] == ["cost", "supernet"]


def test_trust_is_of_the_three_best_and_of_all():
    found = trust([5, 4, 3, 2, 1, 0], [0.5, 0.6, 0.7, 0.9, 0.1, 0.2], [1, 1, 1, 1, 1, 1])
    assert found.lost == pytest.approx(0.2)
    assert found.tau_macs == 0
    assert found.low <= found.tau <= found.high
    assert "20.00 points" in str(found)


def test_weights_that_are_gone_or_damaged_are_an_error(task, weights, tmp_path):
    damaged = tmp_path / "supernet.safetensors"
    damaged.write_bytes(b"no tensors")
    spec = weights.supernet.family.smallest
    with pytest.raises(TrainingError, match=r"are a \.safetensors file"):
        run_scoring(ScoringJob(spec_to_json(spec), weights.supernet, RECIPE, 0, "cpu", damaged, 64))
    assert not replace(weights, file=damaged).is_done
    assert not replace(weights, file=Path("nowhere")).is_done
    assert not replace(weights, seed=1).is_done
    assert weights.is_done


def test_a_network_of_another_space_is_refused(weights):
    other = MnasNetSpec((BlockSpec("conv", 3, 8),), stem_filters=8, head_filters=16)
    with pytest.raises(SpecError, match="have parts of them"):
        run_scoring(ScoringJob(spec_to_json(other), weights.supernet, RECIPE, 0, "cpu", weights.file, 64))


def test_a_stored_score_without_the_quality_is_an_error(make, task):
    evaluator, _ = make()
    spec = Supernet(task, Blocks()).family.smallest
    evaluator._key(spec).put(evaluator._cache, {"train_loss": 1.0})
    with pytest.raises(StoreError, match="accuracy"):
        evaluator.stages()[-1].known(spec)


@pytest.mark.parametrize("options", [{"examples": 0}, {"checked": 4}, {"checked": 1001}])
def test_numbers_out_of_range_are_refused(task, options):
    with pytest.raises(UsageError, match="must hold"):
        Mining(Supernet(task, Blocks(), Single()), RECIPE, **options)
