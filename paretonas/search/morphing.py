"""A morph: what its configuration says becomes an evaluator, and what that found the proposals of its strategy."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretonas.errors import UsageError
from paretonas.evaluation.evaluator import Evaluator
from paretonas.evaluation.morph_job import Pruning
from paretonas.evaluation.morphing import Morphing, MorphingEvaluator
from paretonas.evaluation.pretraining import Runs
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.network.widths import spec_layout
from paretonas.objective import Limit
from paretonas.objective.metric import LATENCY
from paretonas.search.morph_config import MorphConfig
from paretonas.search.rehearsal import built_space
from paretonas.space.widths import WidthGroup
from paretonas.store import Store
from paretonas.task import recipes
from paretonas.task.recipe import Recipe
from paretonas.training import resources
from paretonas.training.autotune import like
from paretonas.training.morphnet import Sparsity
from paretonas.training.optimization import check_recipe
from paretonas.training.spending import ResourceOptions

USUAL = "macs"


def check_morph(config: MorphConfig) -> Recipe:
    """How the network learns which channels it can spare, checked with all else that is said of it.

    Raises:
        UsageError: It cannot be.
    """
    recipe: Recipe = recipes.create(config.recipe)
    check_recipe(recipe)
    if recipe.branch_scale != 1 or recipe.ema:
        raise UsageError(
            "A recipe that shows which channels are spared begins with all of them (branch_scale=1) and looks at the "
            f"weights as they are (ema=0), but got (branch_scale={recipe.branch_scale}, ema={recipe.ema})."
        )
    _sparsity(config)
    _resource(config)
    return recipe


def morphed(
    config: MorphConfig, inner: Evaluator, alone: TrainedEvaluator, space: Any, run: Runs, kept: tuple[Store, Path]
) -> MorphingEvaluator:
    """The evaluator of a morph.

    Args:
        config: Of it.
        inner: What it would be without.
        alone: The part of it that trains and times.
        space: Options of the space.
        run: Runs calls in workers.
        kept: Where evaluations are kept, and the folder of its files.

    Raises:
        UsageError: The network has no such layers, or no such device.
    """
    base = space.base
    layout = spec_layout(base, base.with_state(alone.task.interface))
    limit = Limit.parse(config.budget) if config.budget else None
    resource = _resource(config)
    budget = limit.metric if limit else (config.resource.name if config.resource is not None else USUAL)
    if budget == "latency":
        budget = LATENCY.name if not alone.devices[0].name else f"{LATENCY.name}.{alone.devices[0].name}"
    if budget not in ("macs", "params") and LATENCY.name not in budget:
        budget = USUAL  # what is saved has no unit of a budget
    pruning = Pruning(resource, _sparsity(config), config.strength, 0.0, _protected(config, layout.groups))
    bound, recipe = limit.bound if limit else None, like(check_morph(config), alone.schooling.recipe)
    morphing = Morphing(base, config.steps, pruning, budget, bound, recipe, config.samples, space.most)
    return MorphingEvaluator(inner, alone, morphing, built_space(space), run, kept)


def _sparsity(config: MorphConfig) -> Sparsity:
    if config.grouping not in ("max", "l2"):
        raise UsageError(f"Layers that share a group are taken by max or l2, but got (grouping={config.grouping!r}).")
    return replace(Sparsity(config.threshold), grouping="l2" if config.grouping == "l2" else "max")


def _resource(config: MorphConfig) -> ResourceOptions:
    """What is saved: what is bounded, unless something else is named."""
    if config.resource is not None:
        named: ResourceOptions = resources.create(config.resource)
        return named
    metric = Limit.parse(config.budget).metric if config.budget else USUAL
    chosen: ResourceOptions = resources.create("latency" if LATENCY.name in metric else metric)
    return chosen


def _protected(config: MorphConfig, groups: tuple[WidthGroup, ...]) -> tuple[bool, ...]:
    """Of each group whether its width stays; none where all may change.

    Raises:
        UsageError: An expression that matches no group, or nothing is left.
    """
    names = [group.name for group in groups]
    for expression in (*config.keep, *config.only):
        if not any(re.search(expression, name) for name in names):
            raise UsageError(f"Layers are named as the network has them ({', '.join(names)}), but got {expression!r}.")
    protected = tuple(
        any(re.search(one, name) for one in config.keep)
        or (bool(config.only) and not any(re.search(one, name) for one in config.only))
        for name in names
    )
    if all(protected):
        raise UsageError("A morph changes the widths of some layers, but all are to be kept.")
    return protected if any(protected) else ()
