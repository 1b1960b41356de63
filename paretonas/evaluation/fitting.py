"""What is stored of a predictor of latencies: all that it follows from, and how good it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from paretonas.errors import MeasureError, SpecError, StoreError
from paretonas.evaluation.keys import Cache
from paretonas.space import Interface, read_json

KIND = "predictor"
"""Of evaluations."""
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
        earlier: Ids of the stored predictors for other devices that it began from.
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


def of_other_devices(cache: Cache, interface: Interface, identity: Mapping[str, Any]) -> dict[str, Fitting]:
    """The newest good one stored for each other device, another engine version among them; by id, newest first.

    Args:
        cache: Where evaluations are kept.
        interface: Of the networks.
        identity: Of the device that is not asked for.
    """
    fed, here = (json.loads(json.dumps(one)) for one in (asdict(interface), dict(identity)))
    found: dict[str, tuple[str, Fitting]] = {}
    for key, value in reversed(cache.evaluations(KIND)):
        device = key.get("device")
        if key.get("interface") != fed or device == here or repr(device) in found:
            continue
        fitting = fitting_from_json(value)
        if fitting.error <= LARGEST_ERROR:
            found[repr(device)] = cache.id_of(KIND, key), fitting
    return dict(list(found.values())[:MOST_EARLIER])


def with_ids(cache: Cache, ids: tuple[str, ...]) -> dict[str, Fitting]:
    """Stored predictors by their ids.

    Raises:
        StoreError: One is not stored any more.
    """
    stored = {cache.id_of(KIND, key): value for key, value in cache.evaluations(KIND)} if ids else {}
    missing = [id for id in ids if id not in stored]
    if missing:
        raise StoreError(f"A predictor is stored with those that it began from, but {missing[0]} is not there.")
    return {id: fitting_from_json(stored[id]) for id in ids}
