"""What is lost if a search is killed at any moment: real searches on digits, their final trainings and exports.

For each strategy, one search runs undisturbed and one is killed again and again, each time in a phase that is aimed at:
when what the store and the home hold says that the phase has begun, a random moment more passes, and the process gets
SIGKILL. In the end both must have the same trials, and no file may be torn at any time. The reward does not depend on
the latency, except in searches that say so: their proposals are replayed from what they have stored. What was done is
kept search by search, and a campaign that was stopped goes on when it is called again.

Usage: python benchmarks/kills.py OUTPUT [--seed 0] [--at-once 2] [--searches 9]
       python benchmarks/kills.py OUTPUT --show
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import wholeness
from conditions import conditions, print_conditions, print_table, write_rows
from faults import Words, paretonas, pool_of
from syscalls import ENVIRONMENT, run

STRATEGIES = (
    "random", "enumeration", "regularized-evolution:population=3,tournament=2", "nsga2:population=4",
    "local-search:initial=3", "surrogate:initial=4", "reinforce:batch=3", "ppo:batch=3",
)  # fmt: skip
TIMED = "regularized-evolution:population=3,tournament=2"
NAME, NUMBER, TRIALS = "k", "0", 12
SEARCH = (
    "search", NAME, "--data", "digits", "--width", "0.25", "--trials", str(TRIALS), "--executor", "process:workers=1",
    "--recipe", "search:epochs=2,batch_size=64,layout=channels-last,precision=float32",
    "--fidelity", "asha:rungs=2,factor=2", "--screen", "params:keep=0.7",
)  # fmt: skip
WITHOUT_LATENCY, WITH_LATENCY = ("--reward", "power"), ("--reward", "soft", "--target-ms", "0.4")
FINAL = (
    "train", NAME, "--trial", NUMBER, "--final",
    "--recipe", "small-image:epochs=3,layout=channels-last,precision=float32",
)  # fmt: skip
EXPORT = ("export", NAME, "--trial", NUMBER)
BATCH = 4
"""Proposals that one worker is asked for at once, on a machine that both measures and trains."""
END = "the end"
PATIENCE = 0.01
"""Seconds between two looks at the home."""
LIMIT = 400.0


@dataclass(frozen=True)
class Seen:
    """What is in a home at some moment.

    Args:
        states: How many trials are in which state.
        gated: How many trials each gate has stopped: the beginnings of their reasons.
        seconds: That the search has run, by when its store was last told.
        files: Of the search's folder.
        is_held: Whether a process has begun to write into the search.
    """

    states: Counter[str] = field(default_factory=Counter)
    gated: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    files: frozenset[str] = frozenset()
    is_held: bool = False


@dataclass(frozen=True)
class Phase:
    """Where a kill is aimed.

    Args:
        has_begun: Whether it has, by what is seen now and what was seen when the process started.
        longest: Seconds that may pass from there to the kill.
        kills: Of each search.
    """

    has_begun: Callable[[Seen, Seen], bool]
    longest: float
    kills: int


def _stopped(word: str) -> Callable[[Seen, Seen], bool]:
    return lambda now, then: now.gated[word] > then.gated[word]


SEARCHING = {
    "start": Phase(lambda now, then: True, 6.0, 5),
    "measuring": Phase(lambda now, then: now.is_held and not now.states["running"] and now.states["waiting"] > 0, 2, 5),
    "screen": Phase(_stopped("screened"), 0.05, 4),
    "training": Phase(lambda now, then: now.is_held and now.states["running"] > 0 and now.seconds > then.seconds, 2, 6),
    "halving": Phase(_stopped("stopped"), 0.05, 4),
}
TRAINING = {"final": Phase(lambda now, then: f"trial-{NUMBER}.progress" in now.files, 6.0, 4)}
EXPORTING = {"export": Phase(lambda now, then: True, 10.0, 4)}
"""Phases of a command; of each, kills enough that all strategies together have 200, even if some come too late."""


def look(home: Path, pid: int) -> Seen:
    """What is there now; a store that is not there yet, or busy, has nothing."""
    folder = home / NAME
    files = frozenset(path.name for path in folder.iterdir()) if folder.exists() else frozenset()
    try:
        with closing(sqlite3.connect(f"file:{home / wholeness.STORE}?mode=ro", uri=True, timeout=0)) as connection:
            trials = connection.execute("SELECT state, error FROM trials").fetchall()
            seconds = connection.execute("SELECT sum(seconds) FROM searches").fetchone()[0] or 0.0
    except sqlite3.Error:
        return Seen(files=files)
    gated = Counter((error or "").partition(" ")[0] for state, error in trials if state == "pruned")
    return Seen(Counter(state for state, _ in trials), gated, seconds, files, _is_held(home, pid))


def _is_held(home: Path, pid: int) -> bool:
    try:
        return bool(json.loads((home / f"{wholeness.STORE}.locks" / f"{NAME}.holder").read_text())["pid"] == pid)
    except (OSError, ValueError, KeyError):
        return False


def kill_once(words: Words, home: Path, phase: Phase, rng: Random) -> tuple[bool, str, Seen]:
    """Run a command and kill it in a phase; whether it was, what was said, and what was there then."""
    environment = {**os.environ, **ENVIRONMENT}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        then, until = look(home, process.pid), time.monotonic() + LIMIT
        while not (begun := phase.has_begun(look(home, process.pid), then)) and process.poll() is None:
            if time.monotonic() > until:
                break
            time.sleep(PATIENCE)
        if begun:
            time.sleep(rng.uniform(0, phase.longest))
        is_killed = process.poll() is None and begun
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        said.seek(0)
        return is_killed and code == -signal.SIGKILL, said.read().decode(errors="replace"), look(home, process.pid)


def undisturbed(search: Sequence[str], folder: Path) -> dict[str, Any]:
    """What search, final training and export come to if nobody kills them.

    Raises:
        SystemExit: One failed.
    """
    home = folder / "undisturbed"
    for words in (search, FINAL, EXPORT):
        ran = run(paretonas(home, words), LIMIT)
        if ran.code:
            raise SystemExit(f"{' '.join(words)}: {ran.said}")
    return wholeness.finalist(home, NAME, int(NUMBER))


def _has_ended(trials: dict[str, dict[str, Any]]) -> bool:
    return sum(trial["told"] is not None for trial in trials.values()) == TRIALS


def disturbed(search: Sequence[str], home: Path, rng: Random) -> tuple[list[dict[str, Any]], list[str]]:
    """Kill a search, its final training and its export in every phase, each so many times; rows, and what was wrong."""
    rows, problems, strategy = list[dict[str, Any]](), list[str](), search[search.index("--strategy") + 1]
    for phases, words in ((SEARCHING, ("resume", NAME)), (TRAINING, FINAL), (EXPORTING, EXPORT)):
        aims = [name for name, phase in phases.items() for _ in range(phase.kills)]
        for aim in rng.sample(aims, len(aims)):
            if phases is SEARCHING and aim != "start" and _has_ended(wholeness.trials(home, NAME)):
                continue
            command = words if wholeness.is_recorded(home, NAME) else search
            is_killed, said, seen = kill_once(paretonas(home, command), home, phases[aim], rng)
            traceback = said[said.find("Traceback") :] if "Traceback" in said else ""
            torn = wholeness.torn(home) + ([f"a traceback: {' / '.join(traceback.splitlines())}"] if traceback else [])
            problems += [f"killed at {aim}: {line}" for line in torn]
            states = json.dumps(dict(seen.states))
            print(f"  {strategy}: {aim} {'killed' if is_killed else 'not reached'} {states}", flush=True)
            rows.append({"phase": aim, "is_killed": is_killed, "states": states, "problems": "\n".join(torn)})
        ran = run(paretonas(home, words), LIMIT)
        problems += [] if ran.code == 0 else [f"{' '.join(words)} gives {ran.code}: {ran.said[-300:]}"]
    return rows, problems + wholeness.torn(home) + wholeness.left_over(home)


def against_replay(home: Path) -> list[str]:
    """Where a search proposed what its own history, with its own latencies, does not say."""
    from paretonas import Store
    from paretonas.search.search import open_search
    from paretonas.testing.replay import replayed_proposals

    store = Store(home / wholeness.STORE)
    trials = store.trials(NAME)
    replayed = replayed_proposals(open_search(NAME, store, home).plan(), trials, BATCH)
    store.close()
    pairs = zip(trials, replayed, strict=True)
    return [f"trial {trial.number} is not what its history says" for trial, own in pairs if trial.architecture != own]


def one_search(strategy: str, seed: int, is_timed: bool) -> list[dict[str, Any]]:
    """Rows of one search: of each kill, and of what it came to."""
    goals = ["--goals", "accuracy+params"] if strategy.startswith("nsga2") else []
    reward = WITH_LATENCY if is_timed else WITHOUT_LATENCY
    search = [*SEARCH, "--strategy", strategy, "--seed", str(seed), *reward, *goals]
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        home = folder / "killed"
        rows, problems = disturbed(search, home, Random(seed))
        if is_timed:
            problems += against_replay(home)
        else:
            expected = undisturbed(search, folder)
            problems += wholeness.differences(wholeness.finalist(home, NAME, int(NUMBER)), expected)
    end = {"phase": END, "is_killed": False, "states": "", "problems": "\n".join(problems)}
    which = f"{strategy}, latency in the reward" if is_timed else strategy
    return [{"strategy": which, "seed": seed, **row} for row in (*rows, end)]


def campaign(searches: Sequence[tuple[str, int, bool]], file: Path, at_once: int) -> list[dict[str, Any]]:
    """All searches; those that `file` has are not made again, and each is kept when it ends."""
    rows = pq.read_table(file).to_pylist() if file.exists() else []
    done = {row["seed"] for row in rows}
    with pool_of(at_once) as pool:
        wanted = [pool.submit(one_search, *search) for search in searches if search[1] not in done]
        for future in as_completed(wanted):
            found = future.result()
            rows += found
            write_rows(rows, file)
            killed = Counter(row["phase"] for row in found if row["is_killed"])
            print(f"{found[0]['strategy']}, seed {found[0]['seed']}: {sum(killed.values())} kills {dict(killed)}")
            print("".join(f"  {line}\n" for line in found[-1]["problems"].splitlines()), end="", flush=True)
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Kills by strategy and phase, and what was wrong."""
    phases = [*SEARCHING, *TRAINING, *EXPORTING]
    lines = []
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        own = [row for row in rows if row["strategy"] == strategy]
        killed = Counter(row["phase"] for row in own if row["is_killed"])
        problems = sum(len(row["problems"].splitlines()) for row in own)
        lines.append([strategy, *(killed[phase] for phase in phases), sum(killed.values()), problems])
    sums = [sum(line[i] for line in lines) for i in range(1, len(phases) + 3)]
    print_table(["strategy", *phases, "kills", "problems"], [*lines, ["all", *sums]])


def main() -> None:
    """The campaign, or what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--searches", type=int, default=None, help="Only the first so many.")
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    file = given.output / "kills.parquet"
    if given.show:
        show(pq.read_table(file).to_pylist())
        return
    given.output.mkdir(parents=True, exist_ok=True)
    print_conditions(conditions())
    searches = [(strategy, given.seed + i, i == len(STRATEGIES)) for i, strategy in enumerate((*STRATEGIES, TIMED))]
    show(campaign(searches[: given.searches], file, given.at_once))


if __name__ == "__main__":
    main()
