"""A morph: what its configuration says becomes an evaluator, and what that found the proposals of its strategy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paretonas.device import Device
from paretonas.errors import UsageError
from paretonas.evaluation.evaluator import Evaluator
from paretonas.evaluation.morph_job import Pruning
from paretonas.evaluation.morphing import Bounded, Morphing, MorphingEvaluator
from paretonas.evaluation.pretraining import Runs
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.network.layout import Layout
from paretonas.network.widths import spec_layout
from paretonas.objective import Limit
from paretonas.objective.metric import LATENCY
from paretonas.search.morph_config import MorphConfig
from paretonas.search.rehearsal import built_space
from paretonas.store import Store
from paretonas.task import recipes
from paretonas.task.recipe import Recipe
from paretonas.training import resources
from paretonas.training.autotune import like
from paretonas.training.morphnet import Sparsity
from paretonas.training.optimization import check_recipe
from paretonas.training.spending import ResourceOptions
from paretonas.training.weights import Weights, load_weights

USUAL = "macs"


@dataclass(frozen=True)
class Kept:
    """What a morph has on the disk.

    Args:
        store: Where evaluations are kept.
        folder: Of its files.
        weights: File of those that the network as it was begins with; None: fresh ones.
    """

    store: Store
    folder: Path
    weights: Path | None


def check_morph(config: MorphConfig) -> Recipe:
    """How the network learns which channels it can spare, checked with all else that is said of it.

    Raises:
        UsageError: It cannot be.
    """
    recipe: Recipe = recipes.create(config.recipe)
    check_recipe(recipe)
    if recipe.branch_scale != 1 or recipe.ema or recipe.auxiliary:
        raise UsageError(
            "A recipe that shows which channels are spared begins with all of them (branch_scale=1) and looks at the "
            "weights as they are (ema=0) and at no others (auxiliary=0), but got "
            f"(branch_scale={recipe.branch_scale}, ema={recipe.ema}, auxiliary={recipe.auxiliary})."
        )
    _sparsity(config)
    _resource(config)
    return recipe


def morphed(
    config: MorphConfig, inner: Evaluator, alone: TrainedEvaluator, space: Any, run: Runs, kept: Kept
) -> MorphingEvaluator:
    """The evaluator of a morph.

    Args:
        config: Of it.
        inner: What it would be without.
        alone: The part of it that trains and times.
        space: Options of the space.
        run: Runs calls in workers.
        kept: What it has on the disk.

    Raises:
        UsageError: The network has no such layers, there is no such device, or the weights are not the network's.
    """
    base, recipe = space.base, like(check_morph(config), alone.schooling.recipe)
    layout = spec_layout(base, base.with_state(alone.task.interface))
    limit = Limit.parse(config.budget) if config.budget else None
    pruning = Pruning(_resource(config), _sparsity(config), config.strength, is_protected=_protected(config, layout))
    budget = Bounded(*_budget(config, limit, alone.devices), limit.bound if limit else None)
    weights = None
    if kept.weights is not None:
        load_weights(alone.task.network(base, recipe), kept.weights, alone.task.interface.outputs[0].shape[-1])
        weights = Weights.of(kept.weights)
    morphing = Morphing(
        base, config.steps, pruning, budget, recipe, weights, config.samples, space.most, config.multiple
    )
    return MorphingEvaluator(inner, alone, morphing, built_space(space), run, (kept.store, kept.folder))


def _budget(config: MorphConfig, limit: Limit | None, devices: Sequence[Device]) -> tuple[str, Device | None]:
    """The metric that is bounded, and the device whose it is, if it is a latency.

    Raises:
        UsageError: There is no such device.
    """
    name = limit.metric if limit else config.resource.name if config.resource is not None else USUAL
    title, _, of = name.partition(".")
    if title not in (LATENCY.name, "latency"):
        return (name if name in ("macs", "params") else USUAL), None  # an activation is no unit of a budget
    if (not of and title == "latency") or (len(devices) == 1 and not devices[0].name):
        return LATENCY.name, devices[0]
    device = next((one for one in devices if one.name == of), None)
    if device is None:
        known = ", ".join(f"{LATENCY.name}.{one.name}" for one in devices)
        raise UsageError(f"A morph's budget is of one of its devices ({known}), but got {name}.")
    return f"{LATENCY.name}.{of}", device


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


def _protected(config: MorphConfig, layout: Layout) -> tuple[bool, ...]:
    """Of each group whether its width stays, as one of the layers that make it is named; none where all may change.

    Raises:
        UsageError: An expression that matches no layer, or nothing is left.
    """
    made = [
        [layer.name for layer in layout.layers if any(run.group == group for run in layer.outs)]
        for group in range(len(layout.groups))
    ]
    for expression in (*config.keep, *config.only):
        if not any(re.search(expression, name) for names in made for name in names):
            firsts = ", ".join(group.name for group in layout.groups)
            raise UsageError(f"Layers are named as the network has them ({firsts}, …), but got {expression!r}.")

    def is_named(names: Sequence[str], expressions: Sequence[str]) -> bool:
        return any(re.search(one, name) for one in expressions for name in names)

    protected = tuple(
        is_named(names, config.keep) or (bool(config.only) and not is_named(names, config.only)) for names in made
    )
    if all(protected):
        raise UsageError("A morph changes the widths of some layers, but all are to be kept.")
    return protected if any(protected) else ()
