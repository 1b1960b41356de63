"""MorphNet's training: a network learns its task and, by a sparsity regularizer, which of its channels it can spare.

Each group of channels that have one width has a vector of strengths: the magnitudes of its scales in batch
normalization, or, where it has none, the root mean square of each channel's weights (group lasso). A channel is alive
if its strength is above a threshold. The regularizer is the sum of the strengths, each weighted by what a channel of
its group costs as long as as many are alive as now.

Source: Gordon et al., MorphNet, CVPR 2018, sections 3 and 4 (equations 5 to 8, 4.4 for groups); the released
regularizers (google-research/morph-net). Differs: the strength may be found within the training; fresh
scales begin at a tenth, as otherwise trainings of minutes need a regularizer beside which nothing is learned.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from paretonas.errors import UsageError
from paretonas.network.layout import MAKERS, Layout, is_depthwise
from paretonas.task.task import At, Batch, Task
from paretonas.task.wrapper import Wrapper
from paretonas.training.resource import Numbers, Resource

Grouping = Literal["max", "l2"]

STRENGTH, CURVE, PRESSURE, COST = "morph.strength", "morph.curve", "morph.pressure", "morph.cost"
"""What a training keeps: the strength now; strength, alive cost and regularizer of each step; pressure, cost."""
SHRUNK = 0.7
"""Share of the steps after which a strength that is found has to have brought the cost to where it is wanted."""
FIRST_SCALE = 0.1
"""Of normalizations, with which fresh weights begin."""
GAIN = 30.0
"""How many times its logarithm moves, over a whole training, for each unit that the cost's logarithm is off."""
BOUND = 100.0
"""Times its beginning, or that part of it, beyond which a strength that is found does not go."""


@dataclass(frozen=True)
class Sparsity:
    """What counts as a channel that lives.

    Args:
        threshold: A channel with this strength or less is dead.
        grouping: Of the vectors of layers that share a group: `max`, elementwise, or `l2`, the root of their squares.
        l1: Share of the mean magnitude, the rest being the root mean square, in the strengths of group lasso.

    Raises:
        UsageError: A number out of its range.
    """

    threshold: float = 0.01
    grouping: Grouping = "max"
    l1: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.threshold < 1 and 0 <= self.l1 <= 1 and self.grouping in ("max", "l2")):
            raise UsageError(
                f"`0 <= threshold < 1`, `0 <= l1 <= 1` and a grouping max or l2 must hold, but got {self}."
            )


def strengths(model: nn.Module, layout: Layout, sparsity: Sparsity) -> list[Tensor]:
    """Of each group the strengths of its channels: (width,).

    Args:
        model: Of this layout, in the widths that it says.
        layout: Of it.
        sparsity: How they are taken.
    """
    return [_joined(vectors, sparsity.grouping) for vectors in _vectors(model, layout, sparsity)]


def _vectors(model: nn.Module, layout: Layout, sparsity: Sparsity) -> list[list[Tensor]]:
    """Of each group the vectors of its layers: of normalizations, where there are some, else of what makes it."""
    scales: list[list[Tensor]] = [[] for _ in layout.groups]
    norms: list[list[Tensor]] = [[] for _ in layout.groups]
    modules = dict(model.named_modules())
    for layer in layout.layers:
        module = modules.get(layer.name)
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            vector, into = module.weight.abs(), scales
        elif isinstance(module, MAKERS) and not is_depthwise(module):
            vector, into = lasso(module.weight.flatten(1), sparsity.l1), norms
        else:
            continue
        begin = 0
        for run in layer.outs:
            if run.group is not None:
                part = vector[begin : begin + run.count]
                into[run.group].append(part if run.copies == 1 else part.reshape(-1, run.copies).amax(1))
            begin += run.count
    gone = [next(model.parameters()).new_zeros(0)]  # of a group that went with its branch
    return [scale or norm or gone for scale, norm in zip(scales, norms, strict=True)]


def scale_down(model: nn.Module, layout: Layout, to: float) -> None:
    """Multiply the scales of normalizations that channels of a group go through, in place.

    What reads them is normalized again, or learns the rest; a scale has less far to go until it is dead, so that a
    weaker regularizer does, which the task can hold its own against.

    Args:
        model: With fresh weights.
        layout: Of it.
        to: Multiplier.
    """
    modules = dict(model.named_modules())
    with torch.no_grad():
        for layer in layout.layers:
            module = modules.get(layer.name)
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
                module.weight.mul_(to)


def lasso(weights: Tensor, l1: float = 0.0) -> Tensor:
    """Strengths of the rows of (channels, weights): `(1 - l1) * sqrt(mean(w ** 2)) + l1 * mean(|w|)`.

    >>> import torch
    >>> [round(x, 4) for x in lasso(torch.tensor([[3.0, -4.0], [0.0, 2.0]])).tolist()]
    [3.5355, 1.4142]
    """
    root = (weights.square().mean(1) + 1e-16).sqrt()  # whose slope at 0 is a number
    return (1 - l1) * root + l1 * weights.abs().mean(1) if l1 else root


def _joined(vectors: Sequence[Tensor], grouping: Grouping) -> Tensor:
    if len(vectors) == 1:
        return vectors[0]
    stacked = torch.stack(list(vectors))
    return stacked.amax(0) if grouping == "max" else stacked.square().sum(0).add(1e-16).sqrt()


def alive(vectors: Sequence[Tensor], sparsity: Sparsity) -> list[list[int]]:
    """Of each group the channels that live."""
    return [torch.nonzero(_lives(vector, sparsity)).flatten().tolist() for vector in vectors]


def _lives(vector: Tensor, sparsity: Sparsity) -> Tensor:
    """Of each channel whether it lives: (width,)."""
    return vector.detach() > sparsity.threshold


def kept_channels(
    vectors: Sequence[Tensor], layout: Layout, sparsity: Sparsity, is_protected: Sequence[bool] = ()
) -> list[list[int]]:
    """Of each group the channels of a network of those that live: as many as it may have, the strongest.

    Args:
        vectors: Of each group the strengths.
        layout: Of the network.
        sparsity: Which channels live.
        is_protected: Of each group whether all channels stay; none: of no group.
    """
    kept = []
    for i, (group, living, vector) in enumerate(zip(layout.groups, alive(vectors, sparsity), vectors, strict=True)):
        if (is_protected and is_protected[i]) or not len(vector):  # the latter went with a branch
            kept.append(list(range(group.width)))
            continue
        width = min(group.width, group.nearest(len(living)))
        parts = vector.detach().cpu().reshape(group.multiple, -1)  # of a convolution in groups as many of each
        best = parts.topk(width // group.multiple).indices + torch.arange(group.multiple)[:, None] * parts.shape[1]
        kept.append(sorted(best.flatten().tolist()))
    return kept


def regularizer(vectors: Sequence[Tensor], pressure: Tensor) -> Tensor:
    """The sum of the strengths, weighted by what their channels cost: `sum_g pressure_g * sum_c strength_gc`.

    Args:
        vectors: Of each group the strengths.
        pressure: (groups,) at the alive widths.

    >>> import torch
    >>> float(regularizer([torch.tensor([1.0, 2.0]), torch.tensor([4.0])], torch.tensor([10.0, 1.0])))
    34.0
    """
    sums = torch.stack([vector.sum() for vector in vectors])
    return (sums * pressure.to(sums)).sum()


@dataclass(frozen=True)
class Penalty:
    """How channels are made to die.

    Args:
        layout: Of the network that learns.
        resource: What is saved.
        sparsity: Which channels live.
        strength: Of the regularizer, times what the network costs at first; None: found within the training.
        shrink: Share of the first cost that is wanted where the strength is found.
        every: Steps after which cost and pressure are looked up again.
        is_protected: Of each group whether its channels are left alone; none: of no group.

    Raises:
        UsageError: A number out of its range.
    """

    layout: Layout
    resource: Resource
    sparsity: Sparsity
    strength: float | None = None
    shrink: float = 0.5
    every: int = 1
    is_protected: tuple[bool, ...] = ()

    def pressure(self, widths: Sequence[float]) -> Numbers:
        """Of each group, 0 where it is left alone."""
        pressure = self.resource.pressure(widths)
        return np.where(self.is_protected, 0.0, pressure) if self.is_protected else pressure

    def __post_init__(self) -> None:
        if not ((self.strength is None or 0 < self.strength < math.inf) and 0 < self.shrink < 1):
            raise UsageError(
                f"`0 < strength` and `0 < shrink < 1` must hold, but got ({self.strength=}, {self.shrink=})."
            )


@dataclass(frozen=True, eq=False)
class Penalised(Wrapper):
    """As the task that it wraps, but that its networks also lose by what their living channels cost.

    Args:
        task: Of any kind.
        penalty: How channels are made to die.
        identity: Of the penalty, for the digest.
    """

    task: Task
    penalty: Penalty
    identity: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"Penalised {self.identity} {self.task.digest}".encode()).hexdigest()[:16]

    @cached_property
    def _first(self) -> float:
        return self.penalty.resource.cost(self.penalty.layout.widths)

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        own = self.task.loss(model, batch, at)
        penalty, first = self.penalty, self._first
        vectors = strengths(model, penalty.layout, penalty.sparsity)
        widths = [int(_lives(vector, penalty.sparsity).sum()) for vector in vectors]
        if at.step % penalty.every == 0 or PRESSURE not in at.kept:
            at.kept[PRESSURE] = torch.as_tensor(penalty.pressure(widths), dtype=torch.float32)
            at.kept[COST] = torch.tensor(penalty.resource.cost(widths))
        cost = float(at.kept[COST])
        total = regularizer(vectors, at.kept[PRESSURE])
        strength = self._strength(at, cost / first)
        at.kept[STRENGTH] = torch.tensor(strength)
        row = torch.tensor([[strength, cost, float(total.detach())]])
        at.kept[CURVE] = torch.cat([at.kept[CURVE].cpu(), row]) if CURVE in at.kept else row
        return own + strength / first * total

    def _strength(self, at: At, share: float) -> float:
        """Of this step, where the alive widths cost this share of the first cost."""
        penalty = self.penalty
        if penalty.strength is not None:
            return penalty.strength
        begin = first_strength(at, sum(penalty.layout.widths))
        if STRENGTH not in at.kept:
            return begin
        progress = min(1.0, at.step / (SHRUNK * at.steps))
        off = math.log(max(share, 1e-6)) - progress * math.log(penalty.shrink)
        moved = math.log(float(at.kept[STRENGTH]) / begin) + GAIN / at.steps * max(-1.0, min(1.0, off))
        return begin * math.exp(max(-math.log(BOUND), min(math.log(BOUND), moved)))


def first_strength(at: At, channels: int) -> float:
    """That by which first scales would reach 0 in the time, by the regularizer alone, where all channels cost alike.

    The regularizer's slope is `2 * strength / channels` for each, as both what reads and what makes a channel cost.

    Args:
        at: Of the training.
        channels: Of the network.
    """
    recipe = at.recipe
    rate = recipe.lr * recipe.batch_size / 256 / (1 - recipe.momentum)
    return FIRST_SCALE * channels / (2 * rate * SHRUNK * at.steps)
