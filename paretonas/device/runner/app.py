"""A model as an app sees it: loaded once, first run and all, with pauses between runs, and the memory that it takes."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paretonas.device.engine import Runs
from paretonas.device.runner.energy import counters, joules


def run_as_app(load: Callable[[], Runs], inputs: tuple[Any, ...], runs: int, every: float) -> dict[str, Any]:
    """Load a model and run it now and then.

    Args:
        load: Loads it.
        inputs: That it is fed.
        runs: Beside the first one.
        every: Seconds from the beginning of one run to that of the next; what takes longer is followed at once.

    Returns:
        Seconds on the wall: to `load`, of the `first` run, and of all others as `wall`. Bytes of the process at most,
        `rss`, and of what it had before, `rss_before`; None where the system does not tell. `joules` that the machine
        used meanwhile, pauses and all that ran beside included; None where it does not tell.
    """
    before, since = peak_rss(), time.perf_counter()
    run = load()
    loaded = time.perf_counter()
    run(inputs)
    first = time.perf_counter()
    wall, due, used = [], first, counters()
    for _ in range(runs):
        due = max(due + every, time.perf_counter())
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        run(inputs)
        wall.append(time.perf_counter() - began)
    spent = joules(used, counters())
    memory = {"rss": peak_rss(), "rss_before": before}
    return {"load": loaded - since, "first": first - loaded, "wall": wall, **memory, "joules": spent}


def peak_rss() -> int | None:
    """Bytes of this process at most so far; None where the system does not tell."""
    if sys.platform == "darwin":
        import resource

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    try:  # not getrusage, which on Linux counts what the process was before it became this program
        words = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    except OSError:
        return None
    return None if words is None else int(words[1]) * 1024
