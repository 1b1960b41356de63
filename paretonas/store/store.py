"""A database of searches, trials and evaluations: SQLite in a file by default, any other by its SQLAlchemy URL.

Every call is one transaction, committed when it returns, so whatever kills the process loses nothing that a call has
stored. The end of a trial is on the disk too when its call returns, with all that was stored before it: only what came
since can be lost to a power cut. What only reads writes nothing: a store that is not there yet is read as an empty one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from paretonas.errors import StoreError
from paretonas.store.configuration import check_configuration
from paretonas.store.copying import copy_database
from paretonas.store.database import Database, TakenError
from paretonas.store.rows import (
    NUMBER,
    TEXT,
    canonical,
    check_types,
    id_of,
    load,
    state_of,
    trial_from_row,
    trial_to_row,
)
from paretonas.store.schema import evaluations as _evaluations
from paretonas.store.schema import searches as _searches
from paretonas.store.schema import trials as _trials
from paretonas.trial import State, Trial


@dataclass(frozen=True)
class SearchSummary:
    """A line about one search."""

    name: str
    created: str
    seconds: float
    trials: Mapping[State, int]
    unique: int


class Store:
    """The database behind one or many searches.

    Args:
        location: Path of an SQLite file, made if it is missing, or an SQLAlchemy URL.

    Attributes:
        folder: Where an SQLite file lies, links followed; None: on a server, or in memory.

    Raises:
        StoreError: It cannot be opened, is no database, or was made by another version.
    """

    def __init__(self, location: str | Path):
        self._database = Database(location)
        file = self._database.address.file
        self.folder: Path | None = None if file is None else file.parent

    @property
    def is_there(self) -> bool:
        """Whether it has been made; until then it is read as an empty one."""
        return self._database.is_there

    def copy_to(self, path: Path) -> None:
        """Write a whole copy to a file, also while others write into the store; see `copy_database`."""
        copy_database(self._database, path)

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Nobody else writes into this search meanwhile; whoever writes holds it, whoever reads need not.

        For SQLite the lock lies beside the file itself, however the file was named. Who holds a search may do so again
        in the same thread.

        Raises:
            StoreError: Another process holds it; the message says which, and since when.
            MachineError: Nothing can be locked there.
        """
        with self._database.leases.hold(name):
            yield

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # Searches

    def create_search(self, name: str, config: Mapping[str, Any]) -> None:
        """Record a new search.

        Raises:
            StoreError: The name is taken.
        """
        row = {"name": name, "config": json.dumps(config), "created": _now(), "seconds": 0.0}
        try:
            with self._database.writing() as connection:
                connection.execute(_searches.insert().values(row))
        except TakenError:
            raise StoreError(
                f"A search has a name of its own, but {name!r} exists: go on with `paretonas resume {name}`, "
                f"remove it with `paretonas delete {name}`, or choose another name."
            ) from None

    def config(self, name: str) -> dict[str, Any]:
        """What `create_search` was given.

        Raises:
            StoreError: No such search, or a damaged row.
        """
        config: dict[str, Any] = load(self._search(name).config, dict, f"the configuration of search {name!r}")
        check_configuration(config, name)
        return config

    def set_config(self, name: str, config: Mapping[str, Any]) -> None:
        """Replace the configuration of a search, when its budget is raised."""
        with self._database.writing() as connection:
            connection.execute(_searches.update().where(_searches.c.name == name).values(config=json.dumps(config)))

    def searches(self) -> list[SearchSummary]:
        """All searches, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(_searches).order_by(_searches.c.id)).all()
            groups = (_trials.c.search, _trials.c.state)
            counts = connection.execute(sa.select(*groups, sa.func.count()).group_by(*groups)).all()
            distinct = sa.func.count(_trials.c.spec_hash.distinct())
            rows_unique = connection.execute(sa.select(_trials.c.search, distinct).group_by(_trials.c.search)).all()
        unique = {search: n for search, n in rows_unique}
        for row in rows:
            check_types(row._mapping, {"name": TEXT, "created": TEXT, "seconds": NUMBER}, f"search {row.id}")
        return [
            SearchSummary(
                row.name,
                row.created,
                row.seconds,
                {
                    state_of(state, f"a trial of search {row.name!r}"): n
                    for search, state, n in counts
                    if search == row.id
                },
                unique.get(row.id, 0),
            )
            for row in rows
        ]

    def seconds(self, name: str) -> float:
        """Wall time that the search has run so far, over all its sessions."""
        row = self._search(name)._mapping
        check_types(row, {"seconds": NUMBER}, f"search {name!r}")
        return float(row["seconds"])

    def set_seconds(self, name: str, seconds: float) -> None:
        """Record the wall time that the search has run."""
        with self._database.writing() as connection:
            connection.execute(_searches.update().where(_searches.c.name == name).values(seconds=seconds))

    def delete_search(self, name: str) -> None:
        """Forget a search and its trials; evaluations stay, as other searches may use them.

        Raises:
            StoreError: No such search.
        """
        search = self._search(name).id
        with self._database.writing() as connection:
            connection.execute(_trials.delete().where(_trials.c.search == search))
            connection.execute(_searches.delete().where(_searches.c.id == search))

    # Trials

    def add_trials(self, name: str, trials: Iterable[Trial]) -> None:
        """Record new trials, all or none.

        Raises:
            StoreError: No such search, or a number that exists.
        """
        search = self._search(name).id
        rows = [{"search": search, **trial_to_row(trial)} for trial in trials]
        try:
            with self._database.writing() as connection:
                connection.execute(_trials.insert(), rows)
        except TakenError:
            numbers = [row["number"] for row in rows]
            raise StoreError(f"A trial has a number of its own, but search {name!r} has one of {numbers}.") from None

    def update_trial(self, name: str, trial: Trial, seconds: float | None = None) -> None:
        """Replace what is known of a trial.

        Args:
            name: Of the search.
            trial: As it is now.
            seconds: Wall time that the search has run by now; recorded in the same transaction.

        Raises:
            StoreError: No such search or trial.
        """
        row = trial_to_row(trial)
        search = sa.select(_searches.c.id).where(_searches.c.name == name).scalar_subquery()
        chosen = (_trials.c.search == search) & (_trials.c.number == row.pop("number"))
        with self._database.writing(is_synced=trial.state.is_final) as connection:
            found = connection.execute(_trials.update().where(chosen), row).rowcount
            if seconds is not None:
                connection.execute(_searches.update().where(_searches.c.name == name).values(seconds=seconds))
        if not found:
            self._search(name)
            raise StoreError(f"Search {name!r} has no trial {trial.number}.")

    def trials(self, name: str) -> list[Trial]:
        """All trials of a search, by number.

        Raises:
            StoreError: No such search, or a damaged row.
        """
        query = sa.select(_trials).where(_trials.c.search == self._search(name).id).order_by(_trials.c.number)
        with self._database.reading() as connection:
            return [trial_from_row(row._mapping) for row in connection.execute(query)]

    # Evaluations

    def get(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was stored under `key`, or None.

        Raises:
            StoreError: A damaged row.
        """
        with self._database.reading() as connection:
            text = connection.scalar(sa.select(_evaluations.c.value).where(_evaluations.c.id == id_of(kind, key)))
        if text is None:
            return None
        value = load(text, dict, f"an evaluation of kind {kind!r}")
        assert isinstance(value, dict)
        return value

    def evaluations(self, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Keys and values of all evaluations of a kind, oldest first.

        Raises:
            StoreError: A damaged row.
        """
        query = sa.select(_evaluations.c.key, _evaluations.c.value).where(_evaluations.c.kind == kind)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(_evaluations.c.created)).all()
        what = f"an evaluation of kind {kind!r}"
        return [(load(row.key, dict, what), load(row.value, dict, what)) for row in rows]

    def evaluation(self, id: str) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """Kind, key and value of the evaluation of that id, or None.

        Raises:
            StoreError: A damaged row.
        """
        query = sa.select(_evaluations.c.kind, _evaluations.c.key, _evaluations.c.value)
        with self._database.reading() as connection:
            row = connection.execute(query.where(_evaluations.c.id == id)).first()
        if row is None:
            return None
        what = f"the evaluation {id!r}"
        return row.kind, load(row.key, dict, what), load(row.value, dict, what)

    def id_of(self, kind: str, key: Mapping[str, Any]) -> str:
        """The id of what is, or would be, stored under `key`."""
        return id_of(kind, key)

    def put(self, kind: str, key: Mapping[str, Any], value: Mapping[str, Any]) -> str:
        """Store `value` under `key`, replacing what was there; its id."""
        row = {
            "id": id_of(kind, key),
            "kind": kind,
            "key": canonical(key),
            "value": json.dumps(value),
            "created": _now(),
        }
        with self._database.writing() as connection:
            connection.execute(_evaluations.delete().where(_evaluations.c.id == row["id"]))
            connection.execute(_evaluations.insert().values(row))
        return str(row["id"])

    def _search(self, name: str) -> sa.Row[Any]:
        with self._database.reading() as connection:
            row = connection.execute(sa.select(_searches).where(_searches.c.name == name)).first()
            if row is None:
                names = connection.scalars(sa.select(_searches.c.name).order_by(_searches.c.id))
                known = ", ".join(map(str, names)) or "none"
                raise StoreError(f"No search is called {name!r}. Known: {known}.")
        return row


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
