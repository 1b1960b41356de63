"""The one training loop: optimizer, schedule, moving average, clipping, finiteness, state and progress of any task."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from paretonas.data.augment import seed_of
from paretonas.errors import TrainingError, UsageError
from paretonas.task.recipe import Recipe
from paretonas.task.task import Arrays, At, Part, Run, Task, memory_format
from paretonas.training.memory import kept_memory
from paretonas.training.optimization import MovingAverage, make_optimizer, make_schedule, take_step
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
        examples: How many went through.
        kept: What the task has kept to its end; see `At`.
    """

    model: nn.Module
    losses: tuple[float, ...]
    train_loss: float
    seconds: float
    examples: int
    kept: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """One sitting of a training.

    Args:
        part: What is learned from.
        device: Where; the CPU if None.
        state: Where the training's state is kept; with what is there already, it goes on as if never interrupted.
        until: Share of the steps after which to stop; of all but the last, the state is kept.
        on_step: Called after every step with its number from 1 and the number of steps.
    """

    part: Part = "train"
    device: torch.device | None = None
    state: StateFile | None = None
    until: float = 1.0
    on_step: OnStep | None = None


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


def fit(model: nn.Module, task: Task, recipe: Recipe, seed: int, session: Session | None = None) -> Trained:
    """Train `model` on `task` by `recipe`.

    Args:
        model: Its weights are changed.
        task: Gives batches and their loss.
        recipe: How.
        seed: Of everything random in the training.
        session: From where, how far, and who is told.

    Raises:
        TrainingError: The loss stopped being a finite number.
    """
    session = session or Session()
    device, state, begin = session.device or torch.device("cpu"), session.state, time.perf_counter()
    batch_size = recipe.batch_of(task.examples[session.part])
    per_epoch = task.examples[session.part] // batch_size
    steps = max(1, round(per_epoch * recipe.epochs))
    model = _to(model, device, recipe).train()
    _set_bn_momentum(model, recipe.bn_momentum)
    optimizer = make_optimizer(model, recipe, batch_size)
    schedule = make_schedule(optimizer, recipe, steps, per_epoch)
    average = MovingAverage(model, recipe.ema) if recipe.ema else None
    parts = {"model": model} if average is None else {"model": model, "average": average.model}
    begun = (state.load(parts, optimizer) if state else None) or Begun((), 0.0)
    losses, kept = list(begun.losses), dict(_on(device, begun.kept))
    todo = range(len(losses), max(len(losses), 1, round(session.until * steps)))
    with kept_memory(), torch.random.fork_rng(devices=[]):
        for step, batch in zip(todo, task.batches(session.part, recipe, seed, todo), strict=True):
            torch.manual_seed(seed_of(seed, "step", step))
            schedule.step_update(step)
            with _precision(recipe, device):
                loss = task.loss(model, _on(device, batch), At(step, steps, seed, recipe, kept))
            losses.append(float(loss.detach()))
            _check_finite(losses, steps, recipe)
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            take_step(optimizer, device)
            if average is not None:
                average.update(model, step)
            if session.on_step is not None:
                session.on_step(step + 1, steps)
            if state is not None and step + 1 < steps and (state.is_due or step + 1 == todo.stop):
                so_far = Begun(tuple(losses), begun.seconds + time.perf_counter() - begin, kept)
                state.save(so_far, parts, optimizer)
    best = average.model if average is not None else model
    seconds = begun.seconds + time.perf_counter() - begin
    return Trained(
        best.eval(), tuple(losses), float(np.mean(losses[-per_epoch:])), seconds, len(losses) * batch_size, kept
    )


def as_run(model: nn.Module, device: torch.device | None = None) -> Run:
    """A model, put in evaluation mode, as a task scores it: from arrays to arrays."""
    device = device or torch.device("cpu")
    model = model.to(device, memory_format=torch.channels_last).eval()

    def run(inputs: Arrays) -> Arrays:
        with torch.inference_mode():
            outputs = model(*(torch.from_numpy(x).to(device) for x in inputs))
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        return tuple(output.float().cpu().numpy() for output in outputs)

    return run


def _check_finite(losses: list[float], steps: int, recipe: Recipe) -> None:
    if not math.isfinite(losses[-1]):
        raise TrainingError(
            f"Training diverged: the loss of step {len(losses)} of {steps} is {losses[-1]}. "
            f"A lower learning rate may help (now {recipe.lr})."
        )


def _to(model: nn.Module, device: torch.device, recipe: Recipe) -> nn.Module:
    return model.to(device, memory_format=memory_format(recipe))


def _on(device: torch.device, batch: Any) -> Any:
    return tree_map(lambda x: x.to(device) if isinstance(x, Tensor) else x, batch)


def _precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, torch.bfloat16) if recipe.precision == "bfloat16" else nullcontext()


def _set_bn_momentum(model: nn.Module, momentum: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = momentum
