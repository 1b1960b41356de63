"""The records that travel between the parts: proposals and trials. Pure data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from paretonas.space import Architecture

Metrics = Mapping[str, float]
"""Measured numbers by name; the name carries the unit (`latency_ms`), accuracy is a fraction in [0, 1]."""


class State(StrEnum):
    """Where a trial stands. The last three are final."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the trial."""
        return self in (State.COMPLETE, State.PRUNED, State.FAILED)


@dataclass(frozen=True)
class Proposal:
    """What a strategy asks to be evaluated.

    Args:
        number: Ask number: 0 for the first proposal of a search, then counting up.
        architecture: What to evaluate.
        context: What the strategy will want back in `tell` (PPO's log-probabilities); JSON data.
    """

    number: int
    architecture: Architecture
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One proposal and what became of it.

    Args:
        number: The proposal's ask number.
        architecture: What was proposed.
        spec_hash: Identity of the spec that the architecture decodes to.
        state: See `State`.
        metrics: What was measured, possibly before the trial was pruned or failed.
        evidence: Stages of the evaluation that the trial has passed, and the ids of the stored evaluations behind its
            metrics; None where nothing is stored.
        reward: What the strategy sees; 0 if a limit was broken, that of what it reached if its training was stopped
            early, None if it was screened out or failed.
        fidelity: Share of the full training that it has had, or is to have next; in (0, 1].
        seed: Of the training.
        context: The proposal's.
        error: Traceback or reason if failed, the reason if pruned.
        stopped_by: The gate that pruned it; None if none did.
        is_reused: Whether the accuracy had been paid for by an earlier trial.
        retries: Times that a job of it was begun again, as its worker or its node was lost.
        told: Position in the order in which strategies were told, from 0; None before.
        seconds: Wall time that this trial cost.
    """

    number: int
    architecture: Architecture
    spec_hash: str
    state: State = State.WAITING
    metrics: Metrics = field(default_factory=dict)
    evidence: Mapping[str, str | None] = field(default_factory=dict)
    reward: float | None = None
    fidelity: float = 1.0
    seed: int = 0
    context: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    stopped_by: str | None = None
    is_reused: bool = False
    retries: int = 0
    told: int | None = None
    seconds: float = 0.0

    @property
    def usable_reward(self) -> float | None:
        """The reward if there is one and it is a finite number."""
        return self.reward if self.reward is not None and math.isfinite(self.reward) else None
