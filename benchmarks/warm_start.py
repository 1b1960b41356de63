"""How much do earlier searches under other conditions help a new one, and how little do useless ones harm?

On NAS-Bench-201 and NAS-Bench-Macro, `surrogate` searches a column after a search of other columns of the same table:
accuracy after a short training before that after a long one, one device before another, costs in the place of
accuracy, and columns that are of no use, made for the purpose. Beside it: the same without an earlier search, with
trials of the earlier search mixed in as if they were its own, and the best of the earlier search tried again without
any search. Every run's rows are kept; a run that is there already is not made again.

Usage: python benchmarks/warm_start.py TABLES OUTPUT [--seeds 20] [--trials 50] [--only CONTEST …]
TABLES is a folder with nasbench201_cifar10.parquet and nas_bench_macro.parquet.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from conditions import conditions, print_conditions, print_table
from tables import FINAL, MACRO, NB201, PROXY, RASPI4, arguments, contests, read_runs, write_runs

from paretonas.compare import Contest, Run, best_so_far, earlier, hypervolume_share, run
from paretonas.executor import executors
from paretonas.strategy import Prior

COUNTS = (1, 10, 20, 30, 50)
SHORT = "surrogate:initial=4"
COLD = (SHORT, "surrogate")
SHUFFLED, OPPOSED = "shuffled", "opposed"
"""Columns of no use: the accuracies in another order, and those of which the best is the worst."""
LATER = 1000
"""Added to the seeds of earlier searches, whose random architectures would be those of the later ones otherwise."""


@dataclass(frozen=True)
class Source:
    """Earlier searches of the same table, one after the other.

    Args:
        columns: What each of them saw.
        trials: Of each.
        strategy: Of each.
        latency: Column of latencies; None: what the later search sees none of.
        is_judge: Whether nothing of the method was chosen on it.
    """

    columns: tuple[str, ...]
    trials: int
    strategy: str = SHORT
    latency: str | None = None
    is_judge: bool = False

    def __str__(self) -> str:
        latency = f" and {self.latency}" if self.latency else ""
        return f"{', '.join(self.columns)}{latency}, {self.trials} trials of {self.strategy}"

    def runs(self, contest: Contest, seed: int) -> Iterator[tuple[Contest, Run]]:
        """Each search, with what it was on."""
        for column in self.columns:
            source = replace(contest, metric=column, judge=None, latency=self.latency, trials=self.trials)
            yield source, run(source, self.strategy, LATER + seed)


SOURCES = {
    "nb201": (
        Source((PROXY,), 100),
        Source((PROXY,), 40, "random"),
        Source((SHUFFLED,), 100),
        Source((OPPOSED,), 40, "random", is_judge=True),
        Source((SHUFFLED, PROXY), 40, "random", is_judge=True),
    ),
    "nb201-proxy": (Source((FINAL,), 40, "random"),),
    "macro": (
        Source(("flops",), 100),
        Source(("params",), 100, is_judge=True),
        Source(("test_acc_0",), 40, "random", is_judge=True),
    ),
    "nb201-pixel3": (Source((PROXY,), 60, latency=RASPI4, is_judge=True),),
    "nb201-raspi4": (Source((PROXY,), 60, latency="lat_gold_6226_ms", is_judge=True),),
}
"""Contest -> what is searched before."""


def with_useless(tables: Path, folder: Path) -> Path:
    """The tables once more, NAS-Bench-201 with columns of no use."""
    table = pq.read_table(tables / NB201)
    accuracies = table[FINAL].to_numpy()
    shuffled = np.random.default_rng(0).permutation(accuracies)
    for name, values in ((SHUFFLED, shuffled), (OPPOSED, accuracies.max() + accuracies.min() - accuracies)):
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, folder / NB201)
    (folder / MACRO).write_bytes((tables / MACRO).read_bytes())
    return folder


def cold(contest: Contest, seed: int) -> list[Run]:
    """Without an earlier search."""
    return [run(contest, name, seed) for name in COLD]


def warm(contest: Contest, source: Source, seed: int) -> list[Run]:
    """After one: as it is now, with its trials taken for the search's own, and the best of it again."""
    found = list(source.runs(contest, seed))
    others = tuple(earlier(of, one, contest) for of, one in found)
    mixed = tuple(Prior(one.trials) for one in others)
    runs = {"warm": run(contest, SHORT, seed, others), "mixed": run(contest, SHORT, seed, mixed)}
    if contest.latency is None:
        runs["again"] = again(contest, *found[-1], seed)
    return [replace(one, strategy=f"{name}: {source}") for name, one in runs.items()]


def again(contest: Contest, of: Contest, one: Run, seed: int) -> Run:
    """The rows of an earlier search, the best first."""
    seen = of.table.column(of.metric)
    best = sorted(dict.fromkeys(one.rows), key=lambda row: -seen[row])
    return Run("again", seed, tuple(best[: contest.trials]), (0.0,))


def main(options: argparse.Namespace) -> None:
    """Make the runs that are missing, then print what came out."""
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tables = with_useless(options.tables, Path(folder))
        for label, contest in contests(tables, options.trials).items():
            if label in (options.only or SOURCES):
                report(label, contest, complete(label, contest, options))


def complete(label: str, contest: Contest, options: argparse.Namespace) -> list[Run]:
    """All runs of a contest."""
    file = options.output / f"{label}.parquet"
    runs = read_runs(file)
    made = {(one.strategy, one.seed) for one in runs}
    with executors.create(options.executor).start() as executor:
        jobs = []
        for seed in range(options.seeds):
            if (COLD[-1], seed) not in made:
                jobs.append(executor.submit(f"{label}/cold/{seed}", cold, contest, seed))
            for source in SOURCES[label]:
                if (f"warm: {source}", seed) not in made:
                    jobs.append(executor.submit(f"{label}/{source}/{seed}", warm, contest, source, seed))
        left = len(jobs)
        while left:
            ended = executor.wait()
            runs += [one for job in ended for one in job.result()]
            left -= len(ended)
            write_runs(runs, file)
    return runs


def report(label: str, contest: Contest, runs: list[Run]) -> None:
    """Mean regret, or share of the front, with standard errors."""
    best = max(contest.table.column(contest.judged_by))
    counts = [n for n in COUNTS if n <= contest.trials]
    names = [*COLD, *(f"{kind}: {source}" for source in SOURCES[label] for kind in ("warm", "mixed", "again"))]
    rows = []
    for name in names:
        own = [one for one in runs if one.strategy == name]
        if own:
            values = hypervolume_share(contest, own) if contest.latency else best - best_so_far(contest, own)
            error = values.std(0, ddof=1) / len(own) ** 0.5 if len(own) > 1 else values[0] * np.nan
            rows.append((name, len(own), *(f"{values[:, n - 1].mean():.3f} ± {error[n - 1]:.3f}" for n in counts)))
    judges = ", ".join(str(source) for source in SOURCES[label] if source.is_judge)
    print(f"\n{label}: {'share of the front' if contest.latency else 'mean regret'}; judges: {judges or 'none'}")
    print_table(("", "seeds", *map(str, counts)), rows)


if __name__ == "__main__":
    parser = arguments(__doc__, seeds=20, trials=50)
    parser.add_argument("--only", nargs="*", default=[], help="contests")
    parser.add_argument("--executor", default="process")
    main(parser.parse_args())
