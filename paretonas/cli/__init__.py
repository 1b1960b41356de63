"""The command line: parse, call, print.

Exit codes: 0 done, 1 the work failed, 2 bad usage, 130 interrupted.
"""

from paretonas.cli import (  # noqa: F401 - they add their commands to the app
    catalogue,
    comparing,
    finalists,
    networks,
    predicting,
    proxies,
    results,
    searching,
)
from paretonas.cli.app import app, main

__all__ = ["app", "main"]
