"""The fastest way to train on this machine, found by measuring a few steps of each.

First layout and precision, in one worker of one thread; then how the cores are shared out: many workers of one thread
each, or fewer of several. Whatever the recipe or the user has fixed is not touched.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch

from paretonas.errors import ParetonasError, TrainingError
from paretonas.space import spec_from_json
from paretonas.task.recipe import LAYOUTS, PRECISIONS, Recipe
from paretonas.task.task import Task
from paretonas.training.fit import OnStep, Session, Trained, fit, torch_device

STEPS, FEWEST = 4, 2
HOPELESS = 0.5
"""Of the best speed so far: what is slower in its first steps is not measured any longer."""


@dataclass(frozen=True)
class SpeedJob:
    """A few steps of a training, to be timed in a worker.

    Args:
        spec: As JSON data.
        task: What is learned.
        recipe: How.
        torch_device: Where.
    """

    spec: Mapping[str, Any]
    task: Task
    recipe: Recipe
    torch_device: str


@dataclass(frozen=True)
class Tuning:
    """What was picked, and what was measured.

    Args:
        layout: For `Recipe.layout`.
        precision: For `Recipe.precision`.
        workers: Side by side; 0 where the user had decided.
        threads: Of each.
        examples_per_second: Of all workers together, by what was tried.
    """

    layout: str
    precision: str
    workers: int
    threads: int
    examples_per_second: Mapping[str, float]

    def __str__(self) -> str:
        tried = ", ".join(f"{name} {speed:.0f}" for name, speed in self.examples_per_second.items())
        share = f" on {self.workers} x {self.threads} threads" if self.workers else ""
        return f"Training in {self.layout} {self.precision}{share} was the fastest here, in examples a second: {tried}."


def examples_per_second(job: SpeedJob, steps: int = STEPS) -> float:
    """Examples a second of the job's training once it is warm, which is after a step; runs in a worker."""
    marks: list[float] = []
    first_steps(job, steps, lambda *_: marks.append(_now()))
    batch = job.recipe.batch_of(job.task.examples["train"])
    return batch * (len(marks) - 1) / (marks[-1] - marks[0])


def first_steps(job: SpeedJob, steps: int, on_step: OnStep | None = None) -> Trained:
    """A training that stops after so many steps."""
    per_epoch = job.task.examples["train"] // job.recipe.batch_of(job.task.examples["train"])
    recipe = replace(job.recipe, epochs=math.ceil(steps / per_epoch))
    with torch.random.fork_rng(devices=[]):
        model = job.task.network(spec_from_json(job.spec), recipe)
        until = steps / (per_epoch * recipe.epochs)
        session = Session(device=torch_device(job.torch_device), until=until, on_step=on_step)
        return fit(model, job.task, recipe, 0, session)


def seconds_of_training(job: SpeedJob) -> float | None:
    """An estimate for the job's whole training and a score, on one thread; None if training diverges at once.

    From three steps, once it is warm.
    """
    threads, examples = torch.get_num_threads(), job.task.examples
    torch.set_num_threads(1)
    try:
        trained = min((first_steps(job, 3) for _ in range(2)), key=lambda t: t.seconds)
    except TrainingError:
        return None
    finally:
        torch.set_num_threads(threads)
    passes = job.recipe.epochs * examples["train"] + examples["val"] / 3  # scoring is the forward third
    return trained.seconds / trained.examples * passes


def like(recipe: Recipe, tuned: Recipe) -> Recipe:
    """A recipe with another one's layout and precision where its own are `auto`."""
    return replace(
        recipe,
        layout=tuned.layout if recipe.layout == "auto" else recipe.layout,
        precision=tuned.precision if recipe.precision == "auto" else recipe.precision,
    )


def _now() -> float:
    return time.perf_counter()


def autotune(job: SpeedJob, start: Callable[[int, int], Any], cores: int, is_sharing: bool) -> Tuning:
    """Measure and pick.

    Args:
        job: A typical network and the recipe; what is `auto` there is picked.
        start: Gives an executor of so many workers of so many threads.
        cores: How many there are to share out.
        is_sharing: Whether workers and threads are to be picked too.

    Raises:
        TrainingError: Nothing trains.
    """
    recipe, speeds = job.recipe, {}
    layouts = [recipe.layout] if recipe.layout != "auto" else list(LAYOUTS[1:])
    precisions = [recipe.precision] if recipe.precision != "auto" else list(PRECISIONS[1:])
    best, pair = 0.0, (layouts[0], precisions[0])
    with start(1, 1) as executor:
        for layout, precision in product(layouts, precisions):
            speed = _speed(executor, [replace(job, recipe=replace(recipe, layout=layout, precision=precision))], best)
            speeds[f"{layout} {precision}"] = speed
            if speed > best:
                best, pair = speed, (layout, precision)
    if not best:
        raise TrainingError("Autotuning found no way to train: every step failed. Check the recipe.")
    tuned = replace(job, recipe=replace(recipe, layout=pair[0], precision=pair[1]))
    workers, threads, best = cores, 1, 0.0
    for n in [n for n in range(cores, 0, -1) if cores % n == 0] if is_sharing and cores > 1 else []:
        with start(n, cores // n) as executor:
            speed = _speed(executor, [tuned] * n, best)
        speeds[f"{n} x {cores // n} threads"] = speed
        if speed > best:
            best, workers, threads = speed, n, cores // n
    return Tuning(*pair, workers if is_sharing else 0, threads, speeds)


def _speed(executor: Any, jobs: list[SpeedJob], best: float) -> float:
    """Examples a second of the jobs together; 0 if one fails.

    Twice, as workers still start in the first round; it is short, and what is far from the best there stays at that.
    """
    try:
        speed = _sum(executor, jobs, FEWEST)
        return _sum(executor, jobs, STEPS) if speed >= HOPELESS * best else speed
    except ParetonasError:
        return 0.0


def _sum(executor: Any, jobs: list[SpeedJob], steps: int) -> float:
    submitted = [executor.submit(f"{i}", examples_per_second, job, steps) for i, job in enumerate(jobs)]
    while not all(job.is_done for job in submitted):
        executor.wait()
    return float(sum(job.result() for job in submitted))
