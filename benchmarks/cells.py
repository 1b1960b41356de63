"""A table of our own: small cells of PNASNet's space, trained on CIFAR-10 from two seeds each.

All one-block cells (136, pairs unordered), and all two-block cells over two of the ops, then over a third one too, in
networks of three cells (N=1) and F=8 for images of 16 pixels. What was trained is kept after every network, so the
script goes on wherever it was stopped. Once all over two or over three ops are there, `table.parquet` is written: a row
for each way to write a cell, which `paretonas compare` takes.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from conditions import conditions, print_conditions, write_rows
from trainings import Training, train_missing

from paretonas.network.cost import spec_cost
from paretonas.space import Architecture, SearchSpace, spec_hash
from paretonas.space.nasnet import PNASNetSpace
from paretonas.task.classification import Classification
from paretonas.task.recipe import Recipe

OPTIONS = PNASNetSpace(blocks=2, cells=3, filters=8)
OPS = ("sep3x3", "max3x3", "identity")
"""Of the two-block cells; the first two make a whole space of their own."""
RESOLUTION, IMAGES, VALIDATION, SEEDS = 16, 4000, 1000, (0, 1)
RECIPE = Recipe(
    epochs=3,
    batch_size=64,
    optimizer="momentum",
    lr=0.2,
    weight_decay=5e-4,
    layout="channels-last",
    precision="float32",
)


def written(space: SearchSpace, ops: int) -> Iterator[Architecture]:
    """Every way to write a cell of the table: one block of all ops, then two over the first `ops` of `OPS`."""
    few = [OPTIONS.ops.index(op) for op in OPS[:ops]]
    two, all_ops = range(2), range(len(OPTIONS.ops))
    yield from (space.architecture(c) for c in itertools.product(two, two, all_ops, all_ops))
    blocks = itertools.product(two, two, few, few, range(3), range(3), few, few)
    yield from (space.architecture(c) for c in blocks)


def unique(space: SearchSpace, ops: int) -> dict[str, Architecture]:
    """The first way to write each cell, by the hash of its network."""
    found: dict[str, Architecture] = {}
    for architecture in written(space, ops):
        found.setdefault(spec_hash(space.decode(architecture)), architecture)
    return found


def wanted(space: SearchSpace) -> list[Training]:
    """All cells from both seeds; those over two of the ops first."""
    cells = unique(space, 2) | unique(space, 3)
    return [
        Training({"spec_hash": key, "seed": seed}, space.decode(cell), RECIPE, {"choices": list(cell.choices)})
        for key, cell in cells.items()
        for seed in SEEDS
    ]


def write_table(rows: list[dict], space: SearchSpace, ops: int, file: Path) -> None:
    """A row for each way to write a cell, with the accuracies of both seeds in percent, and costs."""
    accuracy = {(row["spec_hash"], row["seed"]): 100 * row["accuracy"] for row in rows}
    table = []
    for architecture in written(space, ops):
        spec = space.decode(architecture)
        key, cost = spec_hash(spec), spec_cost(spec, spec.usual_interface(3, RESOLUTION, 10))
        values = list(map(str, space.values(architecture).values()))
        scores = {f"val_acc_seed{seed}": accuracy[key, seed] for seed in SEEDS}
        table.append({"ops": values, "network": key, **scores, "params": cost.params, "macs": cost.macs})
    write_rows(table, file)


def main() -> None:
    """Train, and write the table once all is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="CIFAR-10, as a folder of Parquet files")
    parser.add_argument("output", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("paretonas-runs/cache"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    space = OPTIONS.build()
    task = Classification(str(options.data), RESOLUTION, IMAGES, VALIDATION)
    task.prepare(options.cache)
    rows = train_missing(wanted(space), task, options.output / "runs.parquet", options.workers, options.minutes)
    made = {row["spec_hash"] for row in rows if row["seed"] == SEEDS[-1]}
    complete = [ops for ops in (2, 3) if unique(space, ops).keys() <= made]
    if complete:
        write_table(rows, space, complete[-1], options.output / "table.parquet")
        print(f"\nwrote {options.output / 'table.parquet'}, two-block cells over {', '.join(OPS[: complete[-1]])}")


if __name__ == "__main__":
    main()
