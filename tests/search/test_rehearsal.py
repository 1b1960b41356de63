"""Models, spaces and tasks of others that break their promises are found before anything is paid for."""

import itertools
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from abacus import CONFIG
from torch import nn

from paretonas.errors import SpecError, UsageError
from paretonas.network import builders
from paretonas.registry import Selection
from paretonas.search.rehearsal import own_models
from paretonas.search.search import new_search, open_search
from paretonas.space import Decision, SearchSpace, Spec, spaces
from paretonas.space.spec import spec_kinds
from paretonas.space.trust import VARIABLE, trust
from paretonas.task import tasks
from paretonas.task.classification import Classification

MODELS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, channels, is_pair=False):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc, self.is_pair = nn.Linear(8, classes), is_pair

    def forward(self, x):
        features = self.body(x)
        return (self.fc(features), features) if self.is_pair else self.fc(features)

def good(num_classes, in_chans):
    return Net(num_classes, in_chans)

def many(num_classes, in_chans):
    return Net(1000, in_chans)

def pair(num_classes, in_chans):
    return Net(num_classes, in_chans, True)

def breaks(num_classes, in_chans):
    raise RuntimeError("no weights here")
"""
BASELINES = replace(CONFIG, baselines=True)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder with a module of the user's, who stands in it."""
    (tmp_path / "users_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "users_models"
    sys.modules.pop("users_models", None)


def zoo(source):
    return replace(CONFIG, space=Selection("zoo", {"networks": "mobilenet-v2*0.35", "also": source}))


@pytest.mark.parametrize("place", ["models", "space"])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("many", r"'logits' of shape \(2, 10\) .* but got \(2, 1000\)"),
        ("pair", "one tensor, but got a tuple of 2"),
        ("breaks", "failed: RuntimeError: no weights here"),
        ("nothing", "has no attribute 'nothing'"),
    ],
)
def test_model_that_breaks_its_promises_is_refused(store, tmp_path, models, place, name, problem):
    (source,) = trust(f"{models}:{name}")
    config = replace(BASELINES, models=(source,)) if place == "models" else zoo(source)
    with pytest.raises(SpecError, match=f"'{source}'.*{problem}"):
        new_search(config, store, tmp_path)
    assert store.searches() == []


def test_model_that_keeps_them_is_searched(store, tmp_path, models):
    (source,) = trust(f"{models}:good")
    search = new_search(zoo(source), store, tmp_path)
    assert source in search.space.decisions[0].choices


def test_model_that_has_gone_ends_no_training_of_other_networks(store, tmp_path, models, monkeypatch):
    sources = trust(f"{models}:good")
    new_search(replace(BASELINES, models=sources), store, tmp_path)
    new_search(replace(zoo(*sources), name="own"), store, tmp_path)
    monkeypatch.setenv(VARIABLE, "{}")
    open_search("s", store, tmp_path)
    with pytest.raises(SpecError, match="imported only if it is trusted"):
        open_search("own", store, tmp_path)


def test_models_of_a_configuration_are_those_of_baselines_and_of_its_space():
    assert own_models(replace(BASELINES, models=("a:b",))) == ("a:b",)
    assert own_models(zoo("a:b+c:d")) == ("a:b", "c:d")
    assert own_models(replace(CONFIG, space=Selection("another", {"also": "a:b"}))) == ()


# Spaces and builders


@dataclass(frozen=True)
class Plain(Spec):
    kind: ClassVar[str] = "plain"
    units: int


@dataclass(frozen=True)
class Unknown(Spec):
    kind: ClassVar[str] = "unknown"


COUNT = itertools.count()
DECODERS = {
    "raises": (lambda v: {}["missing"], "'faulty' has none for .*: KeyError: 'missing'"),
    "no spec": (lambda v: "resnet18", "A spec is a dataclass of a known kind .* but got 'resnet18'"),
    "of an unknown kind": (lambda v: Unknown(), r"but got Unknown\(\)"),
    "another each time": (lambda v: Plain(next(COUNT)), r"the same spec each time, but 'faulty' gives .*Plain"),
    "not as it is read": (lambda v: Plain(True), "units is of type int"),
}


def faulty(decode):
    """A plugin of a space whose decoder is this one."""

    @dataclass(frozen=True)
    class Faulty:
        def build(self):
            return SearchSpace("faulty", (Decision("units", (1, 2, 3)),), decode)

    return Faulty


@pytest.fixture
def register(monkeypatch):
    """Registers plugins for one test."""

    def register(registry, name, plugin):
        attribute = f"{registry.kind} {name}"
        monkeypatch.setitem(registry._entries, name, f"{__name__}:{attribute}")
        monkeypatch.setitem(globals(), attribute, plugin)

    return register


@pytest.mark.parametrize("fault", list(DECODERS))
def test_space_that_breaks_its_promises_is_refused(store, tmp_path, register, fault):
    decode, problem = DECODERS[fault]
    register(spec_kinds, "plain", Plain)
    register(spaces, "faulty", faulty(decode))
    with pytest.raises(SpecError, match=problem):
        new_search(replace(CONFIG, space=Selection("faulty")), store, tmp_path)
    assert store.searches() == []


def dense(spec, interface, dropout=0.0):
    if spec.units == 2:
        raise RuntimeError("two units never work")
    width = int(torch.tensor(interface.inputs[0].shape).prod())
    return nn.Sequential(nn.Flatten(), nn.Linear(width, spec.units), nn.Linear(spec.units, interface.classes))


def test_single_networks_that_cannot_be_built_end_no_search(store, tmp_path, register):
    register(spec_kinds, "plain", Plain)
    register(builders, "plain", dense)
    register(spaces, "faulty", faulty(lambda v: Plain(v["units"])))
    new_search(replace(CONFIG, space=Selection("faulty")), store, tmp_path)
    register(spaces, "faulty", faulty(lambda v: Plain(2)))
    with pytest.raises(SpecError, match="RuntimeError: two units never work"):
        new_search(replace(CONFIG, name="none", space=Selection("faulty")), store, tmp_path)


# Tasks


@dataclass(frozen=True)
class Digits(Classification):
    data: str = "digits"
    train_images: int = 100


def task_with(**members):
    return type("Faulty", (Digits,), members)


TASKS = {
    "interface": (task_with(interface="images"), "has an Interface, but got 'images'"),
    "typical": (task_with(typical="mobilenet"), "a dataclass of a known kind .* but got 'mobilenet'"),
    "digest": (task_with(digest=None), "has a digest, a text, but got None"),
    "examples": (task_with(examples={"train": 10}), "examples of each part, but of 'val' got None"),
    "metadata": (task_with(metadata={"mean": float("nan")}), "metadata that JSON can hold"),
    "network": (task_with(network=lambda *_: None), r"is a torch\.nn\.Module, but got None"),
    "no batch": (task_with(batches=lambda *_: iter(())), "one batch a step and its loss, but fails: ValueError"),
    "several losses": (task_with(loss=lambda self, model, batch, at: torch.ones(3)), r"a loss, .* got tensor\(\[1"),
    "a number": (task_with(loss=lambda self, model, batch, at: 0.5), "that can be learned from, but got 0.5"),
    "no gradient": (task_with(loss=lambda self, model, batch, at: torch.ones(())), "can be learned from"),
    "fault": (task_with(loss=lambda self, model, batch, at: batch["x"]), "its loss, but fails: TypeError"),
}


@pytest.mark.parametrize("fault", list(TASKS))
def test_task_that_breaks_its_promises_is_refused(store, tmp_path, register, fault):
    task, problem = TASKS[fault]
    register(tasks, "faulty", task)
    with pytest.raises(UsageError, match=problem):
        new_search(replace(CONFIG, task=Selection("faulty")), store, tmp_path)
    assert store.searches() == []


def test_screen_by_gradients_to_words_is_refused(store, tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text("a b c d\n" * 20, encoding="utf-8")
    task = Selection("language", {"data": str(tmp_path), "window": 4})
    space = Selection("nas-rl-recurrent", {"hidden": 4, "base": 2})
    config = replace(CONFIG, task=task, space=space, screen=Selection("synflow"))
    with pytest.raises(
        UsageError, match=r"Metrics of untrained networks .* are fed 'tokens' .* Leave --screen synflow"
    ):
        new_search(config, store, tmp_path)
