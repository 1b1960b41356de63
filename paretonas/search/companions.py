"""The searches that a search is compared with: the same in all but the choice of networks."""

from __future__ import annotations

from dataclasses import replace

from paretonas.errors import UsageError
from paretonas.registry import Selection
from paretonas.search.config import Recorded, SearchConfig
from paretonas.space import spaces

RANDOM, FULL = Selection("random"), Selection("full")
ZOO = "zoo"


def companions(config: SearchConfig) -> tuple[SearchConfig, ...]:
    """The searches that give `config` its baselines, if it asks for them.

    `NAME.zoo` tries published networks and the user's own once each, `NAME.random` searches at random with the same
    budget. Both have the same data, devices, targets and recipe, so that only the choice of networks differs. A table
    has no other networks than its own, and random search needs no second one.

    >>> cats = SearchConfig("cats", task=Selection("classification", {"data": "digits"}), baselines=True)
    >>> [companion.name for companion in companions(cats)]
    ['cats.zoo', 'cats.random']
    """
    if not config.baselines:
        return ()
    recorded = Recorded(baseline_of=config.name)
    alike = replace(config, screen=None, goals=(), prior=(), baselines=False, models=(), recorded=recorded)
    beside = () if config.table is not None else (_zoo(alike, config.models),)
    if config.strategy.name == RANDOM.name:
        return beside
    return (*beside, replace(alike, name=f"{config.name}.random", strategy=RANDOM))


def _zoo(config: SearchConfig, models: tuple[str, ...]) -> SearchConfig:
    options = {key: config.space.options[key] for key in ("width", "resolution") if key in config.space.options}
    space = Selection(ZOO, {**options, "also": "+".join(models)} if models else options)
    return replace(
        config,
        name=f"{config.name}.zoo",
        space=space,
        strategy=Selection("enumeration"),
        fidelity=FULL,
        budget=replace(config.budget, trials=spaces.create(space).build().size, seconds=None),
        limits=(),
    )


def check_names(config: SearchConfig, known: set[str]) -> None:
    """Whether the names of the baselines are free, before anything runs.

    Raises:
        UsageError: One is taken.
    """
    taken = [companion.name for companion in companions(config) if companion.name in known]
    if taken:
        raise UsageError(
            f"The baselines of {config.name!r} would have the name {taken[0]!r}, but there is such a search."
        )
