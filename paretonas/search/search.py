"""A search brought to life from its configuration, recorded, opened again, deleted."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from paretonas.data.listing import DIGITS
from paretonas.errors import DataError, StoreError, UsageError
from paretonas.executor import executors
from paretonas.loop.halving import SchedulerOptions, schedulers
from paretonas.loop.listener import SILENT, Listener
from paretonas.loop.loop import Loop
from paretonas.loop.screen import Screening
from paretonas.network import build
from paretonas.objective import Objective
from paretonas.search.config import TABLE, SearchConfig, companions, config_from_json, config_to_json, parse_limit
from paretonas.search.task import ImageTask, Task, new_task
from paretonas.space import ForeignSpec, SearchSpace
from paretonas.store import Store
from paretonas.strategy import Strategy, StrategyOptions, strategies
from paretonas.trial import Trial


class Search:
    """A configuration brought to life: space, task and objective, checked before anything is stored.

    Args:
        config: What to search.
        store: Where evaluations are kept; the search itself need not be in it yet.
        home: Folder for caches and exported files.
        listener: Is told what happens.

    Raises:
        UsageError: Whatever of the configuration cannot be.
    """

    def __init__(self, config: SearchConfig, store: Store, home: Path, listener: Listener = SILENT):
        self.config, self.store, self.home, self._listener = config, store, home, listener
        self._strategy_options: StrategyOptions = strategies.create(
            config.strategy, {"limits": "+".join(config.limits)}
        )
        self._scheduler_options: SchedulerOptions = schedulers.create(config.fidelity)
        if config.screen is not None:
            Screening(config.screen)
        limits = tuple(map(parse_limit, config.limits))
        self.task: Task = new_task(config, store, home / "cache", listener.note, listener.decoding)
        self._check_circumstances()
        self.space: SearchSpace = self.task.space
        alpha, beta = config.exponents()
        self.objective = Objective(self._target_ms(), alpha, beta, limits)

    def _check_circumstances(self) -> None:
        """The data have to be those that the search began with; another device is pointed out."""
        config, task = self.config, self.task
        if config.digest not in (None, task.digest):
            raise DataError(
                f"A search goes on with the data that it began with, but {config.data} has changed since (digest "
                f"{task.digest}, not {config.digest}): its splits would differ. Begin a new search."
            )
        if config.measured_on not in (None, task.measured_on):
            self._listener.note(
                f"This search was measured on {config.measured_on}; now it is {task.measured_on}. "
                "Latencies of the two do not compare."
            )

    def _target_ms(self) -> float | None:
        if self.config.reward == "accuracy":
            return None
        if self.config.target_ms is not None:
            return Objective(self.config.target_ms).target_ms
        return self.task.usual_ms(self._listener.note)

    def image_task(self) -> ImageTask:
        """The task of a search of images, for what trains and times networks.

        Raises:
            UsageError: It is a table, whose networks cannot be built.
        """
        if not isinstance(self.task, ImageTask):
            raise UsageError(
                f"A network of the search {self.config.name!r} is a row of a table: nothing to build or train."
            )
        return self.task

    def start_strategy(self) -> Strategy:
        """A strategy that has been told nothing."""
        return self._strategy_options.start(self.space, self.config.seed)

    def seconds_a_trial(self) -> float | None:
        """An estimate; None if training diverges at once."""
        seconds = self.task.seconds_a_trial()
        return None if seconds is None else seconds * self._scheduler_options.start().mean_share

    def tune(self) -> None:
        """Pick by measuring what recipe and executor leave open."""
        self.task.tune(self._listener.note)

    def recorded(self) -> SearchConfig:
        """The configuration with all that was found out or left at its default written into it."""
        config = self.config
        return replace(
            config,
            target_ms=self.objective.target_ms,
            data=config.data if config.data == DIGITS else _absolute(config.data),
            strategy=strategies.written_out(config.strategy),
            fidelity=schedulers.written_out(config.fidelity),
            recipe=self.task.recipe,
            executor=self.task.executor,
            digest=self.task.digest,
            measured_on=self.task.measured_on,
        )

    def run(self) -> list[Trial]:
        """Go on until the budget is used up; what the store has of this search is taken up first.

        Returns:
            All trials.

        Raises:
            StoreError: Another process runs this search.
            WorkError: The first trials all failed.
        """
        with (
            _sole_runner(self.store, self.home, self.config.name),
            executors.create(self.task.executor).start() as executor,
        ):
            loop = Loop(
                self.config,
                self.store,
                self.home,
                self.space,
                self.start_strategy(),
                self.task.evaluator,
                self.objective,
                executor,
                self._scheduler_options.start(),
                self._listener,
            )
            return loop.run()


def new_search(config: SearchConfig, store: Store, home: Path, listener: Listener = SILENT) -> Search:
    """Check a configuration and record it.

    Raises:
        UsageError: It cannot be, or the name is taken; nothing is stored then.
    """
    if config.name in {summary.name for summary in store.searches()}:
        store.create_search(config.name, {})  # says how to go on
    found = Search(config, store, home, listener)
    for model in config.models:
        data = found.image_task().data
        build(ForeignSpec(model), len(data.classes), data.channels)  # what cannot be is found now
    found.tune()
    found.config = found.recorded()
    store.create_search(config.name, config_to_json(found.config))
    return found


def baselines(search: Search, listener: Listener = SILENT) -> Iterator[Search]:
    """The searches that give `search` its baselines, recorded on first use, each when its turn comes.

    A raised budget of `search` raises that of random search.
    """
    known = {summary.name for summary in search.store.searches()}
    for companion in companions(search.config):
        if companion.name in known:
            yield open_search(companion.name, search.store, search.home, listener, companion.trials, companion.seconds)
        else:
            yield new_search(companion, search.store, search.home, listener)


def open_search(
    name: str,
    store: Store,
    home: Path,
    listener: Listener = SILENT,
    trials: int | None = None,
    seconds: float | None = None,
    with_baselines: bool = False,
) -> Search:
    """A recorded search, with a new budget if one is given.

    Args:
        name: Its name.
        store: Where it is recorded.
        home: As when it was made.
        listener: Is told what happens.
        trials: New budget of trials, all sessions together.
        seconds: New budget of wall time, all sessions together.
        with_baselines: Give it baselines if it has none.

    Raises:
        StoreError: No such search, a damaged configuration, or, with a new budget, another process runs it.
        UsageError: Its data or device are no longer there.
    """
    search = Search(config_from_json(store.config(name)), store, home, listener)
    changed = replace(
        search.config,
        trials=trials or search.config.trials,
        seconds=seconds or search.config.seconds,
        baselines=with_baselines or search.config.baselines,
    )
    if changed != search.config:
        search.config = changed
        with _sole_runner(store, home, name):
            store.set_config(name, config_to_json(search.config))
    return search


def delete_search(name: str, store: Store, home: Path) -> None:
    """Forget a search, its trials and its files; what was measured stays cached.

    Raises:
        StoreError: No such search, or a process runs it.
    """
    store.config(name)
    with _sole_runner(store, home, name):
        store.delete_search(name)
        shutil.rmtree(home / name, ignore_errors=True)


def _absolute(data: str) -> str:
    """`data` with its path in full; what stands before it says what kind of data it is."""
    separator = ":" if data.startswith(TABLE) else None
    kind, between, root = data.partition(separator) if separator else ("", "", data)
    return f"{kind}{between}{Path(root).expanduser().resolve()}"


@contextmanager
def _sole_runner(store: Store, home: Path, name: str) -> Iterator[None]:
    """Nobody else on this machine runs this search meanwhile; the lock lies beside an SQLite file."""
    folder = (store.folder or home) / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "running.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(f"A search is run by one process at a time, but another one runs {name!r}.") from None
        yield
