"""Ray itself: the one module that imports it, in processes of its own; and what nodes ask of it."""

from __future__ import annotations

import os
from typing import Any

# Before Ray is imported: nothing is told to its makers.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from paretonas.errors import MachineError

__all__ = ["LOST", "NodeAffinitySchedulingStrategy", "ask", "exceptions", "first_words", "get", "put", "ray"]


LOST = (
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.ObjectLostError,
    exceptions.RayActorError,
)


def ask(courier: Any, question: str, *args: Any) -> Any:
    """What a courier answers.

    Raises:
        Exception: What the courier raises, as if it had been called here.
        MachineError: It is gone.
    """
    return get(getattr(courier, question).remote(*args))


def put(value: Any) -> Any:
    """A reference to a value in the object store."""
    return ray.put(value)


def get(reference: Any) -> Any:
    """A value of the object store.

    Raises:
        Exception: What was raised instead of making it.
        MachineError: It is gone.
    """
    try:
        return ray.get(reference)
    except exceptions.RayTaskError as error:  # of a class that Ray makes up, which nobody can unpickle
        raise error.cause from None
    except LOST as error:
        raise MachineError(
            f"The files of the search's machine cannot be had from there: {first_words(error)} See to that machine, "
            "then go on."
        ) from None


def first_words(error: BaseException) -> str:
    """The first sentence or two of what Ray says, which may be pages."""
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:397] + "..."
