"""How weights move: optimizer, learning-rate schedule and moving average of a recipe, all from timm.

timm takes seconds to load, so it is loaded where it is used: most commands train nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn, optim
from torch.overrides import TorchFunctionMode

from paretonas.errors import UsageError
from paretonas.task.recipe import Recipe


def check_recipe(recipe: Recipe) -> None:
    """Check what only timm knows, by a step of a tiny network.

    Raises:
        UsageError: timm has no such optimizer, or it takes no plain steps: some need second derivatives.
    """
    from timm.optim import list_optimizers

    try:
        tiny = nn.Linear(1, 1)
        optimizer = make_optimizer(tiny, recipe, recipe.batch_size)
        tiny(torch.ones(1, 1)).sum().backward()
        take_step(optimizer, torch.device("cpu"))
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        near = get_close_matches(recipe.optimizer, list_optimizers(), 1)
        hint = f" Did you mean {near[0]!r}?" if near and near[0] != recipe.optimizer else ""
        raise UsageError(
            f"An optimizer is one of timm's that takes momentum and needs no more than gradients, but "
            f"{recipe.optimizer!r}: {error}.{hint}"
        ) from None


def make_optimizer(model: nn.Module, recipe: Recipe, batch_size: int) -> optim.Optimizer:
    """The recipe's optimizer at its peak learning rate; weight decay on what the recipe says."""
    from timm.optim import create_optimizer_v2

    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter, is_normalization, is_bias in _parameters(model):
        decays = not is_normalization and (recipe.decay_biases or not is_bias)
        (decayed if decays else kept).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    own: dict[str, Any] = {"eps": recipe.eps} if recipe.eps else {}
    lr = recipe.lr * batch_size / 256
    groups = [group for group in groups if group["params"]]
    return create_optimizer_v2(groups, opt=recipe.optimizer, lr=lr, momentum=recipe.momentum, **own)


class _InFloat32(TorchFunctionMode):
    """Whatever is to become bfloat16 becomes float32."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def wider(one: Any) -> Any:
            return torch.float32 if one is torch.bfloat16 else one

        return function(*map(wider, args), **{name: wider(one) for name, one in (kwargs or {}).items()})


def take_step(optimizer: optim.Optimizer, device: torch.device) -> None:
    """Move the weights by their gradients; on a CPU all of it in float32.

    timm's Muon orthogonalizes in bfloat16, which few processors are fast at.
    """
    if device.type != "cpu":
        optimizer.step()
        return
    with _InFloat32():
        optimizer.step()


def _parameters(model: nn.Module) -> Iterator[tuple[nn.Parameter, bool, bool]]:
    """Every parameter once, whether a normalization owns it, and whether it is a bias."""
    seen: set[nn.Parameter] = set()  # tied weights are of several modules
    for module in model.modules():
        is_normalization = "Norm" in type(module).__name__
        for name, parameter in module.named_parameters(recurse=False):
            if parameter not in seen:
                seen.add(parameter)
                yield parameter, is_normalization, name == "bias"


def make_schedule(optimizer: optim.Optimizer, recipe: Recipe, steps: int, steps_an_epoch: int) -> Any:
    """A scheduler of timm's for `steps` steps; `step_update(n)` sets the learning rate of step n, from 0.

    A warm-up replaces the first part of the schedule; it does not shift the rest.
    """
    from timm.scheduler import CosineLRScheduler, StepLRScheduler

    warmup: dict[str, Any] = {"warmup_t": round(recipe.warmup * steps), "warmup_lr_init": 0.0, "t_in_epochs": False}
    if recipe.schedule == "cosine":
        return CosineLRScheduler(optimizer, t_initial=steps, lr_min=0.0, **warmup)
    decay_steps = max(1, round(recipe.decay_epochs * steps_an_epoch))
    return StepLRScheduler(optimizer, decay_t=decay_steps, decay_rate=recipe.decay_rate, warmup_prefix=False, **warmup)


class MovingAverage:
    """Moving average of weights and normalization statistics, its decay rising as TensorFlow's does.

    The decay of update n, from 0, is `min(decay, (1 + n) / (10 + n))`.

    Source: tf.train.ExponentialMovingAverage with num_updates, as the MnasNet release uses it.
    """

    def __init__(self, model: nn.Module, decay: float):
        from timm.utils import ModelEmaV3

        self._decay = decay
        self._average = ModelEmaV3(model, decay=decay)

    def update(self, model: nn.Module, number: int) -> None:
        """Move towards `model`; `number` counts the updates from 0."""
        self._average.decay = min(self._decay, (1 + number) / (10 + number))
        self._average.update(model)

    @property
    def model(self) -> nn.Module:
        """The averaged model."""
        module: nn.Module = self._average.module
        return module
