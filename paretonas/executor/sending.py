"""What goes to workers and comes back from them, as bytes; and what holds a worker's memory."""

from __future__ import annotations

import pickle
import sys
import traceback
from contextlib import suppress
from typing import Any

from paretonas.executor.executor import Outcome


def call(payload: bytes) -> Any:
    """Call the function that was sent, with its arguments."""
    function, args = pickle.loads(payload)
    try:
        return function(*args)
    finally:
        with suppress(OSError, ValueError, AttributeError):  # nobody reads it, it is closed, or there is none
            sys.stdout.flush()  # workers are killed in the end, with what they did not flush


def pack(outcome: Outcome) -> bytes:
    """An outcome to send back; what cannot be sent has failed."""
    try:
        return pickle.dumps(outcome)
    except Exception as error:
        ended = outcome.failure.traceback if outcome.failure else traceback.format_exc()
        return pickle.dumps(Outcome.failed(f"The job's result cannot be sent back: {error}.", ended, outcome.seconds))


def unpack(payload: bytes) -> Outcome:
    """An outcome as it was sent back."""
    try:
        outcome: Outcome = pickle.loads(payload)
    except Exception as error:
        return Outcome.failed(f"The job's result cannot be read: {error}.", traceback.format_exc())
    return outcome


def limit_memory(limit: int) -> None:
    """Let this process allocate so many bytes; held by Linux only."""
    import resource  # of Unix only

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
