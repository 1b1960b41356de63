"""What a recorded configuration may hold is checked whoever reads it, before anybody walks through it."""

import json
import sqlite3
from dataclasses import fields

import pytest

from paretonas.errors import StoreError
from paretonas.evaluation.table import TableSource
from paretonas.loop.plan import Budget
from paretonas.search.config import DeviceConfig, Recorded
from paretonas.store import Store
from paretonas.store.configuration import DEVICE, SECTIONS
from paretonas.testing.store import some_trial


@pytest.fixture
def recorded(tmp_path):
    """Reads a configuration that somebody has written into a store."""
    store = Store(tmp_path / "store.db")
    store.create_search("s", {})
    store.add_trials("s", [some_trial(0)])

    def read(text):
        with sqlite3.connect(tmp_path / "store.db") as connection:
            connection.execute("UPDATE searches SET config = ?", (text,))
        connection.close()
        return store.config("s")

    return read


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"seed": 0, "device": [], "models": [], "colour": {"of": "another version"}},
        {
            "space": {"name": "zoo"},
            "strategy": {"name": "ppo", "batch": 10, "lr": 1e-3, "goals": ["reward"]},
            "task": {"data": "x"},
        },
        {
            "device": [{"device": "torch", "target_ms": 3}, {"name": "pi"}],
            "budget": {"trials": 3, "fidelity": {"name": "full"}},
        },
    ],
)
def test_what_can_be_is_read(recorded, config):
    assert recorded(json.dumps(config)) == config


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"name": 3}', "name is a text, but in that of 's' it is 3"),
        ('{"seed": -1}', "seed is a whole number, 0 or more, .* -1"),
        ('{"seed": true}', "seed is a whole number"),
        ('{"seed": 1e5}', "seed is a whole number"),
        (f'{{"seed": {"9" * 400}}}', "seed is a whole number"),
        ('{"models": "<script>"}', "models is a list of texts, .*<script>"),
        ('{"baselines": 1}', "baselines is true or false"),
        ('{"task": ["digits"]}', "task is an object with the name of a plugin"),
        ('{"space": {"name": 3}}', "space is an object with the name of a plugin"),
        (
            '{"space": {"name": "mnasnet", "width": {"a": 1}}}',
            "space is an object with the name of a plugin and its options",
        ),
        (
            '{"space": {"name": "mnasnet", "width": NaN}}',
            "space is an object with the name of a plugin and its options",
        ),
        ('{"table": "t.parquet"}', "table is an object"),
        ('{"table": {"latency": "ms"}}', "table.latency is a list of texts"),
        ('{"device": {"device": "torch"}}', "device is a list"),
        ('{"device": ["torch"]}', r"device\[0\] is an object"),
        ('{"device": [{}, {"target_ms": "fast"}]}', r"device\[1\].target_ms is a positive number, .*'fast'"),
        ('{"device": [{"target_ms": 0}]}', r"device\[0\].target_ms is a positive number"),
        ('{"device": [{"target_ms": Infinity}]}', r"device\[0\].target_ms is a positive number"),
        ('{"device": [{"target_ms": 1e999}]}', r"device\[0\].target_ms is a positive number"),
        ('{"budget": {"seconds": NaN}}', "budget.seconds is a positive number"),
        ('{"budget": {"fidelity": 3}}', "budget.fidelity is an object with the name of a plugin"),
        ('{"objective": {"limits": {"a": 1}}}', "objective.limits is a list of texts"),
        ('{"recorded": []}', "recorded is an object"),
        ('{"recorded": {"validation": "many"}}', "recorded.validation is a whole number"),
        ('{"recorded": {"home": null}}', "recorded.home is a text"),
        ('{"colour": ' + "[" * 200 + "]" * 200 + "}", "Stored values have 50 levels at most"),
        ('{"colour": ' + "[" * 100_000 + "]" * 100_000 + "}", "Stored values are JSON"),
        ("[]", "is a dict"),
    ],
)
def test_what_cannot_be_is_named(recorded, text, problem):
    with pytest.raises(StoreError, match=problem):
        recorded(text)


def test_many_values_beside_each_other_are_not_deep(recorded):
    config = {"models": [], "colour": [[i] for i in range(300)]}
    assert recorded(json.dumps(config)) == config


def test_what_is_known_are_the_sections_of_a_configuration():
    records = {"budget": Budget, "recorded": Recorded, "table": TableSource}
    for section, record in records.items():
        assert {field.name for field in fields(record)} <= SECTIONS[section].keys()
    assert {field.name for field in fields(DeviceConfig)} == DEVICE.keys()
