"""What the search and its steward say to each other, and what may be lost."""

from __future__ import annotations

from dataclasses import dataclass


class LostError(Exception):
    """A worker or its node was lost."""


class GoneError(Exception):
    """The cluster was lost, as far as this process is part of it."""


@dataclass(frozen=True)
class Task:
    """A job on its way.

    Args:
        number: Of its own.
        payload: The pickled call.
        has_paths: Whether there are paths in it.
        timeout: Seconds from when a worker has it; None: no limit.
        attempts: Workers that were given it, with the one that is given it now.
    """

    number: int
    payload: bytes
    has_paths: bool
    timeout: float | None
    attempts: int = 1


@dataclass(frozen=True)
class Begun:
    """Where a task has begun.

    Args:
        number: Of the task.
        node: Name of the machine.
    """

    number: int
    node: str


@dataclass(frozen=True)
class Ended:
    """How a task ended.

    Args:
        number: Of the task.
        outcome: Packed.
        attempts: Workers that were given it.
    """

    number: int
    outcome: bytes
    attempts: int
