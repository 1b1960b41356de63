"""A database of searches, trials and evaluations: SQLite in a file by default, PostgreSQL by its URL.

Every call is one transaction, committed when it returns, so whatever kills the process loses nothing that a call has
stored. The end of a trial is on the disk too when its call returns, with all that was stored before it: only what came
since can be lost to a power cut. A server's store has all of it on the disk, and a call that its connection was cut off
is made again. What only reads writes nothing: a store that is not there yet is read as an empty one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from paretonas.errors import StoreError
from paretonas.store.backend import TakenError
from paretonas.store.configuration import check_configuration
from paretonas.store.copying import copy_database
from paretonas.store.database import Database
from paretonas.store.lease import Works
from paretonas.store.rows import NUMBER, canonical, check_types, id_of, load, trial_from_row, trial_to_row
from paretonas.store.schema import evaluations as _evaluations
from paretonas.store.schema import searches as _searches
from paretonas.store.schema import trials as _trials
from paretonas.store.standing import Standing, read_standing
from paretonas.store.statements import insert_trials, owned, update_search, update_trial
from paretonas.store.summaries import SearchSummary, read_summaries
from paretonas.trial import Trial


class Store:
    """The database behind one or many searches.

    Args:
        location: Path of an SQLite file, made if it is missing, or the URL of one or of a PostgreSQL database.

    Attributes:
        folder: Where an SQLite file lies, links followed; None: on a server, or in memory.

    Raises:
        StoreError: It cannot be opened, is no database, or was made by another version.
        MissingPackageError: The driver of its server is absent.
        MachineError: Its server cannot be reached.
    """

    def __init__(self, location: str | Path):
        self._database = Database(location)
        file = self._database.address.file
        self.folder: Path | None = None if file is None else file.parent

    def __str__(self) -> str:
        """Where it lies, for messages: without a password."""
        return str(self._database.address)

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

        For SQLite the lock lies beside the file itself, however the file was named; on a server it is a lease that is
        renewed. Who holds a search may do so again in the same thread.

        Raises:
            StoreError: Another process holds it; the message says which, and since when.
            MachineError: Nothing can be locked there; or, from a call that writes into the search meanwhile, this
                process was not heard of for longer than its lease, and another one took the search.
        """
        with self._database.leases.hold(name):
            yield

    @contextmanager
    def telling(self, name: str, works: Works) -> Iterator[None]:
        """Whoever watches is told every few seconds what is worked on in a search that this process holds.

        Args:
            name: Of the search.
            works: Says it; called in another thread.
        """
        with self._database.leases.telling(name, works):
            yield

    def standing(self, name: str) -> Standing:
        """Where a search stands: what is told of its work, and what its trials say.

        Raises:
            StoreError: No such search, or a damaged row.
        """
        search = self._search(name)
        return self._database.read(lambda connection: read_standing(connection, search))

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
            self._database.write(lambda connection: connection.execute(_searches.insert().values(row)), search=name)
        except TakenError as error:
            if error.is_repeated and self._search(name).config == row["config"]:
                return
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
        self._set(name, {"config": json.dumps(config)})

    def searches(self) -> list[SearchSummary]:
        """All searches, oldest first."""
        return self._database.read(read_summaries)

    def seconds(self, name: str) -> float:
        """Wall time that the search has run so far, over all its sessions."""
        row = self._search(name)._mapping
        check_types(row, {"seconds": NUMBER}, f"search {name!r}")
        return float(row["seconds"])

    def set_seconds(self, name: str, seconds: float) -> None:
        """Record the wall time that the search has run."""
        self._set(name, {"seconds": seconds})

    def delete_search(self, name: str) -> None:
        """Forget a search and its trials; evaluations stay, as other searches may use them.

        Raises:
            StoreError: No such search.
        """
        search = self._search(name).id

        def remove(connection: sa.Connection) -> None:
            connection.execute(_trials.delete().where(_trials.c.search == search))
            connection.execute(_searches.delete().where(_searches.c.id == search))

        self._database.write(remove, search=name)

    # Trials

    def add_trials(self, name: str, trials: Iterable[Trial]) -> None:
        """Record new trials, all or none.

        Raises:
            StoreError: No such search, or a number that exists.
        """
        added, token = list(trials), self._database.leases.token(name)
        rows = [owned(name, token) | trial_to_row(trial) for trial in added]
        try:
            self._database.write(lambda connection: connection.execute(insert_trials(token), rows))
        except TakenError as error:
            self._check_own(name)
            stored = {trial.number: trial for trial in self.trials(name)} if error.is_repeated else {}
            if stored and all(stored.get(trial.number) == trial for trial in added):
                return
            numbers = [trial.number for trial in added]
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
        token, is_final = self._database.leases.token(name), trial.state.is_final
        own, row = owned(name, token), trial_to_row(trial)
        row |= own | {"own_number": row.pop("number")}

        def change(connection: sa.Connection) -> int:
            if seconds is not None:
                connection.execute(update_search(token, {"seconds": seconds}), own)
            return connection.execute(update_trial(token, is_final), row).rowcount

        if not self._database.write(change, is_synced=is_final):
            self._check_own(name)
            raise StoreError(f"Search {name!r} has no trial {trial.number}.")

    def trials(self, name: str) -> list[Trial]:
        """All trials of a search, by number.

        Raises:
            StoreError: No such search, or a damaged row.
        """
        query = sa.select(_trials).where(_trials.c.search == self._search(name).id).order_by(_trials.c.number)
        return [trial_from_row(row._mapping) for row in self._database.fetch(query)]

    # Evaluations

    def get(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was stored under `key`, or None.

        Raises:
            StoreError: A damaged row.
        """
        query = sa.select(_evaluations.c.value).where(_evaluations.c.id == id_of(kind, key))
        row = next(iter(self._database.fetch(query)), None)
        if row is None:
            return None
        value = load(row.value, dict, f"an evaluation of kind {kind!r}")
        assert isinstance(value, dict)
        return value

    def evaluations(self, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Keys and values of all evaluations of a kind, oldest first.

        Raises:
            StoreError: A damaged row.
        """
        query = sa.select(_evaluations.c.key, _evaluations.c.value).where(_evaluations.c.kind == kind)
        rows = self._database.fetch(query.order_by(_evaluations.c.created))
        what = f"an evaluation of kind {kind!r}"
        return [(load(row.key, dict, what), load(row.value, dict, what)) for row in rows]

    def evaluation(self, id: str) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """Kind, key and value of the evaluation of that id, or None.

        Raises:
            StoreError: A damaged row.
        """
        query = sa.select(_evaluations.c.kind, _evaluations.c.key, _evaluations.c.value)
        row = next(iter(self._database.fetch(query.where(_evaluations.c.id == id))), None)
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
        statement = self._database.upsert(_evaluations, row)
        self._database.write(lambda connection: connection.execute(statement))
        return str(row["id"])

    def _search(self, name: str) -> sa.Row[Any]:
        row = next(iter(self._database.fetch(sa.select(_searches).where(_searches.c.name == name))), None)
        if row is None:
            names = self._database.fetch(sa.select(_searches.c.name).order_by(_searches.c.id))
            known = ", ".join(str(name) for (name,) in names) or "none"
            raise StoreError(f"No search is called {name!r}. Known: {known}.")
        return row

    def _set(self, name: str, values: dict[str, Any]) -> None:
        token = self._database.leases.token(name)
        statement, own = update_search(token, values), owned(name, token)
        if not self._database.write(lambda connection: connection.execute(statement, own)).rowcount:
            self._check_own(name)

    def _check_own(self, name: str) -> None:
        """That a search is there, and held still if this process holds it."""
        self._database.write(lambda connection: None, search=name)
        self._search(name)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
