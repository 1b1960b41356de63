"""Scores by shared weights: how many trials have one, and whether the supernet that gave them ranks networks."""

from __future__ import annotations

from dataclasses import dataclass, fields

from paretonas.errors import StoreError
from paretonas.report.searched import Searched
from paretonas.store import Store

SCORED, TRUST = "supernet", "trust"
"""Stage of a trial, and kind of what is stored of a check."""


@dataclass(frozen=True)
class Trusted:
    """How a supernet ranked networks that were trained alone too.

    Args:
        networks: How many.
        tau: Kendall's rank correlation of scores and qualities.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tau_macs: Kendall's rank correlation of MACs and qualities.
        lost: Quality that the best of the first three by score has less than the best of all.
    """

    networks: float
    tau: float
    low: float
    high: float
    tau_macs: float
    lost: float


@dataclass(frozen=True)
class Scored:
    """The scores of a search.

    Args:
        trials: That have one.
        trusted: What the check found; None: there was none.
    """

    trials: int
    trusted: Trusted | None


def scores_of(searched: Searched, store: Store) -> Scored | None:
    """Those of a search; None where no trial was scored by shared weights.

    Raises:
        StoreError: A damaged row.
    """
    ids = [trial.evidence[SCORED] for trial in searched.trials if SCORED in trial.evidence]
    if not ids:
        return None
    stored = (store.evaluation(id) for id in ids if id is not None)
    supernets = {str(dict(one[1].get("origin") or {}).get("digest")) for one in stored if one is not None}
    found = [value for key, value in store.evaluations(TRUST) if key.get("supernet") in supernets]
    return Scored(len(ids), _trusted(found[-1]) if found else None)


def _trusted(value: dict[str, object]) -> Trusted:
    try:
        return Trusted(**{field.name: float(value[field.name]) for field in fields(Trusted)})  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as missing:
        raise StoreError(f"A stored check of a supernet holds numbers, but lacks {missing}.") from None
