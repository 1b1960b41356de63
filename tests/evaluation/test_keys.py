"""All that decides a number changes its id, and nothing else does."""

from dataclasses import fields, replace

import pytest

from paretonas.device import parse_device
from paretonas.evaluation import keys
from paretonas.evaluation.keys import SCRATCH, Key, Lesson, Origin
from paretonas.space import ForeignSpec, Interface, Port
from paretonas.store import Store
from paretonas.task.recipe import Recipe
from paretonas.task.recipe_book import SEARCH, SMALL_IMAGE

SPEC, OTHER = ForeignSpec("timm:resnet18"), ForeignSpec("timm:resnet34")
IMAGES = Interface.of_images(3, 32, 10)
LESSON = Lesson("Classification", "abc", SEARCH, 0)
DEVICE = {"runtime": "OnnxRuntime(threads=1)", "version": "1.2.3", "cpu": "beads"}
MACHINE = {"torch": "2.9", "cores": 2}
TEXT = Interface((Port("token", (1, 1), "int64"),), (Port("logits", (1, 50)),))

BASES = {
    "training": (keys.training, SPEC, LESSON, 1.0),
    "latency": (keys.latency, SPEC, IMAGES, DEVICE, "float32", 10),
    "calibration": (keys.calibration, IMAGES, DEVICE),
    "fitted": (keys.fitted, "abc", 100, IMAGES, DEVICE, 10),
    "predictor": (keys.predictor, "abc"),
    "estimate": (keys.estimate, SPEC, "abc"),
    "profile": (keys.profile, SPEC, IMAGES, DEVICE),
    "untrained": (keys.untrained, SPEC, "abc", 0),
    "tuning": (keys.tuning, SPEC, IMAGES, SEARCH, MACHINE),
}
CHANGES = [
    *((kind, 0, OTHER) for kind in ("training", "latency", "profile", "untrained", "tuning")),
    ("training", 1, replace(LESSON, task="Detection")),
    ("training", 1, replace(LESSON, digest="abd")),
    ("training", 1, replace(LESSON, seed=1)),
    ("training", 1, replace(LESSON, recipe=SMALL_IMAGE)),
    ("training", 1, replace(LESSON, origin=Origin("supernet", "abc"))),
    ("training", 2, 0.5),
    *((kind, 1, TEXT) for kind in ("latency", "profile", "tuning")),
    ("calibration", 0, TEXT),
    *((kind, 1, Interface.of_images(3, 32, 11)) for kind in ("latency", "profile", "tuning")),
    *((kind, at, {**DEVICE, "version": "1.2.4"}) for kind, at in (("latency", 2), ("calibration", 1), ("profile", 2))),
    ("latency", 3, "int8"),
    ("latency", 4, 20),
    ("fitted", 0, "abd"),
    ("fitted", 1, 50),
    ("fitted", 2, TEXT),
    ("fitted", 3, {**DEVICE, "version": "1.2.4"}),
    ("fitted", 4, 20),
    ("predictor", 0, "abd"),
    ("estimate", 0, OTHER),
    ("estimate", 1, "abd"),
    ("untrained", 1, "abd"),
    ("untrained", 2, 1),
    ("tuning", 2, replace(SEARCH, batch_size=65)),
    ("tuning", 2, replace(SEARCH, layout="contiguous")),
    ("tuning", 3, {**MACHINE, "cores": 4}),
]


def id_of(key):
    return key.id(Store("sqlite://"))


def made(kind, at=None, value=None):
    make, *arguments = BASES[kind]
    if at is not None:
        arguments[at] = value
    return make(*arguments)


@pytest.mark.parametrize("kind", BASES)
def test_a_key_is_of_its_kind_and_of_the_same_id_every_time(kind):
    key = made(kind)
    assert key.kind == kind
    assert id_of(key) == id_of(made(kind))


def test_kinds_are_kept_apart():
    assert len({id_of(made(kind)) for kind in BASES}) == len(BASES)
    assert id_of(Key("a", {"x": 1})) != id_of(Key("b", {"x": 1}))


@pytest.mark.parametrize(("kind", "at", "value"), CHANGES)
def test_what_decides_a_number_changes_the_id(kind, at, value):
    assert id_of(made(kind, at, value)) != id_of(made(kind))


@pytest.mark.parametrize("name", [f.name for f in fields(Recipe) if f.name != "about"])
def test_every_option_of_a_recipe_decides_a_training(name):
    texts = {"optimizer": "sgd", "schedule": "exponential", "layout": "contiguous", "precision": "bfloat16"}
    value = getattr(SEARCH, name)
    other = texts.get(name) or (not value if isinstance(value, bool) else value / 2 + 0.25)
    changed = replace(SEARCH, **{name: int(other * 100) if name == "batch_size" else other})
    assert getattr(changed, name) != value
    assert id_of(made("training", 1, replace(LESSON, recipe=changed))) != id_of(made("training"))


def test_words_about_a_recipe_decide_nothing():
    renamed = replace(SEARCH, about="Another line about the same recipe")
    assert id_of(made("training", 1, replace(LESSON, recipe=renamed))) == id_of(made("training"))
    assert id_of(made("tuning", 2, renamed)) == id_of(made("tuning"))


def test_how_long_is_trained_does_not_decide_how_fast_is_trained():
    assert id_of(made("tuning", 2, replace(SEARCH, epochs=77))) == id_of(made("tuning"))


def test_what_the_reference_gives_does_not_decide_its_calibration():
    assert id_of(made("calibration", 0, Interface.of_images(3, 32, 1000))) == id_of(made("calibration"))


def test_weights_begin_from_scratch_where_nobody_says():
    assert id_of(made("training", 1, replace(LESSON, origin=SCRATCH))) == id_of(made("training"))
    origins = [Origin("supernet", "a"), Origin("supernet", "b"), Origin("checkpoint", "a")]
    ids = {id_of(made("training", 1, replace(LESSON, origin=origin))) for origin in origins}
    assert len(ids) == 3


def test_the_name_of_a_device_decides_nothing_and_its_options_do():
    def key(text):
        return id_of(keys.latency(SPEC, IMAGES, parse_device(text).identity, "float32", 10))

    assert key("phone=onnxruntime") == key("onnxruntime") == key("pi=onnxruntime@local")
    assert len({key(text) for text in ("onnxruntime", "onnxruntime:threads=2", "torch")}) == 3


def test_the_order_of_what_identifies_a_device_decides_nothing():
    turned = dict(reversed(DEVICE.items()))
    for kind, at in (("latency", 2), ("calibration", 1), ("profile", 2)):
        assert id_of(made(kind, at, turned)) == id_of(made(kind))


@pytest.mark.parametrize("kind", BASES)
def test_what_is_put_under_a_key_is_found_under_its_id(kind):
    store = Store("sqlite://")
    key = made(kind)
    assert key.get(store) is None
    id = key.put(store, {"value": 1.5})
    assert id == key.id(store)
    assert key.get(store) == {"value": 1.5}
    found, fields_of, value = store.evaluation(id)
    assert (found, value) == (kind, {"value": 1.5})
    assert fields_of.keys() == key.fields.keys()
    key.put(store, {"value": 2.5})
    assert len(store.evaluations(kind)) == 1
