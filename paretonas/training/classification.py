"""Training and scoring of image classifiers.

Batches are drawn as uint8, augmented all at once where the images fit in memory, and only then become floats, by
default in the channels-last layout, which on CPUs is the faster one for mobile networks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timm.data import Mixup
from torch import Tensor, nn

from paretonas.data.images import Split
from paretonas.errors import TrainingError, UsageError
from paretonas.task.recipe import Recipe
from paretonas.training.batches import scoring_batches, seed_of, to_input, training_batches
from paretonas.training.optimization import MovingAverage, make_optimizer, make_schedule
from paretonas.training.state import Begun, StateFile

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Trained:
    """A trained model and how the training went.

    Args:
        model: Best state to use: the moving average if the recipe keeps one. In evaluation mode.
        losses: Training loss of every step.
        train_loss: Their mean over the last epoch.
        seconds: Wall time, also of earlier processes if it was taken up again.
        images: How many went through.
    """

    model: nn.Module
    losses: tuple[float, ...]
    train_loss: float
    seconds: float
    images: int


def torch_device(name: str = "auto") -> torch.device:
    """The device to train on: the named one, or CUDA, MPS or the CPU, whichever is there first.

    Raises:
        UsageError: It is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"A torch device is auto, cpu, cuda or mps, and present, but {name!r}: {reason}") from None
    return device


def train(
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    classes: int,
    seed: int,
    *,
    flip: bool = True,
    device: torch.device | None = None,
    loaders: int = 0,
    state: StateFile | None = None,
    until: float = 1.0,
    on_step: OnStep | None = None,
) -> Trained:
    """Train `model` by `recipe`.

    Args:
        model: Its weights are changed.
        split: Training images.
        recipe: How.
        classes: Number of classes.
        seed: Of everything random in the training.
        flip: Whether mirrored images mean the same.
        device: Where; the CPU if None.
        loaders: Processes that decode images which do not fit in memory.
        state: Where the training's state is kept; with what is there already, it goes on as if never interrupted.
        until: Share of the steps after which to stop; of all but the last, the state is kept.
        on_step: Called after every step with its number from 1 and the number of steps.

    Raises:
        TrainingError: The loss stopped being a finite number.
    """
    device, begin = device or torch.device("cpu"), time.perf_counter()
    batch_size = min(recipe.batch_size, len(split))
    per_epoch = len(split) // batch_size
    steps = max(1, round(per_epoch * recipe.epochs))
    model = model.to(device, memory_format=_layout(recipe)).train()
    _set_bn_momentum(model, recipe.bn_momentum)
    optimizer = make_optimizer(model, recipe, batch_size)
    schedule = make_schedule(optimizer, recipe, steps, per_epoch)
    average = MovingAverage(model, recipe.ema) if recipe.ema else None
    parts = {"model": model} if average is None else {"model": model, "average": average.model}
    begun = (state.load(parts, optimizer) if state else None) or Begun((), 0.0)
    losses = list(begun.losses)
    todo = range(len(losses), max(len(losses), 1, round(until * steps)))
    batches = training_batches(split, recipe, batch_size, seed, flip, todo, loaders)
    with torch.random.fork_rng(devices=[]):
        for step, (images, labels) in zip(todo, batches, strict=True):
            torch.manual_seed(seed_of(seed, "step", step))
            schedule.step_update(step)
            loss = _loss(model, recipe, classes, images.to(device), labels.to(device), seed_of(seed, "mix", step))
            losses.append(float(loss.detach()))
            _check_finite(losses, steps, recipe)
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            if average is not None:
                average.update(model, step)
            if on_step is not None:
                on_step(step + 1, steps)
            if state is not None and step + 1 < steps and (state.is_due or step + 1 == todo.stop):
                state.save(Begun(tuple(losses), begun.seconds + time.perf_counter() - begin), parts, optimizer)
    best = average.model if average is not None else model
    seconds = begun.seconds + time.perf_counter() - begin
    return Trained(best.eval(), tuple(losses), float(np.mean(losses[-per_epoch:])), seconds, len(losses) * batch_size)


def predict(
    model: nn.Module, split: Split, device: torch.device | None = None, loaders: int = 0
) -> NDArray[np.float32]:
    """Outputs (n, classes) of `model`, put in evaluation mode, for all images of `split`."""
    device = device or torch.device("cpu")
    model = model.to(device, memory_format=torch.channels_last).eval()
    with torch.inference_mode():
        outputs = [model(x.to(device)).float().cpu() for x in scoring_batches(split, loaders)]
    return torch.cat(outputs).numpy()


def accuracy(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of the rows whose largest output is the label's.

    Raises:
        TrainingError: An output is not a finite number.
    """
    if not np.isfinite(outputs).all():
        raise TrainingError("A trained network gives finite outputs, but some are NaN or infinite: training diverged.")
    return float((outputs.argmax(1) == labels).mean())


def _loss(model: nn.Module, recipe: Recipe, classes: int, images: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Cross-entropy of one batch, through timm's mixup and cutmix if the recipe asks."""
    x, y, smoothing = to_input(images).to(memory_format=_layout(recipe)), labels, recipe.label_smoothing
    if recipe.mixup or recipe.cutmix:
        mix = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=smoothing, num_classes=classes)
        even = len(x) // 2 * 2  # timm mixes pairs
        global_state = np.random.get_state()  # which timm draws from
        np.random.seed(seed % 2**32)
        x, y = mix(x[:even], y[:even])
        np.random.set_state(global_state)
        smoothing = 0.0
    with _precision(recipe, x.device):
        return F.cross_entropy(model(x), y, label_smoothing=smoothing)


def _check_finite(losses: list[float], steps: int, recipe: Recipe) -> None:
    if not math.isfinite(losses[-1]):
        raise TrainingError(
            f"Training diverged: the loss of step {len(losses)} of {steps} is {losses[-1]}. "
            f"A lower learning rate may help (now {recipe.lr})."
        )


def _layout(recipe: Recipe) -> torch.memory_format:
    return torch.contiguous_format if recipe.layout == "contiguous" else torch.channels_last


def _precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, torch.bfloat16) if recipe.precision == "bfloat16" else nullcontext()


def _set_bn_momentum(model: nn.Module, momentum: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
