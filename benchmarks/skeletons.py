"""Published cells in small skeletons, and MnasNet-A1 at a like cost, trained side by side on CIFAR-10.

Every training is kept as it ends, so the script goes on wherever it was stopped. Usage: skeletons.py CIFAR10 OUTPUT.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
from conditions import conditions, print_conditions, print_table, write_rows

from paretonas.evaluation.job import TrainingJob, run_training
from paretonas.executor import executors
from paretonas.network.cost import spec_cost
from paretonas.space import Spec, spec_to_json
from paretonas.task.classification import Classification
from paretonas.task.recipe import Recipe
from paretonas.zoo import zoo_spec

NETWORKS = {
    "nasnet-a:skeleton=cifar,cells=3,filters=8": 1.0,
    "amoebanet-a:skeleton=cifar,cells=3,filters=10": 1.0,
    "pnasnet-5:skeleton=cifar,cells=5,filters=8": 1.0,
    "mnasnet-a1": 0.3,
    "mobilenet-v2": 0.3,
}
"""Name -> width."""
RESOLUTION, IMAGES, VALIDATION, SEEDS = 32, 4000, 1000, (0, 1)
RECIPE = Recipe(
    epochs=6,
    batch_size=64,
    lr=0.3,
    weight_decay=2e-4,
    layout="channels-last",
    precision="float32",
)


def spec_of(name: str) -> Spec:
    """The published network for images of this size."""
    return zoo_spec(name, NETWORKS[name], None if "skeleton" in name else RESOLUTION)


def trained(options: argparse.Namespace) -> list[dict]:
    """A row for each network and seed."""
    task = Classification(str(options.data), RESOLUTION, IMAGES, VALIDATION)
    task.prepare(options.cache)
    file = options.output / "runs.parquet"
    rows = pq.read_table(file).to_pylist() if file.exists() else []
    made = {(row["network"], row["seed"]) for row in rows}
    todo = [(name, seed) for seed in SEEDS for name in NETWORKS if (name, seed) not in made]
    with executors.create(f"process:workers={options.workers}").start() as executor:
        for name, seed in todo:
            job = TrainingJob(spec_to_json(spec_of(name)), task, RECIPE, seed, "cpu")
            executor.submit(f"{name}/{seed}", run_training, job)
        left = len(todo)
        while left:
            for done in executor.wait():
                left -= 1
                name, _, seed = done.key.rpartition("/")
                rows.append({"network": name, "seed": int(seed), **kept_of(name, done.result())})
                write_rows(rows, file)
                print(f"{name}, seed {seed}: {100 * rows[-1]['accuracy']:.1f} %", flush=True)
    return rows


def kept_of(name: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """What is kept of a training, with costs."""
    spec = spec_of(name)
    cost = spec_cost(spec, spec.usual_interface(3, RESOLUTION, 10))
    kept = {key: metrics[key] for key in ("accuracy", "train_loss", "train_seconds")}
    return {**kept, "params": cost.params, "macs": cost.macs}


def main() -> None:
    """Train, keep and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="CIFAR-10, as a folder of Parquet files")
    parser.add_argument("output", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("paretonas-runs/cache"))
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    rows, shown = trained(options), []
    for name in NETWORKS:
        own = [row for row in rows if row["network"] == name]
        accuracies = [100 * row["accuracy"] for row in own]
        millions = [f"{own[0][key] / 1e6:.2f}" for key in ("params", "macs")]
        spread = f"{min(accuracies):.1f} to {max(accuracies):.1f}"
        seconds = statistics.fmean(row["train_seconds"] for row in own)
        shown.append((name, *millions, f"{statistics.fmean(accuracies):.1f}", spread, f"{seconds:.0f}"))
    print_table(("network", "M params", "M MACs", "accuracy %", "seeds", "training s"), shown)


if __name__ == "__main__":
    main()
