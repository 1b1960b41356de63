"""What does an optimizer's step cost beside the network's own, and what does float32 save on this processor?

MobileNetV2 at half width, or the network of a file, learns random images of 32 pixels, one thread, channels last. The
seconds of forward and backward pass are shown beside those of the step as the optimizer takes it and as the training
loop does, which computes in float32 on a CPU. Medians over rounds in which all take turns. Usage: optimizers.py OUTPUT.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from conditions import conditions, print_conditions, print_table, write_rows

from paretonas.network import build
from paretonas.space import Spec, load_spec
from paretonas.task.recipe import Recipe
from paretonas.training.optimization import make_optimizer, take_step
from paretonas.zoo import zoo_spec

OPTIMIZERS = {"nesterov": 0.3, "lamb": 0.04, "muon": 0.08}
WIDTH, RESOLUTION, BATCH = 0.5, 32, 64


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def turn(spec: Spec, name: str, rate: float) -> dict[str, float]:
    """A new network's second step, each way."""
    model = build(spec, spec.usual_interface(3, RESOLUTION, 10)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, Recipe(batch_size=BATCH, optimizer=name, lr=rate), BATCH)
    images = torch.randn(BATCH, 3, RESOLUTION, RESOLUTION).to(memory_format=torch.channels_last)

    def passes() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), torch.arange(BATCH) % 10).backward()

    found: dict[str, float] = {}
    for _ in range(2):  # the first warms up
        found["passes"] = seconds(passes)
        found["own"] = seconds(optimizer.step)
        found["float32"] = seconds(lambda: take_step(optimizer, torch.device("cpu")))
    return found


def lines(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A line for each optimizer."""

    def median(name: str, what: str) -> float:
        return statistics.median(row[what] for row in rows if row["optimizer"] == name)

    return [(name, *(f"{median(name, what):.3f}" for what in ("passes", "own", "float32"))) for name in OPTIMIZERS]


def main() -> None:
    """Time, keep and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spec", type=Path, help="file of another network")
    options = parser.parse_args()
    spec = load_spec(options.spec) if options.spec else zoo_spec("mobilenet-v2", WIDTH, RESOLUTION)
    print_conditions(conditions())
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = [
        {"optimizer": name, "round": number, **turn(spec, name, rate)}
        for number in range(options.rounds)
        for name, rate in OPTIMIZERS.items()
    ]
    write_rows(rows, options.output / "optimizers.parquet")
    print_table(("optimizer", "passes, s", "step as it is, s", "step in float32, s"), lines(rows))


if __name__ == "__main__":
    main()
