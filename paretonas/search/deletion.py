"""Searches that are forgotten."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from paretonas.errors import StoreError
from paretonas.files import refusals
from paretonas.search.circumstances import check_home
from paretonas.store import Store


def delete_search(name: str, store: Store, home: Path) -> None:
    """Forget a search, its trials and its files; what was measured stays cached.

    Raises:
        StoreError: No such search, or a process holds it.
        UsageError: Its files are in another home.
        MachineError: The system refuses to remove them; the search is still there then.
    """
    store.seconds(name)  # says so if there is no such search
    with suppress(StoreError):  # a damaged one has no home to go by
        check_home(name, store, home)
    with store.hold(name), refusals(f"The files in {home / name} cannot be removed"):
        if (home / name).exists():
            shutil.rmtree(home / name)
        store.delete_search(name)
