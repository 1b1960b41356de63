"""How often are two networks that differ by about 3 % and about 12 % in MACs ranked right, and by which statistic?

MobileNetV2, the same with one more layer of 64 filters, and the same at width 1.1 are timed through the real device and
protocol, in random order: quiet, beside busy cores (`busy`: every core but the one that is measured on), and beside two
processes that work in bursts and may land on any core (`bursty`). All statistics are computed from the same runs. A
network's rank accuracy is the share of all pairs (one measurement of it, one of MobileNetV2) that are ordered right.

`kept` uses what the protocol kept after its repeats of flagged measurements, `unflagged` of these the ones that it kept
without a flag, `first` the first attempts alone.

Usage: python benchmarks/timing.py OUTPUT_DIR [--measurements 20] [--pairs 20]; run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import altair as alt
import torch
from conditions import conditions, print_conditions, print_table, write_rows
from load import bursts, busy_cores

from paretonas import build, parse_device, zoo_spec
from paretonas.device import Device, Runtime, Transport
from paretonas.device.calibration import calibrate
from paretonas.device.contract import AppRuns
from paretonas.device.timing import Protocol, Samples
from paretonas.errors import UsageError
from paretonas.evaluation.latencies import RECORD
from paretonas.export import LoadedModel, ModelFile
from paretonas.latency import fastest_ratio
from paretonas.network.cost import spec_cost
from paretonas.space import Interface
from paretonas.space.mnasnet import MnasNetSpec

CLASSES = 1000
BASE = "T0"
FLAGS = ("preempted", "contended", "slowed", "unsettled")
OURS = "fastest CPU ratios, mean over loads"

STATISTICS: dict[str, Callable[[Samples], float]] = {
    OURS: lambda s: fastest_ratio(s.candidate_cpu, s.reference_cpu, s.loads),
    "median of CPU pair ratios": lambda s: statistics.median(
        t / r for t, r in zip(s.candidate_cpu, s.reference_cpu, strict=True)
    ),
    "median of wall pair ratios": lambda s: statistics.median(
        t / r for t, r in zip(s.candidate_wall, s.reference_wall, strict=True)
    ),
    "ratio of CPU medians": lambda s: statistics.median(s.candidate_cpu) / statistics.median(s.reference_cpu),
    "wall mean": lambda s: statistics.fmean(s.candidate_wall),
    "wall median": lambda s: statistics.median(s.candidate_wall),
    "wall minimum": lambda s: min(s.candidate_wall),
    "CPU mean": lambda s: statistics.fmean(s.candidate_cpu),
    "CPU median": lambda s: statistics.median(s.candidate_cpu),
    "CPU minimum": lambda s: min(s.candidate_cpu),
}
"""What one measurement says of a candidate; the first is `Latency.ratio` on one thread."""


@dataclass(frozen=True)
class Measured:
    """One measurement: every attempt, and which the protocol kept."""

    condition: str
    network: str
    attempts: tuple[Samples, ...]
    kept: int
    flags: tuple[str, ...]
    load: float


@dataclass(frozen=True)
class Recorder(Transport):
    """A transport that remembers what its inner one measured."""

    inner: Transport
    samples: list[Samples] = field(default_factory=list)

    @property
    def machine(self) -> str:
        return self.inner.machine

    def identify(self, runtime: Runtime) -> Mapping[str, Any]:
        return self.inner.identify(runtime)

    def measure(
        self, runtime: Runtime, candidate: ModelFile, reference: ModelFile, protocol: Protocol
    ) -> tuple[Samples, Mapping[str, Any]]:
        samples, moment = self.inner.measure(runtime, candidate, reference, protocol)
        self.samples.append(samples)
        return samples, moment

    def run_as_app(self, runtime: Runtime, file: ModelFile, runs: int, every: float) -> AppRuns:
        return self.inner.run_as_app(runtime, file, runs, every)

    def open(self, runtime: Runtime, file: ModelFile) -> LoadedModel:
        return self.inner.open(runtime, file)


def networks() -> dict[str, MnasNetSpec]:
    """MobileNetV2 and two larger ones of its kind."""
    base, wide = zoo_spec("mobilenet-v2"), zoo_spec("mobilenet-v2", 1.1)
    assert isinstance(base, MnasNetSpec)
    assert isinstance(wide, MnasNetSpec)
    blocks = list(base.blocks)
    blocks[3] = replace(blocks[3], layers=blocks[3].layers + 1)
    return {BASE: base, "T3": replace(base, blocks=tuple(blocks)), "T12": wide}


def rank_accuracy(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Share of the pairs (one of `slow`, one of `fast`) in which the slow one is larger; a tie counts half.

    >>> rank_accuracy([2.0, 3.0], [1.0, 2.0])
    0.875
    """
    pairs = [1.0 if s > f else 0.5 if s == f else 0.0 for s, f in product(slow, fast)]
    return statistics.fmean(pairs)


def summarize(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """A row for every condition, use of the attempts, and statistic."""
    rows = []
    for condition in dict.fromkeys(m.condition for m in found):
        for use, (name, statistic) in product(("kept", "unflagged", "first"), STATISTICS.items()):
            values: dict[str, list[float]] = {}
            for m in found:
                if m.condition == condition and not (use == "unflagged" and m.flags):
                    sample = m.attempts[0 if use == "first" else m.kept]
                    values.setdefault(m.network, []).append(statistic(sample))
            base = values.pop(BASE, [])
            if len(base) < 2:
                continue  # all of them are flagged
            cv = statistics.stdev(base) / statistics.fmean(base)
            ranks = {network: rank_accuracy(slow, base) for network, slow in values.items()}
            rows.append({"condition": condition, "use": use, "statistic": name, **ranks, f"cv_{BASE}": cv})
    return rows


def counts(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """Per condition: measurements, repeats, and how many were kept with a flag."""
    rows = []
    for condition in dict.fromkeys(m.condition for m in found):
        here = [m for m in found if m.condition == condition]
        rows.append(
            {
                "condition": condition,
                "measurements": len(here),
                "repeated": sum(len(m.attempts) > 1 for m in here),
                "repeats": sum(len(m.attempts) - 1 for m in here),
                "kept_with_a_flag": sum(bool(m.flags) for m in here),
                **{flag: sum(flag in m.flags for m in here) for flag in FLAGS},
            }
        )
    return rows


def measure_all(
    device: Device, files: dict[str, ModelFile], folder: Path, options: argparse.Namespace
) -> Iterator[Measured]:
    """Every network `options.measurements` times per condition, in random order."""
    protocol, random = replace(RECORD, pairs=options.pairs), Random(options.seed)
    allowed = sorted(os.sched_getaffinity(0))
    loads: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "quiet": nullcontext,
        "busy": lambda: busy_cores(allowed[:-1]),  # a local measurement is pinned to the last one
        "bursty": lambda: bursts(2, options.seed),
    }
    if "busy" in options.conditions and len(allowed) < 2:
        raise UsageError(f"A busy core beside the measured one takes two cores, but there is {len(allowed)}.")
    calibrated = calibrate(device, folder, next(iter(files.values())).interface, protocol).calibrated
    for condition in options.conditions:
        order = [network for network in files for _ in range(options.measurements)]
        random.shuffle(order)
        with loads[condition]():
            for i, network in enumerate(order):
                yield _measure(device, files[network], folder, calibrated, protocol, condition, network)
                print(f"\r{condition}: {i + 1} of {len(order)}", end="", flush=True)
        print()


def _measure(
    device: Device,
    file: ModelFile,
    folder: Path,
    calibrated: float | None,
    protocol: Protocol,
    condition: str,
    network: str,
) -> Measured:
    recorder = Recorder(device.transport)
    latency = replace(device, transport=recorder).measure(file, folder, calibrated, protocol)
    kept = next(i for i, s in enumerate(recorder.samples) if s.candidate_cpu == latency.candidate_cpu)
    assert STATISTICS[OURS](recorder.samples[kept]) == latency.ratio
    load = float(latency.conditions.get("load", 0.0))
    return Measured(condition, network, tuple(recorder.samples), kept, latency.flags, load)


def raw_rows(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """One row an attempt, with its samples in seconds."""
    return [
        {
            "measurement": i,
            "condition": m.condition,
            "network": m.network,
            "attempt": attempt,
            "is_kept": attempt == m.kept,
            "flags_of_kept": list(m.flags),
            "load": m.load,
            **{key: list(value) if isinstance(value, tuple) else value for key, value in vars(samples).items()},
        }
        for i, m in enumerate(found)
        for attempt, samples in enumerate(m.attempts)
    ]


def figure(rows: Sequence[dict[str, Any]], differences: dict[str, float]) -> alt.HConcatChart:
    """Rank accuracy of every statistic on the kept measurements; a panel a difference in MACs."""
    panels: list[alt.Chart] = []
    lowest = min(r[network] for r in rows for network in differences if r["use"] == "kept")
    x = alt.X("share:Q", title="pairs ranked right (%)", scale=alt.Scale(domain=[int(10 * lowest) * 10, 100]))
    shown = alt.Scale(domain=list(dict.fromkeys(r["condition"] for r in rows)))
    for network, ratio in differences.items():
        values = [
            {"statistic": r["statistic"], "condition": r["condition"], "share": 100 * r[network]}
            for r in rows
            if r["use"] == "kept"
        ]
        axis = alt.Axis(labelLimit=220) if not panels else None
        panels.append(
            alt.Chart(alt.Data(values=values))
            .mark_point(filled=True, size=80, opacity=0.85)
            .encode(
                x=x,
                y=alt.Y("statistic:N", sort=list(STATISTICS), title=None, axis=axis),
                color=alt.Color("condition:N", scale=shown),
                shape=alt.Shape("condition:N", scale=shown),
            )
            .properties(width=300, height=220, title=f"{100 * (ratio - 1):+.1f} % MACs")
        )
    return alt.hconcat(*panels)


def report(found: Sequence[Measured], ratios: dict[str, float]) -> list[dict[str, Any]]:
    """Print both tables; the rows of the first."""
    rows = summarize(found)
    larger = {network: ratio for network, ratio in ratios.items() if network != BASE}
    columns = [f"{network} ({100 * (ratio - 1):+.1f} %)" for network, ratio in larger.items()]
    print_table(
        ("condition", "attempts", "statistic", *columns, f"CV of {BASE}"),
        [
            (
                r["condition"],
                r["use"],
                r["statistic"],
                *(f"{100 * r[network]:.1f} %" for network in larger),
                f"{100 * r[f'cv_{BASE}']:.2f} %",
            )
            for r in rows
        ],
    )
    repeats = counts(found)
    print_table(list(repeats[0]), [list(row.values()) for row in repeats])
    return rows


def main(options: argparse.Namespace) -> None:
    """Measure, print, and write `timing.parquet`, `timing.json` and `timing.png`."""
    if options.measurements < 2:
        raise UsageError(f"`measurements >= 2` must hold, but got (measurements={options.measurements}).")
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    about = conditions()
    print_conditions(about)
    device, specs = parse_device("onnxruntime"), networks()
    interface = Interface.of_images(3, options.resolution, CLASSES)
    macs = {name: spec_cost(spec, interface).macs for name, spec in specs.items()}
    ratios = {name: count / macs[BASE] for name, count in macs.items()}
    for name, count in macs.items():
        print(f"{name}: {count:,} MACs, {ratios[name]:.4f} times those of {BASE}")
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as name:
        folder, files = Path(name), {}
        for network, spec in specs.items():
            torch.manual_seed(0)
            model = build(spec, interface).eval()
            files[network] = device.export(model, spec, interface, folder / network)
            device.verify(model, files[network])
        for measured in measure_all(device, files, folder, options):
            found.append(measured)
            write_rows(raw_rows(found), output / "timing.parquet")  # an interruption loses nothing
    rows = report(found, ratios)
    summary = {**about, "macs": macs, "ratios": ratios, "counts": counts(found), "rank_accuracy": rows}
    (output / "timing.json").write_text(json.dumps(summary, indent=1))
    differences = {network: ratio for network, ratio in ratios.items() if network != BASE}
    figure(rows, differences).save(str(output / "timing.png"), scale_factor=2.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--measurements", type=int, default=20, help="of each network per condition")
    parser.add_argument("--pairs", type=int, default=RECORD.pairs)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--conditions", nargs="+", default=["quiet", "busy", "bursty"])
    main(parser.parse_args())
