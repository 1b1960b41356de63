"""What lets networks learn more in few epochs? One thing of a recipe, as it was, is changed at a time.

MobileNetV2 and MnasNet-A1 at half width learn the same images for as many epochs by each recipe. Trainings are kept as
they end, so the script goes on wherever it was stopped. Usage: recipes.py CIFAR10 OUTPUT.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from conditions import conditions, print_conditions, print_table
from trainings import Training, arguments, prepared, train_missing

from paretonas.task import recipes
from paretonas.training.autotune import like
from paretonas.zoo import zoo_spec

RESOLUTION, WIDTH = 32, 0.5
NETWORKS = ("mobilenet-v2", "mnasnet-a1")
BASE = "as it was"
FIRST: dict[str, dict[str, Any]] = {
    "search": {"optimizer": "nesterov", "lr": 0.3, "weight_decay": 5e-5, "branch_scale": 1.0},
    "small-image": {"optimizer": "nesterov", "lr": 0.2, "weight_decay": 2e-4, "branch_scale": 1.0},
}
"""What of a recipe was another before any of this was tried."""
IDENTITY = {"branch_scale": 0.0}
LAMB = {"optimizer": "lamb", "lr": 0.04, "weight_decay": 0.02}
NADAMW = {"optimizer": "nadamw", "lr": 0.012, "weight_decay": 0.05}
MUON = {"optimizer": "muon", "lr": 0.08, "weight_decay": 0.01}
WITH_MUON = {**IDENTITY, **MUON}
CHANGES: dict[str, dict[str, Any]] = {
    BASE: {},
    "half the learning rate": {"lr": 0.15},
    "twice the learning rate": {"lr": 0.6},
    "warm-up of a tenth": {"warmup": 0.1},
    "weight decay x10": {"weight_decay": 5e-4},
    "label smoothing": {"label_smoothing": 0.1},
    "random crops": {"crop": 0.125},
    "no mirroring": {"is_flipped": False},
    "images of half the side at first": {"min_side": 0.5},
    "blocks begin as the identity": IDENTITY,
    "batches of 32": {"batch_size": 32},
    "batches of 128": {"batch_size": 128},
    "momentum 0.95": {"momentum": 0.95},
    "averaged weights": {"ema": 0.99},
    "no clipping": {"clip": 0.0},
    "adamw": {"optimizer": "adamw", "lr": 0.012, "weight_decay": 0.05},
    "nadamw": NADAMW,
    "lamb": LAMB,
    "muon": MUON,
    "identity, lamb": {**IDENTITY, **LAMB},
    "identity, muon": WITH_MUON,
    "identity, muon, half the learning rate": {**WITH_MUON, "lr": 0.04},
    "identity, muon, twice the learning rate": {**WITH_MUON, "lr": 0.16},
    "identity, muon, weight decay x10": {**WITH_MUON, "weight_decay": 0.1},
    "identity, nadamw": {**IDENTITY, **NADAMW},
    "identity, weight decay x10": {**IDENTITY, "weight_decay": 5e-4},
    "identity, images of half the side at first": {**IDENTITY, "min_side": 0.5},
}


def compared(rows: Sequence[Mapping[str, Any]], networks: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A line for each change that all networks have, the best first: mean accuracies, and seconds beside the base's."""
    means: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    for change in CHANGES:
        own = [[row for row in rows if (row["change"], row["network"]) == (change, name)] for name in networks]
        if all(own):
            means[change] = [100 * statistics.fmean(row["accuracy"] for row in some) for some in own]
            seconds[change] = statistics.fmean(row["train_seconds"] for some in own for row in some)
    for change in sorted(means, key=lambda change: -sum(means[change])):
        numbers = (f"{mean:.1f}" for mean in means[change])
        beside = ("", "")
        if BASE in means:
            gained = statistics.fmean(means[change]) - statistics.fmean(means[BASE])
            beside = f"{gained:+.1f}", f"{seconds[change] / seconds[BASE]:.2f}"
        yield (change, *numbers, *beside)


def main() -> None:
    """Train, keep and show."""
    parser = arguments(__doc__, epochs=7, seeds=3)
    parser.add_argument("--only", nargs="+", default=[*CHANGES], choices=[*CHANGES], help="changes that are tried")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--width", type=float, default=WIDTH, help="of the networks")
    parser.add_argument("--recipe", default="search", choices=[*FIRST], help="whose settings are changed")
    options = parser.parse_args()
    print_conditions(conditions())
    task, tuned, size = prepared(options, RESOLUTION)
    base = replace(like(recipes.create(options.recipe), tuned), epochs=options.epochs)
    size = {"recipe": options.recipe, **size}
    width = options.width
    specs = {
        name if width == WIDTH else f"{name} x{width:g}": zoo_spec(name, width, RESOLUTION) for name in options.networks
    }
    wanted = [
        Training(
            {"change": change, "network": name, **size, "seed": seed},
            spec,
            replace(base, **{**FIRST[options.recipe], **changed}),
        )
        for seed in range(options.seeds)
        for change, changed in CHANGES.items()
        if change in options.only
        for name, spec in specs.items()
    ]
    rows = train_missing(wanted, task, options.output / "recipes.parquet", options.workers, options.minutes)
    own = [row for row in rows if all(row[key] == value for key, value in size.items())]
    print_table(("change", *specs, "gained", "x seconds"), compared(own, [*specs]))


if __name__ == "__main__":
    main()
