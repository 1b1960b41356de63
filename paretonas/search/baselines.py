"""Random search and published networks beside a search, run after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from paretonas.errors import UsageError
from paretonas.loop.listener import SILENT, Listener
from paretonas.search.companions import ZOO, companions
from paretonas.search.search import Search, new_search, open_search
from paretonas.search.sections import config_from_json


def baselines(search: Search, listener: Listener = SILENT) -> Iterator[Search]:
    """The searches that give `search` its baselines, recorded on first use, each when its turn comes.

    A raised budget of `search` raises that of random search. A task that is not about images has no published networks
    beside it.

    Raises:
        UsageError: A search of the name is there that is no baseline of this one.
    """
    known = {summary.name for summary in search.store.searches()}
    for companion in companions(search.config):
        if companion.space.name == ZOO and search.trained_evaluator().task.interface.image_shape is None:
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
