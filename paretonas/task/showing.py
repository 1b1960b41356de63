"""What a network is shown: the first examples of a part, as arrays, for whoever calibrates on them."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from paretonas.errors import TrainingError
from paretonas.space import Interface
from paretonas.task.task import Arrays, Part, Run, Task


class _EnoughError(Exception):
    """So many examples were seen."""


def examples_of(task: Task, run: Run, interface: Interface, count: int, part: Part = "train") -> list[Arrays]:
    """Inputs in batches, as a score of that part feeds them, states that come about among them.

    Args:
        task: Has the examples.
        run: Any network of the task; where it has a state, its outputs are part of what is shown next.
        interface: Of the network. Inputs that a score leaves out are zeros: a state that begins.
        count: How many, at least one.
        part: Of which.

    Raises:
        TrainingError: The score feeds nothing.
    """
    seen: list[Arrays] = []

    def watch(inputs: Arrays) -> Arrays:
        if sum(len(arrays[0]) for arrays in seen) >= count:
            raise _EnoughError
        missing = interface.inputs[len(inputs) :]
        zeros = (np.zeros((len(inputs[0]), *port.shape[1:]), port.dtype) for port in missing)
        seen.append((*(np.array(array) for array in inputs), *zeros))
        return run(inputs)

    with suppress(_EnoughError):
        task.score(watch, part)
    if not seen:
        raise TrainingError(f"A score feeds a network with examples, but that of {type(task).__name__} fed nothing.")
    return seen
