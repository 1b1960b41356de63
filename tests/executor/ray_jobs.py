"""Jobs that a cluster runs, and the cluster."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

NODES = Path(__file__).parents[2] / "benchmarks" / "ray_nodes.py"


class Nodes:
    """See `benchmarks/ray_nodes.py`."""

    def __init__(self, process):
        self._process = process
        self.address = self._read()
        assert ":" in self.address, "the cluster has not started"

    def _read(self):
        return self._process.stdout.readline().strip()

    def tell(self, *words):
        self.begin(*words)
        assert self._read() == "done"

    def begin(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()


@contextmanager
def running_nodes(nodes=3, cpus=2):
    command = [sys.executable, str(NODES), "--nodes", str(nodes), "--cpus", str(cpus)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
    try:
        yield Nodes(process)
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def processes(title):
    """Numbers of those that are called so."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += [int(place.parent.name)] if place.read_bytes().startswith(title.encode()) else []
    return found


def count_up(state: Path, begun: Path, steps: int, pause: float):
    """A training in small: each step is kept, and whoever takes it up goes on from there."""
    with begun.open("a") as file:
        file.write(f"{os.getpid()}\n")
    first = int(state.read_text()) if state.exists() else 0
    for step in range(first, steps):
        time.sleep(pause)
        draft = state.with_name(f"{state.name}.{os.getpid()}.part")
        draft.write_text(str(step + 1))
        draft.replace(state)
    return first, steps


def die_once(mark: Path):
    """Killed from outside, the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "lived"


def where():
    from paretonas.executor.ray.library import ray

    return ray.get_runtime_context().get_node_id()


def fill_memory(gib):
    return len(bytearray(int(gib * 2**30)))


def read_and_write(folder, given: Path, left: Path):
    """What a file and a folder say, written into another."""
    told = given.read_text() + "".join(sorted(one.name for one in folder.path.iterdir()))
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text(told)
    given.unlink()
    return told, str(folder.path)


def streams():
    sys.stdout.write("noise of a job\n")
    os.write(1, b"more noise\n")


def surroundings():
    return os.environ.get("RAY_USAGE_STATS_ENABLED"), os.environ.get("OMP_NUM_THREADS"), os.getcwd()
