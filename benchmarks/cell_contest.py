"""Strategies on our own table of cells: how many evaluations until they have five of the best twentieth?

A search sees the accuracies of one seed, and what it holds for the best is judged by the other seed's. Every run's rows
are kept; a run that is there already is not made again. Usage: cell_contest.py TABLE OUTPUT [--seeds N] [--trials N].
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from conditions import conditions, print_conditions, print_table
from scipy import stats
from tables import complete

from paretonas.compare import Contest, Run, run, summary

STRATEGIES = (
    "random",
    "regularized-evolution:population=20,tournament=5",
    "ppo",
    "surrogate",
    "progressive:first=40,beam=40",
    "progressive:first=40,beam=40,surrogate=mlp",
)
BEST, HELD = 0.05, 5
COUNTS = (10, 20, 40, 60, 80, 100)


def print_noise(file: Path) -> None:
    """How far two trainings of one cell agree."""
    rows = {row["network"]: row for row in pq.read_table(file).to_pylist()}.values()
    for what, blocks in (("one block", 1), ("two blocks", 2), ("all", 0)):
        own = [row for row in rows if not blocks or len(row["ops"]) == 4 * blocks]
        a, b = (np.array([row[f"val_acc_seed{seed}"] for row in own]) for seed in (0, 1))
        noise = float(np.std(a - b, ddof=1) / np.sqrt(2))
        spread = float(np.std((a + b) / 2, ddof=1))
        tau = stats.kendalltau(a, b).statistic
        print(
            f"{what}: {len(own)} cells, {min(a):.1f} to {max(a):.1f} %, standard deviation of a training {noise:.2f}, "
            f"of cells' means {spread:.2f}, Spearman {stats.spearmanr(a, b).statistic:.2f}, Kendall {tau:.2f}"
        )


def levels(contest: Contest) -> tuple[float, float]:
    """What the best twentieth of the cells reach by what a search sees, and their mean by the judge."""
    rows = {row["network"]: row for row in pq.read_table(contest.file).to_pylist()}.values()
    best = sorted(rows, key=lambda row: -row[contest.metric])[: round(BEST * len(rows))]
    return best[-1][contest.metric], statistics.fmean(row[contest.judged_by] for row in best)


def reached(contest: Contest, one: Run, seen_level: float, judged_level: float) -> tuple[int | None, int | None]:
    """Evaluations until five of the best twentieth are tried, and until the judge's mean of the five best is theirs."""
    seen, judge = (contest.table.column(c) for c in (contest.metric, contest.judged_by))
    tried: set[int] = set()
    found, held = None, None
    for n, row in enumerate(one.rows, 1):
        tried.add(row)
        best = sorted(tried, key=lambda r: -seen[r])[:HELD]
        if found is None and len(best) == HELD and seen[best[-1]] >= seen_level:
            found = n
        if held is None and len(best) == HELD and statistics.fmean(judge[r] for r in best) >= judged_level:
            held = n
    return found, held


def words(counts: list[int | None]) -> str:
    """Median, and how many runs never came so far."""
    never = sum(count is None for count in counts)
    middle = statistics.median(float("inf") if count is None else count for count in counts)
    return ("never" if middle == float("inf") else f"{middle:.0f}") + (f" ({never} never)" if never else "")


def main() -> None:
    """Make the runs that are missing, then the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=100)
    options = parser.parse_args()
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    print_noise(options.table)
    contest = Contest(options.table, "val_acc_seed0", "val_acc_seed1", trials=options.trials)
    wanted = [(name, seed) for seed in range(options.seeds) for name in STRATEGIES]
    runs = complete(options.output / "contest.parquet", wanted, lambda name, seed: run(contest, name, seed))
    found, (seen, judged), shown = summary(contest, runs), levels(contest), []
    print(f"the best {100 * BEST:.0f} % reach {seen:.1f} %, on average {judged:.1f} % by the judge")
    for name in STRATEGIES:
        own = [reached(contest, one, seen, judged) for one in runs if one.strategy == name]
        of = found["strategies"][name]
        counts = (n for n in COUNTS if n <= options.trials)
        regrets = (f"{of['regret'][n - 1]:.2f} ± {of['standard_error'][n - 1]:.2f}" for n in counts)
        shown.append((name, words([tried for tried, _ in own]), words([held for _, held in own]), *regrets))
    print_table(("strategy", "five tried", "five judged", *(str(n) for n in COUNTS if n <= options.trials)), shown)


if __name__ == "__main__":
    main()
