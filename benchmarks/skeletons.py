"""Published cells in small skeletons, and MnasNet-A1 at a like cost, trained side by side on CIFAR-10.

Every training is kept as it ends, so the script goes on wherever it was stopped. Usage: skeletons.py CIFAR10 OUTPUT.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from conditions import conditions, print_conditions, print_table
from trainings import Training, train_missing

from paretonas.network.cost import spec_cost
from paretonas.space import Spec
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


def wanted() -> list[Training]:
    """All networks from all seeds."""
    return [
        Training({"network": name, "seed": seed}, spec_of(name), RECIPE, costs_of(name))
        for seed in SEEDS
        for name in NETWORKS
    ]


def costs_of(name: str) -> dict[str, float]:
    """Weights and multiply-adds."""
    spec = spec_of(name)
    cost = spec_cost(spec, spec.usual_interface(3, RESOLUTION, 10))
    return {"params": cost.params, "macs": cost.macs}


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
    task = Classification(str(options.data), RESOLUTION, IMAGES, VALIDATION)
    task.prepare(options.cache)
    rows, shown = train_missing(wanted(), task, options.output / "runs.parquet", options.workers), []
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
