"""Searches whose backbones learn to classify other images first."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from abacus import CONFIG
from small_boxes import write_shades, write_squares

from paretonas.errors import UsageError
from paretonas.export.checkpoint import load_checkpoint
from paretonas.loop.listener import Listener
from paretonas.loop.plan import Budget
from paretonas.registry import Selection
from paretonas.search.config import PretrainConfig, SupernetConfig
from paretonas.search.finalists import train_trials
from paretonas.search.finish import Finishing
from paretonas.search.search import new_search, open_search
from paretonas.search.sections import config_from_json, config_to_json
from paretonas.space import Decision, SearchSpace, spaces
from paretonas.space.detector import DetectorSpec
from paretonas.space.shufflenet import ShuffleNetSpec
from paretonas.space.space import Choice
from paretonas.task import recipes
from paretonas.trial import State

TUNED = {"layout": "channels-last", "precision": "float32"}


@dataclass(frozen=True)
class Few:
    """Detectors with two predictors each, on the same backbone or on four."""

    resolution: int = 64
    backbones: int = 4

    def build(self) -> SearchSpace:
        blocks: tuple[Choice, ...] = ("shuffle3", "xception3") if self.backbones == 4 else ("shuffle3",)

        def decode(values: Mapping[str, Choice]) -> DetectorSpec:
            first, last = (str(values[name]) for name in ("first", "last"))
            sizes = (1, 1, 1, 1), (8, 12, 16, 24)
            backbone = ShuffleNetSpec((first, "shuffle3", "shuffle3", last), *sizes, stem=4, last=16)  # type: ignore[arg-type]
            return DetectorSpec(backbone, "ssdlite", last_filters=int(values["filters"]))

        decisions = (Decision("first", blocks), Decision("last", blocks), Decision("filters", (16, 32)))
        return SearchSpace("few", decisions, decode)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_shades(tmp_path_factory.mktemp("pictures"), 40)


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    return write_squares(tmp_path_factory.mktemp("boxes"), 10)


@pytest.fixture
def config(monkeypatch, pictures, boxes):
    monkeypatch.setitem(spaces._entries, "few", "test_pretraining:Few")
    task = Selection("detection", {"data": str(boxes), "resolution": 64})
    pretrain = PretrainConfig(
        Selection("classification", {"data": str(pictures)}), Selection("pretrain", {"epochs": 1.0, **TUNED})
    )
    recipe = Selection("detection-search", {"epochs": 2.0, "batch_size": 2, **TUNED})
    asked = {"task": task, "space": Selection("few"), "recipe": recipe, "pretrain": pretrain}
    return replace(CONFIG, budget=Budget(trials=2), seed=3, **asked)


FINISHING = Finishing(replace(recipes.create("detection-search"), epochs=1.0, batch_size=2, **TUNED))


def test_backbones_learn_as_a_supernet_and_candidates_have_their_parts(config, store, tmp_path):
    search = new_search(config, store, tmp_path)
    (phase,) = search.evaluator.phases()
    assert phase.what == "training a supernet of backbones to classify"
    assert not list(tmp_path.rglob("classifiers-*.safetensors"))
    with_it = search.run()
    assert all(trial.state is State.COMPLETE for trial in with_it)
    assert search.evaluator.phases() == ()
    fresh = new_search(replace(config, name="fresh", pretrain=None), store, tmp_path).run()
    assert [trial.architecture for trial in with_it] == [trial.architecture for trial in fresh]
    assert not any(trial.is_reused for trial in fresh)
    losses = [[trial.metrics["train_loss"] for trial in trials] for trials in (with_it, fresh)]
    assert losses[0] != losses[1]


def test_a_finalist_s_backbone_learns_alone_and_once(config, store, tmp_path):
    search, notes = new_search(config, store, tmp_path), []
    trial = search.run()[0]
    search.listener = Listener(note=notes.append)
    (finalist,) = train_trials(search, [trial], FINISHING)
    assert any("learn to classify" in note for note in notes)
    (file,) = (tmp_path / "pretrained").glob("classifier-*.safetensors")
    spec = search.space.decode(trial.architecture)
    learned = load_checkpoint(file)
    assert learned.spec == spec.backbone
    assert learned.info["metrics"]["test_accuracy"] > 0.4
    assert load_checkpoint(finalist.checkpoint).info["job"]["origin"]["kind"] == "weights"
    notes.clear()
    train_trials(search, [trial], replace(FINISHING, seed=1))
    assert not any("learn to classify" in note for note in notes)


def test_a_supernet_of_detectors_begins_with_that_of_backbones(config, store, tmp_path):
    options = {"epochs": 2.0, "batch_size": 2, **TUNED}
    single = Selection("single")
    supernet = SupernetConfig(single, Selection("detection-search", options), examples=4, checked=0)
    asked = replace(config, supernet=supernet)
    search = new_search(asked, store, tmp_path)
    assert [phase.what for phase in search.evaluator.phases()] == [
        "training a supernet of backbones to classify",
        "training the supernet",
    ]
    trials = search.run()
    assert all(trial.state is State.COMPLETE for trial in trials)
    fresh = new_search(replace(asked, name="fresh", pretrain=None), store, tmp_path).run()
    assert not any(trial.is_reused for trial in fresh)
    other = replace(asked.pretrain, sampling=Selection("sandwich"))
    with pytest.raises(UsageError, match="slices as that does"):
        new_search(replace(asked, name="other", pretrain=other), store, tmp_path)


def test_stopped_while_backbones_learn_it_goes_on_to_the_same_weights(config, store, tmp_path, monkeypatch):
    recipe = Selection("pretrain", {"epochs": 3.0, "batch_size": 32, **TUNED})
    config = replace(config, pretrain=replace(config.pretrain, recipe=recipe), budget=Budget(trials=1))
    whole = new_search(replace(config, name="whole"), store, tmp_path).run()
    steps = []

    def stop(self, done, steps_in_all):
        steps.append(done)
        if len(steps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("paretonas.training.progress.ProgressFile.step", stop)
    (file,) = (tmp_path / "pretrained").iterdir()
    before = file.read_bytes()
    file.unlink()
    with pytest.raises(KeyboardInterrupt):
        new_search(config, store, tmp_path).run()
    assert store.trials("s") == []
    trials = open_search("s", store, tmp_path).run()
    assert file.read_bytes() == before
    assert [trial.metrics["ap"] for trial in trials] == [trial.metrics["ap"] for trial in whole]
    assert all(trial.is_reused for trial in trials), "the same weights, so the same trainings"


def test_one_backbone_stays_as_it_learned_to_be(config, store, tmp_path):
    asked = replace(config, space=Selection("few", {"backbones": 1}), frozen=True)
    search = new_search(asked, store, tmp_path)
    (phase,) = search.evaluator.phases()
    assert phase.what == "training the backbone to classify"
    trials = search.run()
    assert all(trial.state is State.COMPLETE for trial in trials)
    assert list((tmp_path / "cache").glob("features-*/*.safetensors"))
    (finalist,) = train_trials(search, [trials[0]], FINISHING)
    (file,) = (tmp_path / "pretrained").glob("classifier-*.safetensors")
    before, after = load_checkpoint(file).model.state_dict(), load_checkpoint(finalist.checkpoint).model.state_dict()
    assert not torch.equal(before["stem.0.weight"], after["backbone.stem.0.weight"]), "a finalist learns all of it"


def test_what_cannot_be_is_said_before_anything_is_stored(config, store, tmp_path):
    with pytest.raises(UsageError, match="the same for all networks, but the space 'few' has several"):
        new_search(replace(config, frozen=True), store, tmp_path)
    with pytest.raises(UsageError, match="has weights"):
        replace(config, pretrain=None, frozen=True)
    with pytest.raises(UsageError, match="of a file or of a training"):
        replace(config, weights="a.safetensors")
    grey = PretrainConfig(Selection("classification", {"data": "digits"}))
    with pytest.raises(UsageError, match="as many channels"):
        new_search(replace(config, pretrain=grey), store, tmp_path)
    with pytest.raises(UsageError, match="learn first to classify"):
        new_search(replace(config, pretrain=PretrainConfig(config.task)), store, tmp_path)
    assert store.searches() == []


def test_the_section_is_read_as_it_was_written(config):
    assert config_from_json(config_to_json(config)) == config
    written = config_to_json(config)
    assert written["pretrain"]["task"]["name"] == "classification"
