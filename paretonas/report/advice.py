"""Which network to take, as it is said: in sentences, with the command that trains it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretonas.objective import Recommendation, recommend
from paretonas.report.aims import Aims
from paretonas.report.architectures import network_names
from paretonas.trial import Trial


@dataclass(frozen=True)
class Advice:
    """A recommendation in words.

    Args:
        recommendation: What it is about.
        label: For which devices it is.
        sentence: The network, and why.
        command: Trains it to the end; empty where that is done, or where a table's networks cannot be trained.
    """

    recommendation: Recommendation
    label: str
    sentence: str
    command: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What to keep in mind."""
        return self.recommendation.notes

    def to_json(self) -> dict[str, Any]:
        """The recommendation, and the command."""
        return {**self.recommendation.to_json(), "reason": self.sentence, "command": self.command}


def advice(trials: Sequence[Trial], config: Mapping[str, Any]) -> list[Advice]:
    """What to take of a search: for all devices, then for each of several; nothing if no trial is complete.

    Args:
        trials: All of the search.
        config: As stored.
    """
    aims = Aims.of(config)
    found = recommend(trials, aims.quality, aims.latencies)
    chosen = {one.trial for one in found}
    names = network_names([trial for trial in trials if trial.number in chosen], config)
    named = {trial.number: names.get(trial.spec_hash, "") for trial in trials if trial.number in chosen}
    return [Advice(one, _label(one), one.reason(named[one.trial]), _command(one, config)) for one in found]


def _label(one: Recommendation) -> str:
    where = "all devices" if one.device is None else one.device
    return f"Recommended for {where}" if where else "Recommended"


def _command(one: Recommendation, config: Mapping[str, Any]) -> str:
    if one.is_final or "table" in config:
        return ""
    return shlex.join(["paretonas", "train", config["name"], "--final", "--trial", str(one.trial)])
