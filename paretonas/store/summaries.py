"""A line about each search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from paretonas.store.rows import NUMBER, TEXT, check_types, state_of
from paretonas.store.schema import searches, trials
from paretonas.trial import State


@dataclass(frozen=True)
class SearchSummary:
    """A line about one search."""

    name: str
    created: str
    seconds: float
    trials: Mapping[State, int]
    unique: int


def read_summaries(connection: sa.Connection) -> list[SearchSummary]:
    """Of all searches, oldest first.

    Raises:
        StoreError: A damaged row.
    """
    rows = connection.execute(sa.select(searches).order_by(searches.c.id)).all()
    groups = (trials.c.search, trials.c.state)
    counts = connection.execute(sa.select(*groups, sa.func.count()).group_by(*groups)).all()
    distinct = sa.func.count(trials.c.spec_hash.distinct())
    unique = {
        search: n
        for search, n in connection.execute(sa.select(trials.c.search, distinct).group_by(trials.c.search)).all()
    }
    for row in rows:
        check_types(row._mapping, {"name": TEXT, "created": TEXT, "seconds": NUMBER}, f"search {row.id}")
    return [
        SearchSummary(
            row.name,
            row.created,
            row.seconds,
            {state_of(state, f"a trial of search {row.name!r}"): n for search, state, n in counts if search == row.id},
            unique.get(row.id, 0),
        )
        for row in rows
    ]
