"""The lanes of a search, and whom they exclude."""

from dataclasses import dataclass

import pytest

from paretonas.device import parse_device
from paretonas.evaluation.evaluator import WORKERS
from paretonas.executor import executors
from paretonas.executor.serial import SerialExecutor
from paretonas.loop.plan import HERE
from paretonas.registry import Selection
from paretonas.search.lanes import open_lanes


class Away(SerialExecutor):
    is_here = False


@dataclass(frozen=True)
class AwayOptions:
    """Says that it runs its jobs on other machines."""

    def start(self):
        return Away()


@pytest.fixture
def away(monkeypatch):
    monkeypatch.setitem(executors._entries, "away", f"{__name__}:AwayOptions")


def machines(executor):
    with open_lanes((parse_device("onnxruntime"),), Selection(executor)) as lanes:
        return {name: lane.machine for name, lane in lanes.items()}


def test_trainings_of_this_machine_exclude_its_devices():
    assert set(machines("serial").values()) == {HERE}


def test_trainings_on_other_machines_exclude_nobody(away):
    found = machines("away")
    assert found.pop(WORKERS) != HERE
    assert set(found.values()) == {HERE}
