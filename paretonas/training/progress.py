"""How far a training in another process is: a small file that one side writes and the other reads."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


class ProgressFile:
    """Writes the share of the steps that is done, at most once for each percent.

    Args:
        path: Is written in place, always as many bytes at once, so that a reader never sees half of it. It is of no use
            to anybody after a kill, and neither renamed nor synced.
    """

    def __init__(self, path: Path):
        self._path, self._percent = path, -1

    def step(self, done: int, steps: int) -> None:
        """Take note that `done` of `steps` are done; where the system refuses, nobody sees it."""
        if (percent := 100 * done // steps) > self._percent:
            self._percent = percent
            with suppress(OSError):
                self._path.touch()
                with self._path.open("r+b") as file:
                    file.write(f"{done / steps:.6f}".encode())


def read_share(path: Path) -> float:
    """The share that is done, 0 while nothing is known."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0
