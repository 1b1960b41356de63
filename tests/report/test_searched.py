"""What is read from a store: baselines by what they are, timings by their ids, specs where they can be built."""

from dataclasses import replace

import pytest
from made import (
    BOTH,
    INTERFACE,
    PHONE,
    PI,
    SPACE,
    ZOO,
    add,
    add_baselines,
    finish,
    identity,
    latency,
    made_store,
    put_calibration,
    put_timing,
    trials,
    two_devices,
)

from paretonas.report.architectures import network_names, spec_of
from paretonas.report.evidence import Timing, read_calibrations
from paretonas.report.searched import companions, read_searches
from paretonas.report.timings import quality
from paretonas.space import Architecture, Interface, spec_hash
from paretonas.space.interface import Port
from paretonas.store import Store
from paretonas.trial import Trial


@pytest.fixture
def empty(tmp_path):
    return Store(tmp_path / "other.db")


def _roles(searches):
    return {searched.name: searched.role for searched in searches}


def test_baselines_are_known_by_what_they_are(empty, tmp_path):
    add(empty, "s", trials([(0.5, 1.0)]))
    add(empty, "s.random", trials([(0.6, 1.0)], seed=1), strategy={"name": "random"})  # a user's own
    add(empty, "chance", trials([(0.4, 1.0)], seed=2), strategy={"name": "random"}, recorded={"baseline_of": "s"})
    add(empty, "others", trials([(0.4, 1.0)], ZOO), strategy={"name": "enumeration"}, recorded={"baseline_of": "s"})
    assert _roles(read_searches(empty, "s", tmp_path)) == {"s": "search", "chance": "random", "others": "zoo"}
    beside, _ = companions(empty, "s")
    assert list(beside) == ["random search", "published networks"]
    assert _roles(read_searches(empty, "s", tmp_path, ["s.random"]))["s.random"] == "compared"


def test_a_published_search_that_is_compared_is_one_of_published_networks(empty, tmp_path):
    add(empty, "s", trials([(0.5, 1.0)]))
    add(empty, "known", trials([(0.6, 1.0)], ZOO))
    searched = read_searches(empty, "s", tmp_path, ["known"])[1]
    assert (searched.role, searched.label, searched.name_of(searched.trials[0])) == (
        "zoo",
        "known",
        "mobilenet-v2 x0.5",
    )


def test_companions_come_with_the_names_of_published_networks(tmp_path):
    store = made_store(tmp_path)
    beside, names = companions(store, "s", ["s.random", "s.zoo"])
    assert {label: len(found) for label, found in beside.items()} == {"random search": 3, "published networks": 2}
    assert sorted(names.values()) == ["mnasnet-a1 x0.5", "mobilenet-v2 x0.5"]
    assert companions(store, "s.random") == ({}, {})


# Timings


def test_equal_latencies_are_told_apart_by_their_evidence(empty, tmp_path):
    made = trials([(0.5, 1.0), (0.6, 1.0)])
    add(empty, "s", made, timed=False)
    put_timing(empty, made[1], latency(1.0, attempts=4))
    timings = read_searches(empty, "s", tmp_path)[0].timings["latency_ms"]
    assert {number: timing.latency.attempts for number, timing in timings.items()} == {1: 4}
    assert timings[1].interface == INTERFACE
    assert timings[1].identity == identity()


def test_a_latency_that_its_samples_do_not_give_is_pointed_out(empty, tmp_path):
    made = trials([(0.5, 1.0), (0.6, 1.5)])
    add(empty, "s", made)
    put_timing(empty, made[1], latency(1.6))  # taken again, after the trial
    counted = quality(read_searches(empty, "s", tmp_path)[0], "latency_ms")
    assert (counted.unproved, counted.disagreeing) == ((), (1,))


def test_evidence_of_another_kind_proves_nothing(empty, tmp_path):
    made = trials([(0.5, 1.0)])
    other = empty.put("training", {"spec": made[0].spec_hash}, {"accuracy": 0.5})
    add(empty, "s", [], timed=False)
    empty.add_trials("s", [replace(made[0], evidence={"latency_ms": other})])
    assert quality(read_searches(empty, "s", tmp_path)[0], "latency_ms").unproved == (0,)


def test_each_device_has_its_own_timings(tmp_path):
    store = two_devices(tmp_path)
    finish(store, tmp_path, "d", store.trials("d")[2], 0.9, {"phone": 1.6, "pi": 16.0})
    searched = read_searches(store, "d", tmp_path)[0]
    assert searched.timings[PHONE][1].latency.latency_ms == pytest.approx(1.25)
    assert searched.timings[PI][1].latency.latency_ms == pytest.approx(30.0)
    assert searched.finals[2].timings[PI].latency.latency_ms == pytest.approx(16.0)
    assert quality(searched, PI).timed == 6
    assert quality(searched, PI).device == "pi"


def test_calibrations_are_those_of_the_device_and_of_what_networks_are_fed(empty):
    put_calibration(empty, "phone")
    put_calibration(empty, "pi")
    put_calibration(empty, "phone", shape=(1, 1, 28, 28))
    timing = Timing(latency(1.0), "search", INTERFACE, identity("phone"))
    keys = [key for key, _ in read_calibrations(empty, [timing])]
    assert [(key["device"], key["inputs"][0]["shape"]) for key in keys] == [(identity("phone"), [1, 3, 32, 32])]
    words = Interface((Port("words", (1, 35), "int64"),), (Port("logits", (1, 10000)),))
    assert len(read_calibrations(empty, [replace(timing, interface=words)])) == 1
    assert read_calibrations(empty, [replace(timing, interface=None)]) == []


# What architectures mean


def test_a_trial_is_decoded_by_its_space():
    trial = trials([(0.5, 1.0)])[0]
    by_name, by_section = (
        spec_of(trial, {}),
        spec_of(trial, {"space": {"name": "mnasnet", "resolution": 32, "width": 0.5}}),
    )
    assert by_name == by_section
    assert spec_hash(by_name) == trial.spec_hash


@pytest.mark.parametrize(
    ("space", "choices"),
    [
        ("tabular/nasbench201", (0, 1)),
        ("gone:x=1", (0,)),
        (SPACE, (0,)),
        (SPACE, (99,) * 42),
        ("mnasnet:depth=2", (0,)),
    ],
)
def test_what_cannot_be_decoded_is_none(space, choices):
    trial = Trial(0, Architecture(space, choices), "0" * 16)
    assert spec_of(trial, {"space": {"name": "mnasnet"}}) is None
    assert spec_of(trial, {}) is None
    assert network_names([trial], {}) == {}


def test_a_spec_that_a_later_version_means_otherwise_is_none():
    trial = replace(trials([(0.5, 1.0)])[0], spec_hash="0" * 16)
    assert spec_of(trial, {}) is None


def test_a_damaged_search_does_not_hinder_the_report_of_another(tmp_path):
    store = made_store(tmp_path)
    import sqlite3

    with sqlite3.connect(tmp_path / "store.db") as database:
        database.execute("UPDATE searches SET config = 'no' WHERE name = 's.zoo'")
    database.close()
    assert _roles(read_searches(store, "s", tmp_path)) == {"s": "search", "s.random": "random"}


def test_a_search_of_two_devices_is_compared_with_its_baselines(empty, tmp_path):
    names = ("accuracy", PHONE, PI)
    add(empty, "d", trials([(0.5, 1.0, 9.0)], names=names), device=BOTH)
    random, zoo = trials([(0.4, 1.0, 9.0)], seed=1, names=names), trials([(0.4, 1.0, 9.0)], ZOO, names=names)
    add_baselines(empty, "d", random, zoo, device=BOTH)
    assert _roles(read_searches(empty, "d", tmp_path)) == {"d": "search", "d.random": "random", "d.zoo": "zoo"}
