"""Regression of vectors by perceptrons: a plugin of paretonas that knows nothing of images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from paretonas.errors import SpecError, TrainingError
from paretonas.network import build
from paretonas.objective import Metric
from paretonas.space import Decision, Interface, Part, Port, SearchSpace, Spec
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Batch, Run, Task
from paretonas.task.task import Part as Portion

RMSE = Metric("rmse", "root mean square error", False, "training", form=".3f")

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
INPUTS = 6


@dataclass(frozen=True)
class PerceptronSpec(Spec):
    """Hidden layers, one after the other.

    Args:
        hidden: Units of each.
        activation: After each.
    """

    kind: ClassVar[str] = "perceptron"
    hidden: tuple[int, ...]
    activation: str = "relu"

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1 or self.activation not in ACTIVATIONS:
            raise SpecError(f"A perceptron has hidden units and relu or tanh, but got {self}.")

    def parts(self) -> tuple[Part, ...]:
        names = [f"hidden{i}" for i in range(len(self.hidden))]
        inputs = [(), *((name,) for name in names)]
        layers = [
            Part(name, (name,), f"{units} units", units, inputs=before)
            for name, units, before in zip(names, self.hidden, inputs[:-1], strict=True)
        ]
        return (*layers, Part("output", ("output",), inputs=inputs[-1]))


class Perceptron(nn.Sequential):
    """The network of a spec."""

    def __init__(self, spec: PerceptronSpec, interface: Interface, dropout: float):
        super().__init__()
        before = interface.inputs[0].shape[1]
        for i, units in enumerate(spec.hidden):
            self.add_module(f"hidden{i}", nn.Sequential(nn.Linear(before, units), ACTIVATIONS[spec.activation]()))
            before = units
        self.output = nn.Linear(before, interface.outputs[0].shape[1])


@dataclass(frozen=True)
class PerceptronSpace:
    """Two or three hidden layers of a few widths.

    Args:
        widest: Units of the widest layer.
    """

    widest: int = 32

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        widths = tuple(self.widest // n for n in (4, 2, 1))
        layers = (Decision("first", widths), Decision("second", widths), Decision("third", (0, *widths)))

        def decode(values: Mapping[str, Any]) -> PerceptronSpec:
            hidden = (int(values[name]) for name in ("first", "second", "third"))
            return PerceptronSpec(tuple(filter(None, hidden)), str(values["activation"]))

        decisions = (*layers, Decision("activation", tuple(ACTIVATIONS)))
        return SearchSpace(f"perceptrons:widest={self.widest}", decisions, decode)


@dataclass(frozen=True)
class Regression(Task):
    """A smooth function of six numbers.

    Args:
        noise: Standard deviation of what is added to it.
        points: Examples of all parts.
    """

    noise: float = 0.05
    points: int = 400

    quality: ClassVar[str] = "rmse"

    @cached_property
    def _data(self) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, (self.points, INPUTS))
        y = np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + rng.normal(0, self.noise, (self.points, 1))
        return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.float32))

    def _rows(self, part: Portion) -> range:
        train, val = self.points * 6 // 10, self.points * 8 // 10
        return {
            "train": range(train),
            "val": range(train, val),
            "test": range(val, self.points),
            "full_train": range(val),
        }[part]

    @property
    def interface(self) -> Interface:
        return Interface((Port("vector", (1, INPUTS)),), (Port("number", (1, 1)),))

    @property
    def digest(self) -> str:
        x, y = self._data
        return hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes()).hexdigest()[:16]

    @property
    def typical(self) -> Spec:
        return PerceptronSpec((32, 32))

    @property
    def examples(self) -> Mapping[Portion, int]:
        parts: tuple[Portion, ...] = ("train", "val", "test", "full_train")
        return {part: len(self._rows(part)) for part in parts}

    @property
    def metadata(self) -> Mapping[str, Any]:
        return {"kind": "number"}

    def network(self, spec: Spec, recipe: Recipe) -> nn.Module:
        return build(spec, self.interface, recipe.dropout)

    def batches(self, part: Portion, recipe: Recipe, seed: int, steps: range) -> Iterator[Batch]:
        (x, y), rows = self._data, np.array(self._rows(part))
        for step in steps:
            chosen = np.random.default_rng((seed, step)).permutation(rows)[: recipe.batch_of(len(rows))]
            yield x[chosen], y[chosen]

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        x, y = batch
        return nn.functional.mse_loss(model(x), y)

    def score(self, run: Run, part: Portion) -> dict[str, float]:
        (x, y), rows = self._data, self._rows(part)
        (found,) = run((x[rows.start : rows.stop].numpy(),))
        if not np.isfinite(found).all():
            raise TrainingError("A regression gives finite numbers, but some are not.")
        return {"rmse": float(np.sqrt(np.mean((found - y[rows.start : rows.stop].numpy()) ** 2)))}
