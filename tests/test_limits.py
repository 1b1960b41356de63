"""Inputs have an end: no option takes a size that would fill the memory, or a number that is none."""

from dataclasses import fields, is_dataclass
from functools import partial
from typing import get_type_hints

import pytest

from paretonas.compare.contest import Contest
from paretonas.data.source import DataSource
from paretonas.device import runtimes
from paretonas.device.timing import Protocol
from paretonas.errors import UsageError
from paretonas.executor import executors
from paretonas.executor.process import ProcessOptions
from paretonas.loop.gates import schedulers, screens
from paretonas.loop.plan import Budget
from paretonas.objective import rewards
from paretonas.registry import Selection
from paretonas.search.config import SearchConfig
from paretonas.search.finish import Finishing
from paretonas.space import Interface, spaces
from paretonas.space.interface import Port
from paretonas.space.transform import Transform
from paretonas.strategy import strategies
from paretonas.task import recipes, tasks
from paretonas.zoo import zoo

NEEDED = {"classification": {"data": "digits"}, "detection": {"data": "boxes"}, "language": {"data": "texts"}}
LATER = {"train_images", "val_images"}
"""Whose limit is what the data hold."""


def options_of(*kinds):
    """Registry, name, option of every number that users choose."""
    for registry in (spaces, strategies, runtimes, executors, recipes, tasks, rewards, zoo, schedulers, screens):
        for name in registry:
            plugin = registry.load(name)
            if registry._entries[name].startswith("paretonas.") and is_dataclass(plugin):
                hints = get_type_hints(plugin if isinstance(plugin, type) else type(plugin))
                for option in fields(plugin):
                    if hints[option.name] in kinds and option.init and option.name not in LATER:
                        yield pytest.param(registry, name, option.name, id=f"{registry.kind}-{name}-{option.name}")


def create(registry, name, options):
    needed = NEEDED[name] if registry is tasks else {}
    built = registry.create({"name": name, **needed, **options})
    return built.build() if registry is spaces else built.spec() if registry is zoo else built


@pytest.mark.parametrize(("registry", "name", "option"), [*options_of(int, int | None)])
def test_size_without_bounds_is_refused_with_its_limit(registry, name, option):
    for number in (10**12, -(10**12), 2**64):
        with pytest.raises(UsageError, match=r"\d.*but (got|.* is)"):
            create(registry, name, {option: number})


@pytest.mark.parametrize(("registry", "name", "option"), [*options_of(float, float | None)])
def test_number_that_is_none_is_refused(registry, name, option):
    for number in ("inf", "-inf", "nan"):
        for written in (f"{name}:{option}={number}", {"name": name, option: float(number)}):
            with pytest.raises(UsageError, match="finite"):
                registry.create(written)


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (lambda n: Interface.of_images(3, n, 10), 4096),
        (lambda n: Interface.of_images(n, 32, 10), 1024),
        (lambda n: Interface.of_images(3, 32, n), 1_000_000),
        (lambda n: Port("x", (1, n)), 2**28),
        (lambda n: Transform(resolution=n), 4096),
        (lambda n: Budget(trials=n), 10_000_000),
        (lambda n: Budget(seconds=n), 10**9),
        (lambda n: Budget(trial_seconds=n), 10**9),
        (lambda n: ProcessOptions(workers=n), 1024),
        (lambda n: ProcessOptions(threads=n), 1024),
        (lambda n: Protocol(pairs=n), 100_000),
        (lambda n: Contest("table.parquet", "accuracy", trials=n), 10_000_000),
        (lambda n: Contest("table.parquet", "accuracy", batch=n), 100_000),
    ],
)
def test_limit_itself_is_allowed(make, limit):
    make(limit)
    for beyond in (limit + 1, 10**30, 0):
        with pytest.raises(UsageError, match=rf"({limit}|positive).* but got"):
            make(beyond)


@pytest.mark.parametrize("seed", [-1, 2**32, 10**30])
def test_seeds_are_those_of_every_generator(seed):
    for make in (Finishing, partial(DataSource, "digits"), partial(SearchConfig, "x", Selection("x"))):
        with pytest.raises(UsageError, match=r"seed < 2\*\*32"):
            make(seed=seed)
        make(seed=2**32 - 1)
