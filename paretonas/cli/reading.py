"""What users write on the command line, checked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from paretonas.errors import UsageError


def read_seconds(text: str | None) -> float | None:
    """Seconds of a duration such as 90s, 45m, 3h or 1h30m."""
    if text is None:
        return None
    found = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", text.strip())
    try:
        parts = [float(part or 0) for part in found.groups()] if found else []
    except ValueError:
        parts = []
    if not sum(parts):
        raise UsageError(f"A time is written as 90s, 45m, 3h or 1h30m, but got {text!r}.")
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def read_indices(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"Choices are whole numbers with commas between them, but got {text!r}.") from None


def read_toml(path: Path) -> dict[str, Any]:
    """A configuration file; its values are checked where they are used."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"A configuration is a TOML file, but {path} cannot be read: {error}") from None
