"""How well are thousands of networks ranked that nobody scored, by a model of some that a supernet scored?

A Gaussian process over the decisions is fitted to the qualities of a search's trials, by rank, as the strategy
`surrogate` does. It is judged on every fifth of them, which it has not seen; then it is fitted to all, and thousands of
networks drawn at random are ranked by it. Usage: ranked.py HOME NAME [--networks 5000].
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random

import numpy as np
from conditions import conditions, print_conditions, print_table
from scipy import stats
from surrogates import posterior, some

from paretonas import Store
from paretonas.report.aims import Aims
from paretonas.search.sections import config_from_json
from paretonas.space import spaces
from paretonas.strategy.surrogates.gaussian import Floats, Rows, encode, fit_kernel, normal_scores
from paretonas.trial import State

FOLDS = 5


def foretold(seen: Rows, quality: Floats, others: Rows) -> Floats:
    """Expected normal scores of others."""
    y = normal_scores(quality)
    return posterior(fit_kernel(seen, y), seen, y, others)[0]


def main() -> None:
    """Read, fit, judge, rank and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("name")
    parser.add_argument("--networks", type=int, default=5000)
    options = parser.parse_args()
    print_conditions(conditions())
    store = Store(options.home / "store.db")
    config = store.config(options.name)
    quality_name, space = Aims.of(config).quality, spaces.create(config_from_json(config).space).build()
    unique = {trial.spec_hash: trial for trial in store.trials(options.name) if trial.state is State.COMPLETE}
    trials = list(unique.values())
    offers = [decision.symbols for decision in space.decisions]
    rows = encode([trial.architecture.choices for trial in trials], offers)
    quality, macs = (np.array([trial.metrics[name] for trial in trials]) for name in (quality_name, "macs"))
    is_judged = np.arange(len(trials)) % FOLDS == 0
    seen, unseen = np.flatnonzero(~is_judged), np.flatnonzero(is_judged)
    said = foretold(some(rows, seen), quality[seen], some(rows, unseen))
    table = [
        (name, f"{stats.kendalltau(values, quality[is_judged]).statistic:.2f}",
         f"{stats.spearmanr(values, quality[is_judged]).statistic:.2f}")
        for name, values in (("model", said), ("MACs", macs[is_judged]))
    ]  # fmt: skip
    print(f"{len(trials)} scored, judged on {is_judged.sum()} of them")
    print_table(("foretold by", "Kendall's tau", "Spearman"), table)
    began, rng = time.monotonic(), Random(0)
    drawn = list({space.decode(one): one for one in (space.sample(rng) for _ in range(options.networks))}.values())
    said = foretold(rows, quality, encode([one.choices for one in drawn], offers))
    print(f"{len(drawn)} ranked in {time.monotonic() - began:.0f} s; the best ten:")
    for i in np.argsort(-said, kind="stable")[:10]:
        print(f"  {said[i]:.2f}  {'-'.join(map(str, drawn[i].choices))}")


if __name__ == "__main__":
    main()
