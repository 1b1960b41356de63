"""The conditions of a measurement: one core, the load, the date, how hot it is; and one measurement at a time."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

SYSTEM = Path("/sys")
CELSIUS = "class/thermal/thermal_zone*/temp"
THROTTLES = (
    "devices/system/cpu/cpu*/thermal_throttle/core_throttle_count",
    "devices/system/cpu/cpu*/thermal_throttle/package_throttle_count",
)
COOLING = "class/thermal/cooling_device*"
PI = "devices/platform/soc/soc:firmware/get_throttled"


@contextmanager
def pinned(clock: str) -> Iterator[dict[str, Any]]:
    """On the last of the allowed cores, if the headline is read from a CPU clock.

    Args:
        clock: "thread", "process" or "wall".

    Returns:
        The conditions: `core`, None of several; the `load` before; the `date`. Once it is over also `celsius`, the
        hottest part's, and `throttled`: "yes", "no" or "unknown".
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    core = max(allowed, default=None) if clock != "wall" else None
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")  # noqa: UP017 - Python 3.10 knows no UTC
    conditions: dict[str, Any] = {"core": core, "load": load, "date": date}
    if core is not None:
        os.sched_setaffinity(0, {core})
    before = throttles()
    try:
        yield conditions
    finally:
        if core is not None:
            os.sched_setaffinity(0, allowed)
        conditions.update(celsius=celsius(), throttled=was_throttled(before, throttles()))


def throttles(system: Path = SYSTEM) -> Mapping[str, int] | None:
    """Counters and states that rise as the processor is slowed for its heat; None where it tells nothing."""
    found: dict[str, int] = {}
    for pattern in THROTTLES:
        found.update({str(path): value for path in system.glob(pattern) if (value := number_of(path)) is not None})
    for device in system.glob(COOLING):
        state = number_of(device / "cur_state")
        if state is not None and text_of(device / "type").startswith(("cpufreq", "thermal-cpufreq", "Processor")):
            found[f"now {device}"] = state
    bits = text_of(system / PI)
    if re.fullmatch(r"(0x)?[0-9a-fA-F]+", bits):
        found["now pi"] = int(bits, 16) & 0b1110  # frequency capped, throttled, soft temperature limit
    return found or None


def was_throttled(before: Mapping[str, int] | None, after: Mapping[str, int] | None) -> str:
    """Whether the processor was slowed between two looks: "yes", "no", or "unknown" where it does not tell.

    >>> was_throttled({"count": 3}, {"count": 4}), was_throttled({"count": 3}, {"count": 3}), was_throttled(None, None)
    ('yes', 'no', 'unknown')
    """
    if before is None or after is None:
        return "unknown"
    is_now = any(value for name, value in {**before, **after}.items() if name.startswith("now "))
    has_risen = any(value > before.get(name, value) for name, value in after.items())
    return "yes" if is_now or has_risen else "no"


def celsius(system: Path = SYSTEM) -> float | None:
    """Of the hottest part; None where nothing tells."""
    told = [value / 1000 for path in system.glob(CELSIUS) if (value := number_of(path)) is not None]
    return max((value for value in told if -50 < value < 200), default=None)


def text_of(path: Path) -> str:
    """What a file of the system says; nothing where it is not there or not to be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number_of(path: Path) -> int | None:
    """The whole number that a file of the system says."""
    text = text_of(path)
    return int(text) if re.fullmatch(r"-?\d{1,15}", text) else None


def lock_files(machine: str) -> tuple[Path, Path]:
    """The lock of a machine, one file a user in the system's temporary folder, and the note of who holds it."""
    user = os.getuid() if hasattr(os, "getuid") else "own"  # without user numbers the folder is a user's own
    stem = re.sub(r"[^\w.-]", "_", f"paretonas-measuring-{machine}-{user}")
    folder = Path(tempfile.gettempdir())
    return folder / f"{stem}.lock", folder / f"{stem}.holder"


@contextmanager
def measuring_alone() -> Iterator[None]:
    """Hold the machine's measuring lock, which a search on the machine itself holds too; nothing where none can be."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with lock_files("here")[0].open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@lru_cache
def processor() -> str:
    """The name of this machine's."""
    import platform

    for line in text_of(Path("/proc/cpuinfo")).splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    model = text_of(Path("/proc/device-tree/model")).rstrip("\0")  # of boards
    return model or platform.processor() or "unknown"
