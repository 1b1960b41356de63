"""A database of searches, trials and evaluations: SQLite in a file by default, any other by its SQLAlchemy URL.

Every call is one transaction, committed when it returns, so whatever kills the process loses nothing that a call has
stored. The end of a trial is on the disk too when its call returns, with all that was stored before it: only what came
since can be lost to a power cut. A row is checked when it is read; JSON is the only encoding.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from paretonas.errors import StoreError
from paretonas.space import Architecture
from paretonas.trial import State, Trial

SCHEMA_VERSION = 2
OPENING_TRIES = 20

_metadata = sa.MetaData()
_schema = sa.Table("schema", _metadata, sa.Column("version", sa.Integer, primary_key=True))
_searches = sa.Table(
    "searches",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
)
_trials = sa.Table(
    "trials",
    _metadata,
    sa.Column("search", sa.ForeignKey("searches.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("space", sa.Text, nullable=False),
    sa.Column("choices", sa.Text, nullable=False),
    sa.Column("spec_hash", sa.String(16), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("reward", sa.Float),
    sa.Column("fidelity", sa.Float, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("context", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("is_reused", sa.Boolean, nullable=False),
    sa.Column("told", sa.Integer),
    sa.Column("seconds", sa.Float, nullable=False),
)
_evaluations = sa.Table(
    "evaluations",
    _metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
)

_TEXT, _WHOLE, _NUMBER = (str,), (int,), (int, float)
_TRIAL_TYPES: Mapping[str, tuple[type, ...]] = {
    "number": _WHOLE,
    "space": _TEXT,
    "spec_hash": _TEXT,
    "reward": (*_NUMBER, NoneType),
    "fidelity": _NUMBER,
    "seed": _WHOLE,
    "error": (*_TEXT, NoneType),
    "is_reused": (bool,),
    "told": (*_WHOLE, NoneType),
    "seconds": _NUMBER,
}


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
        folder: Where an SQLite file given by its path lies; None for a URL.

    Raises:
        StoreError: It cannot be opened, is no database, or was made by another version.
    """

    def __init__(self, location: str | Path):
        url = str(location)
        self.folder: Path | None = None
        try:
            if "://" not in url:
                self.folder = Path(url).parent
                self.folder.mkdir(parents=True, exist_ok=True)
                url = f"sqlite:///{url}"
            self._engine = sa.create_engine(url)
            if self._engine.dialect.name == "sqlite":
                sa.event.listen(self._engine, "connect", _set_up_sqlite)
            version = self._create_tables()
        except (SQLAlchemyError, ImportError, OSError, UnicodeDecodeError) as error:
            raise StoreError(
                f"A store is an SQLite file or a database URL, but {location} cannot be opened: {_reason(error)}"
            ) from error
        if version != SCHEMA_VERSION:
            raise StoreError(f"This version reads stores of schema {SCHEMA_VERSION}, but {location} has {version}.")

    def _create_tables(self) -> int:
        """Make what is missing; another process may be doing the same. The schema's version."""
        for attempt in range(OPENING_TRIES):
            try:
                _metadata.create_all(self._engine)
                with self._engine.begin() as connection:
                    version = connection.scalar(sa.select(_schema.c.version))
                    if version is None:
                        connection.execute(_schema.insert().values(version=SCHEMA_VERSION))
                return version or SCHEMA_VERSION
            except (sa.exc.OperationalError, sa.exc.IntegrityError):
                if attempt == OPENING_TRIES - 1:
                    raise
                time.sleep(0.1 * (attempt + 1))
        raise AssertionError("unreachable")

    @contextmanager
    def _transaction(self, is_synced: bool = False) -> Iterator[sa.Connection]:
        """A transaction whose database errors are ours; a broken uniqueness is the caller's to explain.

        Args:
            is_synced: SQLite waits until it is on the disk, with all earlier ones; others have rules of their own.
        """
        try:
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "sqlite":
                    _set_synced(connection, is_synced)
                yield connection
        except sa.exc.IntegrityError:
            raise
        except (SQLAlchemyError, UnicodeDecodeError) as error:
            raise StoreError(f"The store {self._engine.url!r} failed: {_reason(error)}") from error

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Nobody else writes into this search meanwhile; whoever writes holds it, whoever reads need not.

        For SQLite the lock lies beside the file itself, however the file was named.

        Raises:
            StoreError: Another process holds it; the message says which, and since when.
        """
        path = self._lock_path(name)
        if path is None:
            yield
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        holder, lock = path.with_suffix(".holder"), FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            by = _read_holder(holder)
            raise StoreError(
                f"A search is written by one process at a time, but another one holds {name!r}{by}."
            ) from None
        try:
            holder.write_text(json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv), "since": time.time()}))
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def _lock_path(self, name: str) -> Path | None:
        """None where nobody else can write: in memory."""
        url = self._engine.url
        if self._engine.dialect.name != "sqlite":
            place = hashlib.sha256(url.render_as_string().encode()).hexdigest()[:16]
            return Path(tempfile.gettempdir(), f"paretonas-{place}", f"{name}.lock")
        if not url.database or ":memory:" in url.database:
            return None
        file = Path(url.database).resolve()
        return file.with_name(f"{file.name}.locks") / f"{name}.lock"

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    # Searches

    def create_search(self, name: str, config: Mapping[str, Any]) -> None:
        """Record a new search.

        Raises:
            StoreError: The name is taken.
        """
        row = {"name": name, "config": json.dumps(config), "created": _now(), "seconds": 0.0}
        try:
            with self._transaction() as connection:
                connection.execute(_searches.insert().values(row))
        except sa.exc.IntegrityError:
            raise StoreError(
                f"A search has a name of its own, but {name!r} exists: go on with `paretonas resume {name}`, "
                f"remove it with `paretonas delete {name}`, or choose another name."
            ) from None

    def config(self, name: str) -> dict[str, Any]:
        """What `create_search` was given.

        Raises:
            StoreError: No such search, or a damaged row.
        """
        config = _load(self._search(name).config, dict, f"the configuration of search {name!r}")
        assert isinstance(config, dict)
        return config

    def set_config(self, name: str, config: Mapping[str, Any]) -> None:
        """Replace the configuration of a search, when its budget is raised."""
        with self._transaction() as connection:
            connection.execute(_searches.update().where(_searches.c.name == name).values(config=json.dumps(config)))

    def searches(self) -> list[SearchSummary]:
        """All searches, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(sa.select(_searches).order_by(_searches.c.id)).all()
            groups = (_trials.c.search, _trials.c.state)
            counts = connection.execute(sa.select(*groups, sa.func.count()).group_by(*groups)).all()
            distinct = sa.func.count(_trials.c.spec_hash.distinct())
            rows_unique = connection.execute(sa.select(_trials.c.search, distinct).group_by(_trials.c.search)).all()
        unique = {search: n for search, n in rows_unique}
        for row in rows:
            _check_types(row._mapping, {"name": _TEXT, "created": _TEXT, "seconds": _NUMBER}, f"search {row.id}")
        return [
            SearchSummary(
                row.name,
                row.created,
                row.seconds,
                {
                    _state(state, f"a trial of search {row.name!r}"): n
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
        _check_types(row, {"seconds": _NUMBER}, f"search {name!r}")
        return float(row["seconds"])

    def set_seconds(self, name: str, seconds: float) -> None:
        """Record the wall time that the search has run."""
        with self._transaction() as connection:
            connection.execute(_searches.update().where(_searches.c.name == name).values(seconds=seconds))

    def delete_search(self, name: str) -> None:
        """Forget a search and its trials; evaluations stay, as other searches may use them.

        Raises:
            StoreError: No such search.
        """
        search = self._search(name).id
        with self._transaction() as connection:
            connection.execute(_trials.delete().where(_trials.c.search == search))
            connection.execute(_searches.delete().where(_searches.c.id == search))

    # Trials

    def add_trials(self, name: str, trials: Iterable[Trial]) -> None:
        """Record new trials, all or none.

        Raises:
            StoreError: No such search, or a number that exists.
        """
        search = self._search(name).id
        rows = [{"search": search, **_to_row(trial)} for trial in trials]
        try:
            with self._transaction() as connection:
                connection.execute(_trials.insert(), rows)
        except sa.exc.IntegrityError:
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
        row = _to_row(trial)
        search = sa.select(_searches.c.id).where(_searches.c.name == name).scalar_subquery()
        chosen = (_trials.c.search == search) & (_trials.c.number == row.pop("number"))
        with self._transaction(is_synced=trial.state.is_final) as connection:
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
        with self._transaction() as connection:
            return [_from_row(row._mapping) for row in connection.execute(query)]

    # Evaluations

    def get(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was stored under `key`, or None.

        Raises:
            StoreError: A damaged row.
        """
        with self._transaction() as connection:
            text = connection.scalar(sa.select(_evaluations.c.value).where(_evaluations.c.id == _id(kind, key)))
        if text is None:
            return None
        value = _load(text, dict, f"an evaluation of kind {kind!r}")
        assert isinstance(value, dict)
        return value

    def evaluations(self, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Keys and values of all evaluations of a kind, oldest first.

        Raises:
            StoreError: A damaged row.
        """
        query = sa.select(_evaluations.c.key, _evaluations.c.value).where(_evaluations.c.kind == kind)
        with self._transaction() as connection:
            rows = connection.execute(query.order_by(_evaluations.c.created)).all()
        what = f"an evaluation of kind {kind!r}"
        return [(_load(row.key, dict, what), _load(row.value, dict, what)) for row in rows]

    def evaluation(self, id: str) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """Kind, key and value of the evaluation of that id, or None.

        Raises:
            StoreError: A damaged row.
        """
        query = sa.select(_evaluations.c.kind, _evaluations.c.key, _evaluations.c.value)
        with self._transaction() as connection:
            row = connection.execute(query.where(_evaluations.c.id == id)).first()
        if row is None:
            return None
        what = f"the evaluation {id!r}"
        return row.kind, _load(row.key, dict, what), _load(row.value, dict, what)

    def id_of(self, kind: str, key: Mapping[str, Any]) -> str:
        """The id of what is, or would be, stored under `key`."""
        return _id(kind, key)

    def put(self, kind: str, key: Mapping[str, Any], value: Mapping[str, Any]) -> str:
        """Store `value` under `key`, replacing what was there; its id."""
        row = {
            "id": _id(kind, key),
            "kind": kind,
            "key": _canonical(key),
            "value": json.dumps(value),
            "created": _now(),
        }
        with self._transaction() as connection:
            connection.execute(_evaluations.delete().where(_evaluations.c.id == row["id"]))
            connection.execute(_evaluations.insert().values(row))
        return str(row["id"])

    def _search(self, name: str) -> sa.Row[Any]:
        with self._transaction() as connection:
            row = connection.execute(sa.select(_searches).where(_searches.c.name == name)).first()
            if row is None:
                names = connection.scalars(sa.select(_searches.c.name).order_by(_searches.c.id))
                known = ", ".join(map(str, names)) or "none"
                raise StoreError(f"No search is called {name!r}. Known: {known}.")
        return row


def _read_holder(file: Path) -> str:
    """Who holds a lock, in words; nothing where that was not written down."""
    try:
        data = json.loads(file.read_text())
        minutes = max(0.0, time.time() - float(data["since"])) / 60
        return f": process {int(data['pid'])} ({data['command']:.200}), for {minutes:.0f} min"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Readers beside a writer, patience with other writers, and foreign keys."""
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _set_synced(connection: sa.Connection, is_synced: bool) -> None:
    """Whether the commits of an SQLite connection wait for the disk; said only where it changes."""
    if connection.info.get("is_synced") != is_synced:
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if is_synced else 'NORMAL'}")
        connection.info["is_synced"] = is_synced


def _reason(error: BaseException) -> object:
    return error.orig if isinstance(error, DBAPIError) else error


def _to_row(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "space": trial.architecture.space,
        "choices": json.dumps(trial.architecture.choices),
        "spec_hash": trial.spec_hash,
        "state": trial.state.value,
        "metrics": json.dumps(dict(trial.metrics)),
        "evidence": json.dumps(dict(trial.evidence)),
        "reward": trial.reward,
        "fidelity": trial.fidelity,
        "seed": trial.seed,
        "context": json.dumps(dict(trial.context)),
        "error": trial.error,
        "is_reused": trial.is_reused,
        "told": trial.told,
        "seconds": trial.seconds,
    }


def _from_row(row: Mapping[Any, Any]) -> Trial:
    where = f"trial {row['number']}"
    _check_types(row, _TRIAL_TYPES, where)
    choices = _load(row["choices"], list, f"the choices of {where}")
    metrics = _load(row["metrics"], dict, f"the metrics of {where}")
    evidence = _load(row["evidence"], dict, f"the evidence of {where}")
    if not all(id is None or isinstance(id, str) for id in evidence.values()):
        raise StoreError(f"In a store, evidence is ids of evaluations, but of {where} it is {evidence}.")
    if not all(type(c) is int for c in choices) or not all(type(m) in _NUMBER for m in metrics.values()):
        raise StoreError(f"Choices are whole numbers and metrics are numbers, but {where} has {choices} and {metrics}.")
    return Trial(
        number=row["number"],
        architecture=Architecture(row["space"], tuple(choices)),
        spec_hash=row["spec_hash"],
        state=_state(row["state"], where),
        metrics=metrics,
        evidence=evidence,
        reward=row["reward"],
        fidelity=row["fidelity"],
        seed=row["seed"],
        context=_load(row["context"], dict, f"the context of {where}"),
        error=row["error"],
        is_reused=row["is_reused"],
        told=row["told"],
        seconds=row["seconds"],
    )


def _state(text: Any, where: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise StoreError(f"A state is one of {', '.join(State)}, but {where} has {text!r}.") from None


def _check_types(row: Mapping[Any, Any], types: Mapping[str, tuple[type, ...]], where: str) -> None:
    """SQLite keeps a value of any type in any column."""
    for column, allowed in types.items():
        if type(row[column]) not in allowed:
            known = " or ".join(kind.__name__ for kind in allowed)
            raise StoreError(f"In a store, the {column} of {where} is of type {known}, but it is {row[column]!r:.80}.")


def _load(text: Any, to: type, what: str) -> Any:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"Stored values are JSON, but {what} is not: {error}") from None
    if not isinstance(value, to):
        raise StoreError(f"In a store, {what} is a {to.__name__}, but it is {text[:80]!r}.")
    return value


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, separators=(",", ":"))


def _id(kind: str, key: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{kind}\n{_canonical(key)}".encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
