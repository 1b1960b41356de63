"""Trials as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from paretonas.errors import UsageError
from paretonas.files import written_aside
from paretonas.objective import recommend
from paretonas.report.aims import Aims
from paretonas.trial import State, Trial

DRAWN = 3


def drawn_trials(trials: Sequence[Trial], aims: Aims) -> list[Trial]:
    """The finalists; where there are none, what is recommended and then the best by reward, three different networks.

    Args:
        trials: Of a search.
        aims: Its quality and targets.
    """
    complete = {t.number: t for t in trials if t.state is State.COMPLETE and t.reward is not None}
    finalists = [t for t in complete.values() if f"test_{aims.quality}" in t.metrics]
    wanted = (complete.get(one.trial) for one in recommend(trials, aims.quality, aims.latencies))
    by_reward = sorted(finalists or complete.values(), key=lambda t: -(t.reward or 0.0))
    best: dict[str, Trial] = {}
    for trial in (*(() if finalists else filter(None, wanted)), *by_reward):
        best.setdefault(trial.spec_hash, trial)
    return list(best.values()) if finalists else list(best.values())[:DRAWN]


def trial_row(trial: Trial) -> dict[str, Any]:
    """A trial as one flat row; metrics become columns of their own."""
    return {
        "trial": trial.number,
        "state": trial.state.value,
        "reward": trial.reward,
        **trial.metrics,
        "spec_hash": trial.spec_hash,
        "space": trial.architecture.space,
        "choices": list(trial.architecture.choices),
        "is_reused": trial.is_reused,
        "retries": trial.retries,
        "told": trial.told,
        "seed": trial.seed,
        "fidelity": trial.fidelity,
        "seconds": trial.seconds,
        "context": json.dumps(dict(trial.context)),
        "evidence": json.dumps(dict(trial.evidence)),
        "error": trial.error,
        "stopped_by": trial.stopped_by,
    }


def trials_table(trials: Sequence[Trial]) -> pa.Table:
    """All trials, one row each; a metric that a trial lacks is null."""
    rows = [trial_row(trial) for trial in trials]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return pa.table({column: [row.get(column) for row in rows] for column in columns})


def write_parquet(trials: Sequence[Trial], path: Path) -> None:
    """Write all trials to a Parquet file.

    Raises:
        UsageError: The folder does not exist.
        MachineError: The system refuses the file.
    """
    if not path.parent.exists():
        raise UsageError(f"A table is written to a folder that exists, but there is no {path.parent}.")
    with written_aside(path) as draft, draft.open("wb") as file:
        pq.write_table(trials_table(trials), file)


def config_toml(config: Mapping[str, Any]) -> str:
    r"""A stored configuration as the TOML file that repeats its search.

    What a search has recorded about its circumstances is left out.

    >>> config_toml({"name": "cats", "objective": {"limits": ["params<=2e6"]}, "recorded": {"digest": "b2ee"}})
    'name = "cats"\n\n[objective]\nlimits = [\n    "params<=2e6",\n]\n'
    """
    return tomli_w.dumps({key: value for key, value in config.items() if key != "recorded"})


def settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A stored configuration as one flat table: `budget.trials`, `device[0].target_ms`.

    >>> settings({"name": "cats", "device": [{"device": "torch"}], "budget": {"trials": 9}})
    {'name': 'cats', 'device[0].device': 'torch', 'budget.trials': 9}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= settings(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for i, item in enumerate(value):
                flat |= settings(item, f"{prefix}{key}[{i}].")
        elif value not in ("", []):
            flat[f"{prefix}{key}"] = value
    return flat
