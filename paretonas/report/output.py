"""Where what is found is written to."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from paretonas.errors import UsageError
from paretonas.files import refusals


def check_output(path: Path, what: str, suffixes: Sequence[str]) -> None:
    """Whether a file can be written there, before work is spent on it.

    Args:
        path: Of the file.
        what: It is; begins the sentence.
        suffixes: That it may have.

    Raises:
        UsageError: Another suffix, a folder in its place, or no folder for it.
        MachineError: The system takes no file there.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{what} is written as {', '.join(suffixes)}, but got {str(path)!r}.")
    if path.is_dir():
        raise UsageError(f"{what} is a file, but {path} is a folder.")
    if not path.parent.exists():
        raise UsageError(f"{what} is written to a folder that exists, but there is no {path.parent}.")
    with refusals(f"{path} cannot be written"), tempfile.TemporaryFile(dir=path.parent):
        pass
