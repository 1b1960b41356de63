"""What goes between the search and the process that speaks to Ray; without a cluster."""

import asyncio
import os
import pickle
import threading
from multiprocessing import Pipe

import pytest

from paretonas.errors import MachineError
from paretonas.executor.executor import Outcome
from paretonas.executor.ray import executor as module
from paretonas.executor.ray.executor import RayExecutor
from paretonas.executor.ray.messages import Begun, Ended, Task
from paretonas.executor.ray.options import RayOptions
from paretonas.executor.ray.steward import _Serving
from paretonas.executor.sending import pack, unpack

MUCH = 8 * 2**20
"""Bytes: more than a pipe takes."""


class Echo:
    """A cluster whose jobs give back what they are sent.

    Attributes:
        has_ended: Whether a job has.
    """

    def __init__(self):
        self.has_ended = threading.Event()

    def begin(self, payload, has_paths):
        return Echoed(payload, self.has_ended)


class Echoed:
    def __init__(self, payload, has_ended):
        self._payload, self._has_ended = payload, has_ended

    async def begun(self):
        return "node"

    async def outcome(self):
        self._has_ended.set()
        return pack(Outcome(self._payload))

    def kill(self):
        pass


def test_large_jobs_and_large_results_do_not_wait_for_each_other():
    (ours, theirs), cluster = Pipe(), Echo()
    serving = _Serving(theirs, os.getppid(), cluster)
    thread = threading.Thread(target=lambda: asyncio.run(serving.run()), daemon=True)
    thread.start()
    first, second = (pickle.dumps(Task(number, bytes(MUCH), False, None)) for number in range(2))
    ours.send_bytes(first)
    cluster.has_ended.wait()
    sending = threading.Thread(target=lambda: ours.send_bytes(second), daemon=True)
    sending.start()  # and nothing is read meanwhile
    sending.join(20)
    assert not sending.is_alive()
    news = [pickle.loads(ours.recv_bytes()) for _ in range(4)]
    ours.close()
    thread.join()
    assert sorted(one.number for one in news if isinstance(one, Begun)) == [0, 1]
    assert [unpack(one.outcome).value for one in news if isinstance(one, Ended)] == [bytes(MUCH)] * 2


class Away:
    """A steward whose cluster is there at first, and gone as soon as it has a task."""

    workers, is_here = 1, True
    is_there = True

    def __init__(self, options):
        if not Away.is_there:
            raise MachineError("It does not answer.")
        self.pipe, self._theirs = Pipe()

    def send(self, task):
        Away.is_there = False
        self._theirs.close()

    def dismiss(self):
        self.pipe.close()


def test_what_waits_while_the_cluster_is_away_is_refused_too(monkeypatch):
    monkeypatch.setattr(module, "Steward", Away)
    monkeypatch.setattr(module, "LONGEST_OUTAGE", 0.0)
    monkeypatch.setattr(Away, "is_there", True)
    with RayExecutor(RayOptions()) as executor:
        jobs = [executor.submit(str(n), abs, n) for n in range(3)]
        assert sorted(job.key for job in executor.wait()) == ["0", "1", "2"]
        jobs.append(executor.submit("later", abs, 3))
        assert executor.wait() == jobs[3:]
        for job in jobs:
            with pytest.raises(MachineError, match=r"was not there again.*does not answer.*Bring it back"):
                job.result()
