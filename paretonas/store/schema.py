"""The tables of a store."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

SCHEMA_VERSION = 5


class Clock(FunctionElement[float]):
    """Seconds since 1970, by the clock of whoever keeps the database: of a server the same for all who ask."""

    type = sa.Float()
    inherit_cache = True


_CLOCKS = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
}
for _kind, _words in _CLOCKS.items():
    compiles(Clock, _kind)(lambda *_, _words=_words, **__: _words)

metadata = sa.MetaData()
schema = sa.Table("schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
searches = sa.Table(
    "searches",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
)
trials = sa.Table(
    "trials",
    metadata,
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
    sa.Column("stopped_by", sa.Text),
    sa.Column("is_reused", sa.Boolean, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("told", sa.Integer),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
)
evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
)
holds = sa.Table(
    "holds",
    metadata,
    sa.Column("search", sa.String(200), primary_key=True),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("work", sa.Text, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("heard", sa.Float, nullable=False),
    sa.Column("lasts", sa.Float, nullable=False),
)
"""Who writes into which search, and what they are at: the lease of a server's store, a note in an SQLite file."""
