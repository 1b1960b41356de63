"""What comes before a search on data of few examples: its networks learn to classify other images first.

Where all candidates have the same backbone, that is one classifier, whose weights they begin with. Where they differ,
their classifiers are a supernet's, and each candidate begins with its part of the shared weights. A finalist's
classifier is trained alone.

Source: Chen et al., DetNAS, NeurIPS 2019, section 3.2 (a supernet that learns ImageNet before it learns to detect).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from paretonas.evaluation.around import Around
from paretonas.evaluation.evaluator import About, Call, Evaluator, Listens, Phase
from paretonas.evaluation.job import TrainingJob, known_metrics, run_training
from paretonas.evaluation.keys import digest
from paretonas.evaluation.supernet_job import SupernetJob, run_supernet
from paretonas.space import Spec, spec_to_json
from paretonas.task.recipe import Recipe
from paretonas.task.task import Task
from paretonas.training.autotune import SpeedJob, seconds_of_training
from paretonas.training.progress import read_share
from paretonas.training.supernet import Supernet
from paretonas.training.weights import Weights

Ended = list[tuple[int, Any]]
"""Places of the calls that have ended, and what they gave."""
Runs = Callable[[Sequence[Call]], Iterator[Ended]]
"""Runs calls in workers, and says every second or so which have ended since, until all have."""

DRAWN = 20
"""Networks of a space that are looked at to see whether all have the same classifier."""


@dataclass(frozen=True)
class Pretraining:
    """How classifiers are trained.

    Args:
        supernet: Of the classifiers of the space, on the other images.
        recipe: Of its training, and of a classifier alone.
        seed: Of weights and batches.
        torch_device: Where.
        folder: Where the weights go, by all that decides them: other searches begin with them too.
    """

    supernet: Supernet
    recipe: Recipe
    seed: int
    torch_device: str
    folder: Path

    @property
    def task(self) -> Task:
        """What is learned."""
        return self.supernet.task

    @cached_property
    def _classifiers(self) -> list[Spec]:
        return self.supernet.space.build().some(DRAWN)

    @property
    def is_single(self) -> bool:
        """Whether all candidates have the same classifier."""
        return len(self._classifiers) == 1

    def alone(self, spec: Spec) -> TrainingJob:
        """The training of a network's classifier."""
        where = self.recipe, self.seed, self.torch_device
        job = TrainingJob(spec_to_json(spec.classifier), self.task, *where, is_final=True)
        file = self.folder / f"classifier-{digest(job.identity())}.safetensors"
        return replace(job, checkpoint=file, progress=file.with_suffix(".progress"), state=file.with_suffix(".state"))

    @cached_property
    def _single(self) -> TrainingJob:
        return self.alone(self._classifiers[0])

    @cached_property
    def _shared(self) -> SupernetJob:
        return SupernetJob(self.supernet, self.recipe, self.seed, self.torch_device, self.folder).named("classifiers")

    @property
    def call(self) -> Call:
        """The training that all candidates begin with."""
        return Call(run_training, (self._single,)) if self.is_single else Call(run_supernet, (self._shared,))

    @property
    def is_done(self) -> bool:
        """Whether that was done."""
        return known_metrics(self._single) is not None if self.is_single else self._shared.is_done

    @property
    def progress(self) -> Path:
        """File that tells how much of it is done."""
        progress = self._single.progress if self.is_single else self._shared.progress
        assert progress is not None
        return progress

    @property
    def weights(self) -> Weights:
        """What it gives."""
        file = self._single.checkpoint if self.is_single else self._shared.file
        assert file is not None
        return Weights(file, digest((self._single if self.is_single else self._shared).identity()))

    @property
    def seconds(self) -> float | None:
        """It will take about, on one thread; None: nobody knows."""
        job = SpeedJob(spec_to_json(self._classifiers[0]), self.task, self.recipe, self.torch_device)
        seconds = seconds_of_training(job)
        return None if seconds is None else seconds * (1 - read_share(self.progress))


class PretrainingEvaluator(Around):
    """Another evaluator, whose candidates begin with weights that are trained before the first trial.

    Args:
        inner: What is passed on.
        pretraining: What comes first.
        run: Runs calls in workers.
    """

    def __init__(self, inner: Evaluator, pretraining: Pretraining, run: Runs):
        super().__init__(inner)
        self._pretraining, self._run = pretraining, run

    def phases(self) -> tuple[Phase, ...]:
        """The training of the classifiers, unless it was done, and the inner one's."""
        first = () if self._pretraining.is_done else (Phase(self._what, self._pretraining.seconds),)
        return (*first, *self._inner.phases())

    def begin(self, listener: Listens) -> None:
        """The training of the classifiers, from where it was stopped; then the inner one's."""
        if not self._pretraining.is_done:
            for ended in self._run([self._pretraining.call]):
                share = 1.0 if ended else read_share(self._pretraining.progress)
                listener.counting(self._what, round(100 * share), 100)
            self._pretraining.progress.unlink(missing_ok=True)
            listener.note(f"Done: {self._what}.")
        self._inner.begin(listener)

    def about(self) -> About:
        about, first = self._inner.about(), self._pretraining
        data = "; ".join(first.task.about())
        return replace(about, lines=(*about.lines, f"before it, {first.recipe.epochs:g} epochs of {data}"))

    @property
    def _what(self) -> str:
        whose = "the backbone" if self._pretraining.is_single else "a supernet of backbones"
        return f"training {whose} to classify"
