"""Text of others shown as text: names of files, classes, searches and devices say nothing to a terminal or a page."""

from __future__ import annotations

import unicodedata

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of characters that are not seen and change how others are: controls, directions, line breaks."""
JOINERS = "\u200c\u200d"
"""Without these some scripts and emoji cannot be written."""


def shown(text: str) -> str:
    r"""The text with whatever would not be seen, or would move what is, as an escape.

    >>> shown("cats\n\x1b[2J [bold]é")
    'cats\\n\\x1b[2J [bold]é'
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in HIDDEN and c not in JOINERS else c for c in text)


def shown_lines(text: str) -> list[str]:
    """The lines of a text that has several by right, such as a traceback."""
    return [shown(line) for line in text.splitlines()]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
