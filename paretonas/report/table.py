"""Trials as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paretonas.errors import UsageError
from paretonas.objective import front
from paretonas.trial import State, Trial

DRAWN = 3


def front_trials(trials: Sequence[Trial], accuracy: str = "accuracy", latency: str = "latency_ms") -> list[Trial]:
    """The complete trials that no other beats in both accuracy and latency, fastest first; equal specs once.

    Args:
        trials: Those without one of the two metrics are left out.
        accuracy: Metric to be large.
        latency: Metric to be small.
    """
    complete = [t for t in trials if t.state is State.COMPLETE and {accuracy, latency} <= t.metrics.keys()]
    chosen = [complete[i] for i in front([(t.metrics[accuracy], -t.metrics[latency]) for t in complete])]
    return sorted(chosen, key=lambda t: t.metrics[latency])


def drawn_trials(trials: Sequence[Trial]) -> list[Trial]:
    """The finalists, else the best three different networks by reward."""
    complete = [t for t in trials if t.state is State.COMPLETE and t.reward is not None]
    finalists = [t for t in complete if "test_accuracy" in t.metrics]
    best: dict[str, Trial] = {}
    for trial in sorted(finalists or complete, key=lambda t: -(t.reward or 0.0)):
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


def config_toml(config: Mapping[str, Any]) -> str:
    r"""A stored configuration as the TOML file that repeats its search, a line a setting.

    What a search records about itself is left out: the digest of the data and where it was measured.

    >>> config_toml({"name": "cats", "limits": ["params<=2e6"], "digest": "b2ee"})
    'name = "cats"\nlimits = ["params<=2e6"]\n'
    """
    settings = {key: value for key, value in config.items() if key not in ("digest", "measured_on")}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())


def _toml(value: object) -> str:
    """JSON that is TOML too: characters as they are, as TOML knows no surrogates, but for one it wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
