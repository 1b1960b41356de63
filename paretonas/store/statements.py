"""What a search writes for every trial, as statements that are made once.

Each names the search by a subquery. Of a server's store that finds it only while the one who writes holds it, and keeps
others from taking it until the transaction ends; so whoever has lost its lease changes no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from paretonas.store.schema import Clock, holds, searches, trials

_NAME, _TOKEN = sa.bindparam("own_name", type_=sa.String), sa.bindparam("own_token", type_=sa.String)
_NUMBER = sa.bindparam("own_number", type_=sa.Integer)


def owned(name: str, token: str | None) -> dict[str, Any]:
    """Parameters of a statement: of which search, and as whose.

    Args:
        name: Of the search.
        token: Of the holder; None: others are kept out in another way.
    """
    return {"own_name": name} if token is None else {"own_name": name, "own_token": token}


def insert_trials(token: str | None) -> sa.Insert:
    """New trials; a search that is not there, or no longer held, breaks the constraint of its column."""
    return _insert(token is not None)


def update_trial(token: str | None, is_final: bool) -> sa.Update:
    """A trial, whose parameters are its columns and `own_number`.

    Args:
        token: Of the holder.
        is_final: Whether it has ended; the moment is kept if it had not before.
    """
    return _update(token is not None, is_final)


def update_search(token: str | None, values: Mapping[str, Any]) -> sa.Update:
    """Columns of a search."""
    return searches.update().where(_is_own(token is not None)).values(values)


@cache
def _insert(is_leased: bool) -> sa.Insert:
    return trials.insert().values(search=_id(is_leased))


@cache
def _update(is_leased: bool, is_final: bool) -> sa.Update:
    statement = trials.update().where((trials.c.search == _id(is_leased)) & (trials.c.number == _NUMBER))
    if not is_final:
        return statement
    return statement.values(ended=sa.case((trials.c.told.is_(None), Clock()), else_=trials.c.ended))


@cache
def _is_own(is_leased: bool) -> sa.ColumnElement[bool]:
    is_named = searches.c.name == _NAME
    if not is_leased:
        return is_named
    held = sa.select(holds.c.token).where((holds.c.search == _NAME) & (holds.c.token == _TOKEN))
    return is_named & held.with_for_update(read=True).correlate(None).exists()


def _id(is_leased: bool) -> sa.ScalarSelect[Any]:
    return sa.select(searches.c.id).where(_is_own(is_leased)).correlate(None).scalar_subquery()
