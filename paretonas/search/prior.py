"""Earlier searches that a strategy learns from.

One is written NAME, NAME@N for the first N trials that ended, and NAME@N:alike or NAME@N:other where somebody says
whether it measured what the new search measures. What is left out is found out when a search is recorded, and recorded
with it, so that a resumed search has learned from the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from paretonas.errors import UsageError
from paretonas.loop.plan import rewarded
from paretonas.objective import Objective
from paretonas.search.config import SearchConfig
from paretonas.search.sections import read_config
from paretonas.space import SearchSpace
from paretonas.store import Store
from paretonas.strategy import Prior
from paretonas.trial import Trial

ALIKE, OTHER = "alike", "other"
FORM = re.compile(rf"(?P<name>[^@:]+)(@(?P<count>[0-9]{{1,9}}))?(:(?P<conditions>{ALIKE}|{OTHER}))?")


def counted(text: str, store: Store) -> str:
    """An earlier search with the number of its trials that are learned from: NAME becomes NAME@N.

    Raises:
        StoreError: No such search.
        UsageError: Not of the form.
    """
    name, count, conditions = _parts(text)
    return _text(name, str(len(_ended(name, store))) if count is None else count, conditions)


def compared(text: str, store: Store, config: SearchConfig) -> str:
    """An earlier search with its conditions beside those of a new one: NAME@N becomes NAME@N:alike or NAME@N:other.

    Args:
        text: Of the earlier search.
        store: Where it is recorded.
        config: Of the new one, with what was found out about its circumstances.

    Raises:
        StoreError: No such search, or a damaged configuration.
    """
    name, count, conditions = _parts(text)
    if conditions is None:
        conditions = ALIKE if _conditions(read_config(name, store)) == _conditions(config) else OTHER
    return _text(name, count, conditions)


def _conditions(config: SearchConfig) -> tuple[object, ...]:
    """What decides the numbers that a search measures of a network, as the keys of evaluations have it."""
    task = None if config.task is None else config.task.name
    table = None if config.table is None else (config.table.metric, config.table.latency, config.table.quality)
    devices = tuple(replace(device, target_ms=None) for device in config.devices)
    return task, table, config.recorded.digest, config.recipe.to_json(), devices, config.recorded.measured_on


def priors(texts: Sequence[str], store: Store, space: SearchSpace, objective: Objective) -> tuple[Prior, ...]:
    """The trials of earlier searches of the same space, each with the reward of this search's objective.

    Raises:
        StoreError: No such search.
        UsageError: A search with nothing to learn from.
    """
    found: list[Prior] = []
    for text in texts:
        name, count, conditions = _parts(text)
        usable = rewarded(_ended(name, store)[: int(count or 0)], space, objective)
        if not usable:
            raise UsageError(
                f"An earlier search has trials of the space {space.name!r} with {', '.join(objective.metrics)}, but "
                f"{text!r} has none. Leave it out."
            )
        found.append(Prior(usable, conditions == ALIKE))
    return tuple(found)


def _parts(text: str) -> tuple[str, str | None, str | None]:
    """Name, count and conditions."""
    parts = FORM.fullmatch(text)
    if parts is None:
        raise UsageError(f"An earlier search is NAME or NAME@N, with :{ALIKE} or :{OTHER} after it, but got {text!r}.")
    return parts["name"], parts["count"], parts["conditions"]


def _text(name: str, count: str | None, conditions: str | None) -> str:
    return f"{name}@{count}" + (f":{conditions}" if conditions else "")


def _ended(name: str, store: Store) -> list[Trial]:
    return sorted((t for t in store.trials(name) if t.told is not None), key=lambda t: t.told or 0)
