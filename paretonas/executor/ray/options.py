"""The options of the executor `ray`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from paretonas.errors import MissingPackageError, UsageError
from paretonas.executor.spawning import usable_cores

if TYPE_CHECKING:
    from paretonas.executor.ray.executor import RayExecutor

CLIENT = "ray://"


@dataclass(frozen=True)
class RayOptions:
    """A task of Ray for each job, on the nodes that have what it demands.

    Args:
        address: `auto`: the cluster that this machine is a node of; `host:port`: that of this head, which this machine
            is a node of, too; empty: a cluster of its own on this machine, for as long as the executor lives.
        workers: Jobs at once; None: as many as the nodes have room for when the search begins.
        threads: Cores, and threads of numerical libraries, a job.
        gpus: A job; may be a part of one.
        memory_gb: Memory in GiB that a job takes: nodes are given no more jobs than fit, and a job that allocates more
            fails. None: no limit but the node's.
        retries: Times that a job is begun again on another worker, when its own or its node was lost.

    Raises:
        UsageError: A number out of range, or an address of Ray Client.
    """

    address: str = ""
    workers: int | None = None
    threads: int = 1
    gpus: float = 0.0
    memory_gb: float | None = None
    retries: int = 3

    def __post_init__(self) -> None:
        for name, most in (("workers", 4096), ("threads", 1024), ("memory_gb", 1e6)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise UsageError(f"`0 < {name} <= {most:g}` must hold, but got {name}={value}.")
        if not 0 <= self.gpus <= 1024 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise UsageError(f"A job has a part of a GPU, or whole ones up to 1024, but got gpus={self.gpus}.")
        if not 0 <= self.retries <= 100:
            raise UsageError(f"`0 <= retries <= 100` must hold, but got retries={self.retries}.")
        if self.address.startswith(CLIENT):
            raise UsageError(
                f"A search runs on a node of its cluster: the address is auto or host:port, but got {self.address!r}."
            )

    @property
    def demands(self) -> Mapping[str, float]:
        """What a job takes of a node, by Ray's names."""
        memory = 0 if self.memory_gb is None else math.ceil(self.memory_gb * 2**30)
        demands = {"CPU": float(self.threads), "GPU": self.gpus, "memory": float(memory)}
        return {name: amount for name, amount in demands.items() if amount}

    @property
    def cores(self) -> int:
        """That a cluster of one's own on this machine is said to have."""
        return (self.workers or max(1, len(usable_cores()) // self.threads)) * self.threads

    def count(self) -> int:
        """As many as were asked for, or as this machine's cores or the cluster's nodes allow.

        Where more than cores of this machine is asked for, a cluster is asked.

        Raises:
            UsageError: See `start`.
        """
        _check_installed()
        if not self.address and set(self.demands) == {"CPU"}:
            return self.cores // self.threads
        with self.start() as executor:
            return executor.workers

    def start(self) -> RayExecutor:
        """The executor, once its cluster has answered.

        Raises:
            MissingPackageError: Ray is not installed.
            UsageError: No cluster answers at the address, another version of Ray does, or no node has what a job takes.
        """
        _check_installed()
        from paretonas.executor.ray.executor import RayExecutor

        return RayExecutor(self)


def _check_installed() -> None:
    """Ray can be imported, which takes a second and is not done here.

    Raises:
        MissingPackageError: It is not installed.
    """
    if find_spec("ray") is None:
        raise MissingPackageError("ray", "The executor 'ray'")
