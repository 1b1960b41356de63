"""The searches that a search is compared with: the same in all but the choice of networks."""

from __future__ import annotations

from dataclasses import replace

from paretonas.errors import UsageError
from paretonas.registry import Selection
from paretonas.search.config import Recorded, SearchConfig
from paretonas.search.sections import read_config
from paretonas.space import spaces
from paretonas.store import Store

RANDOM, FULL = Selection("random"), Selection("full")
ZOO = "zoo"
ALIKE = ("devices", "reward", "recipe", "torch_device", "seed")
"""What a baseline has of its search, beside the data."""


def companions(config: SearchConfig) -> tuple[SearchConfig, ...]:
    """The searches that give `config` its baselines, if it asks for them.

    `NAME.zoo` tries published networks and the user's own once each, `NAME.random` searches at random with the same
    budget. Both have the same data, devices, targets and recipe, so that only the choice of networks differs; but
    published networks are measured where a search estimates latencies. A table has no other networks than its own, and
    random search needs no second one.

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
    size = {key: side for key, side in config.space.options.items() if key == "resolution"}
    options = {**size, "width": spaces.create(config.space).build().width}
    space = Selection(ZOO, {**options, "also": "+".join(models)} if models else options)
    return replace(
        config,
        name=f"{config.name}.zoo",
        space=space,
        strategy=Selection("enumeration"),
        fidelity=FULL,
        budget=replace(config.budget, trials=spaces.create(space).build().size, seconds=None),
        limits=(),
        devices=tuple(replace(device, estimate=None) for device in config.devices),
    )


def check_names(config: SearchConfig, store: Store) -> None:
    """Whether the names of a search and its baselines are free or theirs, before anything runs.

    Raises:
        UsageError: One is another search's.
        StoreError: One is that of a search that cannot be read.
    """
    known = {summary.name for summary in store.searches()}
    beside = {companion.name: companion for companion in companions(config)}
    for name in (config.name, *beside):
        like = next((other for other in known if other != name and other.lower() == name.lower()), None)
        if like is not None and name not in known:
            raise UsageError(f"Names of searches differ in more than case, but got {name!r} beside {like!r}.")
    for name in beside.keys() & known:
        _check_baseline(read_config(name, store), beside[name], config.recorded.digest)


def _check_baseline(recorded: SearchConfig, companion: SearchConfig, digest: str) -> None:
    """A baseline is known by what is recorded of it: whose it is, and the same settings and data."""
    of = companion.recorded.baseline_of
    other = [name for name in ALIKE if getattr(recorded, name) != getattr(companion, name)]
    if recorded.recorded.baseline_of != of:
        problem = "is none of them"
    elif other or recorded.recorded.digest != digest:
        problem = f"was made with another {other[0] if other else 'digest of its data'}"
    else:
        return
    raise UsageError(
        f"The baselines of {of!r} would have the name {companion.name!r}, but there is a search of that name, which "
        f"{problem}. Choose another name, or remove that search: paretonas delete {companion.name}"
    )
