"""A predictor of latencies, fitted on whole networks that were measured, with its error on networks held out.

Its model is a sum over operations (`additive`), once with coefficients of all kinds of operations and once with such of
each kind too: the average, by how well either foretells networks that are held out.

Source: what is measured is chosen by sequential D-optimal design: Fedorov, Theory of Optimal Experiments, 1972.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paretonas.device.additive import RIDGE, Blend, Floats, Listing, Model, Table, features_of, models
from paretonas.errors import MeasureError
from paretonas.latency import Estimate
from paretonas.space import Interface

FOLDS, FEWEST = 10, 10
"""Parts of which each is held out once; networks that a predictor needs."""
TINY = 1e-12
"""Added to the square of an error, which may be zero."""
LEVEL = 0.9
"""Share of networks that lie in their interval."""


@dataclass(frozen=True)
class Scope:
    """What a predictor was fitted for.

    Args:
        kinds: Of specs.
        interface: Of the task whose networks they are.
        device: Its identity.
    """

    kinds: tuple[str, ...]
    interface: Interface
    device: Mapping[str, Any]

    def check(self, kind: str, interface: Interface, device: Mapping[str, Any]) -> None:
        """Whether a spec of that kind, with that interface, on that device, is among it.

        Raises:
            MeasureError: It is not.
        """
        other = [name for name in {**self.device, **device} if self.device.get(name) != device.get(name)]
        if other:
            name = other[0]
            problem = f"{name} {self.device.get(name)}, not {device.get(name)}"
        elif interface != self.interface:
            problem = f"{self.interface}, not {interface}"
        elif kind not in self.kinds:
            problem = f"specs of kind {', '.join(self.kinds)}, not {kind}"
        else:
            return
        raise MeasureError(
            f"An estimate is of what was measured, and this predictor was fitted for {problem}. Measure."
        )


@dataclass(frozen=True)
class HeldOut:
    """How well networks were estimated by predictors that had not seen them.

    Args:
        error: Mean error, as a share of the measured latency.
        within: Share of them with an error of 5 % at most.
        rank: Kendall's tau of estimates and measured latencies; 0 where all of either are equal.
    """

    error: float
    within: float
    rank: float


class Predictor:
    """Says latencies; `fit` makes one.

    Attributes:
        scope: What it was fitted for.
        model: Of the latency.
        held_out: How well it does, by cross-validation.
    """

    def __init__(self, scope: Scope, model: Blend, held_out: HeldOut, width: float):
        self.scope, self.model, self.held_out = scope, model, held_out
        self._width = width

    def estimate(self, listing: Listing) -> Estimate:
        """Of a network that executes these operations.

        Raises:
            MeasureError: One is of a kind that no measured network has.
        """
        unknown = sorted({operation.kind for operation in listing} - set(self.model.kinds))
        if unknown:
            raise MeasureError(
                f"An estimate is of operations that measured networks have, but this one has {', '.join(unknown)}. "
                "Measure it."
            )
        (mean,), (deviation,) = self.model.predict([listing])
        factor = 1 + self._width * float(deviation)
        return Estimate(float(mean), float(mean) / factor, float(mean) * factor)


def fit(
    scope: Scope, listings: Sequence[Listing], latencies_ms: Sequence[float], earlier: Sequence[Predictor] = ()
) -> Predictor:
    """A predictor from measured networks.

    Its error is that of networks that were held out, by predictors of the others; so is the width of its intervals,
    such that nine in ten of these lie inside.

    Args:
        scope: What they are.
        listings: What each executes.
        latencies_ms: What each takes.
        earlier: Predictors for other devices, on which operations may cost alike; few networks are enough then.

    Raises:
        MeasureError: Fewer than 10 networks.
    """
    y = np.asarray(latencies_ms, dtype=np.float64)
    if len(y) < FEWEST:
        raise MeasureError(f"A predictor is fitted on {FEWEST} networks or more, but got {len(y)}. Measure.")
    folds = [np.arange(len(y)) % FOLDS == fold for fold in range(FOLDS)]
    chosen = [*(~fold for fold in folds), np.ones(len(y), dtype=bool)]
    sorts = models(listings, y, chosen, [one.model for one in earlier])
    foretold = np.stack([_held_out(listings, folds, partial) for *partial, _ in sorts])  # (sorts, 2, n)
    squares = np.square(foretold[:, 0] / y - 1).mean(1) + TINY
    weights = 1 / squares / (1 / squares).sum()
    means, deviations = np.tensordot(weights, foretold, axes=1)
    whole = Blend([sort[-1] for sort in sorts], weights.tolist())
    errors = np.abs(means / y - 1)
    rank = float(np.nan_to_num(stats.kendalltau(means, y).statistic))
    held_out = HeldOut(float(errors.mean()), float((errors <= 0.05).mean()), rank)
    scores = np.sort((np.maximum(means / y, y / means) - 1) / deviations)
    width = float(scores[min(len(y), math.ceil(LEVEL * (len(y) + 1))) - 1])
    return Predictor(scope, whole, held_out, width)


def _held_out(listings: Sequence[Listing], folds: Sequence[NDArray[np.bool_]], partial: Sequence[Model]) -> Floats:
    """(2, n) what the models that have not seen them say of networks, and its deviation as a share."""
    means, deviations = np.empty(len(listings)), np.empty(len(listings))
    for fold, model in zip(folds, partial, strict=True):
        means[fold], deviations[fold] = model.predict([listings[i] for i in np.flatnonzero(fold)])
    return np.stack([means, deviations])


def spread_out(listings: Sequence[Listing], count: int) -> list[int]:
    """Which networks to measure: each next one is that of which those before tell least.

    Args:
        listings: Of networks to choose from.
        count: How many; all, if there are not as many.

    Returns:
        Places in `listings`, different ones; those of fewer networks are the first of them.
    """
    table = Table(listings)
    features = table.counts @ features_of(table.operations, table.kinds)
    features = features[:, features.any(0)] / features.mean(0)[features.any(0)]
    rows = features / features.mean(1, keepdims=True)
    inverse, chosen = np.eye(rows.shape[1]) / RIDGE, list[int]()
    for _ in range(min(count, len(rows))):
        variances = np.einsum("ij,jk,ik->i", rows, inverse, rows)
        variances[chosen] = -np.inf
        chosen.append(int(variances.argmax()))
        column = inverse @ rows[chosen[-1]]
        inverse -= np.outer(column, column) / (1 + rows[chosen[-1]] @ column)
    return chosen
