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
    in_use,
    keep,
    of_digest,
    of_other_devices,
)
from paretonas.evaluation.keys import fitted
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


def put(store, device, rank=0.9, interface=IMAGES, networks=20, error=0.05):
    """One that is in use; its digest."""
    fitting = replace(FITTING, rank=rank, error=error, table=device)
    keep(store, fitted("drawn", networks, interface, {"device": device}, 10), fitting)
    return fitting.digest


def test_the_newest_good_one_of_each_other_device_is_found(store):
    put(store, "phone")
    newest = put(store, "phone", 0.8, networks=30)
    board = put(store, "board")
    put(store, "poor", error=0.2)
    put(store, "other images", interface=Interface.of_images(3, 32, 10))
    put(store, "mine")
    found = of_other_devices(store, IMAGES, {"device": "mine"})
    assert set(found) == {newest, board}
    assert found[newest].rank == 0.8


def test_they_are_so_many_at_most(store):
    for i in range(MOST_EARLIER + 3):
        put(store, f"phone {i}")
    assert len(of_other_devices(store, IMAGES, {})) == MOST_EARLIER


def test_what_takes_the_place_of_another_leaves_that_as_it_was(store):
    use = fitted("drawn", 20, IMAGES, {"device": "phone"}, 10)
    assert in_use(store, use) is None
    first, second = put(store, "phone"), put(store, "phone", 0.8)
    assert in_use(store, use).digest == second
    assert [of_digest(store, one).rank for one in (first, second)] == [0.9, 0.8]
    assert tuple(of_other_devices(store, IMAGES, {})) == (second,)


def test_what_is_not_stored_any_more_is_missed(store):
    with pytest.raises(StoreError, match="stored with those that it began from, but gone is not there"):
        of_digest(store, "gone")


def test_digest_is_of_all_of_it():
    others = [replace(FITTING, **{name: value}) for name, value in (("rank", 0.8), ("earlier", ("x",)), ("table", "a"))]
    others.append(replace(FITTING, samples=(replace(FITTING.samples[0], latency_ms=1.6),)))
    assert len({one.digest for one in (FITTING, *others)}) == 5
    assert fitting_from_json(json.loads(json.dumps(asdict(FITTING)))).digest == FITTING.digest


def test_it_says_what_it_follows_from():
    assert str(FITTING) == "of 1 measured networks, each held out once, this one errs by 5.0 %"
    own = replace(FITTING, table="mine.csv (abc)", earlier=("x", "y"))
    assert str(own) == (
        "of 1 networks of mine.csv (abc), each held out once, this one, begun from 2 for other devices, errs by 5.0 %"
    )
