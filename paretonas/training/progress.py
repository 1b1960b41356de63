"""How far a training in another process is: a small file that one side writes and the other reads."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path


class ProgressFile:
    """Writes the share of the steps that is done, at most once for each percent.

    Args:
        path: Is replaced in one step each time, so that a reader never sees half of it.
    """

    def __init__(self, path: Path):
        self._path, self._percent = path, -1

    def step(self, done: int, steps: int) -> None:
        """Take note that `done` of `steps` are done; where the system refuses, nobody sees it."""
        if (percent := 100 * done // steps) > self._percent:
            self._percent = percent
            draft = self._path.with_name(f"{self._path.name}.draft")
            with suppress(OSError):  # and it need not be on the disk: it is of no use to anybody after a power cut
                draft.write_text(json.dumps({"share": done / steps}))
                draft.replace(self._path)


def read_share(path: Path) -> float:
    """The share that is done, 0 while nothing is known."""
    try:
        return float(json.loads(path.read_text())["share"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
