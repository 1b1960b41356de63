"""Training and scoring of image classifiers whose data fit in memory.

Batches are drawn as uint8, augmented all at once and only then become floats, in the channels-last layout, which on
CPUs is the faster one for mobile networks. Optimizers, schedule, mixup and averaging of weights are timm's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from paretonas.errors import TrainingError, UsageError
from paretonas.training.data import Split
from paretonas.training.recipe import Recipe

MEAN, STD = 0.5, 0.25
"""What networks are fed: `(pixel / 255 - MEAN) / STD`, in every channel."""

SCORING_BATCH = 256

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Trained:
    """A trained model and how the training went.

    Args:
        model: Best state to use: the moving average if the recipe keeps one. In evaluation mode.
        losses: Mean training loss of every epoch.
        seconds: Wall time.
        images: How many went through.
    """

    model: nn.Module
    losses: tuple[float, ...]
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


def check_recipe(recipe: Recipe) -> None:
    """Check what only timm knows.

    Raises:
        UsageError: timm has no such optimizer.
    """
    try:
        _optimizer(nn.Linear(1, 1), recipe, recipe.batch_size)
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise UsageError(
            f"An optimizer is one of timm's that takes momentum, but {recipe.optimizer!r}: {error}"
        ) from None


def train(
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    classes: int,
    seed: int,
    *,
    flip: bool = True,
    device: torch.device | None = None,
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
        on_step: Called after every step with its number from 1 and the number of steps.

    Raises:
        TrainingError: The loss stopped being a finite number.
    """
    device = device or torch.device("cpu")
    begin = time.perf_counter()
    model = model.to(device, memory_format=torch.channels_last).train()
    _set_bn_momentum(model, recipe.bn_momentum)
    images, labels = torch.from_numpy(np.ascontiguousarray(split.images)), torch.from_numpy(split.labels)
    batch_size = min(recipe.batch_size, len(labels))
    per_epoch = len(labels) // batch_size
    steps = max(1, round(per_epoch * recipe.epochs))
    loader = _batches(images, labels, batch_size, seed, recipe, flip)
    optimizer = _optimizer(model, recipe, batch_size)
    schedule = _schedule(optimizer, steps, recipe.warmup)
    mix = _Mix(recipe, classes, seed)
    average = ModelEmaV3(model, decay=recipe.ema, use_warmup=True) if recipe.ema else None
    losses: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(steps):
            x, y = mix(*next(loader), device)
            loss = F.cross_entropy(model(x), y, label_smoothing=0.0 if mix.is_on else recipe.label_smoothing)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"Training diverged: the loss of step {step + 1} of {steps} is {losses[-1]}. "
                    f"A lower learning rate may help (now {recipe.lr})."
                )
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            schedule.step_update(step + 1)
            if average is not None:
                average.update(model, step=step)
            if on_step is not None:
                on_step(step + 1, steps)
    by_epoch = tuple(float(np.mean(losses[i : i + per_epoch])) for i in range(0, steps, per_epoch))
    best = average.module if average is not None else model
    return Trained(best.eval(), by_epoch, time.perf_counter() - begin, steps * batch_size)


def predict(model: nn.Module, split: Split, device: torch.device | None = None) -> NDArray[np.float32]:
    """Outputs (n, classes) of `model`, put in evaluation mode, for all images of `split`."""
    device = device or torch.device("cpu")
    model = model.to(device, memory_format=torch.channels_last).eval()
    with torch.inference_mode():
        outputs = [model(x.to(device)).float().cpu() for x in scoring_batches(split)]
    return torch.cat(outputs).numpy()


def accuracy(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of the rows whose largest output is the label's.

    Raises:
        TrainingError: An output is not a finite number.
    """
    if not np.isfinite(outputs).all():
        raise TrainingError("A trained network gives finite outputs, but some are NaN or infinite: training diverged.")
    return float((outputs.argmax(1) == labels).mean())


def scoring_batches(split: Split) -> Iterator[Tensor]:
    """The images of `split` as the networks are fed them, float (N, C, H, W), in order."""
    for i in range(0, len(split.labels), SCORING_BATCH):
        yield to_input(torch.from_numpy(np.ascontiguousarray(split.images[i : i + SCORING_BATCH])))


def to_input(images: Tensor) -> Tensor:
    """Pixels, uint8 (N, C, H, W), as networks are fed them: float, channels last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255).sub_(MEAN).div_(STD)


def augment(images: Tensor, generator: torch.Generator, padding: int, flip: bool) -> Tensor:
    """Shift every image by up to `padding` pixels, zeros coming in, and mirror half of them.

    Args:
        images: uint8 (N, C, H, W).
        generator: Draws the shifts.
        padding: In pixels.
        flip: Whether to mirror.

    Returns:
        uint8 (N, C, H, W), channels last in memory.
    """
    n, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    top, left = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator)
    rows = top + torch.arange(height)  # (N, H)
    columns = torch.arange(width).expand(n, width)
    if flip:
        is_mirrored = torch.randint(0, 2, (n, 1), generator=generator).bool()
        columns = torch.where(is_mirrored, columns.flip(1), columns)
    columns = left + columns  # (N, W)
    which = torch.arange(n)[:, None, None]
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # gathered as (N, H, W, C)


def _batches(
    images: Tensor, labels: Tensor, batch_size: int, seed: int, recipe: Recipe, flip: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless shuffled, augmented batches; an incomplete last batch of an epoch is dropped."""
    generator = torch.Generator().manual_seed(seed)
    padding = round(recipe.crop * images.shape[-1])
    while True:
        order = torch.randperm(len(labels), generator=generator)
        for chosen in order.split(batch_size):
            if len(chosen) == batch_size:
                yield augment(images[chosen], generator, padding, flip and recipe.is_flipped), labels[chosen]


class _Mix:
    """Pixels and labels of a batch as the model is fed them, through timm's mixup and cutmix if the recipe asks."""

    def __init__(self, recipe: Recipe, classes: int, seed: int):
        self.is_on = bool(recipe.mixup or recipe.cutmix)
        self._mixup = Mixup(recipe.mixup, recipe.cutmix, label_smoothing=recipe.label_smoothing, num_classes=classes)
        self._seed = seed

    def __call__(self, images: Tensor, labels: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        x, y = to_input(images).to(device), labels.to(device)
        if not self.is_on:
            return x, y
        if len(x) % 2:
            x, y = x[:-1], y[:-1]  # timm mixes pairs
        state = np.random.get_state()  # timm draws from numpy's global generator
        np.random.seed(self._seed)
        x, y = self._mixup(x, y)
        self._seed = int(np.random.randint(2**31))
        np.random.set_state(state)
        return x, y


def _optimizer(model: nn.Module, recipe: Recipe, batch_size: int) -> torch.optim.Optimizer:
    return create_optimizer_v2(
        model,
        opt=recipe.optimizer,
        lr=recipe.lr * batch_size / 256,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
    )


def _schedule(optimizer: Any, steps: int, warmup: float) -> CosineLRScheduler:
    return CosineLRScheduler(
        optimizer,
        t_initial=steps,
        lr_min=0.0,
        warmup_t=round(warmup * steps),
        warmup_lr_init=0.0,
        t_in_epochs=False,
    )


def _set_bn_momentum(model: nn.Module, momentum: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
