"""How far a training in another process is: a small file that one side writes and the other reads."""

from __future__ import annotations

import json
from pathlib import Path

from paretonas.files import write_text


class ProgressFile:
    """Writes the share of the steps that is done, at most once for each percent.

    Args:
        path: Is replaced in one step each time, so that a reader never sees half of it.
    """

    def __init__(self, path: Path):
        self._path, self._percent = path, -1

    def step(self, done: int, steps: int) -> None:
        """Take note that `done` of `steps` are done.

        Raises:
            MachineError: The system refuses to write.
        """
        if (percent := 100 * done // steps) > self._percent:
            self._percent = percent
            write_text(self._path, json.dumps({"share": done / steps}))


def read_share(path: Path) -> float:
    """The share that is done, 0 while nothing is known."""
    try:
        return float(json.loads(path.read_text())["share"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
