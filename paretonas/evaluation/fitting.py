"""What is stored of a predictor of latencies: all that it follows from, and how good it is.

It is kept under its digest, and which one is in use for a device and a space under a key of these. So what follows from
a predictor, estimates and other predictors, holds when another one takes its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from paretonas.errors import MeasureError, SpecError, StoreError
from paretonas.evaluation import keys
from paretonas.evaluation.keys import Cache, Key
from paretonas.space import Interface, read_json

IN_USE = "fitted"
"""Kind of evaluations that say which predictor is in use."""
LARGEST_ERROR = 0.1
"""Mean error of networks that were held out, as a share; beyond it, candidates are measured."""
MOST_EARLIER = 8
"""Predictors for other devices that a new one begins from."""


@dataclass(frozen=True)
class Sample:
    """A network that a predictor is fitted on.

    Args:
        spec: As JSON data.
        latency_ms: As measured.
        latency: Id of the stored measurement; empty: it is a user's own.
        flags: How many the measurement has.
    """

    spec: Mapping[str, Any]
    latency_ms: float
    latency: str
    flags: float


@dataclass(frozen=True)
class Fitting:
    """What is stored of a predictor.

    Args:
        samples: What it was fitted on.
        error: Mean error of samples that were held out, as a share of their latency.
        within: Share of them with an error of 5 % at most.
        rank: Kendall's tau of their estimates and latencies.
        earlier: Digests of the stored predictors for other devices that it began from.
        table: Name and digest of the user's file that the samples came from; empty: they were measured here.

    Raises:
        MeasureError: A number that none of them can be.
    """

    samples: tuple[Sample, ...]
    error: float
    within: float
    rank: float
    earlier: tuple[str, ...] = ()
    table: str = ""

    def __post_init__(self) -> None:
        if not (self.error >= 0 and 0 <= self.within <= 1 and -1 <= self.rank <= 1):
            raise MeasureError(
                "`error >= 0`, `0 <= within <= 1` and `-1 <= rank <= 1` must hold, but got "
                f"(error={self.error}, within={self.within}, rank={self.rank})."
            )

    @property
    def digest(self) -> str:
        """Of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        many = f"{len(self.samples)} {'networks of ' + self.table if self.table else 'measured networks'}"
        begun = f", begun from {len(self.earlier)} for other devices," if self.earlier else ""
        return f"of {many}, each held out once, this one{begun} errs by {100 * self.error:.1f} %"


def fitting_from_json(data: object) -> Fitting:
    """A stored fitting, checked.

    Raises:
        StoreError: A damaged row.
    """
    try:
        fitting: Fitting = read_json(Fitting, data, "predictor")
    except SpecError as error:
        raise StoreError(f"A stored predictor holds the networks that it was fitted on, but: {error}") from None
    return fitting


def keep(cache: Cache, use: Key, fitting: Fitting) -> None:
    """Store a predictor, as the one that is in use under a key."""
    keys.predictor(fitting.digest).put(cache, asdict(fitting))
    use.put(cache, {"digest": fitting.digest})


def in_use(cache: Cache, use: Key) -> Fitting | None:
    """The predictor that is in use under a key; None if there is none.

    Raises:
        StoreError: A damaged row.
    """
    found = use.get(cache)
    return None if found is None else of_digest(cache, str(found.get("digest")))


def of_digest(cache: Cache, digest: str) -> Fitting:
    """A stored predictor.

    Raises:
        StoreError: It is not stored, or damaged.
    """
    found = keys.predictor(digest).get(cache)
    if found is None:
        raise StoreError(f"A predictor is stored with those that it began from, but {digest} is not there.")
    return fitting_from_json(found)


def of_other_devices(cache: Cache, interface: Interface, identity: Mapping[str, Any]) -> dict[str, Fitting]:
    """The newest good one in use for each other device, another engine version among them; by digest, newest first.

    Args:
        cache: Where evaluations are kept.
        interface: Of the networks.
        identity: Of the device that is not asked for.
    """
    fed, here = (json.loads(json.dumps(one)) for one in (asdict(interface), dict(identity)))
    found: dict[str, Fitting] = {}
    for key, _ in reversed(cache.evaluations(IN_USE)):
        device = key.get("device")
        if key.get("interface") != fed or device == here or repr(device) in found:
            continue
        fitting = in_use(cache, Key(IN_USE, key))
        if fitting is not None and fitting.error <= LARGEST_ERROR:
            found[repr(device)] = fitting
    return {fitting.digest: fitting for fitting in list(found.values())[:MOST_EARLIER]}
