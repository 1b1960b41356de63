"""Ray itself: the one module that imports it, in processes of its own; and what nodes ask of it."""

from __future__ import annotations

import os
from typing import Any

# Before Ray is imported: nothing is told to its makers.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

__all__ = ["NodeAffinitySchedulingStrategy", "ask", "exceptions", "get", "put", "ray"]


def ask(courier: Any, question: str, *args: Any) -> Any:
    """What a courier answers."""
    return ray.get(getattr(courier, question).remote(*args))


def put(value: Any) -> Any:
    """A reference to a value in the object store."""
    return ray.put(value)


def get(reference: Any) -> Any:
    """A value of the object store."""
    return ray.get(reference)
