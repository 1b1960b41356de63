"""How many evaluations do strategies need? Ours and those of other packages, on the same tables, in the same session.

On NAS-Bench-201 and NAS-Bench-Macro: ours with their defaults and with settings for short searches, beside Optuna's
TPE, Gaussian process and NSGA-II and PyGlove's regularized evolution. Every run's rows are kept; a run that is there
already is not made again, so that what was interrupted goes on. Optuna's Gaussian process takes seconds for a proposal
where there are hundreds of trials, so that its runs are few and short.

Usage: python benchmarks/strategies.py TABLES OUTPUT [--seeds 20] [--trials 500] [--only CONTEST …] [--skip STRATEGY …]
TABLES is a folder with nasbench201_cifar10.parquet and nas_bench_macro.parquet. Needs: pip install optuna pyglove.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conditions import conditions, print_conditions, print_table
from tables import arguments, contests, read_runs, write_runs

from paretonas.compare import Contest, Run, run, summary
from paretonas.evaluation.table import TableEvaluator
from paretonas.executor import executors
from paretonas.report.comparison import comparison_figure
from paretonas.report.figure import save_figure

OWN = (
    "random",
    "local-search",
    "regularized-evolution",
    "regularized-evolution:population=20,tournament=5",
    "reinforce:batch=10,lr=0.01",
    "ppo",
    "ppo:lr=0.00035,entropy=1e-5,standardize=false",
    "nsga2",
    "surrogate",
)
COUNTS = (10, 20, 30, 50, 100, 120, 150, 200, 500)
SLOW = {"optuna-gp": (5, 100)}
"""Peer -> seeds and evaluations at most."""


def strategies_of(contest: Contest) -> list[str]:
    """Ours, and the peers that can do what is asked."""
    return [*OWN, *(name for name in PEERS if name.startswith("optuna") or not contest.latency)]


# Peers


class Seen:
    """What a peer asked for, with the time between its questions."""

    def __init__(self, contest: Contest):
        self.contest, self.space = contest, contest.table.space()
        self.evaluator = TableEvaluator(contest.source)
        self.rows: list[int] = []
        self.seconds: list[float] = []
        self._free = time.perf_counter()

    def evaluate(self, choices: Sequence[int]) -> dict[str, float]:
        """Metrics of an architecture."""
        self.seconds.append(time.perf_counter() - self._free)
        architecture = self.space.architecture(choices)
        self.rows.append(self.contest.table.row(architecture))
        spec = self.space.decode(architecture)
        found = self.evaluator.score(spec)
        if self.contest.latency:
            found["latency_ms"] = self.evaluator.latency(spec, "latency_ms")
        self._free = time.perf_counter()
        return found

    def run(self, name: str, seed: int) -> Run:
        """As one of ours."""
        return Run(name, seed, tuple(self.rows), tuple(self.seconds))


def optuna_run(contest: Contest, name: str, seed: int) -> Run:
    """Optuna's samplers with their defaults; of a latency, both are goals."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = optuna.samplers
    kinds = {"optuna-tpe": samplers.TPESampler, "optuna-gp": samplers.GPSampler, "optuna-nsga2": samplers.NSGAIISampler}
    study = optuna.create_study(
        sampler=kinds[name](seed=seed), directions=["maximize", "minimize"][: 2 if contest.latency else 1]
    )
    seen = Seen(contest)
    for _ in range(contest.trials):
        trial = study.ask()
        sizes = [len(decision.choices) for decision in contest.table.decisions]
        metrics = seen.evaluate([trial.suggest_categorical(f"d{i}", list(range(n))) for i, n in enumerate(sizes)])
        study.tell(trial, [metrics["accuracy"], metrics["latency_ms"]] if contest.latency else metrics["accuracy"])
    return seen.run(name, seed)


def pyglove_run(contest: Contest, name: str, seed: int) -> Run:
    """PyGlove's regularized evolution with its defaults: a population of 100, tournaments of 10."""
    import pyglove as pg

    space = pg.List([pg.oneof(list(range(len(d.choices)))) for d in contest.table.decisions])
    algorithm = pg.evolution.regularized_evolution(seed=seed)
    seen = Seen(contest)
    for example, feedback in pg.sample(space, algorithm, num_examples=contest.trials):
        feedback(seen.evaluate([int(choice) for choice in example])["accuracy"])
    return seen.run(name, seed)


PEERS = {
    "optuna-tpe": optuna_run,
    "optuna-gp": optuna_run,
    "optuna-nsga2": optuna_run,
    "pyglove-evolution": pyglove_run,
}


def wanted(names: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """Strategies and seeds, all strategies of a seed before the next; fewer seeds of slow ones."""
    return [(name, seed) for seed in range(seeds) for name in names if seed < SLOW.get(name, (seeds, 0))[0]]


def one(contest: Contest, name: str, seed: int) -> Run:
    """A run of ours or of a peer."""
    if name in SLOW:
        contest = replace(contest, trials=min(contest.trials, SLOW[name][1]))
    return PEERS[name](contest, name, seed) if name in PEERS else run(contest, name, seed)


# All of it


def main(options: argparse.Namespace) -> None:
    """Make the runs that are missing, then tables and figures."""
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    for label, contest in contests(options.tables, options.trials).items():
        if options.only and label not in options.only:
            continue
        file = options.output / f"{label}.parquet"
        runs = read_runs(file)
        made = {(r.strategy, r.seed) for r in runs}
        order = [name for name in strategies_of(contest) if name not in options.skip]
        missing = [pair for pair in wanted(order, options.seeds) if pair not in made]
        with executors.create("process").start() as executor:
            jobs = [executor.submit(f"{label}/{name}/{seed}", one, contest, name, seed) for name, seed in missing]
            left = len(jobs)
            while left:
                ended = executor.wait()
                runs += [job.result() for job in ended]
                left -= len(ended)
                write_runs(runs, file)
                print(f"\r{label}: {left} runs left  ", end="", flush=True)
        runs = sorted((r for r in runs if r.strategy in order), key=lambda r: (order.index(r.strategy), r.seed))
        found = summary(contest, runs)
        (options.output / f"{label}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
        save_figure(comparison_figure(found), options.output / f"{label}.png")
        print(f"\r{label}: {found['metric']}, judged by {found['judge']}; best {found['best']:.3f}")
        report(found)


def report(found: dict[str, Any]) -> None:
    """Mean regret, or share of the front, with standard errors."""
    counts = [n for n in COUNTS if n <= found["trials"]]
    rows = []
    for name, of in found["strategies"].items():
        part = of["hypervolume"] if found["latency"] else of
        values = part["mean"] if found["latency"] else of["regret"]
        most = SLOW.get(name, (0, found["trials"]))[1]
        cells = [f"{values[n - 1]:.3f} ± {part['standard_error'][n - 1] or 0:.3f}" if n <= most else "" for n in counts]
        rows.append((name, *cells, f"{100 * of['repeated']:.0f} %", f"{1e3 * of['ask_seconds']['mean']:.1f} ms"))
    print("share of the front's hypervolume" if found["latency"] else "mean regret")
    print_table(("strategy", *map(str, counts), "repeated", "an ask"), rows)


if __name__ == "__main__":
    parser = arguments(__doc__, seeds=20, trials=500)
    parser.add_argument("--only", nargs="*", default=[], help="contests")
    parser.add_argument("--skip", nargs="*", default=[], help="strategies to leave for another time")
    main(parser.parse_args())
