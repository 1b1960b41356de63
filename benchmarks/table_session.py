"""One session of a small search of a table, in a process without torch: begun, or gone on with.

Usage: python benchmarks/table_session.py HOME TABLE METRIC LATENCY STRATEGY SEED TRIALS [SCREEN]

LATENCY may be `none`.
"""

import sys
from dataclasses import replace
from pathlib import Path

from paretonas import Store
from paretonas.compare import Contest
from paretonas.errors import ParetonasError
from paretonas.loop.gates import Screen, ScreenOptions
from paretonas.loop.listener import SILENT
from paretonas.loop.loop import Loop
from paretonas.loop.plan import Plan

BATCH = 3
"""Proposals asked for at once, so that some wait when a session ends."""


def plan_of(table: Path, metric: str, latency: str, strategy: str, seed: int, trials: int, screen: str = "") -> Plan:
    """A search for networks that are good and fast; with a screen, half of the candidates goes on."""
    column = None if latency == "none" else latency
    plan = Contest(table, metric, latency=column, trials=trials, batch=BATCH).plan(strategy, seed)
    gates = (Screen(screen, ScreenOptions(keep=0.5)),) if screen else ()
    return replace(plan, gates=(*plan.gates, *gates))


def main(home: Path, plan: Plan) -> None:
    """Go on until the budget is used up."""
    store = Store(home / "store.db")
    with store.hold(plan.name):
        if plan.name not in {summary.name for summary in store.searches()}:
            store.create_search(plan.name, {})
        Loop(plan, store, {}, SILENT).run()
    store.close()


if __name__ == "__main__":
    home, table, metric, latency, strategy, seed, trials, *screen = sys.argv[1:]
    try:
        main(Path(home), plan_of(Path(table), metric, latency, strategy, int(seed), int(trials), *screen))
    except ParetonasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
