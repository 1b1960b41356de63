"""Scores by shared weights: how many trials have one, and whether the supernet that gave them ranks networks."""

from __future__ import annotations

from dataclasses import dataclass

from paretonas.errors import SpecError, StoreError
from paretonas.objective.trust import Trust
from paretonas.report.searched import Searched
from paretonas.space import read_json
from paretonas.store import Store

SCORED, TRUST = "supernet", "trust"
"""Stage of a trial, and kind of what is stored of a check."""


@dataclass(frozen=True)
class Scored:
    """The scores of a search.

    Args:
        trials: That have one.
        trust: What the check found; None: there was none.
    """

    trials: int
    trust: Trust | None


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
    return Scored(len(ids), _trust(found[-1]) if found else None)


def _trust(value: dict[str, object]) -> Trust:
    try:
        found: Trust = read_json(Trust, value, "it")
    except SpecError as error:
        raise StoreError(f"A stored check of a supernet holds numbers, but: {error}") from None
    return found
