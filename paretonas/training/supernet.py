"""A supernet: every network of a space learns on one set of weights, each step a few of them.

A wrapper of any task: the loss of a step is that of networks drawn from the space, on the step's batch. What a network
reaches on shared weights, after its normalization statistics are set anew, is an estimate of what it reaches alone.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

from torch import Tensor, nn

from paretonas.errors import SpecError, UsageError
from paretonas.network.cost import spec_cost
from paretonas.network.family import Family
from paretonas.network.shapes import without_numbers
from paretonas.network.sharing import Path, SharedWeights, cut_out, fresh_weights
from paretonas.space import Interface, Spec
from paretonas.task.distilled import Recorder, divergence
from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Batch, Task
from paretonas.task.wrapper import Wrapper
from paretonas.training.recalibrate import recalibrate

ATTEMPTS = 5
"""How often networks are drawn for a step."""


class Sampling(ABC):
    """Which networks learn in a step. A subclass is a frozen dataclass of options.

    Attributes:
        is_sliced: Whether smaller layers are parts of larger ones; else layers of each shape have weights of their own.
        networks: How many at most.
    """

    is_sliced: bool

    @property
    def networks(self) -> int:
        return 1

    @property
    def words(self) -> str:
        """What is drawn."""
        return f"{self.networks} network{'s' if self.networks > 1 else ''} a step"

    @abstractmethod
    def draw(self, some: Family, share: float, rng: Random, interface: Interface) -> tuple[Spec, ...]:
        """The networks of a step; where there are several, the others learn what the first one says.

        Args:
            some: To draw from.
            share: Of the training that is over, in [0, 1).
            rng: The step's own.
            interface: Of the networks.
        """


@dataclass(frozen=True)
class Single(Sampling):
    """One network a step, drawn uniformly.

    Args:
        is_sliced: Whether smaller layers are parts of larger ones.

    Source: Guo et al., Single Path One-Shot Neural Architecture Search with Uniform Sampling, ECCV 2020, section 3.2.
    """

    is_sliced: bool = False

    def draw(self, some: Family, share: float, rng: Random, interface: Interface) -> tuple[Spec, ...]:
        return (some.draw(rng),)


@dataclass(frozen=True)
class Balanced(Sampling):
    """One network a step, its MACs in one of several bins with equal chance.

    Args:
        is_sliced: Whether smaller layers are parts of larger ones.
        bins: Between the smallest network's MACs and the largest's.
        tries: So many networks are drawn to find one in its bin, before any will do.

    Raises:
        UsageError: A number out of its range.

    Source: Chen et al., DetNAS, NeurIPS 2019, and its code: bins of ten million MACs, 500 tries.
    """

    is_sliced: bool = False
    bins: int = 7
    tries: int = 500

    def __post_init__(self) -> None:
        if not (1 <= self.bins <= 1000 and 1 <= self.tries <= 10_000):
            raise UsageError(
                f"`1 <= bins <= 1000` and `1 <= tries <= 10000` must hold, but got (bins={self.bins}, "
                f"tries={self.tries})."
            )

    def draw(self, some: Family, share: float, rng: Random, interface: Interface) -> tuple[Spec, ...]:
        def macs(spec: Spec) -> float:
            return spec_cost(spec, interface).macs

        least, most = macs(some.smallest), macs(some.largest)
        width = (most - least) / self.bins
        low = least + width * rng.randrange(self.bins)
        return (some.draw_within(low, low + width, macs, rng, self.tries),)


@dataclass(frozen=True)
class Sandwich(Sampling):
    """The largest network, which learns the task, the smallest and drawn ones, which learn what the largest says.

    Args:
        is_sliced: Whether smaller layers are parts of larger ones.
        drawn: Networks beside the two.
        alone: Share of the training, from its beginning, in which the largest network learns alone.

    Raises:
        UsageError: A number out of its range.

    Source: Yu and Huang, Universally Slimmable Networks, ICCV 2019; Yu et al., BigNAS, ECCV 2020; a largest network
    that is trained before the others: Cai et al., Once-for-All, ICLR 2020.
    """

    is_sliced: bool = True
    drawn: int = 2
    alone: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.drawn <= 64 and 0 <= self.alone < 1):
            raise UsageError(
                f"`0 <= drawn <= 64` and `0 <= alone < 1` must hold, but got (drawn={self.drawn}, alone={self.alone})."
            )

    @property
    def networks(self) -> int:
        return 2 + self.drawn

    def draw(self, some: Family, share: float, rng: Random, interface: Interface) -> tuple[Spec, ...]:
        if share < self.alone:
            return (some.largest,)
        drawn = (some.draw(rng) for _ in range(self.drawn))
        return tuple(dict.fromkeys((some.largest, *drawn, some.smallest)))


@dataclass(frozen=True)
class Supernet(Wrapper):
    """Learning a task on shared weights.

    Args:
        task: What is learned.
        space: Options of the space whose networks learn: what `spaces.create` gives.
        sampling: Which networks learn in a step.
    """

    task: Task
    space: Any
    sampling: Sampling = Sandwich()

    def __getstate__(self) -> dict[str, Any]:
        """Without the family, which is found anew: the functions of a space do not pickle."""
        return {name: value for name, value in vars(self).items() if name != "family"}

    @property
    def digest(self) -> str:
        options = [self.task.digest, repr(self.space), repr(self.sampling)]
        return hashlib.sha256(json.dumps(options).encode()).hexdigest()[:32]

    def network(self, spec: Spec, recipe: Recipe) -> SharedWeights:
        """Fresh weights for all networks of the space.

        Raises:
            SpecError: They do not share weights.
        """
        return fresh_weights(self.family.specs, lambda one: self.task.network(one, recipe), self.sampling.is_sliced)

    @cached_property
    def family(self) -> Family:
        """The networks that learn."""
        return Family(self.space.build(), lambda spec: self.task.network(spec, Recipe()), self.sampling.is_sliced)

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        """Of the first network of the step by the task; of others by what the first one says, where there are any."""
        first, *others = self._paths(model, at)
        teacher = Recorder(first)
        loss = self.task.loss(teacher, batch, at)
        for path in others:
            student = Recorder(path)
            student(*teacher.inputs)
            loss = loss + divergence(student.outputs[0], teacher.outputs[0])
        return loss

    def drawn(self, at: At, attempt: int = 0) -> tuple[Spec, ...]:
        """The networks that learn in a step, by its number, the training's seed, and how often they were drawn."""
        rng = Random(f"{at.seed}/path/{at.step}" + (f"/{attempt}" if attempt else ""))
        return self.sampling.draw(self.family, at.step / at.steps, rng, self.interface)

    def _paths(self, model: nn.Module, at: At) -> list[Path]:
        """Of the networks that learn in a step; others are drawn where one has a weight that was not foreseen."""
        for attempt in range(ATTEMPTS):
            try:
                return [self._path(model, spec, at.recipe) for spec in self.drawn(at, attempt)]
            except SpecError as error:
                unforeseen = error
        raise unforeseen

    def _path(self, shared: nn.Module, spec: Spec, recipe: Recipe) -> Path:
        assert isinstance(shared, SharedWeights)
        with without_numbers():
            return Path(shared, self.task.network(spec, recipe))

    def subnet(self, shared: SharedWeights, spec: Spec, recipe: Recipe, seed: int, examples: int) -> nn.Module:
        """The network of a spec with its part of the weights, its normalization statistics taken from the data.

        Args:
            shared: Trained weights.
            spec: Of the space.
            recipe: Of the supernet's training.
            seed: Of the batches for the statistics.
            examples: So many of them.
        """
        network = self.task.network(spec, recipe)
        cut_out(shared, network)
        recalibrate(network, self.task, recipe, seed, examples)
        return network
