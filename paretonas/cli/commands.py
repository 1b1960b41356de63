"""All commands, and how any of them ends."""

from __future__ import annotations

import sys

from paretonas.cli import (  # noqa: F401 - they add their commands to the app
    catalogue,
    comparing,
    console,
    devices,
    finalists,
    measuring,
    morphing,
    networks,
    predicting,
    proxies,
    results,
    scaling,
    searching,
    serving,
    status,
)
from paretonas.cli.app import app
from paretonas.cli.streams import flush_streams
from paretonas.errors import ParetonasError
from paretonas.files import refusal

__all__ = ["app", "run"]


def run() -> None:
    """Run what the command line asks for, and exit."""
    code: str | int | None = 0
    try:
        app()
    except SystemExit as end:
        code = end.code
    except ParetonasError as error:
        _say(str(error))
        code = error.exit_code
    except BrokenPipeError:  # whoever read our output has enough of it
        code = 1
    except OSError as error:  # a full disk, a folder that takes no files, wherever the system says so
        _say(refusal(f"{error.filename or 'A file'} is refused", error))
        code = 1
    try:
        flush_streams()
    except OSError as error:
        code = code or 1
        if not isinstance(error, BrokenPipeError):
            _say(refusal("Standard output cannot be written", error))
    sys.exit(code)


def _say(error: str) -> None:
    console.err.print(console.styled("error:", "bold red"), error)
