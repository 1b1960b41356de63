"""What stands beside a search: random search with the same budget, and published networks, as searches of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from paretonas.errors import UsageError
from paretonas.loop.listener import SILENT, Listener
from paretonas.registry import Selection
from paretonas.search.config import Recorded, SearchConfig
from paretonas.search.search import Search, new_search, open_search
from paretonas.search.sections import config_from_json
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


def baselines(search: Search, listener: Listener = SILENT) -> Iterator[Search]:
    """The searches that give `search` its baselines, recorded on first use, each when its turn comes.

    A raised budget of `search` raises that of random search. A task that is not about images has no published networks
    beside it.

    Raises:
        UsageError: A search of the name is there that is no baseline of this one.
    """
    known = {summary.name for summary in search.store.searches()}
    for companion in companions(search.config):
        if companion.space.name == ZOO and not search.takes_images:
            listener.note(f"{companion.name} is left out: published networks take images, and this task has none.")
            continue
        if companion.name not in known:
            yield new_search(companion, search.store, search.home, listener)
            continue
        recorded = config_from_json(search.store.config(companion.name))
        if recorded.recorded.baseline_of != search.config.name:
            raise UsageError(
                f"The baselines of {search.config.name!r} have the name {companion.name!r}, but a search of that name "
                "is there which is none of them. Choose another name for one of the two."
            )
        change = replace(recorded, budget=companion.budget)
        yield open_search(companion.name, search.store, search.home, listener, change=change)


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
