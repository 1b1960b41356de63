"""Earlier searches that a strategy learns from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paretonas.errors import UsageError
from paretonas.loop.plan import rewarded
from paretonas.objective import Objective
from paretonas.space import SearchSpace
from paretonas.store import Store
from paretonas.trial import Trial


def resolved(text: str, store: Store) -> str:
    """An earlier search with the number of its trials that are learned from: NAME becomes NAME@N.

    Raises:
        StoreError: No such search.
    """
    name, at, _ = text.partition("@")
    return text if at else f"{name}@{len(_ended(name, store))}"


def prior_trials(texts: Sequence[str], store: Store, space: SearchSpace, objective: Objective) -> tuple[Trial, ...]:
    """The trials of earlier searches of the same space, each with the reward of this search's objective.

    Raises:
        StoreError: No such search.
        UsageError: Not NAME@N, or a search with nothing to learn from.
    """
    trials: list[Trial] = []
    for text in texts:
        name, _, count = text.partition("@")
        if not re.fullmatch(r"[0-9]{1,9}", count):
            raise UsageError(f"An earlier search is NAME or NAME@N, but got {text!r}.")
        usable = rewarded(_ended(name, store)[: int(count)], space, objective)
        if not usable:
            raise UsageError(
                f"An earlier search has trials of the space {space.name!r} with {', '.join(objective.metrics)}, but "
                f"{text!r} has none. Leave it out."
            )
        trials += usable
    return tuple(trials)


def _ended(name: str, store: Store) -> list[Trial]:
    return sorted((t for t in store.trials(name) if t.told is not None), key=lambda t: t.told or 0)
