"""What a search comes to when a system call fails, or kills it: every n-th write, sync, rename and removal in turn.

A command is run once undisturbed, under strace; that is what all others are compared with, and its calls are the points
at which faults are injected. After each fault the files in the home are looked at, the command is run again, or the
search resumed, and trials, weights and files must be those of the undisturbed run, except for what a clock says.
Searches of tables are short processes without torch; those on digits are the commands as users give them, with a
finalist's training and its export. What was done is kept: a campaign that was stopped goes on when it is called again.

Usage: python benchmarks/faults.py tables TABLES OUTPUT [--injections 900] [--seed 0] [--at-once 2]
       python benchmarks/faults.py digits OUTPUT [--injections 100] [--seed 0] [--at-once 2]
       python benchmarks/faults.py show OUTPUT
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import wholeness
from conditions import conditions, print_conditions, print_table, write_rows
from syscalls import FAULTS, KILL, Call, Fault, Ran, rule_breaks, run, trace, within

FIELDS = ("fault", "call", "nth", "is_of_first")
"""Of a row, that tell its fault."""
Facts = dict[str, dict[str, Any]]
Words = list[str]
SESSION = Path(__file__).with_name("table_session.py")
NB201 = ("nasbench201_cifar10.parquet", "cifar10_valid_acc_12ep", "lat_pixel3_ms")
MACRO = ("nas_bench_macro.parquet", "mean_acc", "none")
TABLES = (
    (NB201, "random", ""),
    (NB201, "regularized-evolution:population=6,tournament=3", ""),
    (NB201, "nsga2:population=6", ""),
    (NB201, "local-search:initial=4", ""),
    (NB201, "surrogate:initial=6", ""),
    (NB201, "enumeration", ""),
    (MACRO, "regularized-evolution:population=6,tournament=3", "params"),
    (MACRO, "random", "macs"),
)
"""Table, strategy and screen of the searches of tables."""
TRIALS = 15
DIGITS = (
    "--data", "digits", "--width", "0.25", "--trials", "3", "--reward", "power", "--executor", "serial",
    "--recipe", "search:epochs=1,batch_size=64,layout=channels-last,precision=float32", "--fidelity", "asha:rungs=2",
)  # fmt: skip
"""A search whose trials do not depend on what a clock says, in one process."""
FINAL = ("--final", "--trial", "0", "--recipe", "small-image:epochs=1,layout=channels-last,precision=float32")


@dataclass(frozen=True)
class Case:
    """A command that is disturbed.

    Args:
        name: Says what it is.
        seed: Of what it does.
        begin: The command, by home.
        again: Commands that go on with it, by home: the first that there is something to go on with for.
        facts: What it came to, by home.
        before: A home to begin from, if not from none.
    """

    name: str
    seed: int
    begin: Callable[[Path], Words]
    again: Callable[[Path], Sequence[Words]]
    facts: Callable[[Path], Facts]
    before: Path | None = None

    def home(self, folder: Path) -> Path:
        """A new one in a folder."""
        home = folder / "home"
        if self.before is not None:
            shutil.copytree(self.before, home)
        return home


@dataclass(frozen=True)
class Undisturbed:
    """What a case comes to if nothing goes wrong.

    Args:
        facts: To compare with.
        calls: About files of the home, with their paths in it.
        first: The thread that the command began with.
        broken: Rules of files that it broke.
    """

    facts: Facts
    calls: tuple[Call, ...]
    first: int
    broken: tuple[str, ...]


def undisturbed(case: Case, folder: Path) -> Undisturbed:
    """Run a case to its end, traced.

    Raises:
        SystemExit: It failed.
    """
    home = case.home(folder)
    ran = trace(case.begin(home), folder / "trace")
    if ran.code:
        sys.exit(f"{case.name}: {ran.said}")
    broken = [line.replace(f"{home}/", "") for line in rule_breaks(ran.calls, home)]
    broken += wholeness.torn(home) + wholeness.left_over(home)
    calls = tuple(_placed(call, home) for call in within(ran.calls, home))
    return Undisturbed(case.facts(home), calls, ran.calls[0].thread, tuple(broken))


def _placed(call: Call, home: Path) -> Call:
    """With paths in the home, without numbers of processes."""
    paths = tuple(_file(path, home) for path in call.paths)
    return Call(call.thread, call.name, call.nth, paths, call.is_done)


def _file(path: str, home: Path) -> str:
    return re.sub(r"\.[^./]+\.\d+\.part", ".part", f"{path}/".replace(f"{home}/", "").rstrip("/")) or "."


def faults_of(expected: Undisturbed, rng: Random) -> list[Fault]:
    """All that may go wrong at the calls of a case; any beginning of the list has each kind at each kind of file.

    The processes that a command starts are not killed: it starts them again, and they would be killed again.
    """
    groups = defaultdict[tuple[str, ...], dict[Fault, None]](dict)
    for call in expected.calls:
        is_of_first = call.thread == expected.first
        for kind in (kind for kind, names in FAULTS.items() if call.name in names and (is_of_first or kind != KILL)):
            suffix = Path(call.paths[0].removesuffix(".part")).suffix
            groups[kind, call.name, suffix][Fault(kind, call.name, call.nth, is_of_first)] = None
    shuffled = [rng.sample(list(group), len(group)) for _, group in sorted(groups.items())]
    rng.shuffle(shuffled)
    return list(dict.fromkeys(fault for turn in zip_longest(*shuffled) for fault in turn if fault is not None))


def disturb(case: Case, fault: Fault, expected: Undisturbed) -> dict[str, Any]:
    """Let a fault happen, look at the files, go on, and compare: a row of the results."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        home = case.home(folder)
        ran = trace(case.begin(home), folder / "trace", fault)
        problems = [*judged(ran, fault), *wholeness.torn(home)]
        kept = home.exists() and sum(1 for facts in case.facts(home).values() if facts.get("told") is not None)
        again = _again(case, home)
        if again.code:
            problems.append(f"to go on gives {again.code}: {_last(again.said)}")
        elif "Traceback" in again.said:
            problems.append(f"to go on gives a traceback: {_last(again.said)}")
        problems += wholeness.torn(home) + wholeness.left_over(home)
        problems += wholeness.differences(case.facts(home), expected.facts)
        file = next((_file(c.paths[0], home) for c in ran.calls if _is_of(c, fault) and c.paths), "")
    return {
        "case": case.name, "seed": case.seed, "fault": fault.kind, "call": fault.name, "nth": fault.nth, "file": file,
        "is_of_first": fault.is_of_first,
        "is_hit": ran.is_hit, "code": ran.code, "kept": int(kept), "problems": "\n".join(problems),
        "said": "" if ran.code in (0, -9) else _last(ran.said), "seconds": ran.seconds + again.seconds,
    }  # fmt: skip


def _is_of(call: Call, fault: Fault) -> bool:
    return (call.name, call.nth) == (fault.name, fault.nth)


def judged(ran: Ran, fault: Fault) -> list[str]:
    """What is wrong with how a disturbed command ended: it is killed, or absorbs the error, or says it and stops."""
    if ran.code == -9 and fault.kind == KILL:
        return []
    if "Traceback" in ran.said:
        return [f"a traceback: {_last(ran.said)}"]
    if ran.code not in (0, 1):
        return [f"the exit code is {ran.code}: {_last(ran.said)}"]
    return ["it fails without saying why"] if ran.code == 1 and "error:" not in ran.said else []


def _again(case: Case, home: Path) -> Ran:
    for words in case.again(home):
        ran = run(words)
        if ran.code != 2:
            break
    return ran


def _last(said: str) -> str:
    return " ".join(said.split())[-300:]


# What is disturbed


def table_cases(tables: Path, seed: int) -> Iterator[Case]:
    """Searches of tables by all strategies that need no torch."""
    for i, ((file, metric, latency), strategy, screen) in enumerate(TABLES):
        yield table_case((str(tables / file), metric, latency), strategy, seed + i, screen)


def table_case(table: Sequence[str], strategy: str, seed: int, screen: str = "", trials: int = TRIALS) -> Case:
    """A search of a table: its file, and the columns of quality and latency."""
    options = [*table, strategy, str(seed), str(trials), *([screen] if screen else [])]

    def words(home: Path) -> Words:
        return [sys.executable, str(SESSION), str(home), *options]

    name = " ".join((Path(table[0]).stem, strategy, *([f"screen {screen}"] if screen else [])))
    return Case(name, seed, words, lambda home: [words(home)], partial(wholeness.trials, name="run"))


def digits_cases(folder: Path, seed: int) -> Iterator[Case]:
    """A search on digits, the final training of a trial, and its export, each from where the one before has ended."""
    search = ["search", "d", *DIGITS, "--strategy", "regularized-evolution:population=2,tournament=2", "--seed"]
    trials, last = partial(wholeness.trials, name="d"), partial(wholeness.finalist, name="d", number=0)
    begin = partial(paretonas, words=[*search, str(seed)])
    yield Case("search", seed, begin, lambda home: [paretonas(home, ["resume", "d"]), begin(home)], trials)
    searched, trained = folder / "searched", folder / "trained"
    if not searched.exists():
        _must(begin(folder / "draft"), folder / "draft", searched)
    train = partial(paretonas, words=["train", "d", *FINAL])
    yield Case("train", seed, train, lambda home: [train(home)], last, searched)
    if not trained.exists():
        shutil.copytree(searched, folder / "draft")
        _must(train(folder / "draft"), folder / "draft", trained)
    export = partial(paretonas, words=["export", "d", "--trial", "0"])
    yield Case("export", seed, export, lambda home: [export(home)], last, trained)


def paretonas(home: Path, words: Sequence[str]) -> Words:
    """A command line."""
    return [sys.executable, "-m", "paretonas", "--home", str(home), *words]


def _must(words: Words, draft: Path, home: Path) -> None:
    ran = run(words)
    if ran.code:
        sys.exit(ran.said)
    draft.rename(home)


# Campaigns


@contextmanager
def pool_of(at_once: int) -> Iterator[ThreadPoolExecutor]:
    """Threads, each waiting for a command; what has not begun when an error or Ctrl-C comes does not begin."""
    pool = ThreadPoolExecutor(at_once)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def campaign(cases: Iterable[Case], file: Path, injections: Sequence[int], at_once: int) -> list[dict[str, Any]]:
    """Disturb each case so many times; rows that `file` has are not made again, and each new one is kept at once."""
    rows = pq.read_table(file).to_pylist() if file.exists() else []
    done = {(row["case"], row["seed"], Fault(*(row[field] for field in FIELDS))) for row in rows}
    with pool_of(at_once) as pool:
        for case, count in zip(cases, injections, strict=True):
            with tempfile.TemporaryDirectory(prefix="faults-") as name:
                expected = undisturbed(case, Path(name))
            every = faults_of(expected, Random(case.seed))
            print(f"{case.name}, seed {case.seed}: {len(expected.calls)} calls, {len(every)} faults, {count} are tried")
            print("".join(f"  undisturbed: {line}\n" for line in expected.broken), end="", flush=True)
            wanted = [fault for fault in every[:count] if (case.name, case.seed, fault) not in done]
            for future in as_completed([pool.submit(disturb, case, fault, expected) for fault in wanted]):
                rows.append(future.result())
                write_rows(rows, file)
                _print_row(rows[-1])
    return rows


def _print_row(row: dict[str, Any]) -> None:
    if row["problems"]:
        print(f"  {row['fault']} {row['call']} {row['nth']} of {row['file']} (exit {row['code']}):")
        print("".join(f"    {line}\n" for line in row["problems"].splitlines()), end="", flush=True)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """A line for each case and fault."""
    columns = ("case", "fault", "injected", "took effect", "killed", "stopped", "went on", "trials kept", "problems")
    groups = defaultdict[tuple[str, str], list[dict[str, Any]]](list)
    for row in rows:
        groups[row["case"], row["fault"]].append(row)
    lines = []
    for (case, fault), group in groups.items():
        codes = [row["code"] for row in group if row["is_hit"]]
        counts = [codes.count(-9), sum(code > 0 for code in codes), codes.count(0)]
        kept, wrong = sum(row["kept"] for row in group), sum(bool(row["problems"]) for row in group)
        lines.append([case, fault, len(group), len(codes), *counts, kept, wrong])
    print_table(columns, [*lines, ["all", "", *(sum(line[i] for line in lines) for i in range(2, 9))]])


def shares(total: int, parts: int) -> list[int]:
    """A number in so many nearly equal parts.

    >>> shares(10, 3)
    [4, 3, 3]
    """
    return [total // parts + (i < total % parts) for i in range(parts)]


def main() -> None:
    """One campaign, or what all came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("tables", "digits", "show"))
    parser.add_argument("places", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--injections", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=2)
    given = parser.parse_args()
    output = given.places[-1]
    output.mkdir(parents=True, exist_ok=True)
    if given.what == "show":
        for file in filter(Path.exists, (output / "tables.parquet", output / "digits.parquet")):
            print(f"\n{file.stem}\n")
            show(pq.read_table(file).to_pylist())
        return
    print_conditions(conditions())
    if given.what == "tables":
        cases, injections = table_cases(given.places[0], given.seed), shares(given.injections or 900, len(TABLES))
        show(campaign(cases, output / "tables.parquet", injections, given.at_once))
        return
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        cases, injections = digits_cases(Path(name), given.seed), shares(given.injections or 100, 3)
        show(campaign(cases, output / "digits.parquet", injections, given.at_once))


if __name__ == "__main__":
    main()
