"""What a power cut leaves of an SQLite store."""

from dataclasses import replace

import sqlalchemy as sa

from paretonas.store import Store
from paretonas.testing.store import some_trial
from paretonas.trial import State

NORMAL, FULL = 1, 2
"""SQLite's levels: a commit waits for the disk or does not."""


def test_the_end_of_a_trial_waits_for_the_disk_and_nothing_else_does(tmp_path):
    store = Store(tmp_path / "store.db")
    store.create_search("s", {})
    store.add_trials("s", [some_trial(0)])
    levels = []

    @sa.event.listens_for(store._database._engine, "commit")
    def note_level(connection):
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    store.update_trial("s", replace(some_trial(0), state=State.RUNNING))
    store.put("accuracy", {"spec": "a"}, {"accuracy": 0.5})
    store.update_trial("s", replace(some_trial(0), state=State.COMPLETE))
    store.set_seconds("s", 1.0)
    assert levels == [NORMAL, NORMAL, FULL, NORMAL]
