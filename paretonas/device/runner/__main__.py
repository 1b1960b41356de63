"""`python runner.pyz serve FOLDER SECONDS`, `… work FOLDER`, or `… agent OPTIONS`."""

from __future__ import annotations

import sys
from pathlib import Path

from paretonas.device.runner.worker import serve, work


def main(arguments: list[str]) -> int:
    """Do what is asked; the exit code."""
    asked, *rest = arguments or ["agent"]
    if asked == "work":
        return work(Path(rest[0]))
    if asked == "serve":
        return serve([sys.executable, sys.argv[0], "work", rest[0]], float(rest[1]))
    from paretonas.device.agent.__main__ import main as agent

    return agent(rest)
