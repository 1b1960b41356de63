"""What does it save that a training keeps the memory of a step for the next?

Steps of MobileNetV2 x0.5 on random images, in processes that take turns: one keeps memory (`kept_memory`), one leaves
it to the C library. Usage: memory.py OUTPUT.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from conditions import conditions, print_conditions, print_table, write_rows

from paretonas.network import build
from paretonas.training.memory import kept_memory
from paretonas.zoo import zoo_spec

BATCHES = {32: 64, 64: 64, 128: 32, 224: 16}
"""Images a step, by their side in pixels."""
WARM, STEPS = 3, 5


def steps(side: int, is_kept: bool) -> dict[str, Any]:
    """Seconds a step, and pages that the system handed out."""
    torch.set_num_threads(1)
    spec = zoo_spec("mobilenet-v2", 0.5, side)
    model = build(spec, spec.usual_interface(3, side, 10)).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.randn(BATCHES[side], 3, side, side).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (len(x),))
    with kept_memory() if is_kept else nullcontext():
        for step in range(WARM + STEPS):
            if step == WARM:
                before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    spent = {
        name: (getattr(after, f"ru_{name}") - getattr(before, f"ru_{name}")) / STEPS for name in ("utime", "stime")
    }
    faults = (after.ru_minflt - before.ru_minflt) // STEPS
    peak = after.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"side": side, "kept": is_kept, "seconds": seconds / STEPS, **spent, "faults": faults, "peak_bytes": peak}


def main() -> None:
    """Take turns, keep and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", type=int, nargs="+", default=[*BATCHES], choices=[*BATCHES])
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    print_conditions(conditions())
    rows: list[dict[str, Any]] = []
    for number in range(options.rounds):
        for side in options.sides:
            for is_kept in (False, True):
                with get_context("spawn").Pool(1) as pool:
                    rows.append({"round": number, **pool.apply(steps, (side, is_kept))})
        write_rows(rows, options.output / "memory.parquet")

    def median(name: str, side: int, is_kept: bool) -> float:
        return statistics.median(row[name] for row in rows if (row["side"], row["kept"]) == (side, is_kept))

    lines = []
    for side in options.sides:
        left, kept = (median("seconds", side, is_kept) for is_kept in (False, True))
        system = median("stime", side, False) / (median("utime", side, False) + median("stime", side, False))
        peaks = (f"{median('peak_bytes', side, is_kept) / 1e9:.2f}" for is_kept in (False, True))
        lines.append((str(side), f"{left:.2f}", f"{kept:.2f}", f"{left / kept:.2f}", f"{100 * system:.0f}", *peaks))
    print_table(("pixels", "s a step", "kept", "ratio", "% in the system", "GB", "kept GB"), lines)


if __name__ == "__main__":
    main()
