"""A task around another task, which it passes on but for what it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from paretonas.space import Interface, Spec
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Batch, Counting, Examination, Part, Run, Task, Usual


class Wrapper(Task):
    """Changes how a task behaves; whatever a subclass does not define is the wrapped task's.

    A subclass defines its digest, which includes its own options and the digest of what it wraps.

    Attributes:
        task: What is wrapped: a field, or made of one on first use.
    """

    task: Task

    @property
    def quality(self) -> str:
        return self.task.quality

    @property
    def usual(self) -> Usual:
        return self.task.usual

    @property
    def unused(self) -> tuple[str, ...]:
        return self.task.unused

    @property
    def scores(self) -> tuple[str, ...]:
        return self.task.scores

    @property
    def interface(self) -> Interface:
        return self.task.interface

    @property
    def typical(self) -> Spec:
        return self.task.typical

    @property
    def examples(self) -> Mapping[Part, int]:
        return self.task.examples

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.task.metadata

    def prepare(self, cache: Path, progress: Counting | None = None) -> None:
        self.task.prepare(cache, progress)

    def about(self) -> tuple[str, ...]:
        return self.task.about()

    def network(self, spec: Spec, recipe: Recipe) -> nn.Module:
        return self.task.network(spec, recipe)

    def batches(self, part: Part, recipe: Recipe, seed: int, steps: range) -> Iterator[Batch]:
        return self.task.batches(part, recipe, seed, steps)

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        return self.task.loss(model, batch, at)

    def score(self, run: Run, part: Part) -> dict[str, float]:
        return self.task.score(run, part)

    def examine(self, run: Run, part: Part) -> Examination:
        return self.task.examine(run, part)
