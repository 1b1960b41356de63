"""Trials as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paretonas.errors import UsageError
from paretonas.objective import front
from paretonas.trial import State, Trial


def front_trials(trials: Sequence[Trial]) -> list[Trial]:
    """The complete trials that no other beats in both accuracy and latency, fastest first; equal specs once."""
    complete = [t for t in trials if t.state is State.COMPLETE and {"accuracy", "latency_ms"} <= t.metrics.keys()]
    chosen = [complete[i] for i in front([(t.metrics["accuracy"], -t.metrics["latency_ms"]) for t in complete])]
    return sorted(chosen, key=lambda t: t.metrics["latency_ms"])


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
        "told": trial.told,
        "seed": trial.seed,
        "fidelity": trial.fidelity,
        "seconds": trial.seconds,
        "context": json.dumps(dict(trial.context)),
        "error": trial.error,
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
    """
    if not path.parent.exists():
        raise UsageError(f"A table is written to a folder that exists, but there is no {path.parent}.")
    pq.write_table(trials_table(trials), path)
