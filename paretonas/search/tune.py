"""What the recipe and the executor leave open is measured once a machine, and said."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch

from paretonas.data.images import ImageData
from paretonas.device.transport.local import LocalTransport
from paretonas.evaluation.trained import Cache
from paretonas.executor import Executor, executors
from paretonas.space import Spec, spec_to_json
from paretonas.task.recipe import Recipe
from paretonas.training.autotune import SpeedJob, Tuning, autotune
from paretonas.training.classification import torch_device

BARE = "process"
"""The executor as users name it who leave its size to us."""


def tune(
    recipe: Recipe,
    executor: str,
    spec: Spec,
    data: ImageData,
    device_name: str,
    cache: Cache,
    note: Callable[[str], None],
) -> tuple[Recipe, str]:
    """Recipe and executor with what was `auto` picked by measuring a few steps of each way.

    Args:
        recipe: Its layout and precision may be `auto`.
        executor: `process` alone leaves workers and threads open; anything else is kept.
        spec: A typical network.
        data: For shapes and classes.
        device_name: torch's device; only on a CPU are workers and threads picked.
        cache: Keeps what was measured for the next search.
        note: Is told what was picked.

    Raises:
        TrainingError: Nothing trains.
    """
    is_cpu = torch_device(device_name).type == "cpu"
    is_sharing = executor == BARE and is_cpu
    if "auto" not in (recipe.layout, recipe.precision) and not is_sharing:
        return recipe, executor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shape = (data.channels, data.resolution, data.resolution)
    job = SpeedJob(spec_to_json(spec), recipe, shape, len(data.classes), device_name)
    key = {
        **asdict(replace(job, recipe=replace(recipe, about="", epochs=1))),
        "torch": torch.__version__,
        "cpu": LocalTransport().conditions()["cpu"],
        "cores": cores,
        "is_sharing": is_sharing,
    }
    tuning = _known(cache.get("tuning", key))
    if tuning is None:
        note("Trying how training is fastest here …")
        tuning = autotune(job, _starter(executor), cores, is_sharing)
        cache.put("tuning", key, asdict(tuning))
    note(str(tuning))
    picked = f"{BARE}:workers={tuning.workers},threads={tuning.threads}" if is_sharing else executor
    return replace(recipe, layout=tuning.layout, precision=tuning.precision), picked


def _starter(executor: str) -> Callable[[int, int], Executor]:
    def start(workers: int, threads: int) -> Executor:
        text = "serial" if executor == "serial" else f"{BARE}:workers={workers},threads={threads}"
        started: Executor = executors.create(text).start()
        return started

    return start


def _known(data: dict[str, Any] | None) -> Tuning | None:
    """What was measured before; a damaged row is measured again."""
    try:
        return None if data is None else Tuning(**data)
    except TypeError:
        return None
