"""A search brought to life from its configuration, recorded, opened again."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretonas.device import Device, parse_device
from paretonas.errors import UsageError
from paretonas.evaluation.evaluator import Evaluator
from paretonas.evaluation.job import Folders, Schooling
from paretonas.evaluation.pretraining import PretrainingEvaluator
from paretonas.evaluation.table import TableEvaluator
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.executor import executors
from paretonas.loop.gates import Gate, Halving, Limits, Screen, mean_share, schedulers, screens
from paretonas.loop.listener import SILENT, Listener
from paretonas.loop.loop import Loop
from paretonas.loop.plan import Plan, check_wishes, default_goals
from paretonas.objective import Goals, Limit, Objective, Reward, metric, rewards
from paretonas.registry import Selection
from paretonas.search.circumstances import check_circumstances, check_home, held, home_of
from paretonas.search.companions import check_names
from paretonas.search.config import Recorded, SearchConfig
from paretonas.search.estimating import estimated, with_what_is_given
from paretonas.search.lanes import open_lanes
from paretonas.search.mining import begin, check_phases, mined, runner, strategy_after
from paretonas.search.pretraining import Beginning, Where, beginning
from paretonas.search.prior import compared, counted, priors
from paretonas.search.rehearsal import built_space, check_data, rehearse, tell_unused
from paretonas.search.sections import config_to_json, read_config, written_out
from paretonas.search.targets import aimed_devices, targets
from paretonas.search.tune import tune
from paretonas.space import SearchSpace, spaces, spec_to_json
from paretonas.store import Store
from paretonas.strategy import StrategyOptions, strategies
from paretonas.task import recipes, tasks
from paretonas.task.recipe import Recipe
from paretonas.task.task import Task
from paretonas.training.autotune import SpeedJob
from paretonas.training.fit import torch_device
from paretonas.training.optimization import check_recipe
from paretonas.trial import Trial


class Search:
    """A configuration whose plugins have been found and its settings checked; `prepare` brings it to life.

    Args:
        config: What to search.
        store: Where evaluations are kept; the search itself need not be in it yet.
        home: Folder for caches and exported files.
        listener: Is told what happens.

    Attributes:
        listener: Is told what happens.
        config: After `prepare`, with all that was found out or left at its default written into it.
        evaluator: Gives architectures their metrics; there after `prepare`, as what follows.
        space: What can be built.
        objective: Scores trials.
        beginning: What candidates begin with; known after `prepare`, too.

    Raises:
        UsageError: Whatever of the configuration cannot be.
    """

    evaluator: Evaluator
    space: SearchSpace
    objective: Objective

    def __init__(self, config: SearchConfig, store: Store, home: Path, listener: Listener = SILENT):
        self.config, self.store, self.home, self.listener = config, store, home, listener
        self._trained: TrainedEvaluator | None = None
        self.beginning = Beginning()
        self._strategy: StrategyOptions = strategies.create(config.strategy)
        self._scheduler = schedulers.create(config.fidelity)
        self._recipe: Recipe = recipes.create(config.recipe)
        defaults = {"split_seed": config.seed}
        self._task: Task | None = None if config.task is None else tasks.create(config.task, defaults)
        devices = () if self._task is None else config.devices
        alone = len(devices) == 1  # its metrics go without its name
        self.devices: tuple[Device, ...] = tuple(parse_device(d.device, "" if alone else d.name) for d in devices)
        executors.create(config.executor)
        torch_device(config.torch_device)
        check_recipe(self._recipe)
        if config.screen is not None:
            screens.create(config.screen)
        check_phases(config)
        self._check_objective()

    def _check_objective(self) -> None:
        limits, reward = tuple(map(Limit.parse, self.config.limits)), self._reward
        Objective(self._quality, reward, {}, limits)
        targets = [device.target_ms for device in self.config.devices if device.target_ms is not None]
        if targets and not reward.is_aimed:
            raise UsageError(f"The reward {self._reward_selection} has no target latency, but got {targets}.")

    @property
    def _quality(self) -> str:
        if self._task is not None:
            return self._task.quality
        assert self.config.table is not None
        return self.config.table.quality

    @property
    def _reward_selection(self) -> Selection:
        usual = "soft" if metric(self._quality).is_rising else "inverse-square"
        return self.config.reward or Selection(usual)

    @property
    def _reward(self) -> Reward:
        reward: Reward = rewards.create(self._reward_selection)
        return reward

    # Bringing it to life

    def prepare(self) -> None:
        """Read the data, pick by measuring what is left open, calibrate, and write all of it into the configuration.

        Raises:
            UsageError: Data, space or models that cannot be, or a metric that nothing here measures.
            MeasureError: A device could not be calibrated.
        """
        config = self.config
        prior = tuple(counted(text, self.store) for text in config.prior)
        if config.table is not None:
            self.evaluator = TableEvaluator(config.table)
            self.space = config.table.table.space()
        else:
            self.evaluator, config = self._built_evaluator(), self.config
        self.evaluator.prepare(self.listener)
        config = with_what_is_given(config, self.devices, self.evaluator)
        about = self.evaluator.about()
        check_circumstances(config, about, self.listener.note)
        self.objective = Objective(self._quality, self._reward, self._targets(), tuple(map(Limit.parse, config.limits)))
        goals = config.goals or default_goals(self._strategy, self._quality, self.evaluator.stages())
        validation = 0 if self._task is None else self._task.examples["val"]
        facts = (self._quality, about.digest, about.measured_on, validation)
        recorded = Recorded(*facts, config.recorded.baseline_of, home_of(self.store, self.home))
        self.config = replace(
            written_out(config, self._task, self._recipe, None if self._task is None else self._space_options()),
            reward=rewards.record(self._reward_selection),
            goals=tuple(goals),
            devices=aimed_devices(config, self.objective.targets),
            recorded=recorded,
        )
        self.config = replace(self.config, prior=tuple(compared(text, self.store, self.config) for text in prior))
        self.plan().check()

    def _trained_evaluator(self) -> TrainedEvaluator:
        config, task = self.config, self._task
        assert task is not None
        cache, limits = self.home / "cache", tuple(map(Limit.parse, config.limits))
        wished = Objective(self._quality, self._reward, {}, limits).metrics
        stages = estimated(config, self._evaluator(task, 1.0), lambda: self.space, self.store).stages()
        check_wishes(self._strategy, config.goals, wished, stages, bool(config.prior))
        task.prepare(cache, lambda done, total: self.listener.counting("decoding images", done, total))
        check_data(task)
        self.space = built_space(self._space_options())
        rehearse(config, task, self._recipe, self.space)
        tell_unused(task, self._recipe, self.listener.note)
        job = SpeedJob(spec_to_json(task.typical.scaled(self.space.width)), task, self._recipe, config.torch_device)
        self._recipe, executor = tune(job, config.executor, self.store, self.listener.note)
        self.config = replace(config, executor=executor)
        where = Where(cache, self.home / "pretrained", self.listener)
        self.beginning = beginning(config, self.space, self._space_options(), (task, self._recipe), where)
        return self._evaluator(task, self.space.width)

    def _built_evaluator(self) -> Evaluator:
        alone = self._trained = self._trained_evaluator()
        inner = estimated(self.config, alone, lambda: self.space, self.store)
        if self.beginning.pretraining is not None:
            inner = PretrainingEvaluator(inner, self.beginning.pretraining, runner(self.config.executor))
        return mined(self.config, inner, alone, self._space_options(), self.store, self.home)

    def _evaluator(self, task: Task, width: float) -> TrainedEvaluator:
        config, begun = self.config, (self.beginning.weights, self.beginning.frozen)
        schooling = Schooling(self._recipe, config.seed, config.torch_device, self._scheduler.shares, width, *begun)
        folders = Folders(self.home / "cache", self.home / config.name)
        is_looking = config.screen is not None and metric(config.screen.name).known == "untrained"
        return TrainedEvaluator(task, self.devices, schooling, self.store, folders, is_looking)

    def _space_options(self) -> Any:
        assert self._task is not None
        shape = self._task.interface.image_shape
        return spaces.create(self.config.space, {} if shape is None else {"resolution": min(shape[1:])})

    def _targets(self) -> dict[str, float]:
        if not self._reward.is_aimed:
            return {}
        return targets(self.config.devices, self.evaluator, self.listener)

    # Running

    def gates(self) -> tuple[Gate, ...]:
        """New ones, that have been asked nothing."""
        gates: list[Gate] = [Limits(self.objective)]
        if self.config.screen is not None:
            gates.append(Screen(self.config.screen.name, screens.create(self.config.screen)))
        if len(self._scheduler.shares) > 1:
            gates.append(Halving(self.objective, self._scheduler.keep))
        return tuple(gates)

    def plan(self) -> Plan:
        """What the loop is given."""
        limits = self.objective.limits
        return Plan(
            name=self.config.name,
            space=self.space,
            strategy=self._strategy,
            seed=self.config.seed,
            goals=Goals(self.config.goals or ("reward",), limits),
            objective=self.objective,
            evaluator=self.evaluator,
            gates=self.gates(),
            budget=self.config.budget,
            prior=priors(self.config.prior, self.store, self.space, self.objective),
        )

    def trained_evaluator(self) -> TrainedEvaluator:
        """The evaluator of a search whose networks can be built, timed and trained.

        Raises:
            UsageError: Its candidates are rows of a table.
        """
        if self._trained is None:
            raise UsageError(
                f"A network of the search {self.config.name!r} is a row of a table: nothing to build or train."
            )
        return self._trained

    def seconds_a_trial(self) -> float | None:
        """An estimate; None if training diverges at once."""
        seconds = self.evaluator.seconds_a_trial()
        return None if seconds is None else seconds * mean_share(self._scheduler.shares, self._scheduler.keep)

    def run(self) -> list[Trial]:
        """Go on until the budget is used up; what comes before the first trial, and what the store has, come first.

        Returns:
            All trials.

        Raises:
            StoreError: Another process holds this search.
            WorkError: The first trials all failed.
        """
        name = self.config.name
        with held(name, self.store, self.home):
            begin(self.evaluator, name, self.store, self.listener)
            self._strategy = strategy_after(self.evaluator, self.config, self._strategy, self.listener.note)
            with open_lanes(self.devices, self.config.executor) as lanes:
                return Loop(self.plan(), self.store, lanes, self.listener).run()


def new_search(config: SearchConfig, store: Store, home: Path, listener: Listener = SILENT) -> Search:
    """Check a configuration, bring it to life and record it.

    Raises:
        UsageError: It cannot be, or the name is taken; nothing is stored then.
        StoreError: Another process is making it.
    """
    search = Search(config, store, home, listener)
    with store.hold(config.name):
        if config.name in {summary.name for summary in store.searches()}:
            store.create_search(config.name, {})  # says how to go on
        check_names(config, store)
        executors.create(config.executor).count()  # a cluster that cannot be had is said before anything is stored
        search.prepare()
        store.create_search(config.name, config_to_json(search.config))
    return search


def open_search(
    name: str, store: Store, home: Path, listener: Listener = SILENT, *, change: SearchConfig | None = None
) -> Search:
    """A recorded search.

    Args:
        name: Its name.
        store: Where it is recorded.
        home: As when it was made.
        listener: Is told what happens.
        change: Its configuration with another budget or executor, or with baselines: recorded from now on.

    Raises:
        StoreError: No such search, a damaged configuration, or, with a change, another process holds it.
        UsageError: Its data or device are no longer there, its files are in another home, or baselines cannot be.
    """
    check_home(name, store, home)
    with nullcontext() if change is None else store.hold(name):
        before = read_config(name, store)
        check_names(change or before, store)
        search = Search(change or before, store, home, listener)
        search.prepare()
        if change is not None and (change != before or search.config.recorded.home != before.recorded.home):
            store.set_config(name, config_to_json(search.config))
    return search
