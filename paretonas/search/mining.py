"""A search whose candidates are scored by a supernet: what its configuration says becomes an evaluator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from paretonas.errors import MachineError, UsageError
from paretonas.evaluation.evaluator import Call, Evaluator
from paretonas.evaluation.morphing import MorphingEvaluator
from paretonas.evaluation.pretraining import Ended, Runs
from paretonas.evaluation.supernet import Mining, SupernetEvaluator, check_numbers
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.executor import executors
from paretonas.loop.listener import Listener
from paretonas.registry import Selection
from paretonas.search.config import SearchConfig, SupernetConfig
from paretonas.search.morphing import Kept, check_morph, morphed
from paretonas.search.pretraining import check_pretraining
from paretonas.store import Store
from paretonas.strategy import StrategyOptions, strategies
from paretonas.strategy.enumeration import Listed
from paretonas.task import recipes
from paretonas.task.recipe import Recipe
from paretonas.training import samplings
from paretonas.training.autotune import like
from paretonas.training.optimization import check_recipe
from paretonas.training.supernet import Supernet

PROCESS = "process"


def mined(
    config: SearchConfig, inner: Evaluator, alone: TrainedEvaluator, space: Any, store: Store, home: Path
) -> Evaluator:
    """The evaluator of a search: `inner`, or one that scores by a supernet, or finds the widths of a network.

    Args:
        config: Of the search.
        inner: What it would be without.
        alone: The part of it that trains.
        space: Options of the space.
        store: Where evaluations are kept.
        home: Folder of the search's files.
    """
    if config.morph is not None:
        kept = Kept(store, home / config.name, Path(config.weights) if config.weights else None)
        return morphed(config.morph, inner, alone, space, runner(config.executor), kept)
    if config.supernet is None:
        return inner
    supernet = Supernet(alone.task, space, samplings.create(config.supernet.sampling))
    recipe = like(check_supernet(config.supernet), alone.schooling.recipe)
    mining = Mining(supernet, recipe, config.supernet.examples, config.supernet.checked)
    return SupernetEvaluator(inner, alone, mining, runner(config.executor), store, home / "pretrained")


def begin(evaluator: Evaluator, name: str, store: Store, listener: Listener) -> None:
    """What comes before the first trial, counted among the seconds of the search of that name."""
    began = time.monotonic()
    try:
        evaluator.begin(listener)
    finally:
        spent = time.monotonic() - began
        if spent >= 1:
            with suppress(MachineError):  # of which whoever called is told already
                store.set_seconds(name, store.seconds(name) + spent)


def strategy_after(
    evaluator: Evaluator, config: SearchConfig, strategy: StrategyOptions, note: Callable[[str], None]
) -> StrategyOptions:
    """The strategy of a search; the one for trainings where its supernet was left aside; or what a morph has found."""
    if isinstance(evaluator, MorphingEvaluator):
        return Listed(evaluator.proposals)
    if config.supernet is None or not (isinstance(evaluator, SupernetEvaluator) and evaluator.is_left_aside):
        return strategy
    note(f"They are chosen by {config.supernet.fallback.name}.")
    chosen: StrategyOptions = strategies.create(config.supernet.fallback)
    return chosen


def check_phases(config: SearchConfig) -> None:
    """Whether what comes before the first trial can be.

    Raises:
        UsageError: It cannot.
    """
    if config.supernet is not None:
        check_supernet(config.supernet)
    if config.morph is not None:
        check_morph(config.morph)
    check_pretraining(config)


def check_supernet(supernet: SupernetConfig) -> Recipe:
    """How a supernet is trained, checked with all else that is said of it.

    Raises:
        UsageError: It cannot be.
    """
    check_numbers(supernet.examples, supernet.checked)
    strategies.create(supernet.fallback)
    samplings.create(supernet.sampling)
    recipe: Recipe = recipes.create(supernet.recipe)
    check_recipe(recipe)
    if recipe.auxiliary or recipe.drop_path:
        raise UsageError(
            "A supernet's recipe has neither auxiliary classifier nor drop_path, which belong to one network, but got "
            f"(auxiliary={recipe.auxiliary}, drop_path={recipe.drop_path})."
        )
    return recipe


def runner(executor: Selection) -> Runs:
    """What runs calls in workers: several at once as trainings run, a single one on all their threads."""

    def run(calls: Sequence[Call]) -> Iterator[Ended]:
        chosen, left = executor if len(calls) > 1 else _whole(executor), len(calls)
        with executors.create(chosen).start() as started:
            for i, call in enumerate(calls):
                started.submit(str(i), call.function, *call.arguments)
            while left:
                ended = [(int(done.key), done.result()) for done in started.wait(timeout=1.0)]
                left -= len(ended)
                yield ended

    return run


def _whole(executor: Selection) -> Selection:
    if executor.name != PROCESS:
        return executor
    options = dict(executor.options)
    workers, threads = (int(options.pop(name, None) or 1) for name in ("workers", "threads"))
    return Selection(PROCESS, {**options, "workers": 1, "threads": workers * threads})
