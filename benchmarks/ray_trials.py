"""Thousands of trials on a cluster whose workers and nodes die: is any lost or done twice, and what does one cost?

Networks of a table are drawn at random. Their trainings are jobs that sleep as trainings would, a thousand times
faster, and then say what the table has. Everything else is real: the loop, an SQLite file, the executor, and for `ray`
a head and three nodes of this machine, of whose busy workers some are killed, and one node.

    instant   no executor: what head and store alone can do
    process   32 workers of this machine
    ray       32 workers on three nodes; `ray-unharmed`: of whom none is killed

Usage: python benchmarks/ray_trials.py TABLE OUTPUT [--trials 8000] [--mean 0.1] [--arms instant process ray]
"""

from __future__ import annotations

import argparse
from pathlib import Path

if __name__ == "__main__":  # workers import this file too, and need none of what it measures with
    from ray_measures import main

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--trials", type=int, default=8000)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--mean", type=float, default=0.1, help="seconds of a training")
    parser.add_argument("--killed", type=float, default=0.0125, help="workers killed for each trial")
    parser.add_argument("--arms", nargs="+", default=["instant", "process", "ray"])
    parser.add_argument("--name", default="trials", help="begins the names of the files")
    parser.add_argument("--profile", action="store_true")
    main(parser.parse_args())
