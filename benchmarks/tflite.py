"""Files of LiteRT, written directly and converted by LiteRT Torch: seconds, size, error, and which one is faster.

First the files are made and compared with their models; then both files of each network are timed in turn, so that what
the machine does in a minute is shared by both. Usage: python benchmarks/tflite.py OUTPUT_DIR [--cache FOLDER]
[--seconds 150] [--random 20]; the timings on a quiet machine (`--only files` and `--only timings` do one of the two).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from conditions import conditions, print_conditions, print_table, write_rows
from torch import nn

from paretonas.device.runtime.litert import LiteRt
from paretonas.export import ModelFile, example_inputs, verify
from paretonas.export.litert import convert
from paretonas.export.tflite import write_directly
from paretonas.network import build
from paretonas.space import Interface, Spec, spaces
from paretonas.space.interface import Port
from paretonas.testing.runtime import randomize_statistics
from paretonas.zoo import zoo_spec

NETWORKS = (
    ("mnasnet-a1", 1.0, 224, True), ("mobilenet-v2", 1.0, 224, True), ("ssdlite", 0.5, 128, True),
    ("detnasnet", 1.0, 224, False), ("nasnet-a", 0.25, 32, False), ("amoebanet-a", 0.25, 32, False),
    ("pnasnet-5", 0.25, 32, False),
)  # fmt: skip
"""Name, width, side, and whether it is converted, too."""
SPACES = ("mnasnet:resolution=32,width=0.5", "elastic:resolution=32,width=0.5")
PORT = Port("x", (1, 3, 8, 8))
WRITERS = {"direct": write_directly, "converter": convert}
CONVERTED = 1
"""Random networks of each space that are converted, too."""


def networks(count: int) -> Iterator[tuple[str, Spec, Interface, bool]]:
    """Name, spec, interface, and whether the converter has it, too."""
    for name, width, side, is_converted in NETWORKS:
        spec = zoo_spec(name, width, side)
        yield f"{name} x{width:g} {side}", spec, spec.usual_interface(3, side, spec.usual_classes), is_converted
    for text, seed in ((text, seed) for text in SPACES for seed in range(count)):
        space = spaces.create(text).build()
        spec = space.decode(space.sample(Random(seed)))
        yield f"{text.partition(':')[0]} {seed}", spec, spec.usual_interface(3, 32, 10), seed < CONVERTED


def path_of(folder: Path, network: str, writer: str) -> Path:
    """Where a file lies."""
    return folder / f"{network.replace(' ', '-')}-{writer}.tflite"


def make(folder: Path, count: int, file: Path) -> list[dict[str, Any]]:
    """All files; what an earlier session has made is not made again."""
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist() if file.exists() else []
    done = {(row["network"], row["writer"]) for row in rows}
    for write in WRITERS.values():  # what the first conversion of a process loads
        write(
            nn.Sequential(nn.Conv2d(3, 4, 1)).eval(),
            Interface((PORT,), (Port("y", (1, 4, 8, 8)),)),
            folder / "first.tflite",
        )
    for network, spec, interface, is_converted in networks(count):
        torch.manual_seed(0)
        model = randomize_statistics(build(spec, interface)).eval()
        for writer, write in WRITERS.items():
            if (writer == "converter" and not is_converted) or (network, writer) in done:
                continue
            path = path_of(folder, network, writer)
            began, cpu = time.perf_counter(), time.process_time()
            write(model, interface, path)
            row = {"network": network, "writer": writer, "cpu_s": time.process_time() - cpu}
            row |= {"wall_s": time.perf_counter() - began, "bytes": path.stat().st_size}
            for delegate in ("xnnpack", "none"):
                run = LiteRt(delegate=delegate).load(path)
                row[f"difference_{delegate}"] = verify(model, run, ModelFile(path, interface), 1e-3)
            rows.append(row)
            print(row, flush=True)
            write_rows(rows, file)
    return rows


def timed(folder: Path, seconds: float, file: Path) -> list[dict[str, Any]]:
    """Milliseconds of both files of each network, in turn."""
    rows: list[dict[str, Any]] = []
    both = [(n, interface) for n, _, interface, _ in networks(CONVERTED) if path_of(folder, n, "converter").exists()]
    for network, interface in both:
        runs = {writer: LiteRt().load(path_of(folder, network, writer)) for writer in WRITERS}
        inputs, until = example_inputs(interface), time.perf_counter() + seconds / len(both)
        for run in runs.values():
            run(inputs)
        pair = 0
        while time.perf_counter() < until:
            for writer in list(runs)[:: 1 if pair % 2 else -1]:
                began = time.perf_counter()
                runs[writer](inputs)
                rows.append(
                    {"network": network, "pair": pair, "writer": writer, "ms": (time.perf_counter() - began) * 1e3}
                )
            pair += 1
    write_rows(rows, file)
    return rows


def print_latencies(rows: list[dict[str, Any]]) -> None:
    """Medians, and the median of the pairs' ratios with its interval by bootstrap."""
    table = []
    for network in dict.fromkeys(row["network"] for row in rows):
        ms = {w: np.array([r["ms"] for r in rows if (r["network"], r["writer"]) == (network, w)]) for w in WRITERS}
        ratios = ms["direct"] / ms["converter"]
        drawn = np.random.default_rng(0).choice(ratios, (1000, len(ratios)))
        low, high = np.percentile(np.median(drawn, 1), [2.5, 97.5])
        medians = (f"{np.median(ms[writer]):.3f}" for writer in WRITERS)
        table.append([network, *medians, f"{np.median(ratios):.3f} ({low:.3f} to {high:.3f})", len(ratios)])
    print_table(["network", "direct, ms", "converter, ms", "ratio", "pairs"], table)


def main() -> None:
    """Make the files, time them, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the files")
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--random", type=int, default=20, help="networks of each space")
    parser.add_argument("--only", choices=("files", "timings"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    options.cache.mkdir(parents=True, exist_ok=True)
    print_conditions(conditions())
    if options.only != "timings":
        rows = make(options.cache, options.random, options.output / "files.parquet")
        columns = ["network", "writer", "cpu_s", "bytes", "difference_xnnpack", "difference_none"]
        print_table(columns, [[row.get(column) for column in columns] for row in rows])
        for text in SPACES:
            own = [r for r in rows if r["network"].startswith(text.partition(":")[0] + " ") and r["writer"] == "direct"]
            worst = max(max(row["difference_xnnpack"], row["difference_none"]) for row in own)
            print(f"{text}: {len(own)}, median {statistics.median(r['cpu_s'] for r in own):.2f} s, worst {worst:.1e}")
    if options.only != "files":
        print_latencies(timed(options.cache, options.seconds, options.output / "latencies.parquet"))


if __name__ == "__main__":
    main()
