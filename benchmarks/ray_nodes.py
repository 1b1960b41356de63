"""A head of Ray and some nodes, all processes of this machine, that die and come back at a word.

    python benchmarks/ray_nodes.py --nodes 3 --cpus 2

Says the address of the head on a line of its own; then takes a word a line and answers `done`: `kill N`, `add`,
`restart` (the head and all nodes), `hide FOLDER` (one more node, which sees an empty folder in its place; needs root).
Ends with its input.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}

from ray.cluster_utils import Cluster

STORE = 100 * 2**20
"""Bytes of each node's object store."""


class Nodes:
    """The head and its nodes.

    Args:
        nodes: How many.
        cpus: Of each; the head has none.
    """

    def __init__(self, nodes: int, cpus: int):
        with socket.socket() as free:
            free.bind(("", 0))
            self._port = free.getsockname()[1]
        self._size, self._cpus = nodes, cpus
        self._hidden: list[subprocess.Popen[bytes]] = []
        self._start()

    def _start(self) -> None:
        head = {"num_cpus": 0, "gcs_server_port": self._port, "include_dashboard": False, "object_store_memory": STORE}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._nodes = []
        for _ in range(self._size):
            self.add()

    @property
    def address(self) -> str:
        """Of the head."""
        return str(self._cluster.address)

    def add(self) -> None:
        """One more node."""
        self._nodes.append(self._cluster.add_node(num_cpus=self._cpus, object_store_memory=STORE))

    def kill(self, number: int) -> None:
        """A node dies."""
        self._cluster.remove_node(self._nodes.pop(number), allow_graceful=False)

    def restart(self) -> None:
        """All die, and are started again at the same address."""
        self.end()
        self._start()

    def hide(self, folder: str) -> None:
        """One more node, that sees an empty folder in the place of this one, and keeps its cache there."""
        ray = f"{sys.executable} -m ray.scripts.scripts"  # wherever its command lies
        start = f"{ray} start --address={self.address} --num-cpus={self._cpus} --min-worker-port=0 --max-worker-port=0"
        start += f" --object-store-memory={STORE} --dashboard-agent-listen-port=0 --block"
        words = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {folder} && exec {start}"]
        surroundings = {**os.environ, "PARETONAS_CACHE": os.path.join(folder, "cache")}
        self._hidden.append(
            subprocess.Popen(
                words, env=surroundings, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        before = len(self._cluster.global_state.node_table())
        while len(self._cluster.global_state.node_table()) == before:
            if self._hidden[-1].poll() is not None:
                raise RuntimeError(f"a node in the place of {folder} has not started")
            time.sleep(0.1)

    def end(self) -> None:
        """All die."""
        for node in self._hidden:
            with suppress(OSError):
                os.killpg(node.pid, signal.SIGTERM)
            node.wait()
        self._hidden.clear()
        self._cluster.shutdown()


def main() -> None:
    """Do as told until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=2)
    given = parser.parse_args()
    say = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Ray prints too
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nodes = Nodes(given.nodes, given.cpus)
    try:
        print(nodes.address, file=say)
        for line in sys.stdin:
            word, *rest = line.split()
            getattr(nodes, word)(*(int(one) if one.isdigit() else one for one in rest))
            print("done", file=say)
    finally:
        nodes.end()


if __name__ == "__main__":
    main()
