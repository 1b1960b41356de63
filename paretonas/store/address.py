"""Where a database lies: a path or a URL as its user wrote it, and the one file that both may mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa


@dataclass(frozen=True)
class Address:
    """Where a database lies.

    Args:
        url: As SQLAlchemy opens it.
        file: Of an SQLite database, links followed; None: on a server, or in memory.
    """

    url: sa.URL
    file: Path | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite's."""
        return self.url.get_backend_name() == "sqlite"

    def __str__(self) -> str:
        """For messages: a URL without its password."""
        return str(self.file or self.url.render_as_string(hide_password=True))

    def with_query(self, query: Mapping[str, str]) -> Address:
        """The same file, opened in another way."""
        return replace(self, url=self.url.update_query_dict(query))


def read_address(location: str | Path) -> Address:
    """Where `location` is.

    Args:
        location: Path of an SQLite file, whatever characters it has, or an SQLAlchemy URL. A URL may hold SQLite's own
            `file:` URI, with `uri=true`, and options such as `timeout=5`.

    Raises:
        ValueError: No path that a system knows.
        sqlalchemy.exc.ArgumentError: No URL.
    """
    if isinstance(location, Path) or "://" not in location:
        return _of_file(Path(location), "sqlite")
    url = sa.make_url(location)
    file = _file_of(url)
    return Address(url) if file is None else _of_file(file, url.drivername, url.query)


def _of_file(path: Path, driver: str, query: Mapping[str, str | tuple[str, ...]] | None = None) -> Address:
    """As a `file:` URI, in which every character of a path can be written; SQLite is not to make the file."""
    file = path.resolve()
    options = {"mode": "rw", **(query or {}), "uri": "true"}
    return Address(sa.URL.create(driver, database=file.as_uri(), query=options), file)


def _file_of(url: sa.URL) -> Path | None:
    """The SQLite file that a URL means; None: on a server, or in memory."""
    if url.get_backend_name() != "sqlite" or url.query.get("mode") == "memory":
        return None
    path = url.database or ""
    if path.startswith("file:") and url.query.get("uri"):
        path = unquote(urlsplit(path).path)
    return None if path in ("", ":memory:") else Path(path)
