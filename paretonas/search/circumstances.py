"""Whether a search goes on where it began: in the same home, with the same data, on the same device; and alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paretonas.errors import DataError, UsageError
from paretonas.evaluation.evaluator import About
from paretonas.files import sweep
from paretonas.search.config import SearchConfig
from paretonas.store import Store


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
            f"A search goes on with the data, and the weights, that it began with, but those of {config.name!r} have "
            f"changed since (digest {about.digest}, not {before.digest}): its trials would differ. Begin a new search."
        )
    if before.measured_on not in ("", about.measured_on):
        note(
            f"This search was measured on {before.measured_on}; now it is {about.measured_on}. Latencies of the two do "
            "not compare."
        )


def home_of(store: Store, home: Path) -> str:
    """A home as it is recorded: from the folder of the store, so that both may be moved together."""
    if store.folder is None:
        return str(home.resolve())
    try:
        return Path(os.path.relpath(home.resolve(), store.folder)).as_posix()
    except ValueError:  # on another drive
        return str(home.resolve())


def check_home(name: str, store: Store, home: Path) -> None:
    """The files of a search lie in one home, whoever shares its store.

    Args:
        name: Of a recorded search.
        store: Where it is recorded.
        home: In which it is to go on. If the one that was recorded is no longer there, it was moved.

    Raises:
        UsageError: Its files lie in another home.
        StoreError: No such search, or a damaged configuration.
    """
    written = store.config(name).get("recorded", {}).get("home", "")
    recorded = (store.folder or Path()) / written
    if written and recorded.is_dir() and recorded.resolve() != home.resolve():
        raise UsageError(
            f"A search has one home, but that of {name!r} is {recorded.resolve()}, not {home}: "
            f"paretonas --home {recorded.resolve()} ..."
        )


@contextmanager
def held(name: str, store: Store, home: Path) -> Iterator[None]:
    """Hold a search whose files are about to be written; what killed processes have left half-written is swept.

    Raises:
        StoreError: No such search, or another process holds it.
    """
    with store.hold(name):
        for folder in ("cache", name):
            sweep(home / folder)
        yield
