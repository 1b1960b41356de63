"""Which model and which acquisition need the fewest evaluations? The comparison that led to `surrogate`.

First what models foretell of a table after so many random evaluations: the rank correlation over rows left out, and
over the better half of these. Then searches by some of them: how much of the gap to the front's hypervolume they close
that random search leaves, or their regret. Results are kept; what is there already is not computed again.

Usage: python benchmarks/surrogates.py TABLES OUTPUT [--seeds 10] [--trials 200] [--only CONTEST …]
TABLES is a folder with nasbench201_cifar10.parquet, nas_bench_macro.parquet and fbnet_latency.parquet.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from conditions import conditions, print_conditions, print_table, write_rows
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from tables import FINAL, MACRO, MACRO_ACCURACY, NB201, PIXEL3, PROXY, arguments, complete, contests

from paretonas.compare import Contest, Run, run
from paretonas.compare.scores import best_so_far, hypervolume_share
from paretonas.objective import front
from paretonas.space import Decision, SearchSpace
from paretonas.space.table import TabularSpec
from paretonas.strategy.surrogate import FALLING_WORST, ORDINARY, RISING_WORST
from paretonas.strategy.surrogates.acquisition import hypervolume_improvement
from paretonas.strategy.surrogates.gaussian import (
    NOISES,
    Floats,
    Kernel,
    Posterior,
    Rows,
    encode,
    fit_kernel,
    normal_scores,
)
from paretonas.strategy.surrogates.model import GROWTH

FBNET = "fbnet_latency.parquet"
SOUGHT = ("nb201-pixel3", "nb201-raspi4", "nb201-proxy")
"""Contests in which they search."""
COUNTS = (50, 100, 200, 500)
INITIAL, CANDIDATES, LEFT_OUT = 10, 2000, 1000
CHANCE = 100
"""Random searches that are the measure."""

Fit = Callable[[Rows, Floats], Kernel]
"""Rows seen and their values with mean 0 -> the kernel of a Gaussian process."""
Foretell = Callable[[Rows, Floats, Rows], tuple[Floats, Floats]]
"""Rows seen by now, their values with mean 0, rows to foretell -> means and standard deviations of their values."""
Learn = Callable[[Rows, Floats, int], Foretell]
"""Rows seen, their values with mean 0, a seed -> a model. A Gaussian process takes in what is seen later."""


# Models


@dataclass(frozen=True)
class LinearKernel(Kernel):
    """Half of the covariance is linear in the decisions, of which there are `decisions`."""

    decisions: float = 1.0

    def covariance(self, differing: Floats, exchanged: Floats) -> Floats:
        """Half `exp(-differing / length)`, half the share that is equal."""
        found: Floats = (np.exp(-differing / self.length) + 1 - differing / self.decisions) / 2
        return found


@dataclass(frozen=True)
class PairsKernel(Kernel):
    """Bayesian linear regression on choices and on pairs of choices."""

    decisions: float = 1.0

    def covariance(self, differing: Floats, exchanged: Floats) -> Floats:
        """Choices and pairs of choices in common, over how many there are."""
        equal, all_of_them = self.decisions - differing, self.decisions * (self.decisions + 1) / 2
        found: Floats = (equal + equal * (equal - 1) / 2) / all_of_them
        return found


def fit_places(x: Rows, y: Floats) -> Kernel:
    """Ours without what is counted over decisions."""
    return replace(fit_kernel(Rows(x.places, np.zeros((len(y), 1))), y), exchange=math.inf)


def fit_linear(x: Rows, y: Floats) -> Kernel:
    """Length and noise as without the linear part."""
    fitted = fit_places(x, y)
    return LinearKernel(fitted.length, math.inf, fitted.noise, float(x.places[0].sum()))


def fit_pairs(x: Rows, y: Floats) -> Kernel:
    """The noise under which the values are likeliest."""
    decisions = float(x.places[0].sum())
    distances = x.distances(x)

    def likelihood(kernel: Kernel) -> float:
        covariance = kernel.covariance(*distances) + kernel.noise * np.eye(len(y))
        spread = float(y @ np.linalg.solve(covariance, y)) / len(y)
        return -len(y) * math.log(spread) - float(np.linalg.slogdet(covariance)[1])

    return max((PairsKernel(1.0, math.inf, noise, decisions) for noise in NOISES), key=likelihood)


def gaussian_process(fit: Fit) -> Learn:
    """The model of a kernel."""
    return lambda x, y, seed: partial(posterior, fit(x, y))


def posterior(kernel: Kernel, x: Rows, y: Floats, new: Rows) -> tuple[Floats, Floats]:
    """Mean and standard deviation."""
    return Posterior(kernel, x, y, some(x, [])).predict(new)


def some(x: Rows, indices: Sequence[int] | NDArray[np.integer[Any]]) -> Rows:
    """Some of the rows."""
    chosen = np.asarray(indices, dtype=np.intp)
    return Rows(x.places[chosen], x.counts[chosen])


def ensemble(members: Callable[[int], Sequence[Any]], members_of: str = "") -> Learn:
    """The mean of several models, and how far they are apart.

    Args:
        members: A seed -> regressors as scikit-learn has them.
        members_of: The attribute of a fitted regressor that holds the members, where it is an ensemble itself.
    """

    def learn(x: Rows, y: Floats, seed: int) -> Foretell:
        scale = float(y.std()) or 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # at the last iteration they are good enough
            fitted = [model.fit(_flat(x), y / scale) for model in members(seed)]
        single = [one for model in fitted for one in (getattr(model, members_of) if members_of else [model])]

        def foretell(x: Rows, y: Floats, new: Rows) -> tuple[Floats, Floats]:
            each = scale * np.array([one.predict(_flat(new)) for one in single])
            return each.mean(0), np.maximum(each.std(0, ddof=1), 1e-3 * scale)

        return foretell

    return learn


def _flat(rows: Rows) -> Floats:
    return np.hstack([rows.places, rows.counts])


def _trees(seed: int) -> list[Any]:
    return [RandomForestRegressor(100, max_features=0.5, random_state=seed)]


def _boosted(seed: int) -> list[Any]:
    return [GradientBoostingRegressor(subsample=0.5, max_depth=3, random_state=5 * seed + i) for i in range(5)]


def _networks(seed: int) -> list[Any]:
    options = {"hidden_layer_sizes": (32, 32), "solver": "lbfgs", "alpha": 1e-2, "max_iter": 200}
    return [MLPRegressor(random_state=5 * seed + i, **options) for i in range(5)]


FITS: dict[str, Fit] = {
    "GP, places and counts": fit_kernel,
    "GP, places": fit_places,
    "GP, linear and places": fit_linear,
    "Bayesian linear, pairs": fit_pairs,
}
MODELS: dict[str, Learn] = {
    **{name: gaussian_process(fit) for name, fit in FITS.items()},
    "random forest": ensemble(_trees, "estimators_"),
    "gradient boosting": ensemble(_boosted),
    "small networks": ensemble(_networks),
}
"""100 trees; five times 100 small trees on halves of the values; five networks of two layers of 32: these see counts of
choices too."""


# What they foretell


@dataclass(frozen=True)
class Question:
    """A column of a table, seen in one way.

    Args:
        file: Parquet file of the table.
        column: Whose values are foretold; a latency is to be small.
        is_canonical: Whether architectures that compute the same are one.
        is_ranked: Whether values enter as normal scores, or as they are.
    """

    file: Path
    column: str
    is_canonical: bool = False
    is_ranked: bool = True

    def read(self) -> tuple[Rows, Floats]:
        """All rows and their values, to be maximized."""
        space, rows, values = _table(self.file, self.column)
        choices = [space.canonical(choices) if self.is_canonical else choices for choices in rows]
        sign = -1.0 if self.column.startswith("lat_") else 1.0
        return encode(choices, [decision.symbols for decision in space.decisions]), sign * values


def _table(file: Path, column: str) -> tuple[SearchSpace, list[tuple[int, ...]], Floats]:
    if file.name != FBNET:
        table = Contest(file, column).table
        return table.space(), list(table.rows), np.array(table.column(column))
    columns = pq.read_table(file, columns=["ops", column])  # 5000 of 1e21 architectures: no table to search
    rows = [tuple(row) for row in columns["ops"].to_pylist()]
    symbols = tuple(range(1 + max(map(max, rows))))
    decisions = tuple(Decision(f"layer{i}", symbols) for i in range(len(rows[0])))
    space = SearchSpace("fbnet", decisions, lambda values: TabularSpec("fbnet", tuple(map(str, values.values()))))
    return space, rows, columns[column].to_numpy().astype(float)


def questions(tables: Path) -> dict[str, Question]:
    """Accuracy by rank and on canonical forms, latency as it is and as written; and each the other way."""
    nb201, macro, fbnet = tables / NB201, tables / MACRO, tables / FBNET
    return {
        "NB201 accuracy": Question(nb201, FINAL, is_canonical=True),
        "NB201 accuracy, as written": Question(nb201, FINAL),
        "NB201 accuracy, unranked": Question(nb201, FINAL, is_canonical=True, is_ranked=False),
        "NB201 proxy": Question(nb201, PROXY, is_canonical=True),
        "Macro accuracy": Question(macro, MACRO_ACCURACY),
        "NB201 Pixel 3": Question(nb201, PIXEL3, is_ranked=False),
        "NB201 Pixel 3, canonical": Question(nb201, PIXEL3, is_canonical=True, is_ranked=False),
        "NB201 Pixel 3, ranked": Question(nb201, PIXEL3),
        "FBNet Pixel 3": Question(fbnet, PIXEL3, is_ranked=False),
        "FBNet Xeon 6226": Question(fbnet, "lat_gold_6226_ms", is_ranked=False),
    }


def foretold(x: Rows, values: Floats, is_ranked: bool, learn: Learn, n: int, seed: int) -> dict[str, float]:
    """Spearman's correlation over rows left out and over their better half."""
    order = np.random.default_rng(seed).permutation(len(values))
    seen, rest = order[:n], order[-LEFT_OUT:]
    y = normal_scores(values[seen]) if is_ranked else values[seen]
    begin = time.perf_counter()
    known, y = some(x, seen), y - y.mean()
    mean, _ = learn(known, y, seed)(known, y, some(x, rest))
    better = values[rest] >= np.median(values[rest])
    return {
        "seconds": time.perf_counter() - begin,
        "all": float(stats.spearmanr(mean, values[rest])[0]),
        "better": float(stats.spearmanr(mean[better], values[rest][better])[0]),
    }


# Searches


@dataclass(frozen=True)
class Search:
    """A loop around a model, over all rows of a table; the strategy has candidates, batches and limits beside.

    Args:
        model: Of every goal; kernels are fitted anew at a tenth more values, other models at every fifth.
        acquisition: `improvement` is the expected one, of the front's hypervolume where there is a latency; `thompson`
            draws every candidate's value, and takes what is best by the draw, or improves the front most.
        is_canonical: Whether accuracy sees architectures that compute the same as one.
        is_ranked: Whether accuracy and latency enter as normal scores, or as they are.
        is_over_predicted: Whether improvement is over what is predicted of the rows tried, or over their values.
        is_reference_predicted: Whether the reference point is of what is predicted of random rows, or of the start.
    """

    model: str
    acquisition: str = "improvement"
    is_canonical: bool = True
    is_ranked: tuple[bool, bool] = (True, False)
    is_over_predicted: bool = True
    is_reference_predicted: bool = True

    def run(self, contest: Contest, name: str, seed: int) -> Run:
        """Rows in the order in which they were tried."""
        columns = [contest.metric] + ([contest.latency] if contest.latency else [])
        flags = zip(columns, (self.is_canonical, False), self.is_ranked, strict=False)
        read = [Question(contest.file, column, canonical, ranked).read() for column, canonical, ranked in flags]
        rng, total = np.random.default_rng(seed), len(read[0][1])
        tried = rng.permutation(total)[:INITIAL].tolist()
        seconds, models, next_fit = [0.0] * INITIAL, [], INITIAL
        while len(tried) < contest.trials:
            begin, n = time.perf_counter(), len(tried)
            ys = [normal_scores(v[tried]) if r else v[tried] for (_, v), r in zip(read, self.is_ranked, strict=False)]
            goals = [(some(x, tried), y - y.mean()) for (x, _), y in zip(read, ys, strict=True)]
            if n >= next_fit:
                models = [MODELS[self.model](*goal, seed) for goal in goals]
                next_fit = max(n + 1, math.ceil(n * GROWTH)) if self.model in FITS else n + 5
            left = np.setdiff1d(np.arange(total), tried)
            candidates = rng.choice(left, min(CANDIDATES, len(left)), replace=False)
            ordinary = rng.integers(0, total, ORDINARY)
            asked = [*candidates, *tried, *ordinary]
            found = [model(*goal, some(x, asked)) for model, goal, (x, _) in zip(models, goals, read, strict=True)]
            means, deviations = (np.stack(part, axis=1) for part in zip(*found, strict=True))
            gain = self._gain(np.stack(ys, axis=1), means, deviations[: len(candidates)], rng)
            tried.append(int(candidates[np.argmax(gain)]))
            seconds.append(time.perf_counter() - begin)
        return Run(name, seed, tuple(tried), tuple(seconds))

    def _gain(self, y: Floats, means: Floats, deviations: Floats, rng: np.random.Generator) -> Floats:
        """Of candidates, of which there are as many as deviations; `means` also has tried and ordinary rows."""
        n = len(deviations)
        new, known, ordinary = np.split(means + y.mean(0), [n, n + len(y)])
        if self.acquisition == "thompson":
            new, deviations = rng.normal(new, deviations), np.full_like(deviations, 1e-9)
        usual = ordinary if self.is_reference_predicted else y[:INITIAL]
        quantiles = (RISING_WORST, FALLING_WORST)
        reference = np.array([np.quantile(part, q) for part, q in zip(usual.T, quantiles, strict=False)])
        points = known if self.is_over_predicted else y
        return hypervolume_improvement(new, deviations, points[front(points.tolist())], reference)


OURS = Search("GP, places and counts")
SEARCHES = {
    "GP, places and counts": OURS,
    "… improvement over values": replace(OURS, is_over_predicted=False),
    "… reference from the start": replace(OURS, is_reference_predicted=False),
    "… Thompson sampling": replace(OURS, acquisition="thompson"),
    "… latency ranked too": replace(OURS, is_ranked=(True, True)),
    "… nothing ranked": replace(OURS, is_ranked=(False, False)),
    "… as written": replace(OURS, is_canonical=False),
    "GP, places": replace(OURS, model="GP, places"),
    "Bayesian linear, pairs": replace(OURS, model="Bayesian linear, pairs"),
    "random forest": replace(OURS, model="random forest"),
    "gradient boosting": replace(OURS, model="gradient boosting"),
    "small networks": replace(OURS, model="small networks"),
}


# All of it


def main(options: argparse.Namespace) -> None:
    """Compute what is missing, then print tables."""
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    foretell(options)
    search(options)


def foretell(options: argparse.Namespace) -> None:
    """Correlations of all models, to `foretold.parquet`."""
    file = options.output / "foretold.parquet"
    rows = pq.read_table(file).to_pylist() if file.exists() else []
    made = {(r["question"], r["model"], r["evaluations"], r["seed"]) for r in rows}
    for label, question in questions(options.tables).items():
        x, values = question.read()
        for key in ((label, name, n, seed) for name in MODELS for n in (50, 150) for seed in range(options.seeds)):
            if key not in made:
                found = foretold(x, values, question.is_ranked, MODELS[key[1]], *key[2:])
                rows.append(dict(zip(("question", "model", "evaluations", "seed"), key, strict=True)) | found)
        write_rows(rows, file)
    means: dict[tuple[str, str], list[str]] = {}
    for label in questions(options.tables):
        for name in MODELS:
            own = [r for r in rows if (r["question"], r["model"]) == (label, name)]
            of = [[r[part] for r in own if r["evaluations"] == n] for n in (50, 150) for part in ("all", "better")]
            means[label, name] = [f"{np.mean(values):.2f}" for values in of]
    print("rank correlation after 50 and 150 evaluations: all, better half")
    print_table(
        ("", *MODELS), [(label, *("  ".join(means[label, m]) for m in MODELS)) for label in questions(options.tables)]
    )


def search(options: argparse.Namespace) -> None:
    """Searches, to a file a contest; the strategy itself is among them."""
    for label, contest in contests(options.tables, options.trials).items():
        if label not in options.only:
            continue
        names = ["surrogate", *SEARCHES]
        wanted = [(name, seed) for seed in range(options.seeds) for name in names]
        runs = complete(options.output / f"{label}.parquet", wanted, partial(_search, contest))
        found = {name: _scores(contest, [r for r in runs if r.strategy == name]) for name in names}
        (options.output / f"{label}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        counts = [n for n in COUNTS if n <= options.trials]
        print(f"{label}: {'share closed of the gap that random search leaves' if contest.latency else 'mean regret'}")
        print_table(
            ("search", *map(str, counts)),
            [(n, *(f"{of[str(c)][0]:.2f} ± {of[str(c)][1]:.2f}" for c in counts)) for n, of in found.items()],
        )


def _search(contest: Contest, name: str, seed: int) -> Run:
    return SEARCHES[name].run(contest, name, seed) if name in SEARCHES else run(contest, name, seed)


def _scores(contest: Contest, runs: Sequence[Run]) -> dict[str, tuple[float, float]]:
    """Mean and standard error of regret, or of the gap closed, at the counts."""
    if contest.latency:
        chance = hypervolume_share(contest, [run(contest, "random", seed) for seed in range(CHANCE)]).mean(0)
        values = (hypervolume_share(contest, runs) - chance) / (1 - chance)
    else:
        values = float(np.nanmax(contest.table.column(contest.judged_by))) - best_so_far(contest, runs)
    error = values.std(0, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else np.zeros(values.shape[1])
    return {str(n): (float(values[:, n - 1].mean()), float(error[n - 1])) for n in COUNTS if n <= contest.trials}


if __name__ == "__main__":
    parser = arguments(__doc__, seeds=10, trials=200)
    parser.add_argument("--only", nargs="*", default=SOUGHT)
    main(parser.parse_args())
