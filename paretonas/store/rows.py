"""What stands in a row, written and read: JSON is the only encoding, and whatever is read is checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

from paretonas.errors import StoreError
from paretonas.space import Architecture
from paretonas.trial import State, Trial

TEXT, WHOLE, NUMBER = (str,), (int,), (int, float)
LARGEST = 2**63
"""Of whole numbers that are stored."""
DEEPEST = 50
"""Levels of stored values: whatever walks through them comes to an end."""
_TRIAL_TYPES: Mapping[str, tuple[type, ...]] = {
    "number": WHOLE,
    "space": TEXT,
    "spec_hash": TEXT,
    "reward": (*NUMBER, NoneType),
    "fidelity": NUMBER,
    "seed": WHOLE,
    "error": (*TEXT, NoneType),
    "stopped_by": (*TEXT, NoneType),
    "is_reused": (bool,),
    "retries": WHOLE,
    "told": (*WHOLE, NoneType),
    "seconds": NUMBER,
}


def trial_to_row(trial: Trial) -> dict[str, Any]:
    """A trial as the values of its columns."""
    return {
        "number": trial.number,
        "space": trial.architecture.space,
        "choices": json.dumps(trial.architecture.choices),
        "spec_hash": trial.spec_hash,
        "state": trial.state.value,
        "metrics": json.dumps(dict(trial.metrics)),
        "evidence": json.dumps(dict(trial.evidence)),
        "reward": trial.reward,
        "fidelity": trial.fidelity,
        "seed": trial.seed,
        "context": json.dumps(dict(trial.context)),
        "error": None if trial.error is None else _storable(trial.error),
        "stopped_by": trial.stopped_by,
        "is_reused": trial.is_reused,
        "retries": trial.retries,
        "told": trial.told,
        "seconds": trial.seconds,
    }


def trial_from_row(row: Mapping[Any, Any]) -> Trial:
    """The trial of a row.

    Raises:
        StoreError: A damaged row.
    """
    where = f"trial {row['number']}"
    check_types(row, _TRIAL_TYPES, where)
    choices = load(row["choices"], list, f"the choices of {where}")
    metrics = load(row["metrics"], dict, f"the metrics of {where}")
    evidence = load(row["evidence"], dict, f"the evidence of {where}")
    if not all(id is None or isinstance(id, str) for id in evidence.values()):
        raise StoreError(f"In a store, evidence is ids of evaluations, but of {where} it is {evidence}.")
    if not all(type(c) is int for c in choices) or not all(map(_is_number, metrics.values())):
        raise StoreError(f"Choices are whole numbers and metrics are numbers, but {where} has {choices} and {metrics}.")
    return Trial(
        number=row["number"],
        architecture=Architecture(row["space"], tuple(choices)),
        spec_hash=row["spec_hash"],
        state=state_of(row["state"], where),
        metrics=metrics,
        evidence=evidence,
        reward=row["reward"],
        fidelity=row["fidelity"],
        seed=row["seed"],
        context=load(row["context"], dict, f"the context of {where}"),
        error=row["error"],
        stopped_by=row["stopped_by"],
        is_reused=row["is_reused"],
        retries=row["retries"],
        told=row["told"],
        seconds=row["seconds"],
    )


def _storable(text: str) -> str:
    """Any text as UTF-8 without NUL, which is what all databases take; what is not, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def state_of(text: Any, where: str) -> State:
    """The state of that name.

    Raises:
        StoreError: None.
    """
    try:
        return State(text)
    except ValueError:
        raise StoreError(f"A state is one of {', '.join(State)}, but {where} has {text!r}.") from None


def check_types(row: Mapping[Any, Any], types: Mapping[str, tuple[type, ...]], where: str) -> None:
    """SQLite keeps a value of any type in any column.

    Raises:
        StoreError: A damaged row.
    """
    for column, allowed in types.items():
        if type(row[column]) not in allowed:
            known = " or ".join(kind.__name__ for kind in allowed)
            raise StoreError(f"In a store, the {column} of {where} is of type {known}, but it is {row[column]!r:.80}.")


def load(text: Any, to: type, what: str) -> Any:
    """A stored value of the type `to`.

    Raises:
        StoreError: It is no JSON, or of another type.
    """
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"Stored values are JSON, but {what} is not: {error}") from None
    if not isinstance(value, to):
        raise StoreError(f"In a store, {what} is a {to.__name__}, but it is {text[:80]!r}.")
    if text.count("[") + text.count("{") > DEEPEST and _is_too_deep(value):
        raise StoreError(f"Stored values have {DEEPEST} levels at most, but {what} has more.")
    return value


def canonical(key: Mapping[str, Any]) -> str:
    """A key as text, whatever the order of its parts."""
    return json.dumps(key, sort_keys=True, separators=(",", ":"))


def id_of(kind: str, key: Mapping[str, Any]) -> str:
    """Of the evaluation of that kind and key, in every store."""
    return hashlib.sha256(f"{kind}\n{canonical(key)}".encode()).hexdigest()


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        values = (item.values() if isinstance(item, dict) else item for item in level)
        level = [item for items in values for item in items if isinstance(item, dict | list)]
    return bool(level)


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < LARGEST)
