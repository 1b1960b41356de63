"""Whether a search goes on where it began: with the same data, on the same device."""

from __future__ import annotations

from collections.abc import Callable

from paretonas.errors import DataError
from paretonas.evaluation.evaluator import About
from paretonas.search.config import SearchConfig


def check_circumstances(config: SearchConfig, about: About, note: Callable[[str], None]) -> None:
    """The data have to be those that the search began with; another device is pointed out.

    Args:
        config: Of the search, with what was recorded when it began, if it did.
        about: What is there now.
        note: Is told of another device.

    Raises:
        DataError: Other data.
    """
    before = config.recorded
    if before.digest not in ("", about.digest):
        raise DataError(
            f"A search goes on with the data that it began with, but those of {config.name!r} have changed since "
            f"(digest {about.digest}, not {before.digest}): its splits would differ. Begin a new search."
        )
    if before.measured_on not in ("", about.measured_on):
        note(
            f"This search was measured on {before.measured_on}; now it is {about.measured_on}. Latencies of the two do "
            "not compare."
        )
