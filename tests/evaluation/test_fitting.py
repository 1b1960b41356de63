"""What is stored of predictors, and those of other devices that a new one begins from."""

import json
from dataclasses import asdict, replace

import pytest

from paretonas.errors import StoreError
from paretonas.evaluation.fitting import (
    MOST_EARLIER,
    Fitting,
    Sample,
    fitting_from_json,
    of_other_devices,
    with_ids,
)
from paretonas.evaluation.keys import predictor
from paretonas.space import Interface, spec_to_json
from paretonas.store import Store
from paretonas.zoo import zoo_spec

IMAGES = Interface.of_images(3, 16, 10)
FITTING = Fitting((Sample(spec_to_json(zoo_spec("mnasnet-small")), 1.5, "abc", 0.0),), 0.05, 0.7, 0.9)


def test_fitting_is_read_as_it_was_written():
    assert fitting_from_json(json.loads(json.dumps(asdict(FITTING)))) == FITTING


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {**asdict(FITTING), "samples": [{"spec": {}, "latency_ms": "1", "latency": ""}]},
        {**asdict(FITTING), "samples": [{"spec": {}, "latency_ms": 1.0}]},
        {**asdict(FITTING), "error": None},
        {**asdict(FITTING), "error": -0.1},
    ],
    ids=["none", "empty", "text", "lacking", "no error", "negative"],
)
def test_damaged_fitting_is_a_store_error(data):
    with pytest.raises(StoreError, match="A stored predictor holds"):
        fitting_from_json(data)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


def put(store, device, fitting=FITTING, interface=IMAGES, networks=20):
    return predictor("drawn", networks, interface, {"device": device}, 10).put(store, asdict(fitting))


def test_the_newest_good_one_of_each_other_device_is_found(store):
    put(store, "phone")
    newest = put(store, "phone", replace(FITTING, rank=0.8), networks=30)
    board = put(store, "board")
    put(store, "poor", replace(FITTING, error=0.2))
    put(store, "other images", interface=Interface.of_images(3, 32, 10))
    put(store, "mine")
    found = of_other_devices(store, IMAGES, {"device": "mine"})
    assert set(found) == {newest, board}
    assert found[newest].rank == 0.8


def test_they_are_so_many_at_most(store):
    for i in range(MOST_EARLIER + 3):
        put(store, f"phone {i}")
    assert len(of_other_devices(store, IMAGES, {})) == MOST_EARLIER


def test_those_of_ids_are_found_again_and_missed(store):
    ids = (put(store, "board"), put(store, "phone"))
    assert tuple(with_ids(store, ids)) == ids
    with pytest.raises(StoreError, match="stored with those that it began from, but gone is not there"):
        with_ids(store, (ids[0], "gone"))
    assert with_ids(store, ()) == {}


def test_it_says_what_it_follows_from():
    assert str(FITTING) == "of 1 measured networks, each held out once, this one errs by 5.0 %"
    own = replace(FITTING, table="mine.csv (abc)", earlier=("x", "y"))
    assert str(own) == (
        "of 1 networks of mine.csv (abc), each held out once, this one, begun from 2 for other devices, errs by 5.0 %"
    )
