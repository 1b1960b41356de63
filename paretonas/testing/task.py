"""What every task must do, as a suite of tests to subclass with a fixture."""

from __future__ import annotations

import json
import math
import pickle
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from paretonas.errors import TrainingError
from paretonas.objective import metric
from paretonas.space import Spec, spec_from_json, spec_to_json
from paretonas.task.recipe import Recipe
from paretonas.task.task import Arrays, At, Part, Task
from paretonas.training.fit import as_run, fit

STEPS = 40
"""Of the training that is to show that the loss falls."""

_watched: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watched is not None and event in ("open", "os.listdir", "os.scandir", "socket.connect"):
        _watched.append(f"{event} {arguments[0]}")


@cache
def _install() -> None:
    """Once, as a hook stays."""
    sys.addaudithook(_watch)


@contextmanager
def what_is_opened() -> Iterator[list[str]]:
    """Files, folders and connections that Python opens meanwhile."""
    global _watched
    _install()
    opened: list[str] = []
    _watched = opened
    try:
        yield opened
    finally:
        _watched = None


def seed_everything(seed: int) -> None:
    """Put all global generators somewhere."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def are_equal(a: Any, b: Any) -> bool:
    """Whether two batches hold the same."""
    ones, others = tree_leaves(a), tree_leaves(b)
    return len(ones) == len(others) and all(
        torch.equal(x, y) if isinstance(x, Tensor) else bool(np.all(x == y)) for x, y in zip(ones, others, strict=True)
    )


class TaskContract:
    """Tests of a task of few examples.

    ```python
    class TestMyTask(TaskContract):
        @pytest.fixture
        def task(self):
            return MyTask("examples/")
    ```
    """

    @pytest.fixture
    def recipe(self) -> Recipe:
        """How its networks are trained in a few steps; a task that learns otherwise has its own."""
        return Recipe(batch_size=32, optimizer="adamw", lr=0.05, crop=0.0, layout="contiguous", precision="float32")

    @pytest.fixture
    def spec(self, task: Task) -> Spec:
        """Of a network of it; a task whose typical one is large has a smaller one."""
        return task.typical

    @pytest.fixture
    def model(self, task: Task, spec: Spec, recipe: Recipe) -> nn.Module:
        """With fresh weights."""
        torch.manual_seed(0)
        return task.network(spec, recipe)

    # The record

    def test_a_task_pickles(self, task: Task) -> None:
        assert pickle.loads(pickle.dumps(task)) == task
        digest = task.digest
        copy = pickle.loads(pickle.dumps(task))  # now that it has found out what it is about
        assert copy == task
        assert (copy.digest, copy.interface, copy.examples) == (digest, task.interface, task.examples)

    def test_a_task_is_equal_by_its_options(self, task: Task) -> None:
        assert replace(task) == task  # type: ignore[type-var]
        assert hash(replace(task)) == hash(task)  # type: ignore[type-var]

    def test_the_constructor_reads_nothing(self, task: Task) -> None:
        replace(task)  # type: ignore[type-var]  # whatever it imports is imported
        with what_is_opened() as opened:
            replace(task)  # type: ignore[type-var]
        assert opened == []

    def test_the_digest_is_the_same_every_time(self, task: Task) -> None:
        seed_everything(1)
        first = replace(task).digest  # type: ignore[type-var]
        seed_everything(2)
        assert first == replace(task).digest == task.digest != ""  # type: ignore[type-var]

    def test_preparing_changes_nothing(self, task: Task, tmp_path: Path) -> None:
        digest, done = task.digest, list[tuple[int, int]]()
        for _ in range(2):
            task.prepare(tmp_path, lambda *counts: done.append(counts))
        assert task.digest == digest
        assert all(0 <= count <= total for count, total in done)

    def test_the_quality_is_a_declared_metric_of_training(self, task: Task) -> None:
        assert metric(task.quality).known == "training"

    def test_there_are_examples_of_every_part(self, task: Task) -> None:
        examples = task.examples
        assert examples.keys() == {"train", "val", "test", "full_train"}
        assert min(examples.values()) > 0
        assert examples["full_train"] >= examples["train"]

    def test_metadata_and_lines_are_plain(self, task: Task) -> None:
        metadata = json.loads(json.dumps(dict(task.metadata)))
        assert isinstance(metadata.get("kind"), str)
        assert all(isinstance(line, str) for line in task.about())

    # Networks

    def test_the_typical_network_is_a_spec(self, task: Task) -> None:
        assert spec_from_json(spec_to_json(task.typical)) == task.typical

    def test_a_network_takes_and_gives_what_the_interface_says(self, task: Task, spec: Spec, model: nn.Module) -> None:
        interface = spec.with_state(task.interface)
        for batch in (1, 3):
            inputs = tuple(np.zeros((batch, *port.shape[1:]), port.dtype) for port in interface.inputs)
            outputs = as_run(model)(inputs)
            assert [out.shape for out in outputs] == [(batch, *port.shape[1:]) for port in interface.outputs]

    def test_fresh_weights_come_from_torchs_generator(self, task: Task, spec: Spec, recipe: Recipe) -> None:
        states = []
        for seed in (5, 5, 6):
            torch.manual_seed(seed)
            states.append(list(task.network(spec, recipe).parameters()))
        assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(states[0], states[2], strict=True))

    # Batches

    def test_batches_go_on_from_any_step(self, task: Task, recipe: Recipe) -> None:
        steps = 2 * (task.examples["train"] // recipe.batch_of(task.examples["train"])) + 1  # into the third pass
        whole = list(task.batches("train", recipe, 3, range(steps)))
        assert len(whole) == steps
        for begin in (1, steps - 1):
            rest = list(task.batches("train", recipe, 3, range(begin, steps)))
            assert len(rest) == steps - begin
            assert all(are_equal(a, b) for a, b in zip(rest, whole[begin:], strict=True))

    def test_batches_depend_on_the_seed_and_on_nothing_else_that_is_random(self, task: Task, recipe: Recipe) -> None:
        batches = []
        for everything, seed in ((1, 3), (2, 3), (1, 4)):
            seed_everything(everything)
            batches.append(list(task.batches("train", recipe, seed, range(3))))
        first, same, other = batches
        assert all(are_equal(a, b) for a, b in zip(first, same, strict=True))
        assert not all(are_equal(a, b) for a, b in zip(first, other, strict=True))

    def test_a_batch_has_as_many_examples_as_the_recipe_says(self, task: Task, recipe: Recipe) -> None:
        parts: tuple[Part, ...] = ("train", "full_train")
        for part in parts:
            (batch,) = task.batches(part, recipe, 0, range(1))
            sizes = {len(leaf) for leaf in tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.dim()}
            assert recipe.batch_of(task.examples[part]) in sizes

    # Learning

    def test_the_loss_is_a_finite_scalar_that_repeats(self, task: Task, model: nn.Module, recipe: Recipe) -> None:
        (batch,), at = task.batches("train", recipe, 0, range(1)), At(0, STEPS, 0, recipe)
        losses = []
        for _ in range(2):
            torch.manual_seed(0)
            losses.append(task.loss(model.train(), batch, at))
        for loss in losses:
            assert loss.shape == ()
            assert loss.requires_grad
            assert math.isfinite(float(loss.detach()))
        assert float(losses[0].detach()) == float(losses[1].detach())

    def test_a_few_steps_bring_the_loss_down(self, task: Task, model: nn.Module, recipe: Recipe) -> None:
        examples = task.examples["train"]
        per_epoch = examples // recipe.batch_of(examples)
        losses = fit(model, task, replace(recipe, epochs=STEPS / per_epoch), seed=0).losses
        quarter = len(losses) // 4
        assert len(losses) == STEPS
        assert np.mean(losses[-quarter:]) < np.mean(losses[:quarter])

    # Scoring

    def test_the_score_has_the_quality_and_is_the_same_every_time(self, task: Task, model: nn.Module) -> None:
        parts: tuple[Part, ...] = ("val", "test")
        for part in parts:
            score = task.score(as_run(model), part)
            assert math.isfinite(score[task.quality])
            assert {task.quality} <= set(task.scores) <= set(score)
            for name in score:
                assert metric(name).name == name
            seed_everything(7)
            assert task.score(as_run(model), part) == score

    def test_the_score_of_a_file_is_that_of_its_model(self, task: Task, spec: Spec, model: nn.Module) -> None:
        """A file runs one example at a time, and sees nothing but arrays."""
        run, ports = as_run(model), spec.with_state(task.interface).inputs

        def file(inputs: Arrays) -> Arrays:
            assert len(task.interface.inputs) <= len(inputs) <= len(ports)
            for array, port in zip(inputs, ports, strict=False):
                assert (array.shape[1:], array.dtype) == (port.shape[1:], np.dtype(port.dtype))
            rows = [run(tuple(array[i : i + 1] for array in inputs)) for i in range(len(inputs[0]))]
            return tuple(np.concatenate(outputs) for outputs in zip(*rows, strict=True))

        examined = task.examine(run, "val")
        expected = examined.metrics[task.quality]
        allowed = 1.5 * examined.step * max(1.0, abs(expected))  # one example may tip over
        assert abs(task.score(file, "val")[task.quality] - expected) <= allowed

    def test_an_examination_is_the_score_with_plain_data(self, task: Task, model: nn.Module) -> None:
        run = as_run(model)
        examined = task.examine(run, "val")
        assert examined.metrics == task.score(run, "val")
        assert 0 < examined.step <= 1
        json.dumps([dict(examined.details), dict(examined.metadata)])
        assert not examined.metadata.keys() & task.metadata.keys()

    def test_outputs_that_are_no_numbers_are_a_training_error(self, task: Task) -> None:
        def run(inputs: Arrays) -> Arrays:
            shapes = [(len(inputs[0]), *port.shape[1:]) for port in task.interface.outputs]
            return tuple(np.full(shape, np.nan, np.float32) for shape in shapes)

        with pytest.raises(TrainingError):
            task.score(run, "val")
