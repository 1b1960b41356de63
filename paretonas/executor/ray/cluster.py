"""What the steward asks of Ray."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from math import floor, inf
from typing import TYPE_CHECKING, Any

from paretonas.errors import MachineError, UsageError, WorkerError
from paretonas.executor.executor import Failure
from paretonas.executor.ray import node
from paretonas.executor.ray.courier import Courier
from paretonas.executor.ray.library import LOST, NodeAffinitySchedulingStrategy, exceptions, first_words, ray
from paretonas.executor.ray.messages import GoneError, LostError

if TYPE_CHECKING:
    from paretonas.executor.ray.options import RayOptions

OWN, FOUND = "local", "auto"
LONGEST_KNOCK = 5.0
"""Seconds in which a head takes a connection."""
Amounts = Mapping[str, float]


class Cluster:
    """A cluster that this process is a driver of.

    Args:
        options: Of the executor.
        surroundings: Of the search, for its jobs; see `node.Ticket`.

    Attributes:
        workers: Jobs at once.
        is_here: Whether they may run on this machine.

    Raises:
        UsageError: No cluster answers, it is of another version, or no node has what a job demands.
    """

    def __init__(self, options: RayOptions, surroundings: Mapping[str, Any]):
        self.options = options
        _connect(options)
        rooms = _rooms(options.demands)
        here = socket.gethostname()
        if not any(rooms.values()):
            raise UsageError(_no_room(options))
        self.workers = options.workers or sum(rooms.values())
        self.is_here = any(room for (_, host), room in rooms.items() if host == here)
        memory = options.demands.get("memory")
        self._ticket = node.Ticket(
            node.versions(), options.threads, None if memory is None else int(memory), **surroundings
        )
        self._courier: Any = None
        self._task = ray.remote(
            num_cpus=options.threads,
            num_gpus=options.gpus,
            memory=memory,
            max_retries=0,
            num_returns="streaming",
            scheduling_strategy="SPREAD",
        )(node.run)

    def begin(self, payload: bytes, has_paths: bool) -> Running:
        """Give a call to Ray, which gives it to a worker."""
        if has_paths and self._courier is None:
            at_home = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            again = {"max_restarts": -1, "max_task_retries": -1}  # what it is asked may be asked twice
            self._courier = ray.remote(num_cpus=0, scheduling_strategy=at_home, **again)(Courier).remote()
        return Running(self._task.remote(payload, self._ticket, self._courier if has_paths else None))

    def check_room(self) -> None:
        """Go on as long as a node has what a job demands.

        Raises:
            MachineError: None has, so that it would be waited for ever.
        """
        if not any(_rooms(self.options.demands).values()):
            raise MachineError(f"{_no_room(self.options)} Bring a node back, then go on.")

    def leave(self) -> None:
        """End what runs; a cluster of one's own ends with it."""
        with suppress(Exception):
            if self._courier is not None:
                ray.get(self._courier.tidy.remote(), timeout=LONGEST_KNOCK)
        ray.shutdown()


class Running:
    """A task of Ray: first it says that it has begun, then how it ended.

    Args:
        generator: Ray's.
    """

    def __init__(self, generator: Any):
        self._generator = generator

    async def begun(self) -> str:
        """Wait until a worker has it; the name of its machine.

        Raises:
            LostError: It was lost.
            GoneError: So was this driver's own node.
            ParetonasError: Its node is not fit for it.
        """
        said = await self._next()
        if isinstance(said, Failure):
            raise said.error()
        return str(said)

    async def outcome(self) -> bytes:
        """Wait for its end.

        Raises:
            LostError: It was lost.
            GoneError: So was this driver's own node.
            WorkerError: It took more memory than its node had.
        """
        packed: bytes = await self._next()
        return packed

    async def _next(self) -> Any:
        try:
            return await (await anext(self._generator))
        except exceptions.OutOfMemoryError as error:
            raise WorkerError(
                "The job ran out of its node's memory. Use smaller batches, or say with memory_gb what a job takes. "
                f"({first_words(error)})"
            ) from None
        except LOST as error:
            raise LostError(first_words(error)) from None
        except exceptions.LocalRayletDiedError as error:
            raise GoneError(first_words(error)) from None
        except (exceptions.RayError, RuntimeError, ImportError) as error:
            raise MachineError(
                f"A node of the cluster cannot begin a job: {first_words(error)} Install paretonas there as it is "
                "installed here, then go on."
            ) from None

    def kill(self) -> None:
        """End it, with the process that it runs in."""
        with suppress(Exception):
            ray.cancel(self._generator, force=True)


def _connect(options: RayOptions) -> None:
    """Become a driver.

    Raises:
        UsageError: No cluster answers, or it is of another version.
    """
    if options.address not in ("", FOUND):
        _knock(options.address)
    own = {} if options.address else {"num_cpus": options.cores, "include_dashboard": False}
    try:
        ray.init(
            address=options.address or OWN, log_to_driver=False, configure_logging=False, logging_level="ERROR", **own
        )
    except Exception as error:  # of many kinds, none of which is declared
        what = f"at {options.address}" if options.address else "on this machine"
        raise UsageError(
            f"A cluster of Ray answers, of the version that is here (Ray {ray.__version__}, Python "
            f"{node.versions()['Python']}), but {what}: {first_words(error)} Start one with `ray start --head`, "
            "and this machine as a node of it with `ray start --address=HOST:PORT`."
        ) from None


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), LONGEST_KNOCK).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UsageError(
            f"A cluster of Ray is `auto` or the host:port of its head, but {address} does not answer: {error}. Start "
            "it with `ray start --head`."
        ) from None


def _rooms(demands: Amounts) -> dict[tuple[str, str], int]:
    """How many jobs fit on each node, by its id and host."""
    alive = [one for one in ray.nodes() if one["Alive"]]
    return {(one["NodeID"], one["NodeManagerHostname"]): _room(one["Resources"], demands) for one in alive}


def _room(has: Amounts, demands: Amounts) -> int:
    return floor(min((has.get(name, 0.0) / amount for name, amount in demands.items()), default=inf))


def _no_room(options: RayOptions) -> str:
    """That no node has what a job demands."""
    wanted = _amounts(options.demands)
    there = "; ".join(_amounts(one["Resources"]) for one in ray.nodes() if one["Alive"]) or "no node at all"
    return f"A node of the cluster must have what a job takes ({wanted}), but there is {there}."


def _amounts(amounts: Amounts) -> str:
    memory = amounts.get("memory", 0) / 2**30
    words = [f"{amounts[name]:g} {name}" for name in ("CPU", "GPU") if amounts.get(name)]
    return ", ".join([*words, f"{memory:.3g} GiB"] if memory else words) or "nothing"
