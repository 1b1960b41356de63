"""Jobs that must be importable by worker processes."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.util import Finalize

from paretonas.errors import WorkError


class Unreadable:
    """Can be pickled but not unpickled."""

    def __reduce__(self):
        return int, ("not a number",)


def return_unreadable():
    return Unreadable()


def fail_with_local_class():
    class LocalError(WorkError):
        pass

    raise LocalError("the reason")


def fill_memory():
    blocks = []
    while True:
        blocks.append(bytearray(2**20))


def hold(path):
    """Keep the FIFO open, in this process and in one that it starts, until both are killed."""
    with open(path, "wb", buffering=0) as fifo:
        child = subprocess.Popen(["sleep", "1000"], stdout=fifo)
        fifo.write(b"x")
        child.wait()


def fork_and_die():
    """Die with a forked child left behind, as a data loader's process would be."""
    if os.fork() == 0:
        time.sleep(1000)
    os.kill(os.getpid(), signal.SIGKILL)


def announce_and_sleep():
    sys.stdout.write("running\n")
    sys.stdout.flush()
    time.sleep(1000)


def print_unflushed():
    sys.stdout.write("said by a job")


def environment():
    return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def leave_a_note(file):
    """Written when the worker leaves, unless it is killed."""
    Finalize(None, file.touch, exitpriority=0)
