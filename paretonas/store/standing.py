"""Where a search stands, for whoever watches it from any machine: read at once, and without its trials' data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from paretonas.store.holder import Holder, Work, works_from_json
from paretonas.store.rows import load, state_of
from paretonas.store.schema import Clock, holds, trials
from paretonas.trial import State

LATELY = 600.0
"""Seconds over which the ends of trials are counted."""
ERRORS = 3


@dataclass(frozen=True)
class Runner:
    """Who writes into a search.

    Args:
        holder: The process; None: what it wrote of itself cannot be read.
        seconds: For how long it holds the search.
        silence: Seconds since it was last heard of.
        lasts: Seconds of silence after which it is thought gone.
    """

    holder: Holder | None
    seconds: float
    silence: float
    lasts: float

    @property
    def is_heard(self) -> bool:
        """Whether it seems to be there."""
        return self.silence < self.lasts and not (self.holder is not None and self.holder.is_gone)


@dataclass(frozen=True)
class Failed:
    """A trial that failed.

    Args:
        trial: Its number.
        error: All that was kept of the reason.
        ago: Seconds since then; None: not known.
    """

    trial: int
    error: str
    ago: float | None


@dataclass(frozen=True)
class Standing:
    """Where a search stands.

    Args:
        trials: How many are in each state.
        seconds: Wall time that the search has run, when its last trial ended.
        runner: Who writes into it; None: nobody.
        works: What is worked on, when the runner was last heard of.
        lately: How many trials have ended in the last ten minutes, or since the runner began, if that is less.
        window: Seconds that these are counted over.
        retries: Times that jobs of all trials were begun again, as a worker or a node was lost.
        errors: The last trials that failed, the latest first.
    """

    trials: Mapping[State, int]
    seconds: float
    runner: Runner | None
    works: tuple[Work, ...]
    lately: int
    window: float
    retries: int
    errors: tuple[Failed, ...]

    @property
    def ended(self) -> int:
        """How many trials have."""
        return sum(count for state, count in self.trials.items() if state.is_final)

    @property
    def a_minute(self) -> float | None:
        """How many trials end; None where nobody is at work, or none has ended lately."""
        if self.runner is None or not self.runner.is_heard or not self.lately:
            return None
        return 60 * self.lately / self.window


def read_standing(connection: sa.Connection, search: sa.Row[tuple[int, str, float]]) -> Standing:
    """Of a search.

    Args:
        connection: To read by.
        search: Its id, name and seconds.

    Raises:
        StoreError: A damaged row.
    """
    own = trials.c.search == search.id
    counts = connection.execute(sa.select(trials.c.state, sa.func.count()).where(own).group_by(trials.c.state)).all()
    ages = (Clock() - holds.c.since).label("age"), (Clock() - holds.c.heard).label("silence")
    held = connection.execute(sa.select(holds, *ages).where(holds.c.search == search.name)).first()
    runner, works = None, tuple[Work, ...]()
    if held is not None:
        runner = Runner(Holder.read(held.holder), float(held.age), float(held.silence), float(held.lasts))
        works = works_from_json(load(held.work, list, f"what is worked on in search {search.name!r}"))
    retries = connection.scalar(sa.select(sa.func.sum(trials.c.retries)).where(own))
    window = LATELY if runner is None else min(LATELY, max(runner.seconds, 1.0))
    lately = connection.scalar(sa.select(sa.func.count()).where(own, trials.c.ended > Clock() - window))
    return Standing(
        {state_of(state, f"a trial of search {search.name!r}"): count for state, count in counts},
        float(search.seconds),
        runner,
        works,
        int(lately or 0),
        window,
        int(retries or 0),
        _errors(connection, own),
    )


def _errors(connection: sa.Connection, own: sa.ColumnElement[bool]) -> tuple[Failed, ...]:
    columns = trials.c.number, trials.c.error, (Clock() - trials.c.ended).label("ago")
    failed = sa.select(*columns).where(own, trials.c.state == State.FAILED.value)
    rows = connection.execute(failed.order_by(trials.c.told.desc()).limit(ERRORS)).all()
    return tuple(Failed(row.number, str(row.error or ""), None if row.ago is None else float(row.ago)) for row in rows)
