"""A process of the search's own that speaks to Ray: it hands tasks on and says how they ended."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import connection, spawn
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from paretonas.errors import MachineError, ParetonasError
from paretonas.executor.executor import Failure, Outcome
from paretonas.executor.ray.messages import Begun, Ended, LostError, Task
from paretonas.executor.ray.node import TRUSTED
from paretonas.executor.sending import pack
from paretonas.executor.spawning import SPAWN, interrupts_blocked

if TYPE_CHECKING:
    from paretonas.executor.ray.options import RayOptions

LONGEST_ANSWER = 120.0
"""Seconds in which a cluster answers or is started."""
LONGEST_LEAVING = 20.0
"""Seconds that a steward has to leave its cluster, or to end its own."""
PATIENCE = 60.0
"""Seconds that a task waits for a node before it is asked whether there is one at all."""


class Steward:
    """The search's view of that process: it is there once its cluster has answered.

    Args:
        options: Of the executor.

    Attributes:
        workers: Jobs at once.
        is_here: Whether they may run on this machine.
        pipe: Gives what has begun or ended; its end is the steward's.

    Raises:
        ParetonasError: There is no such cluster.
    """

    def __init__(self, options: RayOptions):
        self.pipe, remote = SPAWN.Pipe()
        main = {k: v for k, v in spawn.get_preparation_data("").items() if k.startswith("init_main")}
        surroundings = {
            "trusted": os.environ.get(TRUSTED), "folder": os.getcwd(), "sys_path": tuple(sys.path), "main": main,
        }  # fmt: skip
        self._process = SPAWN.Process(
            target=_serve, name="paretonas-ray", args=(remote, os.getpid(), options, surroundings)
        )
        try:
            with interrupts_blocked():
                self._process.start()
        except OSError as error:
            self.pipe.close()
            what = f"A process that speaks to Ray cannot be started: {error}"
            raise MachineError(f"{what}. Close programs, then go on.") from error
        finally:
            remote.close()
        try:
            self.workers, self.is_here = self._answer()
        except BaseException:
            self.dismiss()
            raise

    def _answer(self) -> tuple[int, bool]:
        if not self.pipe.poll(LONGEST_ANSWER):
            what = f"A cluster of Ray answers within {LONGEST_ANSWER:g} s, but this one does not"
            raise MachineError(f"{what}. See to its head with `ray status`, then go on.")
        try:
            answer = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            raise MachineError(
                f"The process that speaks to Ray ended before its cluster answered (exit code {self._code()}). See to "
                "its head with `ray status`, then go on."
            ) from None
        if isinstance(answer, Failure):
            raise answer.error()
        workers, is_here = answer
        return workers, is_here

    def _code(self) -> int | None:
        self._process.join(5.0)
        return self._process.exitcode

    def send(self, task: Task) -> None:
        """Hand a task on; if the steward is gone, the pipe tells."""
        with suppress(OSError):
            self.pipe.send_bytes(pickle.dumps(task))

    def dismiss(self) -> None:
        """Let it end what runs and leave."""
        self.pipe.close()
        self._process.join(LONGEST_LEAVING)
        if self._process.is_alive():
            with suppress(OSError):
                os.killpg(self._process.pid or 0, signal.SIGKILL)
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(pipe: connection.Connection, parent: int, options: RayOptions, surroundings: Mapping[str, Any]) -> None:
    """What the steward does, until the search closes its pipe or is gone."""
    os.setsid()  # no Ctrl-C of the terminal for it or for a cluster of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # Ray's threads and processes print where they like
        os.dup2(nowhere, stream)
    from paretonas.executor.ray.cluster import Cluster

    try:
        cluster = Cluster(options, surroundings)
    except BaseException as error:
        pipe.send_bytes(pickle.dumps(Failure.of(error)))
        return
    try:
        pipe.send_bytes(pickle.dumps((cluster.workers, cluster.is_here)))
        asyncio.run(_Serving(pipe, parent, cluster).run())
    finally:
        cluster.leave()


class _Serving:
    """Tasks in their turns."""

    def __init__(self, pipe: connection.Connection, parent: int, cluster: Any):
        self._pipe, self._parent, self._cluster = pipe, parent, cluster
        self._left = asyncio.Event()
        self._news: SimpleQueue[bytes | None] = SimpleQueue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the search has left."""
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._read)
        threading.Thread(target=self._send, daemon=True).start()
        while not self._left.is_set() and os.getppid() == self._parent:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), 1.0)
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                doing = asyncio.ensure_future(self._finish(pickle.loads(self._pipe.recv_bytes())))
                self._tasks.add(doing)
                doing.add_done_callback(self._tasks.discard)
        except (EOFError, OSError):
            self._left.set()

    async def _finish(self, task: Task) -> None:
        """Say how a task ended; where that cannot be told, end this process, which tells it too."""
        try:
            self._tell(await self._do(task))
        except Exception:  # the cluster is gone, or Ray says something that nobody knows
            self._news.put(None)

    def _tell(self, news: Begun | Ended) -> None:
        self._news.put(pickle.dumps(news))

    def _send(self) -> None:
        """Send what is told, apart from reading: the search may be about to send more than the pipe takes, too."""
        for news in iter(self._news.get, None):
            with suppress(OSError):
                self._pipe.send_bytes(news)
        os._exit(1)

    async def _do(self, task: Task) -> Ended:
        attempts, begin = task.attempts, time.monotonic()
        while True:
            try:
                outcome = await self._attempt(task)
                break
            except LostError as lost:
                if attempts > self._cluster.options.retries:
                    what = f"The job lost {attempts} workers, each time: {lost}"
                    outcome = pack(Outcome.crashed(what, time.monotonic() - begin))
                    break
                attempts += 1
            except ParetonasError as error:
                outcome = pack(Outcome(failure=Failure.of(error), seconds=time.monotonic() - begin))
                break
        return Ended(task.number, outcome, attempts)

    async def _attempt(self, task: Task) -> bytes:
        """One worker at a task: how it ended.

        Raises:
            LostError: The worker, or its node.
            GoneError: The cluster.
            ParetonasError: No worker can have it.
        """
        running = self._cluster.begin(task.payload, task.has_paths)
        try:
            self._tell(Begun(task.number, await self._begun(running)))
            begin = time.monotonic()
            try:
                async with asyncio.timeout(task.timeout):
                    packed: bytes = await running.outcome()
                    return packed
            except TimeoutError:
                running.kill()
                limit = f"its time limit of {task.timeout:g} s"
                return pack(
                    Outcome.failed(f"The job exceeded {limit} and was killed.", seconds=time.monotonic() - begin)
                )
        except BaseException:
            running.kill()
            raise

    async def _begun(self, running: Any) -> str:
        """Wait until a worker has it, as long as there may be one; its machine."""
        beginning = asyncio.ensure_future(running.begun())
        try:
            while not (await asyncio.wait({beginning}, timeout=PATIENCE))[0]:
                self._cluster.check_room()
            node: str = await beginning
            return node
        finally:
            beginning.cancel()
