"""The lanes of a search: its workers, and a process for each device that lives on from candidate to candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from paretonas.device import Device
from paretonas.evaluation.evaluator import WORKERS, device_lane
from paretonas.executor import executors
from paretonas.loop.plan import ELSEWHERE, HERE, Lane, Lanes
from paretonas.registry import Selection

ALONE = Selection("process", {"workers": 1, "pin": False})
"""Of a device: a crash of its engine fails one trial. What it times pins itself."""


@contextmanager
def open_lanes(devices: Sequence[Device], executor: Selection) -> Iterator[Lanes]:
    """Executors by lane, none for a search that builds nothing; closed afterwards.

    Args:
        devices: Each has a lane.
        executor: Of the trainings. With `serial`, everything runs in this process.
    """
    with ExitStack() as stack:
        lanes: dict[str, Lane] = {}
        for device in devices:
            started = stack.enter_context(executors.create(executor if executor.name == "serial" else ALONE).start())
            lanes[device_lane(device.name)] = Lane(started, device.transport.machine)
        if devices:
            workers = stack.enter_context(executors.create(executor).start())
            lanes[WORKERS] = Lane(workers, HERE if workers.is_here else ELSEWHERE)
        yield lanes
