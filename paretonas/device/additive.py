"""A latency as a sum over what a network executes: coefficients of operations, and what corrects them.

An operation takes a combination of four numbers (one for itself, its multiply-accumulates, the numbers that it moves,
its weights) whose coefficients are of all kinds of operations or also of each kind, and not negative; of what it takes
on other devices, where that is known; times one plus a correction, a Gaussian process over the operation's kind and
sizes. Nobody times an operation: networks tell of the sums alone, which is enough for both parts. All errors are
relative, as those of timings are.

Source: sums over parts as in the lookup tables of ProxylessNAS (Cai et al., ICLR 2019) and Once-for-All (Cai et al.,
ICLR 2020), over operations as an engine runs them as in nn-Meter (Zhang et al., MobiSys 2021). That few measurements
are enough where other devices are known: HELP (Lee et al., NeurIPS 2021). Gaussian processes, and what they say of a
value that is left out: Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, chapters 2 and
5.4.2.
Differs: those measure parts apart, by the thousand, or train a network on devices. Here whole networks are measured, a
hundred or so, the process is one of sums, and another device is one more number of an operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, spatial

from paretonas.network.operations import Operation

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
LEAST = 0.1
"""Share of what an operation takes that a correction leaves at least."""


class Table:
    """Networks as counts of the operations that any of them has."""

    def __init__(self, listings: Sequence[Listing]):
        places: dict[Operation, int] = {}
        rows = [[places.setdefault(one, len(places)) for one in (NETWORK, *listing)] for listing in listings]
        self.operations, self.counts = tuple(places), np.zeros((len(rows), len(places)))
        for counts, row in zip(self.counts, rows, strict=True):
            np.add.at(counts, row, 1.0)
        self.kinds = tuple(sorted({one.kind for one in places}))


def models(
    listings: Sequence[Listing], y: Floats, chosen: Sequence[NDArray[np.bool_]], earlier: Sequence[Blend] = ()
) -> tuple[list[Model], ...]:
    """Models whose coefficients are of all kinds of operations alone, and such with coefficients of each kind too.

    Args:
        listings: n networks.
        y: (n,) milliseconds.
        chosen: (n,) each, the networks that one model learns from.
        earlier: Of other devices.

    Returns:
        Of either sort one model a choice. Covariances of operations are computed once for all.
    """
    table, found = Table(listings), []
    for kinds in ((NETWORK.kind,), table.kinds):
        numbers = Numbers(kinds, earlier)
        features = numbers.of(table.operations)
        found.append([Model(table, numbers, features, y, one) for one in chosen])
    for length, kinship in product(LENGTHS, KINSHIPS):
        covariance = _covariance(table.operations, table.operations, length, kinship)
        for model in chain.from_iterable(found):
            model.consider(length, kinship, covariance)
    return tuple(found)


class Numbers:
    """The numbers of an operation that coefficients are of.

    Args:
        told: Kinds that have coefficients of their own.
        earlier: Models of other devices.
    """

    def __init__(self, told: Sequence[str], earlier: Sequence[Blend]):
        self._told, self._earlier = tuple(told), tuple(earlier)

    def of(self, operations: Sequence[Operation]) -> Floats:
        """(k, f) of k operations."""
        others = [model.costs(operations)[:, None] for model in self._earlier]
        return np.concatenate([features_of(operations, self._told), *others], axis=1)


class Model:
    """Coefficients and correction; see the module.

    Args:
        table: Networks, and k operations that any of them has.
        numbers: Of an operation.
        features: (k, f), those of the table's.
        y: (n,) milliseconds.
        is_seen: (n,) which of them it learns from.

    Attributes:
        kinds: Of operations that it has seen.
    """

    def __init__(self, table: Table, numbers: Numbers, features: Floats, y: Floats, is_seen: NDArray[np.bool_]):
        counts, y = table.counts[is_seen], y[is_seen]
        self.kinds, self._operations, self._numbers = table.kinds, table.operations, numbers
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

    def costs(self, operations: Sequence[Operation]) -> Floats:
        """(k,) milliseconds of each operation, also of those of kinds that it has not seen."""
        plain, (length, kinship, ratio) = self._costs(operations), self._kernel
        seen = _covariance(operations, self._operations, length, kinship) @ self._weights.T
        return np.maximum(plain * (1 + ratio**2 * (seen @ self._solved)), plain * LEAST)

    def predict(self, listings: Sequence[Listing]) -> tuple[Floats, Floats]:
        """Milliseconds of m networks, and the deviation of each as a share of it."""
        table, (length, kinship, ratio) = Table(listings), self._kernel
        weights = table.counts * self._costs(table.operations)  # (m, operations)
        plain = weights.sum(1)
        seen = _covariance(table.operations, self._operations, length, kinship) @ self._weights.T
        shared = ratio**2 * (weights @ seen)  # (m, n)
        own = _covariance(table.operations, table.operations, length, kinship)
        means = np.maximum(plain + shared @ self._solved, plain * LEAST)
        variances = ratio**2 * np.einsum("ij,jk,ik->i", weights, own, weights)
        variances -= np.einsum("ij,jk,ik->i", shared, self._inverse, shared)
        return means, self._noise * np.sqrt(np.maximum(variances, 0) / means**2 + 1)

    def _costs(self, operations: Sequence[Operation]) -> Floats:
        """Milliseconds before the correction."""
        costs: Floats = self._numbers.of(operations) @ self._coefficients
        return costs


class Blend:
    """Models that are averaged, each by how well it foretells.

    Args:
        models: Of the same networks.
        weights: Of each; they add up to 1.
    """

    def __init__(self, models: Sequence[Model], weights: Sequence[float]):
        self._parts, self.kinds = tuple(zip(models, weights, strict=True)), models[0].kinds

    def costs(self, operations: Sequence[Operation]) -> Floats:
        """See `Model`."""
        costs: Floats = np.sum([weight * model.costs(operations) for model, weight in self._parts], axis=0)
        return costs

    def predict(self, listings: Sequence[Listing]) -> tuple[Floats, Floats]:
        """See `Model`."""
        means, deviations = np.sum([weight * np.stack(m.predict(listings)) for m, weight in self._parts], axis=0)
        return means, deviations


def features_of(operations: Sequence[Operation], kinds: Sequence[str]) -> Floats:
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
