"""What stored architectures mean, as far as their spaces can be built here; a table's cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from paretonas.space import SearchSpace, Spec, spaces, spec_hash
from paretonas.trial import Trial

ONLY_DECISION = "network"
"""Of a space of published networks."""


def spec_of(trial: Trial, config: Mapping[str, Any]) -> Spec | None:
    """What a trial's architecture means; None if its space, or that version of it, is not installed here.

    Args:
        trial: Of a search.
        config: Of the search, as stored.
    """
    space = _space_of(trial, config)
    try:
        spec = None if space is None else space.decode(trial.architecture)
        return spec if spec is not None and spec_hash(spec) == trial.spec_hash else None
    except Exception:  # whatever another version of a plugin makes of it: whoever reads a store runs no search
        return None


def network_names(trials: Sequence[Trial], config: Mapping[str, Any]) -> dict[str, str]:
    """Spec hash -> name, for trials of a space whose only decision is which published network."""
    names: dict[str, str] = {}
    for trial in trials:
        space = _space_of(trial, config)
        if space is not None and _is_of_networks(space) and spec_of(trial, config) is not None:
            names[trial.spec_hash] = str(space.values(trial.architecture)[ONLY_DECISION])
    return names


def is_zoo(config: Mapping[str, Any]) -> bool:
    """Whether a search tries published networks."""
    space = _built(json.dumps(config.get("space")))
    return space is not None and _is_of_networks(space)


def width_of(config: Mapping[str, Any]) -> float:
    """Multiplier of filters that the networks of a search share."""
    space = _built(json.dumps(config.get("space")))
    return 1.0 if space is None else space.width


def _is_of_networks(space: SearchSpace) -> bool:
    return [decision.name for decision in space.decisions] == [ONLY_DECISION]


def _space_of(trial: Trial, config: Mapping[str, Any]) -> SearchSpace | None:
    """By the search's configuration, else by the name of the space, which holds its options."""
    for written in (config.get("space"), trial.architecture.space):
        space = _built(json.dumps(written))
        if space is not None and space.name == trial.architecture.space:
            return space
    return None


@lru_cache(maxsize=64)
def _built(written: str) -> SearchSpace | None:
    """A space by its name or section, as JSON; None if it cannot be built."""
    try:
        space: SearchSpace = spaces.create(json.loads(written)).build()
    except Exception:  # a table, no such plugin, or one that fails
        return None
    return space
