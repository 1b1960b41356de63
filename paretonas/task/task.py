"""The contract of a task: what networks are fed, what they lose, and how they are scored.

A task is a frozen, picklable record: its fields are the options that users write, and nothing is read, decoded or
computed before it is used. To change how a task behaves, wrap it in another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paretonas.space import Interface, Spec
from paretonas.task.recipe import Recipe

Part = Literal["train", "val", "test", "full_train"]
"""What is learned from, chosen by, tested on; and all but the test part, for final trainings."""

Arrays = tuple[NDArray[Any], ...]
Run = Callable[[Arrays], Arrays]
"""A network as arrays see it: a batch of its inputs, in the order of its interface, to its outputs. Inputs that are
left out at the end are a state that begins: zeros."""

Batch = Any
"""What `batches` gives and `loss` takes: tensors, or containers of them."""

Counting = Callable[[int, int], None]
"""Is told how much is done, of how much."""


def memory_format(recipe: Recipe) -> torch.memory_format:
    """How a recipe lays tensors out in memory."""
    return torch.contiguous_format if recipe.layout == "contiguous" else torch.channels_last


@dataclass(frozen=True)
class At:
    """Where a training stands.

    Args:
        step: From 0.
        steps: Of the whole training.
        seed: Of everything random in it.
        recipe: How it is trained.
        kept: Tensors that the task keeps from one step for the next (a hidden state, say), without gradients; they are
            part of the training's state.
    """

    step: int
    steps: int
    seed: int
    recipe: Recipe
    kept: dict[str, Tensor] = field(default_factory=dict)

    @property
    def memory_format(self) -> torch.memory_format:
        """Of what the network is fed, by the recipe's layout."""
        return memory_format(self.recipe)


@dataclass(frozen=True)
class Examination:
    """A score and what it rests on.

    Args:
        metrics: As `score` gives them.
        step: The most by which the quality changes if one example is taken for something else.
        details: JSON data for the report of a finalist.
        metadata: What its files are to say beyond the task's metadata, as only the score tells.
    """

    metrics: dict[str, float]
    step: float
    details: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Usual:
    """Names of what suits a task where nobody names others.

    Args:
        space: What is searched.
        search: Recipe of candidates.
        final: Recipe of finalists.
    """

    space: str = "mnasnet"
    search: str = "search"
    final: str = "small-image"


class Task(ABC):
    """What is learned.

    An implementer is a frozen dataclass of options that pickles; what its properties give is found out on first use.
    The part "test" is scored by final trainings alone.
    """

    @property
    @abstractmethod
    def quality(self) -> str:
        """Name of the declared metric that the task is about, which `score` gives: a constant, or an option."""

    @property
    @abstractmethod
    def interface(self) -> Interface:
        """What its networks are fed and give."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hash of the contents that it learns from and is scored on, and of the options that matter to them."""

    @property
    @abstractmethod
    def typical(self) -> Spec:
        """A network of usual size, for estimates and default targets."""

    @property
    @abstractmethod
    def examples(self) -> Mapping[Part, int]:
        """How many there are of each part."""

    @property
    @abstractmethod
    def metadata(self) -> Mapping[str, Any]:
        """JSON data that an exported file needs to be used; `paretonas.task.decode` reads it."""

    @abstractmethod
    def network(self, spec: Spec, recipe: Recipe) -> nn.Module:
        """The network of `spec`, with fresh weights from torch's global generator."""

    @abstractmethod
    def batches(self, part: Part, recipe: Recipe, seed: int, steps: range) -> Iterator[Batch]:
        """The batches of these steps, `recipe.batch_of(examples)` examples each.

        What is random in a step follows from the seed and the step's number alone, so that a training may go on from
        any step.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        """What is minimized: a scalar. The batch is where the model is."""

    @abstractmethod
    def score(self, run: Run, part: Part) -> dict[str, float]:
        """Metrics on all examples of a part, the quality among them.

        Raises:
            TrainingError: An output is not a finite number.
        """

    @property
    def usual(self) -> Usual:
        """What suits it where nobody names others: what suits small images, unless a task says more."""
        return Usual()

    @property
    def unused(self) -> tuple[str, ...]:
        """Fields of a recipe that have no place in it; who sets them is told."""
        return ()

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the metrics that `score` gives: the quality, unless a task says more."""
        return (self.quality,)

    def examine(self, run: Run, part: Part) -> Examination:
        """The score of a finalist's file, with what explains it: nothing, unless a task says more."""
        return Examination(self.score(run, part), 1 / self.examples[part])

    def prepare(self, cache: Path, progress: Counting | None = None) -> None:
        """Do now, with a word of progress, what first use would do: read, decode, keep.

        Args:
            cache: Folder for what is made of the data; may be emptied at any time.
            progress: Is told how many examples are prepared, of how many.
        """
        self.digest  # noqa: B018 - whoever has nothing to tell is asked for what takes the longest

    def about(self) -> tuple[str, ...]:
        """Lines for the beginning of a search: what the data are, and what was left out of them."""
        return ()
