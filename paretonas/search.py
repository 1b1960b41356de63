"""A search brought to life from its configuration, recorded, opened again, deleted."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from paretonas.config import SearchConfig, companions, config_from_json, config_to_json, parse_limit
from paretonas.device import Device, parse_device
from paretonas.errors import DataError, StoreError
from paretonas.evaluate import RECORD, Evaluator
from paretonas.executor import executors
from paretonas.loop import SILENT, Listener, Loop
from paretonas.network import build
from paretonas.network.zoo import zoo_spec
from paretonas.objective import Objective
from paretonas.space import ForeignSpec, SearchSpace, Spec, spaces
from paretonas.store import Store
from paretonas.strategy import Strategy, StrategyOptions, strategies
from paretonas.training import recipes
from paretonas.training.classification import torch_device
from paretonas.training.data import DataSource, ImageData, prepare_data
from paretonas.training.images import TORCHVISION
from paretonas.training.listing import DIGITS
from paretonas.training.optimization import check_recipe
from paretonas.training.recipe import Recipe
from paretonas.trial import Trial
from paretonas.tune import tune


class Search:
    """A configuration brought to life: space, data, device and evaluator, checked before anything is stored.

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
        self.device: Device = parse_device(config.device)
        self.recipe: Recipe = recipes.create(config.recipe)
        check_recipe(self.recipe)
        torch_device(config.torch_device)
        self._strategy_options: StrategyOptions = strategies.create(config.strategy)
        executors.create(config.executor)
        self._executor = config.executor
        limits = tuple(map(parse_limit, config.limits))
        spaces.create(config.space)
        source = DataSource(
            config.data,
            resolution=config.resolution,
            train_images=config.train_images,
            val_images=config.val_images,
            skip_corrupt=config.skip_corrupt,
            seed=config.seed,
            stream=config.stream,
        )
        self.data: ImageData = prepare_data(source, home / "cache", listener.decoding)
        self._check_circumstances()
        defaults = {"resolution": self.data.resolution, "width": config.width}
        self.space: SearchSpace = spaces.create(config.space, defaults).build()
        self.evaluator = Evaluator(
            store, self.device, home / "cache", self.data, self.recipe, config.seed, config.torch_device
        )
        alpha, beta = config.exponents()
        is_latency_free = config.reward == "accuracy"
        self.objective = Objective(None if is_latency_free else self._target_ms(), alpha, beta, limits)

    def _check_circumstances(self) -> None:
        """The data have to be those that the search began with; another device is pointed out."""
        config, data = self.config, self.data
        if config.digest not in (None, data.digest):
            raise DataError(
                f"A search goes on with the data that it began with, but {config.data} has changed since (digest "
                f"{data.digest}, not {config.digest}): its splits would differ. Begin a new search."
            )
        if config.measured_on not in (None, self.measured_on):
            self._listener.note(
                f"This search was measured on {config.measured_on}; now it is {self.measured_on}. "
                "Latencies of the two do not compare."
            )
        if data.skipped:
            names = ", ".join(data.skipped[:3]) + (", …" if len(data.skipped) > 3 else "")
            self._listener.note(f"{len(data.skipped)} corrupt images are left out: {names}")

    @property
    def measured_on(self) -> str:
        """Engine and machine in words."""
        return ", ".join(f"{key} {value}" for key, value in self.device.identity.items())

    def _target_ms(self) -> float:
        if self.config.target_ms is not None:
            return Objective(self.config.target_ms).target_ms or 0.0
        latency = self.evaluator.latency(self.typical_spec(), RECORD)
        flags = f" (flagged {', '.join(latency.flags)})" if latency.flags else ""
        self._listener.note(
            f"No target latency was given: aiming at {latency.latency_ms:.3g} ms, what MobileNetV2 "
            f"x{self.config.width:g} takes{flags}."
        )
        return latency.latency_ms

    def typical_spec(self) -> Spec:
        """MobileNetV2 at the search's width and resolution: the skeleton of the space, for estimates."""
        return zoo_spec("mobilenet-v2", self.config.width, self.data.resolution)

    def start_strategy(self) -> Strategy:
        """A strategy that has been told nothing."""
        return self._strategy_options.start(self.space, self.config.seed)

    def tune(self) -> None:
        """Pick by measuring what recipe and executor leave open."""
        self.recipe, self._executor = tune(
            self.recipe,
            self.config.executor,
            self.typical_spec(),
            self.data,
            self.config.torch_device,
            self.store,
            self._listener.note,
        )
        self.evaluator.recipe = self.recipe

    def recorded(self) -> SearchConfig:
        """The configuration with all that was found out or left at its default written into it."""
        config = self.config
        return replace(
            config,
            target_ms=self.objective.target_ms,
            data=config.data if config.data == DIGITS else _absolute(config.data),
            strategy=strategies.written_out(config.strategy),
            recipe=recipes.written_out(config.recipe, self.recipe),
            executor=self._executor,
            digest=self.data.digest,
            measured_on=self.measured_on,
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
            executors.create(self._executor).start() as executor,
        ):
            loop = Loop(
                self.config,
                self.store,
                self.home,
                self.space,
                self.start_strategy(),
                self.evaluator,
                self.objective,
                executor,
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
        build(ForeignSpec(model), len(found.data.classes), found.data.channels)  # what cannot be is found now
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
    """`data` with its path in full; what stands before an `@` is the name of a data set."""
    name, at, root = data.partition("@") if data.startswith(TORCHVISION) else ("", "", data)
    return f"{name}{at}{Path(root).expanduser().resolve()}"


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
