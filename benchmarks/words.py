"""The best cells that a search of recurrent cells has found, beside an LSTM and NASCell, from several seeds.

All have the search's task and recipe and as many units; each seed is a training of its own, so that what differs by
chance shows. Every training is kept as it ends. Usage: words.py HOME NAME OUTPUT.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from conditions import conditions, print_conditions, print_table
from trainings import Training, train_missing

from paretonas import Store
from paretonas.search.sections import config_from_json
from paretonas.space import Spec, spaces
from paretonas.task import recipes, tasks
from paretonas.trial import State
from paretonas.zoo import zoo_spec


def subjects(store: Store, name: str, best: int) -> dict[str, Spec]:
    """The cells that are compared."""
    config = config_from_json(store.config(name))
    space = spaces.create(config.space).build()
    complete = [trial for trial in store.trials(name) if trial.state is State.COMPLETE]
    complete.sort(key=lambda trial: trial.metrics["perplexity"])
    found = {f"trial {trial.number}": space.decode(trial.architecture) for trial in complete[:best]}
    sizes = "hidden={hidden},layers={layers}".format(**config.space.options)
    return {"lstm": zoo_spec(f"lstm:{sizes}"), "nascell": zoo_spec(f"nascell:{sizes}"), **found}


def main() -> None:
    """Train, keep and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("name")
    parser.add_argument("output", type=Path)
    parser.add_argument("--best", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    store = Store(options.home / "store.db")
    config = config_from_json(store.config(options.name))
    task, recipe = tasks.create(config.task), recipes.create(config.recipe)
    compared = subjects(store, options.name, options.best)
    wanted = [
        Training({"network": network, "seed": seed}, spec, recipe)
        for seed in range(options.seeds)
        for network, spec in compared.items()
    ]
    rows = train_missing(wanted, task, options.output / "words.parquet", workers=1)
    shown = []
    for network in compared:
        own = [row for row in rows if row["network"] == network]
        found = [row["perplexity"] for row in own]
        seconds = statistics.fmean(row["train_seconds"] for row in own)
        shown.append(
            (network, f"{statistics.fmean(found):.1f}", f"{min(found):.1f} to {max(found):.1f}", f"{seconds:.0f}")
        )
    print_table(("network", "perplexity", "seeds", "training s"), shown)


if __name__ == "__main__":
    main()
