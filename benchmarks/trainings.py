"""Trainings that a benchmark compares: what is missing is trained, and kept after each."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from conditions import write_rows

from paretonas.evaluation.job import TrainingJob, run_training
from paretonas.executor import executors
from paretonas.space import Spec, spec_to_json
from paretonas.task import recipes
from paretonas.task.classification import Classification
from paretonas.task.recipe import Recipe
from paretonas.task.task import Task


@dataclass(frozen=True)
class Training:
    """One that is wanted.

    Args:
        key: Columns that tell it from the others; `seed` is among them.
        spec: Of the network.
        recipe: How it learns.
        more: Further columns of its row.
        weights: File of those that it begins with; None: fresh ones.
    """

    key: Mapping[str, Any]
    spec: Spec
    recipe: Recipe
    more: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None

    @property
    def name(self) -> str:
        """Its key in a line."""
        return ", ".join(f"{name} {value}" for name, value in self.key.items())


def arguments(about: str | None, epochs: float, seeds: int) -> argparse.ArgumentParser:
    """What every comparison of trainings is told; epochs and seeds unless told otherwise."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("data", type=Path, help="images in classes, as a search takes them")
    parser.add_argument("output", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--val-images", type=int, default=5000)
    parser.add_argument("--epochs", type=float, default=epochs)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--split", type=int, default=1, help="seed of the split into training and validation images")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after these no training is begun")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--cache", type=Path, default=Path("paretonas-runs/cache"))
    parser.add_argument("--workers", type=int, default=2)
    return parser


def prepared(options: argparse.Namespace, resolution: int) -> tuple[Task, Recipe, dict[str, Any]]:
    """The task with its data, the search's recipe as long as was told, and the columns that tell sizes apart."""
    options.output.mkdir(parents=True, exist_ok=True)
    task = Classification(str(options.data), resolution, options.images, options.val_images, split_seed=options.split)
    task.prepare(options.cache)
    fixed = {"layout": "channels-last", "precision": options.precision}
    recipe: Recipe = replace(recipes.create("search"), epochs=options.epochs, **fixed)
    return task, recipe, {"images": options.images, "epochs": options.epochs, "split": options.split}


def read_rows(file: Path) -> list[dict[str, Any]]:
    """What was kept so far."""
    return pq.read_table(file).to_pylist() if file.exists() else []


def train_missing(
    wanted: Sequence[Training], task: Task, file: Path, workers: int, minutes: float = math.inf
) -> list[dict[str, Any]]:
    """Train what the file does not hold, in their order.

    Args:
        wanted: All trainings, also those that were made.
        task: What is learned; its data are prepared.
        file: Of the rows, Parquet: the key, what came out, and the further columns.
        workers: Trainings at a time.
        minutes: After these none is begun.

    Returns:
        All rows of the file.
    """
    rows, names = read_rows(file), tuple(wanted[0].key)
    made = {tuple(row[name] for name in names) for row in rows}
    todo = [one for one in wanted if tuple(one.key.values()) not in made]
    end = time.monotonic() + 60 * minutes
    with executors.create(f"process:workers={workers}").start() as executor:
        running: dict[str, Training] = {}
        while (todo and time.monotonic() < end) or running:
            while todo and len(running) < workers and time.monotonic() < end:
                one = todo.pop(0)
                job = TrainingJob(spec_to_json(one.spec), task, one.recipe, one.key["seed"], "cpu", weights=one.weights)
                executor.submit(one.name, run_training, job)
                running[one.name] = one
            for done in executor.wait():
                one, metrics = running.pop(done.key), done.result()
                kept = {name: metrics[name] for name in (task.quality, "train_loss", "train_seconds")}
                rows.append({**one.key, **kept, **one.more})
                write_rows(rows, file)
                left = len(todo) + len(running)
                print(f"{one.name}: {task.quality} {metrics[task.quality]:.4g}, {left} left", flush=True)
    return rows
