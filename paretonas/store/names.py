"""What a search may be called: its name is that of a folder and of a lock, on every system."""

from __future__ import annotations

import re

from paretonas.errors import UsageError

LONGEST = 100
_SOME_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")
_HOMES_OWN = re.compile(r"cache|scratch.*|store\.db.*|trusted\.json")
"""What lies in a home beside the folders of searches."""
_OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
"""What no file on Windows may be called, whatever follows a dot."""


def check_name(name: str) -> None:
    """Whether a search may be called so.

    Raises:
        UsageError: It may not; the message says what a name is.
    """
    if not _SOME_NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"A search's name is letters, digits, '.', '_' and '-', {LONGEST} at most; it begins with one of the first "
            f"two and does not end with a dot, but got {name!r:.130}."
        )
    if _HOMES_OWN.fullmatch(name.lower()):
        raise UsageError(f"A search's name is not one of the home's own files, but got {name!r}.")
    if _OF_WINDOWS.fullmatch(name.lower()):
        raise UsageError(f"A search's name is that of a folder on every system, but Windows has none called {name!r}.")
