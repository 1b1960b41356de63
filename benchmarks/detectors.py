"""How good and how fast are detectors that were found, beside others of the same kind, all trained alike?

The backbones first learn to classify other images, each once; then each detector learns the boxes from several seeds,
by the recipe of finalists, and is scored on the validation part. All are timed in the same session. Others are networks
of the zoo (`--network`), and uniform paths of DetNAS's space or random ones in the place of a found backbone
(`--paths`), and random merging cells in the place of a found neck (`--necks`).

Trainings are kept as they end, so the script goes on wherever it was stopped; timings are made anew. Usage:
detectors.py BOXES IMAGES OUTPUT --search HOME NAME.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from conditions import conditions, print_conditions, print_table
from speedup import chosen
from timings import time_all
from trainings import Training, read_rows, train_missing

from paretonas.evaluation.job import TrainingJob, known_metrics, run_training
from paretonas.executor import executors
from paretonas.network.cost import spec_cost
from paretonas.space import Spec, spec_hash, spec_to_json
from paretonas.space.fpn import merging_cells, merging_decisions
from paretonas.space.shufflenet import BLOCKS
from paretonas.task import recipes
from paretonas.task.classification import Classification
from paretonas.task.detection import Detection
from paretonas.task.recipe import Recipe
from paretonas.task.task import Task
from paretonas.zoo import zoo_spec

TUNED = {"layout": "channels-last", "precision": "float32"}


def necks(spec: Any, count: int) -> dict[str, Spec]:
    """FPN, and random merging cells, in the place of a detector's neck."""
    rng, found = Random(0), {"FPN": replace(spec, neck=replace(spec.neck, cells=(), stacks=1))}
    for i in range(count):
        cells = merging_cells({one.name: rng.choice(one.choices) for one in merging_decisions()})
        found[f"random neck {i + 1}"] = replace(spec, neck=replace(spec.neck, cells=cells))
    return found


def paths(spec: Any, count: int) -> dict[str, Spec]:
    """The same block everywhere, and random ones, in a detector's backbone of DetNAS's space."""
    rng, n = Random(0), len(spec.backbone.blocks)
    all_of = {f"all {block}": (block,) * n for block in BLOCKS}
    drawn = {f"random path {i + 1}": tuple(rng.choice(BLOCKS) for _ in range(n)) for i in range(count)}
    return {
        name: replace(spec, backbone=replace(spec.backbone, blocks=blocks)) for name, blocks in (all_of | drawn).items()
    }


def pretrained(specs: Mapping[str, Spec], task: Task, recipe: Recipe, folder: Path, workers: int) -> dict[str, Path]:
    """A file with a classifier's weights for the backbone of each network."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = {}
    for spec in specs.values():
        file = folder / f"{spec_hash(spec.classifier)}.safetensors"
        job = TrainingJob(spec_to_json(spec.classifier), task, recipe, 0, "cpu", is_final=True)
        jobs[file] = replace(job, checkpoint=file, state=file.with_suffix(".state"))
    missing = {str(file): job for file, job in jobs.items() if known_metrics(job) is None}
    with executors.create(f"process:workers={workers}").start() as executor:
        for name, job in missing.items():
            executor.submit(name, run_training, job)
        left = len(missing)
        while left:
            for done in executor.wait():
                left -= 1
                print(f"backbone: test accuracy {done.result()['test_accuracy']:.3f}, {left} left", flush=True)
    return {name: folder / f"{spec_hash(spec.classifier)}.safetensors" for name, spec in specs.items()}


def lines(
    rows: Sequence[Mapping[str, Any]], timed: Sequence[Mapping[str, Any]], specs: Mapping[str, Spec], task: Task
) -> Iterator[tuple[str, ...]]:
    """A line for each network: costs, latency, and average precision by seed."""
    for name, spec in specs.items():
        ap = [100 * row["ap"] for row in rows if row["network"] == name]
        ms = [row["latency_ms"] for row in timed if row["network"] == name]
        if ap:
            cost = spec_cost(spec, task.interface)
            latency = f"{statistics.median(ms):.2f}" if ms else ""
            seeds = f"{min(ap):.1f} to {max(ap):.1f}"
            costs = f"{cost.params / 1e6:.2f}", f"{cost.macs / 1e6:.0f}"
            yield (name, *costs, latency, f"{statistics.fmean(ap):.1f}", seeds)


def main() -> None:
    """Train, time, keep and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boxes", type=Path)
    parser.add_argument("images", type=Path, help="of classes, that backbones learn first")
    parser.add_argument("output", type=Path)
    parser.add_argument("--detector", default="ssdlite")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--image-resolution", type=int, default=128)
    parser.add_argument("--search", nargs=2, action="append", default=[], metavar=("HOME", "NAME"))
    parser.add_argument("--top", type=int, default=1, help="networks of each search")
    parser.add_argument("--network", action="append", default=[], help="of the zoo")
    parser.add_argument("--necks", type=int, default=-1, help="random necks beside the first search's; FPN too")
    parser.add_argument(
        "--paths", type=int, default=-1, help="random paths beside the first search's; uniform ones too"
    )
    parser.add_argument("--epochs", type=float, default=150)
    parser.add_argument("--image-epochs", type=float, default=30)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--split", type=int, default=0, help="seed of the split, where the boxes name none")
    parser.add_argument("--rounds", type=int, default=5, help="of timing; 0: those that were made")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after these no training is begun")
    parser.add_argument("--cache", type=Path, default=Path("paretonas-runs/cache"))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    specs: dict[str, Spec] = {}
    for home, name in options.search:
        specs |= chosen(Path(home), name, options.top)
    first = next(iter(specs.values()), None)
    specs |= necks(first, options.necks) if options.necks >= 0 else {}
    specs |= paths(first, options.paths) if options.paths >= 0 else {}
    specs |= {name: zoo_spec(name) for name in options.network}
    task = Detection(str(options.boxes), options.resolution, options.detector, split_seed=options.split)
    images = Classification(str(options.images), options.image_resolution)
    for one in (task, images):
        one.prepare(options.cache)
    learned: Recipe = replace(recipes.create("pretrain"), epochs=options.image_epochs, **TUNED)
    files = pretrained(specs, images, learned, options.cache / "backbones", options.workers)
    recipe: Recipe = replace(recipes.create("detection"), epochs=options.epochs, **TUNED)
    size = {"resolution": options.resolution, "epochs": options.epochs, "image_epochs": options.image_epochs}
    wanted = [
        Training({"network": name, **size, "seed": seed}, spec, recipe, weights=files[name])
        for seed in range(1, 1 + options.seeds)
        for name, spec in specs.items()
    ]
    rows = train_missing(wanted, task, options.output / "detectors.parquet", options.workers, options.minutes)
    own = [row for row in rows if all(row[key] == value for key, value in size.items())]
    file = options.output / "timings.parquet"
    timed = time_all(specs, task.interface, file, options.rounds) if options.rounds else read_rows(file)
    print_table(("network", "M params", "M MACs", "ms", "AP %", "seeds"), lines(own, timed, specs, task))


if __name__ == "__main__":
    main()
