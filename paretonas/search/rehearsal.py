"""What others have written is tried once before a search pays for anything: models, spaces, builders, tasks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from paretonas.errors import SpecError, UsageError
from paretonas.network.check import check_network
from paretonas.objective import metric
from paretonas.registry import blamed, short
from paretonas.search.companions import ZOO
from paretonas.search.config import SearchConfig
from paretonas.search.widths import names_code
from paretonas.space import ForeignSpec, Interface, SearchSpace, Spec, spec_from_json, spec_to_json
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Task
from paretonas.training.weights import load_weights

TRIES = 3
"""Networks of a space, of which one has to work: single ones that cannot be built are failed trials."""
FEW = 4
"""Examples in the batch that is tried."""


def own_models(config: SearchConfig) -> tuple[str, ...]:
    """The models of the user's own that a configuration names, each as `module:factory`."""
    also = str(config.space.options.get("also", "")) if config.space.name == ZOO else ""
    network = str(config.space.options.get("network", "")) if config.space.name == "widths" else ""
    return (*config.models, *filter(None, also.split("+")), *([network] if names_code(network) else ()))


def check_data(task: Task) -> None:
    """Whether what a task says of its data is what is recorded and computed with.

    Raises:
        UsageError: It is not.
    """
    what = f"The task {type(task).__name__}"
    if not isinstance(task.interface, Interface):
        raise UsageError(f"{what} has an Interface, but got {short(task.interface)}.")
    spec_to_json(task.typical)
    if not isinstance(task.digest, str) or not task.digest:
        raise UsageError(f"{what} has a digest, a text, but got {short(task.digest)}.")
    for part in ("train", "val", "test", "full_train"):
        count = task.examples.get(part)
        if not isinstance(count, int) or count < (part != "test"):
            raise UsageError(f"{what} has examples of each part, but of {part!r} got {short(count)}.")
    try:
        json.dumps(dict(task.metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} has metadata that JSON can hold, but {error}: {short(task.metadata)}.") from error


def built_space(options: Any) -> SearchSpace:
    """The space that a plugin describes.

    Raises:
        UsageError: It gives none.
    """
    what = f"The space {type(options).__name__}"
    with blamed(f"{what} cannot be built"):
        space = options.build()
    if type(space) is not SearchSpace:
        raise UsageError(f"{what} builds a SearchSpace, but got {short(space)}.")
    return space


def tell_unused(task: Task, recipe: Recipe, note: Callable[[str], None]) -> None:
    """Say which of a recipe's settings have no effect."""
    names = recipe.sets(task.unused)
    if names:
        note(f"Not used, as {type(task).__name__.lower()} has no place for it: the recipe's {', '.join(names)}.")


def rehearse(config: SearchConfig, task: Task, recipe: Recipe, space: SearchSpace) -> None:
    """Try each model of the user's own, and a network of the space with a batch of the task.

    Args:
        config: Of the search. One that is recorded was rehearsed; only the models that it trains may have gone since.
        task: What is learned.
        recipe: How.
        space: What can be built.

    Raises:
        UsageError: What breaks its contract, in one sentence.
    """
    is_new = not config.recorded.digest
    for source in own_models(config if is_new else replace(config, models=())):
        check_network(_maker(task, ForeignSpec(source), recipe), task.interface, f"The model {source!r}")
    if is_new:
        _check_screen(config, task)
        spec = _working_spec(space, task, recipe)
        _check_loss(task, recipe, spec)
        if config.weights and config.morph is None:
            load_weights(task.network(spec, recipe), Path(config.weights), task.interface.outputs[0].shape[-1])


def rehearse_classifiers(task: Task, recipe: Recipe, space: SearchSpace, searched: Task) -> None:
    """Try a classifier of the space with a batch of the task that it learns first.

    Args:
        task: What is learned first; its data are prepared.
        recipe: How.
        space: Of the networks that stand on classifiers.
        searched: What these learn.

    Raises:
        UsageError: What breaks its contract, in one sentence.
    """
    first, then = (one.interface.image_shape for one in (task, searched))
    is_classifying = [len(port.shape) for port in task.interface.outputs] == [2]
    if first is None or then is None or first[0] != then[0] or not is_classifying:
        raise UsageError(
            f"Backbones learn first to classify images of as many channels as they see then, but got a task "
            f"{type(task).__name__} with inputs of {first}, and then {then}."
        )
    check_data(task)
    _check_loss(task, recipe, space.some(1)[0].classifier)


def _check_screen(config: SearchConfig, task: Task) -> None:
    """Whether metrics of untrained networks can be had: their gradients to numbers that go in are looked at."""
    port = task.interface.inputs[0]
    is_looking = config.screen is not None and metric(config.screen.name).known == "untrained"
    if is_looking and not port.dtype.startswith("float"):
        raise UsageError(
            f"Metrics of untrained networks are of those that are fed fractions, but the networks of "
            f"{type(task).__name__} are fed {port.name!r} of type {port.dtype}. Leave --screen {config.screen} out."
        )


def _maker(task: Task, spec: Spec, recipe: Recipe) -> Callable[[], nn.Module]:
    return lambda: task.network(spec, recipe)


def _working_spec(space: SearchSpace, task: Task, recipe: Recipe) -> Spec:
    """Of a random architecture whose network keeps its promises."""
    rng, refused = Random(0), list[SpecError]()
    for _ in range(TRIES):
        spec = _checked_spec(space, rng)
        try:
            interface = spec.with_state(task.interface)
            check_network(_maker(task, spec, recipe), interface, f"The network {short(spec)}")
        except SpecError as error:
            refused.append(error)
        else:
            return spec
    raise refused[0]


def _checked_spec(space: SearchSpace, rng: Random) -> Spec:
    architecture = space.sample(rng)
    spec, again = space.decode(architecture), space.decode(architecture)
    if spec != again:
        raise SpecError(
            f"A space gives an architecture the same spec each time, but {space.name!r} gives {architecture.choices} "
            f"{short(spec)} and {short(again)}."
        )
    if spec_from_json(spec_to_json(spec)) != spec:
        raise SpecError(f"A spec is read as it was written, but {short(spec)} of the space {space.name!r} is not.")
    return spec


def _check_loss(task: Task, recipe: Recipe, spec: Spec) -> None:
    """Whether a batch gives a loss that can be learned from."""
    what, small = f"The task {type(task).__name__}", replace(recipe, batch_size=min(FEW, recipe.batch_size))
    with blamed(f"{what} gives one batch a step and its loss, but fails"), torch.random.fork_rng(devices=[]):
        (batch,) = task.batches("train", small, 0, range(1))
        loss = task.loss(task.network(spec, recipe).train(), batch, At(0, 1, 0, small))
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad or not math.isfinite(loss.item()):
        raise UsageError(f"{what} gives a loss, one finite number that can be learned from, but got {short(loss)}.")
