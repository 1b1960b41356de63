"""Images a second: the recipe `search` as a search runs it, against a plain PyTorch loop.

Ours: `fit` in workers of the process executor. Plain: a data set that makes each image a PIL image and transforms it
alone, a DataLoader, torch's SGD with Nesterov momentum, the same schedule, default memory layout. Network, images,
batch size, augmentation and cores are the same; the plain loop does not clip gradients, which spares it some work.

    one core  a candidate on one core; plain with 0 and 1 loader processes, and with channels-last tensors
    machine   ours: a candidate on each core. Plain: one process on all cores with 0, 1 and 2 loader processes, and, to
              tell what comes from the way work is shared out, a process on each core

Variants alternate in rounds. A round of a variant starts processes of its own, trains a little to warm up, then counts
images over the time from the first start to the last end. Starting a process is not counted.

Usage: python benchmarks/throughput.py DATA OUTPUT_DIR [--images 2560] [--rounds 3]; run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from conditions import conditions, print_conditions, print_table, write_rows
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from paretonas import zoo_spec
from paretonas.data.images import ImageData, Split
from paretonas.executor.process import ProcessOptions
from paretonas.space import spec_from_json, spec_to_json
from paretonas.task import recipes
from paretonas.task.classification import Classification
from paretonas.task.recipe import Recipe
from paretonas.training.fit import Session, fit

MEAN, STD = 0.5, 0.25
"""Ours; the plain loop normalizes by the same numbers."""
WARMUP_STEPS = 5
NETWORKS = ("mobilenet-v2", "mnasnet-a1")
"""The second is a published result of a search: kernels of 3 and 5, squeeze-and-excitation, expansions 3 and 6."""


@dataclass(frozen=True)
class Variant:
    """A way to train.

    Args:
        name: In the table.
        scope: On which cores.
        kind: Our training or the plain loop.
        processes: How many at once, each with a candidate of its own.
        threads: Cores, and torch's threads, of each.
        loaders: Processes of the plain loop's DataLoader.
        is_channels_last: The plain loop's memory layout.
        is_baseline: Whether it may count as the best plain way.
    """

    name: str
    scope: Literal["one core", "machine"]
    kind: Literal["ours", "plain"]
    processes: int = 1
    threads: int = 1
    loaders: int = 0
    is_channels_last: bool = False
    is_baseline: bool = True


@dataclass(frozen=True)
class Work:
    """What one process does; pickled.

    Args:
        task: Prepared; its training images are what one candidate learns from.
        spec: Of the network.
        recipe: How it is trained.
        seed: Of weights and training.
        variant: In which way.
        cores: Of the plain loop.
        steps: After which to stop; None: all of them.
    """

    task: Classification
    spec: Mapping[str, Any]
    recipe: Recipe
    seed: int
    variant: Variant
    cores: tuple[int, ...]
    steps: int | None = None


def variants(cores: int) -> list[Variant]:
    """All ways on a machine of `cores` cores."""
    own, ours = "plain, a process on each core", "ours"
    found = [
        Variant(ours, "one core", "ours"),
        Variant("plain, 0 loaders", "one core", "plain"),
        Variant("plain, 1 loader", "one core", "plain", loaders=1),
        Variant("plain, channels last", "one core", "plain", is_channels_last=True, is_baseline=False),
    ]
    if cores > 1:
        found.append(Variant(ours, "machine", "ours", processes=cores))
        found += [Variant(f"plain, {n} loaders", "machine", "plain", threads=cores, loaders=n) for n in (0, 1, 2)]
        for n in (0, 1):
            found.append(Variant(f"{own}, {n} loaders", "machine", "plain", cores, loaders=n, is_baseline=False))
    return found


class PlainImages(Dataset[tuple[torch.Tensor, int]]):
    """Images in memory that are transformed one by one, as torchvision's CIFAR-10 does it."""

    def __init__(self, split: Split, transform: Any):
        self._images = np.ascontiguousarray(np.asarray(split.images).transpose(0, 2, 3, 1))
        self._labels, self._transform = split.labels, transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = self._images[index]
        shown = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)  # PIL knows no gray of three axes
        return self._transform(shown), int(self._labels[index])


def plain_transform(recipe: Recipe, side: int, channels: int, flip: bool) -> transforms.Compose:
    """The recipe's augmentation in torchvision's words."""
    steps: list[Any] = []
    if recipe.crop:
        steps.append(transforms.RandomCrop(side, padding=round(recipe.crop * side)))
    if flip and recipe.is_flipped:
        steps.append(transforms.RandomHorizontalFlip())
    return transforms.Compose(
        [*steps, transforms.ToTensor(), transforms.Normalize([MEAN] * channels, [STD] * channels)]
    )


def learning_rate_share(step: int, steps: int, warmup: float) -> float:
    """Of the peak: a linear rise, then a half cosine over all steps.

    >>> learning_rate_share(5, 100, 0.1), round(learning_rate_share(50, 100, 0.1), 6)
    (0.5, 0.5)
    """
    rise = round(warmup * steps)
    return step / rise if step < rise else 0.5 * (1 + math.cos(math.pi * step / steps))


def train_plain(model: nn.Module, data: ImageData, work: Work) -> int:
    """Train `model` as a PyTorch tutorial does.

    Returns:
        Images that went through.
    """
    recipe, variant, split = work.recipe, work.variant, data.train
    if work.steps is not None:
        few = work.steps * recipe.batch_size
        split = Split(split.images[:few], split.labels[:few])
    transform = plain_transform(recipe, data.resolution, data.channels, data.flip)
    loader = DataLoader(
        PlainImages(split, transform),
        batch_size=recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=variant.loaders,
        persistent_workers=variant.loaders > 0,
    )
    epochs = round(recipe.epochs)
    lr = recipe.lr * recipe.batch_size / 256
    optimizer = torch.optim.SGD(
        model.parameters(), lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    steps = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: learning_rate_share(i, steps, recipe.warmup))
    layout = torch.channels_last if variant.is_channels_last else torch.contiguous_format
    model.to(memory_format=layout).train()
    seen, total = 0, 0.0
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x.to(memory_format=layout)), y)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            seen += len(y)
    assert math.isfinite(total)
    return seen


def run_work(work: Work) -> tuple[int, float, float]:
    """Train once; runs in a process of its own kind.

    Returns:
        Images that went through, and when it began and ended on the machine's monotonic clock.
    """
    if work.variant.kind == "plain":  # the process executor does this for ours
        os.sched_setaffinity(0, work.cores)
        torch.set_num_threads(work.variant.threads)
    data, recipe = work.task.images, work.recipe
    torch.manual_seed(work.seed)
    model = work.task.network(spec_from_json(work.spec), recipe)
    begin = time.monotonic()
    if work.variant.kind == "ours":
        steps = len(data.train) // recipe.batch_of(len(data.train)) * recipe.epochs
        until = 1.0 if work.steps is None else min(1.0, work.steps / steps)
        seen = fit(model, work.task, recipe, work.seed, Session(until=until)).examples
    else:
        seen = train_plain(model, data, work)
    return seen, begin, time.monotonic()


def images_per_second(outcomes: Sequence[tuple[int, float, float]]) -> float:
    """All images over the time from the first start to the last end.

    >>> images_per_second([(100, 0.0, 4.0), (100, 1.0, 5.0)])
    40.0
    """
    images, begins, ends = zip(*outcomes, strict=True)
    return float(sum(images) / (max(ends) - min(begins)))


@contextmanager
def _plain_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def measure(works: Sequence[Work]) -> list[tuple[int, float, float]]:
    """Warm up as many processes as there are works, then run these side by side."""
    variant, warmups = works[0].variant, [replace(work, steps=WARMUP_STEPS) for work in works]
    if variant.kind == "plain":
        with _plain_processes(variant.processes) as pool:
            list(pool.map(run_work, warmups))
            return list(pool.map(run_work, works))
    with ProcessOptions(workers=variant.processes, threads=variant.threads).start() as executor:
        outcomes: list[tuple[int, float, float]] = []
        for batch in (warmups, works):
            jobs = [executor.submit(f"{i}", run_work, work) for i, work in enumerate(batch)]
            while not all(job.is_done for job in jobs):
                executor.wait()
            outcomes = [job.result() for job in jobs]
        return outcomes


def summarize(rows: Sequence[Mapping[str, Any]], baselines: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Medians over the rounds, and each over the best plain way of its network and scope.

    Args:
        rows: `network`, `scope`, `variant` and `images_per_second`.
        baselines: (scope, variant) of the plain ways that may count as the best.
    """
    rates: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        rates.setdefault((row["network"], row["scope"], row["variant"]), []).append(row["images_per_second"])
    median = {key: statistics.median(values) for key, values in rates.items()}
    found = []
    for (network, scope, variant), values in rates.items():
        best = max(v for (n, s, name), v in median.items() if (n, s) == (network, scope) and (s, name) in baselines)
        rate = median[network, scope, variant]
        low, high = min(values), max(values)
        names = {"network": network, "scope": scope, "variant": variant}
        found.append({**names, "median": rate, "smallest": low, "largest": high, "over_best_plain": rate / best})
    return found


def main(options: argparse.Namespace) -> None:
    """Measure, print, and write `throughput.parquet` and `throughput.json`."""
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    about = conditions()
    print_conditions(about)
    recipe = recipes.create(options.recipe)
    task = Classification(options.data, train_images=options.images)
    task.prepare(Path(tempfile.gettempdir(), "paretonas-throughput"))
    resolution = task.images.resolution
    cores = tuple(sorted(os.sched_getaffinity(0)))
    ways = variants(len(cores))
    rows: list[dict[str, Any]] = []
    for round_ in range(options.rounds):
        for network in NETWORKS:
            spec = spec_to_json(zoo_spec(network, options.width, resolution))
            for way in ways:
                groups = [cores[i * way.threads : (i + 1) * way.threads] for i in range(way.processes)]
                works = [Work(task, spec, recipe, seed, way, group) for seed, group in enumerate(groups)]
                outcomes = measure(works)
                rate = images_per_second(outcomes)
                label = {"round": round_, "network": network, **asdict(way)}
                label["variant"] = label.pop("name")
                rows.append({**label, "images": sum(o[0] for o in outcomes), "images_per_second": rate})
                rows[-1]["load"] = round(os.getloadavg()[0], 2)
                write_rows(rows, output / "throughput.parquet")
                print(f"round {round_}  {network:<13} {way.scope:<9} {way.name:<42} {rate:8.1f} images/s", flush=True)
    found = summarize(rows, {(way.scope, way.name) for way in ways if way.kind == "plain" and way.is_baseline})
    print_table(
        ("network", "cores", "variant", "images/s, median", "range", "over the best plain"),
        [
            (
                row["network"],
                row["scope"],
                row["variant"],
                f"{row['median']:.0f}",
                f"{row['smallest']:.0f}–{row['largest']:.0f}",  # noqa: RUF001
                f"{row['over_best_plain']:.2f}",
            )
            for row in found
        ],
    )
    about |= {"recipe": asdict(recipe), "width": options.width, "resolution": resolution}
    (output / "throughput.json").write_text(json.dumps({**about, "rates": found}, indent=1))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("data", help="Parquet file or folder, or a tree of image folders")
    made.add_argument("output", type=Path)
    made.add_argument("--images", type=int, default=2560, help="training images of one candidate")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--recipe", default="search:epochs=1")
    made.add_argument("--width", type=float, default=0.5)
    return made


if __name__ == "__main__":
    main(parser().parse_args())
