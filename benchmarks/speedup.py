"""How many times as fast as MobileNetV2 and MnasNet-A1 of equal accuracy are other networks?

The two baselines at several widths give accuracy over latency. Every other network is trained by their recipe, on the
same images, for as many epochs, from several seeds, timed in the same session, and compared with the latency that the
baseline would have at its accuracy, between its widths. Others are MobileNetV2 x0.5 with one thing changed
(`--levers`), which tells what pays on the device, and what searches have found (`--search HOME NAME`).

Seeds begin at 1, as searches train from 0 unless told otherwise: what was chosen for its luck has none here. So does
the split: with `--split 0` the validation images of a search are among those here. Trainings are kept as they end, so
the script goes on wherever it was stopped; timings are made anew. Usage: speedup.py DATA OUTPUT. DATA are images in
classes.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import altair as alt
from conditions import conditions, print_conditions, print_table
from timings import time_all
from trainings import Training, arguments, prepared, read_rows, train_missing

from paretonas import Store
from paretonas.network.cost import spec_cost
from paretonas.report.aims import Aims
from paretonas.search.choice import choose
from paretonas.search.sections import config_from_json
from paretonas.space import Interface, Spec, load_spec, spaces
from paretonas.space.elastic import earlier
from paretonas.space.mnasnet import MnasNetSpec
from paretonas.zoo import zoo_spec

BASELINES = ("mobilenet-v2", "mnasnet-a1")
WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.4)


def baselines(names: Sequence[str], widths: Sequence[float], resolution: int) -> dict[str, Spec]:
    """All at all widths."""
    return {f"{name} x{width:g}": zoo_spec(name, width, resolution) for name in names for width in widths}


# One thing changed


def levers(resolution: int) -> dict[str, Spec]:
    """MobileNetV2 x0.5 with one thing changed; the stem's stride where that is 1."""
    base = zoo_spec("mobilenet-v2", 0.5, resolution)
    assert isinstance(base, MnasNetSpec)

    def changed(blocks: Sequence[int] = range(7), **what: Any) -> MnasNetSpec:
        return replace(base, blocks=tuple(replace(b, **what) if i in blocks else b for i, b in enumerate(base.blocks)))

    def early(spec: MnasNetSpec) -> MnasNetSpec:
        stem, strides = earlier(spec.stem_stride, [block.stride for block in spec.blocks])
        blocks = (replace(block, stride=stride) for block, stride in zip(spec.blocks, strides, strict=True))
        return replace(spec, stem_stride=stem, blocks=tuple(blocks))

    def deeper(by: int) -> MnasNetSpec:
        blocks = (replace(b, layers=max(1, b.layers + by)) for b in base.blocks)
        return replace(base, blocks=tuple(blocks))

    plain = {"op": "conv", "expansion": 1, "skip": "identity"}
    changes = {
        "kernels of 5": changed(kernel=5),
        "squeeze-and-excitation": changed(se_ratio=0.25),
        "expansion 3": changed(range(1, 7), expansion=3),
        "a layer less a block": deeper(-1),
        "a layer more a block": deeper(1),
        "relu for relu6": replace(base, activation="relu"),
        "a fourth of the head": replace(base, head_filters=320),
        "plain blocks 1 to 3": changed(range(3), **plain),
        "plain blocks 4 to 7": changed(range(3, 7), **plain),
        "plain blocks": changed(**plain),
        "fused blocks 1 to 3": changed(range(1, 3), op="fused"),
        "fused blocks, expansion 2": changed(range(1, 7), op="fused", expansion=2),
    }
    if base.stem_stride == 1:
        changes |= {"stem of stride 2": early(base), "plain blocks, stem of stride 2": early(changed(**plain))}
    return changes


# Searches


def chosen(home: Path, name: str, top: int) -> dict[str, Spec]:
    """The networks of a search that `train --top` would take; of a morph, what it came to."""
    store = Store(home / "store.db")
    config = store.config(name)
    aims, space = Aims.of(config), spaces.create(config_from_json(config).space).build()
    trials = store.trials(name)
    trials = trials[-1:] if "morph" in config else choose(trials, aims.quality, aims.latencies, top)
    return {f"{name} trial {trial.number}": space.decode(trial.architecture) for trial in trials}


# Comparing


def speed_up(curve: Sequence[tuple[float, float]], accuracy: float, latency_ms: float) -> float | None:
    """Latency of the baseline at this accuracy over the network's; None beyond both ends of the baseline.

    Args:
        curve: Latency and accuracy of the baseline at each width.
        accuracy: Of the network.
        latency_ms: Likewise.
    """
    rising: list[tuple[float, float]] = []
    for ms, reached in sorted(curve):
        if not rising or reached > rising[-1][1]:
            rising.append((ms, reached))
    for (faster, low), (slower, high) in itertools.pairwise(rising):
        if low <= accuracy <= high:
            share = (accuracy - low) / (high - low)
            return math.exp(math.log(faster) + share * math.log(slower / faster)) / latency_ms
    return None


@dataclass(frozen=True)
class Network:
    """One of those that are compared: accuracies in percent by seed, and the median latency."""

    name: str
    group: str
    macs: int
    latency_ms: float
    accuracies: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """The mean."""
        return statistics.fmean(self.accuracies)


def compare(
    rows: Sequence[Mapping[str, Any]],
    timed: Sequence[Mapping[str, Any]],
    specs: Mapping[str, Spec],
    groups: Mapping[str, str],
    interface: Interface,
) -> list[Network]:
    """The networks, by what was trained and timed."""
    found = []
    for name, spec in specs.items():
        macs = spec_cost(spec, interface).macs
        ms = statistics.median(row["latency_ms"] for row in timed if row["network"] == name)
        accuracies = tuple(100 * row["accuracy"] for row in rows if row["network"] == name)
        found.append(Network(name, groups[name], macs, ms, accuracies))
    return found


def lines(networks: Sequence[Network], bases: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A line for each network, with its speed-up over each baseline."""
    curves = {base: [(n.latency_ms, n.accuracy) for n in networks if n.group == base] for base in bases}
    for n in networks:
        spread = f"{min(n.accuracies):.1f} to {max(n.accuracies):.1f}"
        ratios = (speed_up(curves[base], n.accuracy, n.latency_ms) for base in bases)
        shown = (f"{ratio:.2f}" if ratio else "" for ratio in ratios)
        yield (n.name, f"{n.macs / 1e6:.1f}", f"{n.latency_ms:.3f}", f"{n.accuracy:.1f}", spread, *shown)


def figure(networks: Sequence[Network], bases: Sequence[str]) -> alt.LayerChart:
    """Accuracy over latency; the widths of a baseline are joined by a line."""
    rows = [
        {
            "group": n.group,
            "ms": n.latency_ms,
            "accuracy": n.accuracy,
            "low": min(n.accuracies),
            "high": max(n.accuracies),
        }
        for n in networks
    ]
    x = alt.X("ms:Q", title="latency, ms (logarithmic)", scale=alt.Scale(type="log", nice=False, padding=15))
    y = alt.Y("accuracy:Q", title="validation accuracy, %", scale=alt.Scale(zero=False, nice=False, padding=15))
    color = alt.Color("group:N", title=None, sort=[*bases])
    chart = alt.Chart(alt.Data(values=rows))
    joined = (
        chart.transform_filter(alt.FieldOneOfPredicate("group", list(bases))).mark_line().encode(x=x, y=y, color=color)
    )
    shape = alt.Shape("group:N", legend=None, sort=[*bases])
    marks = chart.mark_point(filled=True, size=55).encode(x=x, y=y, color=color, shape=shape)
    spreads = chart.mark_rule().encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=color)
    return alt.layer(joined, spreads, marks).properties(width=520, height=320, background="white")


def main() -> None:
    """Train, time, keep and show."""
    parser = arguments(__doc__, epochs=10, seeds=1)
    parser.add_argument("--widths", type=float, nargs="+", default=WIDTHS, help="of the baselines")
    parser.add_argument("--baselines", nargs="+", default=BASELINES, choices=BASELINES)
    parser.add_argument("--levers", nargs="*", choices=[*levers(32)], help="things to change of MobileNetV2 x0.5; all")
    parser.add_argument("--resolution", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--search", nargs=2, action="append", default=[], metavar=("HOME", "NAME"))
    parser.add_argument("--spec", type=Path, action="append", default=[], help="file in a folder of its group")
    parser.add_argument("--top", type=int, default=10, help="networks of each search")
    parser.add_argument("--rounds", type=int, default=5, help="of timing; 0: those that were made")
    options = parser.parse_args()
    print_conditions(conditions())
    specs = baselines(options.baselines, options.widths, options.resolution)
    groups = {name: name.rpartition(" x")[0] for name in specs}
    if options.levers is not None:
        possible = levers(options.resolution)
        changed = {name: spec for name, spec in possible.items() if name in (options.levers or possible)}
        specs, groups = specs | changed, groups | dict.fromkeys(changed, "mobilenet-v2 x0.5, changed")
    for file in options.spec:
        specs, groups = specs | {file.stem: load_spec(file)}, groups | {file.stem: file.parent.name}
    for home, name in options.search:
        found = chosen(Path(home), name, options.top)
        specs, groups = specs | found, groups | dict.fromkeys(found, f"search {name}")
    task, recipe, size = prepared(options, options.resolution)
    wanted = [
        Training({"network": name, **size, "seed": seed}, spec, recipe)
        for seed in range(1, 1 + options.seeds)
        for name, spec in specs.items()
    ]
    rows = train_missing(wanted, task, options.output / "trainings.parquet", options.workers, options.minutes)
    own = [row for row in rows if all(row[key] == value for key, value in size.items())]
    specs = {name: spec for name, spec in specs.items() if name in {row["network"] for row in own}}
    file = options.output / "timings.parquet"
    timed = time_all(specs, task.interface, file, options.rounds) if options.rounds else read_rows(file)
    specs = {name: spec for name, spec in specs.items() if name in {row["network"] for row in timed}}
    networks = compare(own, timed, specs, groups, task.interface)
    columns = ("network", "M MACs", "ms", "accuracy %", "seeds", *(f"x {base}" for base in options.baselines))
    print_table(columns, lines(networks, options.baselines))
    if networks:
        figure(networks, options.baselines).save(str(options.output / "speedup.png"), scale_factor=2.0)


if __name__ == "__main__":
    main()
