"""Where a database lies: a path or a URL as its user wrote it, and the one file that both may mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

POSTGRES = "postgresql+psycopg"
"""What SQLAlchemy calls psycopg 3."""
_OF_POSTGRES = ("postgresql", "postgres", POSTGRES)
_SECRET = re.compile(r"(?P<user>://[^:/@]*):.*(?=@)|(?P<option>[?&](?:ssl)?password=)[^&]*", re.S)


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
        """For messages: of a URL what says where it is, without its password and options."""
        shown = self.url.set(drivername=self.url.get_backend_name(), query={})
        return str(self.file or shown.render_as_string(hide_password=True))

    def with_query(self, query: Mapping[str, str]) -> Address:
        """The same file, opened in another way."""
        return replace(self, url=self.url.update_query_dict(query))


def without_passwords(text: str) -> str:
    """A word of a command, or an address, in which the password of a URL is stars.

    >>> without_passwords("--store=postgresql://me:a@b: c@lab/nas"), without_passwords("x://lab/nas?password=p&a=b")
    ('--store=postgresql://me:***@lab/nas', 'x://lab/nas?password=***&a=b')
    """
    return _SECRET.sub(lambda found: f"{found['user']}:***" if found["user"] else f"{found['option']}***", text)


def read_address(location: str | Path) -> Address:
    """Where `location` is.

    Args:
        location: Path of an SQLite file, whatever characters it has, or a URL. That of an SQLite file may hold SQLite's
            own `file:` URI, with `uri=true`, and options such as `timeout=5`; that of a server is as libpq takes it.

    Raises:
        ValueError: No path that a system knows, or a database of another kind.
        sqlalchemy.exc.ArgumentError: No URL.
    """
    if isinstance(location, Path) or "://" not in location:
        return _of_file(Path(location), "sqlite")
    url = sa.make_url(location)
    if url.drivername in _OF_POSTGRES:
        return Address(_of_server(url))
    if url.get_backend_name() != "sqlite":
        raise ValueError(f"{url.drivername} is neither sqlite nor postgresql, whose driver is psycopg 3")
    file = _file_of(url)
    return Address(url) if file is None else _of_file(file, url.drivername, url.query)


def _of_server(url: sa.URL) -> sa.URL:
    """With the driver's name, and the password where messages do not show it.

    Raises:
        ValueError: Characters of a password were taken for a part of the host, or an option is given twice.
    """
    if "@" in (url.host or ""):
        raise ValueError("in a password, '@' is written %40, '/' %2F, ':' %3A and '%' %25")
    twice = [option for option, value in url.query.items() if not isinstance(value, str)]
    if twice:
        raise ValueError(f"an option is given once, but {twice[0]} is not; several hosts are written host=one,two")
    password = url.query.get("password")
    if isinstance(password, str):
        url = url.set(password=password).difference_update_query(["password"])
    return url.set(drivername=POSTGRES)


def _of_file(path: Path, driver: str, query: Mapping[str, str | tuple[str, ...]] | None = None) -> Address:
    """As a `file:` URI, in which every character of a path can be written; SQLite is not to make the file."""
    file = path.resolve()
    options = {"mode": "rw", **(query or {}), "uri": "true"}
    return Address(sa.URL.create(driver, database=file.as_uri(), query=options), file)


def _file_of(url: sa.URL) -> Path | None:
    """The SQLite file that a URL means; None: in memory."""
    if url.query.get("mode") == "memory":
        return None
    path = url.database or ""
    if path.startswith("file:") and url.query.get("uri"):
        path = unquote(urlsplit(path).path)
    return None if path in ("", ":memory:") else Path(path)
