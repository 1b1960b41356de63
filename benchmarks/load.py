"""Something that keeps cores busy: multiplies matrices on one thread until it is ended or its parent is gone.

Usage: python benchmarks/load.py PARENT [--core N] [--bursts SEED]; prints a line once it is at work.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import numpy as np

SIDE = 512
BURST = (0.02, 0.5)
"""Shortest and longest seconds of a burst and of a pause."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@contextmanager
def busy_cores(cores: Sequence[int]) -> Iterator[None]:
    """Keep each of `cores` busy with a process pinned to it."""
    with _running([["--core", str(core)] for core in cores]):
        yield


@contextmanager
def bursts(processes: int, seed: int) -> Iterator[None]:
    """Run `processes` that may go to any core and work and pause in turn, for times drawn at random."""
    with _running([["--bursts", str(seed + i)] for i in range(processes)]):
        yield


@contextmanager
def _running(arguments: Sequence[Sequence[str]]) -> Iterator[None]:
    """Processes that are at work inside the block and gone after it."""
    with ExitStack() as stack:
        processes = []
        for words in arguments:
            command = [sys.executable, str(Path(__file__).resolve()), str(os.getpid()), *words]
            process = subprocess.Popen(command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True)
            stack.callback(_end, process)
            processes.append(process)
        for process in processes:
            if not process.stdout or not process.stdout.readline():
                raise RuntimeError(f"A load works until it is ended, but one ended with exit code {process.wait()}.")
        yield


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def main(options: argparse.Namespace) -> None:
    """Work."""
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    a = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
    random = Random(options.bursts)
    print("working", flush=True)
    while os.getppid() == options.parent:
        until = time.monotonic() + (random.uniform(*BURST) if options.bursts is not None else 1.0)
        while time.monotonic() < until:
            a @ a
        if options.bursts is not None:
            time.sleep(random.uniform(*BURST))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parent", type=int, help="process id")
    parser.add_argument("--core", type=int)
    parser.add_argument("--bursts", type=int)
    main(parser.parse_args())
