"""Latency as a sum over what a network executes, fitted on whole networks that were measured.

A network takes what its operations take, and something for itself. An operation takes a combination of four numbers
(one for itself, its multiply-accumulates, the numbers that it moves, its weights) whose coefficients are of its kind
and of all kinds, and not negative; times one plus a correction, a Gaussian process over the operation's kind and sizes.
Nobody times an operation: networks tell of the sums alone, which is enough for both parts. All errors are relative, as
those of timings are.

Source: sums over parts as in the lookup tables of ProxylessNAS (Cai et al., ICLR 2019) and Once-for-All (Cai et al.,
ICLR 2020), over operations as an engine runs them as in nn-Meter (Zhang et al., MobiSys 2021). Gaussian processes, and
what they say of a value that is left out: Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press
2006, chapters 2 and 5.4.2. What is measured is chosen by sequential D-optimal design: Fedorov, Theory of Optimal
Experiments, 1972.
Differs: those measure parts apart, by the thousand. Here whole networks are measured, a hundred or so, and the process
is one of sums.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, spatial, stats

from paretonas.errors import MeasureError
from paretonas.latency import Estimate
from paretonas.network.operations import Operation
from paretonas.space import Interface

Floats = NDArray[np.float64]
Listing = Sequence[Operation]
"""What a network executes."""

NETWORK = Operation("network", 0, 0, 0)
"""What a network takes whatever it executes."""
RIDGE = 1e-3
"""Variance of the relative error over that of a coefficient, in shares of the mean network's latency."""
LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Distances of logarithms of sizes at which corrections are still alike."""
KINSHIPS = (0.0, 0.5)
"""Correlation of the corrections of two kinds of operations at equal sizes."""
CORRECTIONS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 400.0)
"""Deviations of the correction over that of a measurement, both as shares."""
FOLDS, FEWEST = 10, 20
"""Parts of which each is held out once; networks that a predictor needs."""
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
        held_out: How well it does, by cross-validation.
    """

    def __init__(self, scope: Scope, model: _Model, held_out: HeldOut, width: float):
        self.scope, self.held_out = scope, held_out
        self._model, self._width = model, width

    def estimate(self, listing: Listing) -> Estimate:
        """Of a network that executes these operations.

        Raises:
            MeasureError: One is of a kind that no measured network has.
        """
        unknown = sorted({operation.kind for operation in listing} - set(self._model.kinds))
        if unknown:
            raise MeasureError(
                f"An estimate is of operations that measured networks have, but this one has {', '.join(unknown)}. "
                "Measure it."
            )
        (mean,), (deviation,) = self._model.predict([listing])
        factor = 1 + self._width * float(deviation)
        return Estimate(float(mean), float(mean) / factor, float(mean) * factor)


def fit(scope: Scope, listings: Sequence[Listing], latencies_ms: Sequence[float]) -> Predictor:
    """A predictor from measured networks.

    Its error is that of networks that were held out, by predictors of the others; so is the width of its intervals,
    such that nine in ten of these lie inside.

    Args:
        scope: What they are.
        listings: What each executes.
        latencies_ms: What each takes.

    Raises:
        MeasureError: Fewer than 20 networks.
    """
    y = np.asarray(latencies_ms, dtype=np.float64)
    if len(y) < FEWEST:
        raise MeasureError(f"A predictor is fitted on {FEWEST} networks or more, but got {len(y)}. Measure.")
    folds = [np.arange(len(y)) % FOLDS == fold for fold in range(FOLDS)]
    *partial, whole = _models(listings, y, [*(~fold for fold in folds), np.ones(len(y), dtype=bool)])
    means, deviations = np.empty(len(y)), np.empty(len(y))
    for fold, model in zip(folds, partial, strict=True):
        means[fold], deviations[fold] = model.predict([listings[i] for i in np.flatnonzero(fold)])
    errors = np.abs(means / y - 1)
    rank = float(np.nan_to_num(stats.kendalltau(means, y).statistic))
    held_out = HeldOut(float(errors.mean()), float((errors <= 0.05).mean()), rank)
    scores = np.sort((np.maximum(means / y, y / means) - 1) / deviations)
    width = float(scores[min(len(y), math.ceil(LEVEL * (len(y) + 1))) - 1])
    return Predictor(scope, whole, held_out, width)


def spread_out(listings: Sequence[Listing], count: int) -> list[int]:
    """Which networks to measure: each next one is that of which those before tell least.

    Args:
        listings: Of networks to choose from.
        count: How many; all, if there are not as many.

    Returns:
        Places in `listings`, different ones; those of fewer networks are the first of them.
    """
    table = _Table(listings)
    features = table.counts @ _features(table.operations, table.kinds)
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


class _Table:
    """Networks as counts of the operations that any of them has."""

    def __init__(self, listings: Sequence[Listing]):
        places: dict[Operation, int] = {}
        rows = [[places.setdefault(one, len(places)) for one in (NETWORK, *listing)] for listing in listings]
        self.operations, self.counts = tuple(places), np.zeros((len(rows), len(places)))
        for counts, row in zip(self.counts, rows, strict=True):
            np.add.at(counts, row, 1.0)
        self.kinds = tuple(sorted({one.kind for one in places}))


def _models(listings: Sequence[Listing], y: Floats, chosen: Sequence[NDArray[np.bool_]]) -> list[_Model]:
    """A model of each choice among the networks, (n,) each; covariances of operations are computed once for all."""
    table = _Table(listings)
    features = _features(table.operations, table.kinds)
    models = [_Model(table, features, y, one) for one in chosen]
    for length, kinship in product(LENGTHS, KINSHIPS):
        covariance = _covariance(table.operations, table.operations, length, kinship)
        for model in models:
            model.consider(length, kinship, covariance)
    return models


class _Model:
    """Coefficients and correction; see the module.

    Args:
        table: Networks, and k operations that any of them has.
        features: (k, f) of the operations.
        y: (n,) milliseconds.
        is_seen: (n,) which of them it learns from.
    """

    def __init__(self, table: _Table, features: Floats, y: Floats, is_seen: NDArray[np.bool_]):
        counts, y = table.counts[is_seen], y[is_seen]
        self.kinds, self._operations = table.kinds, table.operations
        self._coefficients = _coefficients(counts @ features, y)
        costs = features @ self._coefficients
        self._weights = counts * costs / y[:, None]  # (n, k), what each operation is of its network
        self._left, self._error = 1 - counts @ costs / y, math.inf

    def consider(self, length: float, kinship: float, covariance: Floats) -> None:
        """Take this covariance of the operations, with the best ratio, if networks are foretold better by it."""
        values, vectors = np.linalg.eigh(self._weights @ covariance @ self._weights.T)
        for ratio in CORRECTIONS:
            inverse = (vectors / (ratio**2 * np.maximum(values, 0) + 1)) @ vectors.T
            solved = inverse @ self._left
            errors = solved / np.diag(inverse)  # of each network, left out
            if (error := float(np.mean(errors**2))) < self._error:
                self._error, self._kernel = error, (length, kinship, ratio)
                self._inverse, self._solved = inverse, solved
                self._noise = math.sqrt(np.mean(errors * solved))  # makes those errors as expected

    def _costs(self, operations: Sequence[Operation]) -> Floats:
        """Milliseconds before the correction."""
        costs: Floats = _features(operations, self.kinds) @ self._coefficients
        return costs

    def predict(self, listings: Sequence[Listing]) -> tuple[Floats, Floats]:
        """Milliseconds of m networks, and the deviation of each as a share of it."""
        table, (length, kinship, ratio) = _Table(listings), self._kernel
        weights = table.counts * self._costs(table.operations)  # (m, operations)
        plain = weights.sum(1)
        seen = _covariance(table.operations, self._operations, length, kinship) @ self._weights.T
        shared = ratio**2 * (weights @ seen)  # (m, n)
        own = _covariance(table.operations, table.operations, length, kinship)
        means = np.maximum(plain + shared @ self._solved, plain / 10)
        variances = ratio**2 * np.einsum("ij,jk,ik->i", weights, own, weights)
        variances -= np.einsum("ij,jk,ik->i", shared, self._inverse, shared)
        return means, self._noise * np.sqrt(np.maximum(variances, 0) / means**2 + 1)


def _features(operations: Sequence[Operation], kinds: Sequence[str]) -> Floats:
    """(operations, 4 for each kind and for all but `network`); what is of none of the kinds has those of all alone."""
    places, found = {kind: place for place, kind in enumerate(kinds)}, np.zeros((len(operations), len(kinds) + 1, 4))
    for row, one in zip(found, operations, strict=True):
        numbers = 1, one.macs, one.moved, one.weights
        if one.kind in places:
            row[places[one.kind]] = numbers
        if one != NETWORK:
            row[-1] = numbers
    return found.reshape(len(operations), -1)


def _coefficients(features: Floats, y: Floats) -> Floats:
    """Non-negative ones of least squares of relative errors, with a ridge on what each adds to the mean network."""
    means = features.mean(0)
    is_there = means > 0
    rows = features[:, is_there] / means[is_there] / y[:, None]
    size = rows.shape[1]
    scale = float(y.mean())
    stacked = np.concatenate([rows * scale, math.sqrt(RIDGE) * np.eye(size)])
    solved, _ = optimize.nnls(stacked, np.concatenate([np.ones(len(y)), np.zeros(size)]), maxiter=100 * size)
    found = np.zeros(features.shape[1])
    found[is_there] = solved * scale / means[is_there]
    return found


def _covariance(a: Sequence[Operation], b: Sequence[Operation], length: float, kinship: float) -> Floats:
    """(a, b): of the corrections of two operations, with deviation one."""
    kinds = {kind: code for code, kind in enumerate(sorted({one.kind for one in (*a, *b)}))}
    codes = [np.array([kinds[one.kind] for one in operations]) for operations in (a, b)]
    sizes = [np.log1p([(one.macs, one.moved, one.weights) for one in operations]) for operations in (a, b)]
    alike = np.where(codes[0][:, None] == codes[1][None], 1.0, kinship)
    found: Floats = alike * np.exp(-spatial.distance.cdist(*sizes, "sqeuclidean") / (2 * length**2))
    return found
