"""What the recipe and the executor leave open is measured once a machine, and said."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch

from paretonas.device.runner.moment import processor
from paretonas.evaluation import keys
from paretonas.evaluation.keys import Cache
from paretonas.executor import Executor, executors
from paretonas.registry import Selection
from paretonas.space import spec_from_json
from paretonas.task.recipe import Recipe
from paretonas.training.autotune import SpeedJob, Tuning, autotune
from paretonas.training.fit import torch_device

BARE = Selection("process")
"""The executor as users name it who leave its size to us."""


def tune(job: SpeedJob, executor: Selection, cache: Cache, note: Callable[[str], None]) -> tuple[Recipe, Selection]:
    """Recipe and executor with what was `auto` picked by measuring a few steps of each way.

    Args:
        job: A typical network, task and recipe, whose layout and precision may be `auto`.
        executor: `process` alone leaves workers and threads open; anything else is kept. Only on a CPU are they picked.
        cache: Keeps what was measured for the next search.
        note: Is told what was picked.

    Raises:
        TrainingError: Nothing trains.
    """
    is_sharing = executor == BARE and torch_device(job.torch_device).type == "cpu"
    if "auto" not in (job.recipe.layout, job.recipe.precision) and not is_sharing:
        return job.recipe, executor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    machine = {
        "torch": torch.__version__, "cpu": processor(), "cores": cores, "is_sharing": is_sharing,
        "torch_device": job.torch_device,
    }  # fmt: skip
    key = keys.tuning(spec_from_json(job.spec), job.task.interface, job.recipe, machine)
    tuning = _known(key.get(cache))
    if tuning is None:
        note("Trying how training is fastest here …")
        tuning = autotune(job, _starter(executor), cores, is_sharing)
        key.put(cache, asdict(tuning))
    note(str(tuning))
    picked = Selection(BARE.name, {"workers": tuning.workers, "threads": tuning.threads}) if is_sharing else executor
    return replace(job.recipe, layout=tuning.layout, precision=tuning.precision), picked


def _starter(executor: Selection) -> Callable[[int, int], Executor]:
    def start(workers: int, threads: int) -> Executor:
        sized = Selection(BARE.name, {"workers": workers, "threads": threads})
        started: Executor = executors.create(executor if executor.name == "serial" else sized).start()
        return started

    return start


def _known(data: dict[str, Any] | None) -> Tuning | None:
    """What was measured before; a damaged row is measured again."""
    try:
        return None if data is None else Tuning(**data)
    except TypeError:
        return None
