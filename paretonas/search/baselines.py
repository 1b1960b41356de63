"""Random search and published networks beside a search, run after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from paretonas.loop.listener import SILENT, Listener
from paretonas.search.companions import ZOO, check_names, companions
from paretonas.search.search import Search, new_search, open_search
from paretonas.search.sections import read_config


def baselines(search: Search, listener: Listener = SILENT) -> Iterator[Search]:
    """The searches that give `search` its baselines, recorded on first use, each when its turn comes.

    A raised budget of `search` raises that of random search. A task that is not about images has no published networks
    beside it.

    Raises:
        UsageError: A search of the name is there that is no baseline of this one.
    """
    check_names(search.config, search.store)
    known = {summary.name for summary in search.store.searches()}
    for companion in companions(search.config):
        if companion.space.name == ZOO and search.trained_evaluator().task.interface.image_shape is None:
            listener.note(f"{companion.name} is left out: published networks take images, and this task has none.")
            continue
        if companion.name not in known:
            yield new_search(companion, search.store, search.home, listener)
            continue
        recorded = read_config(companion.name, search.store)
        change = replace(recorded, budget=companion.budget, task=companion.task, table=companion.table)
        yield open_search(companion.name, search.store, search.home, listener, change=change)
