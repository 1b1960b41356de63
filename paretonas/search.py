"""A search: its loop, and how it is stopped and resumed.

The loop asks the strategy for a few proposals, measures them, and trains those that break no limit. On the machine that
both measures and trains, the two never overlap: a batch is measured first, then trained in parallel. Every step is in
the store before the next begins.
"""

from __future__ import annotations

import fcntl
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paretonas.config import SearchConfig, config_from_json, config_to_json, parse_limit
from paretonas.device import Device, parse_device
from paretonas.errors import DataError, ParetonasError, StoreError, WorkError
from paretonas.evaluate import Evaluator, latency_metrics, run_training
from paretonas.executor import Executor, Job, executors
from paretonas.network.zoo import zoo_spec
from paretonas.objective import Objective
from paretonas.space import SearchSpace, Spec, spaces, spec_hash
from paretonas.store import Store
from paretonas.strategy import Strategy, StrategyOptions, strategies
from paretonas.training import recipes
from paretonas.training.classification import check_recipe, torch_device
from paretonas.training.data import DataSource, ImageData, prepare_data
from paretonas.training.images import DIGITS
from paretonas.training.recipe import Recipe
from paretonas.trial import Proposal, State, Trial

HOPELESS = 8
"""So many failures before the first success end a search: something other than the architectures is wrong."""


@dataclass(frozen=True)
class Progress:
    """Where a search stands after a trial has ended.

    Args:
        trial: The one that ended.
        ended: How many have ended.
        budget: How many there may be; None: as many as fit the time.
        best: The one with the highest reward so far.
        seconds: Wall time of all sessions so far.
        seconds_left: Estimate; None if it cannot be told yet.
    """

    trial: Trial
    ended: int
    budget: int | None
    best: Trial | None
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True)
class Listener:
    """Functions that are told how a search goes on.

    Args:
        note: A line of text.
        progress: After every trial that ended.
        decoding: Numbers of images decoded and of all images, while data are prepared.
    """

    note: Callable[[str], None] = lambda text: None
    progress: Callable[[Progress], None] = lambda progress: None
    decoding: Callable[[int, int], None] | None = None


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

    def __init__(self, config: SearchConfig, store: Store, home: Path, listener: Listener = Listener()):
        self.config, self.store, self.home, self._listener = config, store, home, listener
        self.device: Device = parse_device(config.device)
        self.recipe: Recipe = recipes.create(config.recipe)
        check_recipe(self.recipe)
        torch_device(config.torch_device)
        self._strategy_options: StrategyOptions = strategies.create(config.strategy)
        self._executor_options = executors.create(config.executor)
        limits = tuple(map(parse_limit, config.limits))
        spaces.create(config.space)
        source = DataSource(
            config.data,
            resolution=config.resolution,
            train_images=config.train_images,
            val_images=config.val_images,
            skip_corrupt=config.skip_corrupt,
            seed=config.seed,
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
        target = self.evaluator.latency(self.typical_spec()).latency_ms
        self._listener.note(
            f"No target latency was given: aiming at {target:.3g} ms, what MobileNetV2 x{self.config.width:g} takes."
        )
        return target

    def typical_spec(self) -> Spec:
        """MobileNetV2 at the search's width and resolution: the skeleton of the space, for estimates."""
        return zoo_spec("mobilenet-v2", self.config.width, self.data.resolution)

    def start_strategy(self) -> Strategy:
        """A strategy that has been told nothing."""
        return self._strategy_options.start(self.space, self.config.seed)

    def run(self) -> list[Trial]:
        """Go on until the budget is used up; what the store has of this search is taken up first.

        Returns:
            All trials.

        Raises:
            StoreError: Another process runs this search.
            WorkError: The first trials all failed.
        """
        with _sole_runner(self.store, self.home, self.config.name), self._executor_options.start() as executor:
            return _Loop(self, executor, self._listener).run()


class _Loop:
    """One session of a search."""

    def __init__(self, search: Search, executor: Executor, listener: Listener):
        self._search, self._executor, self._listener = search, executor, listener
        self._store, self._name = search.store, search.config.name
        self._strategy = search.start_strategy()
        self._begin, self._before = time.monotonic(), self._store.seconds(self._name)
        self._ended_before = 0
        self._trials = {trial.number: trial for trial in self._store.trials(self._name)}
        self._queue: list[Trial] = []
        self._running: dict[str, Trial] = {}
        self._taken_up: set[int] = set()
        self._out_of_time = False

    @property
    def _config(self) -> SearchConfig:
        return self._search.config

    @property
    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._begin

    @property
    def _told(self) -> int:
        return sum(trial.told is not None for trial in self._trials.values())

    def run(self) -> list[Trial]:
        ended = sorted((t for t in self._trials.values() if t.told is not None), key=lambda t: t.told or 0)
        self._strategy.tell(ended)
        self._ended_before = len(ended)
        waiting = [replace(t, state=State.WAITING) for t in self._trials.values() if t.told is None]
        if waiting:
            self._taken_up = {trial.number for trial in waiting}
            self._listener.note(f"Taking up {len(waiting)} trials that had begun.")
        try:
            self._measure(waiting)
            while self._step():
                pass
        finally:
            self._store.set_seconds(self._name, self._seconds)
        if self._out_of_time:
            self._listener.note(f"The time budget of {self._config.seconds:g} s is used up.")
        return list(self._trials.values())

    def _step(self) -> bool:
        """Refill, dispatch, collect; whether anything moved."""
        self._out_of_time = self._config.seconds is not None and self._seconds >= self._config.seconds
        moved = self._refill() + self._dispatch()
        ended = self._executor.wait()
        for job in ended:
            self._collect(job)
        return bool(moved or ended)

    # Asking and measuring

    def _refill(self) -> int:
        """Measure new proposals, but on this machine only while nothing trains; how many there were."""
        is_here = self._search.device.transport.is_here
        is_wanted = not self._running and not self._queue if is_here else len(self._queue) < self._executor.workers
        wanted = self._executor.workers * (4 if is_here else 1)
        if self._config.budget is not None:
            wanted = min(wanted, self._config.budget - len(self._trials))
        is_behind = any(self._trials[number].told is None for number in self._taken_up)  # those come first
        if not is_wanted or is_behind or wanted <= 0 or self._out_of_time or self._strategy.is_finished:
            return 0
        proposals = self._strategy.ask(wanted)
        trials = [self._new_trial(proposal) for proposal in proposals]
        if trials:
            self._store.add_trials(self._name, trials)
            self._trials |= {trial.number: trial for trial in trials}
            self._measure(trials)
        return len(trials)

    def _new_trial(self, proposal: Proposal) -> Trial:
        return Trial(
            number=proposal.number,
            architecture=proposal.architecture,
            spec_hash=spec_hash(self._search.space.decode(proposal.architecture)),
            seed=self._config.seed,
            context=proposal.context,
        )

    def _measure(self, trials: list[Trial]) -> None:
        """Cost and latency; what breaks a limit ends here, the rest waits for training."""
        for trial in trials:
            begin = time.monotonic()
            spec, evaluator = self._search.space.decode(trial.architecture), self._search.evaluator
            try:
                trial = replace(trial, metrics=evaluator.cost(spec))
                broken = self._search.objective.broken_limit(trial.metrics)
                if broken is None:
                    latency = evaluator.latency(spec)
                    trial = replace(trial, metrics={**trial.metrics, **latency_metrics(latency)})
                    broken = self._search.objective.broken_limit(trial.metrics)
            except StoreError:
                raise
            except Exception as error:  # whatever a network of somebody's does when it is built or run
                self._end(trial, State.FAILED, error="".join(traceback.format_exception(error)))
                continue
            trial = replace(trial, seconds=time.monotonic() - begin)
            if broken is not None:
                self._end(trial, State.PRUNED, reward=0.0, error=f"over the limit {broken}")
            else:
                self._queue.append(trial)

    # Training

    def _dispatch(self) -> int:
        """Give free workers something to do; what an earlier trial has paid for ends at once. How many trials moved."""
        before = len(self._queue)
        for trial in list(self._queue):
            if trial.spec_hash in {t.spec_hash for t in self._running.values()}:
                continue  # its twin is training; the result will serve both
            spec = self._search.space.decode(trial.architecture)
            known = self._search.evaluator.trained(spec, trial.fidelity)
            if known is not None:
                self._queue.remove(trial)
                self._complete(replace(trial, is_reused=True), dict(known))
            elif self._executor.idle and not self._out_of_time:
                self._queue.remove(trial)
                trial = self._save(replace(trial, state=State.RUNNING))
                job = self._search.evaluator.job(spec, trial.fidelity)
                limit = self._config.trial_seconds
                submitted = self._executor.submit(f"{trial.number}", run_training, job, timeout=limit)
                self._running[submitted.key] = trial
        return before - len(self._queue)

    def _collect(self, job: Job[Any]) -> None:
        trial = self._running.pop(job.key)
        trial = replace(trial, seconds=trial.seconds + job.seconds)
        try:
            metrics = job.result()
        except ParetonasError as error:
            self._end(trial, State.FAILED, error=job.traceback or "".join(traceback.format_exception(error)))
            return
        spec = self._search.space.decode(trial.architecture)
        self._search.evaluator.remember(spec, trial.fidelity, metrics)
        self._complete(trial, metrics)

    # Ending

    def _complete(self, trial: Trial, metrics: dict[str, float]) -> None:
        trial = replace(trial, metrics={**trial.metrics, **metrics})
        self._end(trial, State.COMPLETE, reward=self._search.objective.reward(trial.metrics))

    def _end(self, trial: Trial, state: State, reward: float | None = None, error: str | None = None) -> None:
        trial = self._save(replace(trial, state=state, reward=reward, error=error, told=self._told))
        self._store.set_seconds(self._name, self._seconds)
        self._strategy.tell([trial])
        self._listener.progress(self._progress(trial))
        states = [t.state for t in self._trials.values() if t.state.is_final]
        if len(states) == HOPELESS and set(states) == {State.FAILED}:
            raise WorkError(f"The first {HOPELESS} trials all failed, so the search was stopped. The last one: {error}")

    def _save(self, trial: Trial) -> Trial:
        self._store.update_trial(self._name, trial)
        self._trials[trial.number] = trial
        return trial

    def _progress(self, trial: Trial) -> Progress:
        ended = [t for t in self._trials.values() if t.state.is_final]
        complete = [t for t in ended if t.state is State.COMPLETE]
        here, estimates = len(ended) - self._ended_before, []
        if self._config.budget is not None and here >= 2:
            estimates.append((time.monotonic() - self._begin) / here * (self._config.budget - len(ended)))
        if self._config.seconds is not None:
            estimates.append(max(0.0, self._config.seconds - self._seconds))
        return Progress(
            trial,
            len(ended),
            self._config.budget,
            max(complete, key=lambda t: t.reward or 0.0, default=None),
            self._seconds,
            min(estimates, default=None),
        )


def new_search(config: SearchConfig, store: Store, home: Path, listener: Listener = Listener()) -> Search:
    """Check a configuration and record it.

    Raises:
        UsageError: It cannot be, or the name is taken; nothing is stored then.
    """
    if config.name in {summary.name for summary in store.searches()}:
        store.create_search(config.name, {})  # says how to go on
    search = Search(config, store, home, listener)
    search.config = replace(
        config,
        target_ms=search.objective.target_ms,
        data=config.data if config.data == DIGITS else str(Path(config.data).expanduser().resolve()),
        strategy=strategies.written_out(config.strategy),
        recipe=recipes.written_out(config.recipe),
        digest=search.data.digest,
        measured_on=search.measured_on,
    )
    store.create_search(config.name, config_to_json(search.config))
    return search


def open_search(
    name: str,
    store: Store,
    home: Path,
    listener: Listener = Listener(),
    trials: int | None = None,
    seconds: float | None = None,
) -> Search:
    """A recorded search, with a new budget if one is given.

    Args:
        name: Its name.
        store: Where it is recorded.
        home: As when it was made.
        listener: Is told what happens.
        trials: New budget of trials, all sessions together.
        seconds: New budget of wall time, all sessions together.

    Raises:
        StoreError: No such search, a damaged configuration, or, with a new budget, another process runs it.
        UsageError: Its data or device are no longer there.
    """
    search = Search(config_from_json(store.config(name)), store, home, listener)
    if trials is not None or seconds is not None:
        search.config = replace(
            search.config, trials=trials or search.config.trials, seconds=seconds or search.config.seconds
        )
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
