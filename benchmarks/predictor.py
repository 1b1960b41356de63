"""How near is a latency that is predicted to one that is measured, and how many networks have to be measured for that?

Networks of a space are timed on a device (ONNX Runtime unless told otherwise), one thread, by the protocol of
candidates, in several rounds. The first hundred are what predictors are fitted on, each network as it was measured in
the first round; the others are what they are judged on, each by its median over the later rounds. `macs` is a straight
line through MACs; `linear` the predictor without its correction; `predictor` the whole; `measured` no prediction, but
what the first round says of the network itself; `begun` the whole, begun from predictors for eight other devices of the
table, none of the same make (another batch size on one GPU), which were fitted on a hundred networks each. Of the
networks that are fitted, either the first ones are taken, which is at random, or those that `spread_out` chooses.

The same of tables of others: FBNet's networks (HELP's table; its latencies are so nearly sums over layers that they may
have been added up), NAS-Bench-201's, without those in which nothing that is computed reaches the output, and the layers
of TF-NAS's table, each as a network of its own, with no fewer channels within than it is fed: what one of fewer takes
is within the error of the difference that it was taken from, and below zero for some.

Usage: python benchmarks/predictor.py OUTPUT_DIR [--tables DIR] [--only TABLE] [--networks 300] [--rounds 3]; what is
measured already is not measured again. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
from conditions import conditions, print_conditions, print_table, write_rows
from scipy import stats

from paretonas.device import Device, additive, parse_device
from paretonas.device.additive import Listing
from paretonas.device.calibration import calibrate
from paretonas.device.predictor import Predictor, Scope, fit, spread_out
from paretonas.errors import MeasureError
from paretonas.evaluation.device_job import ConvertingJob, MeasuringJob, run_converting, run_measuring
from paretonas.evaluation.fitting import MOST_EARLIER
from paretonas.evaluation.latencies import QUICK, RECORD
from paretonas.files import written_aside
from paretonas.latency import Estimate
from paretonas.network.operations import Operation, operations
from paretonas.space import Interface, Spec, spaces, spec_from_json, spec_hash, spec_to_json
from paretonas.space.nasbench import CELL_OPS, Cell201Spec

IMAGES = Interface.of_images(3, 32, 10)
SIZES = (10, 20, 50, 100)
JUDGED = 200
"""Networks of a table that predictors are judged on."""
NO_CORRECTION = (0.0,)

FBNET_OPS = ((3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1), None)
"""Kernel, expansion and groups by code; None: a skip."""
FBNET_STAGES = ((16, 1, 1), (24, 4, 1), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))
"""Channels, layers and stride, for images of 32 pixels. Source: Wu et al., FBNet, CVPR 2019, table 1; the strides are
those of small images, under which the table's latencies are explained better than under those of 224 pixels."""


@dataclass(frozen=True)
class Source:
    """Networks with their latencies: what is fitted, and what is judged.

    Args:
        name: Of the table and device.
        listings: What each network executes.
        fitted_ms: Latencies, of which those of the first ones are fitted.
        judged_ms: Latencies by which the others are judged.
        make: Of the device.
    """

    name: str
    listings: Sequence[Listing]
    fitted_ms: Sequence[float]
    judged_ms: Sequence[float]
    make: str = ""


# Own measurements


def drawn(text: str, count: int) -> list[Spec]:
    """Different networks of a space, at random."""
    space, rng, found = spaces.create(text).build(), Random(0), dict[str, Spec]()
    while len(found) < count:
        spec = space.decode(space.sample(rng))
        found.setdefault(spec_hash(spec), spec)
    return list(found.values())


def made_ahead(spec: Spec, device: Device, folder: Path) -> Path:
    """Where a network's file lies, which is made there if it is missing."""
    stem = folder / spec_hash(spec)
    if not device.path(stem).exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = run_converting(ConvertingJob(spec_to_json(spec), IMAGES, device.text))
        with written_aside(device.path(stem)) as draft:
            draft.write_bytes(made)
    return stem


def measure(options: argparse.Namespace, file: Path) -> list[dict[str, Any]]:
    """All networks in all rounds; rows of an earlier session are kept."""
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist() if file.exists() else []
    done = {(row["spec_hash"], row["round"]) for row in rows}
    wanted = [(i, spec) for i in range(options.rounds) for spec in drawn(options.space, options.networks)]
    left = [(i, spec) for i, spec in wanted if (spec_hash(spec), i) not in done]
    protocol = replace(QUICK, attempts=options.attempts, pause=options.pause)
    with tempfile.TemporaryDirectory() as folder:
        device, text = parse_device(options.device), options.device
        if rows:  # whoever goes on is calibrated as it was
            seconds = rows[0]["latency_ms"] / rows[0]["ratio"] / 1000
        else:
            seconds = calibrate(device, Path(folder), IMAGES, RECORD).calibrated
        for number, (i, spec) in enumerate(left):
            stem = made_ahead(spec, device, options.cache) if options.cache else None
            latency = run_measuring(
                MeasuringJob(spec_to_json(spec), IMAGES, text, Path(folder), seconds, protocol, 0, stem)
            )
            rows.append(
                {
                    "spec_hash": spec_hash(spec),
                    "spec": json.dumps(spec_to_json(spec)),
                    "round": i,
                    "latency_ms": latency.latency_ms,
                    "ratio": latency.ratio,
                    "spread": latency.spread,
                    "flags": list(latency.flags),
                    "load": float(latency.conditions["load"]),
                    "date": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )
            if number % 20 == 0 or number == len(left) - 1:
                write_rows(rows, file)
                print(f"measured {number + 1} of {len(left)}", flush=True)
    return rows


def own(rows: Sequence[dict[str, Any]]) -> Source:
    """The measured networks: fitted as they were in the first round, judged by the others, where there are any."""
    by_spec: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_spec.setdefault(row["spec_hash"], []).append(row)
    each = list(by_spec.values())
    listings = [operations(spec_from_json(json.loads(one[0]["spec"])), IMAGES) for one in each]
    medians = [statistics.median(row["latency_ms"] for row in one[1:] or one) for one in each]
    return Source("own", listings, [one[0]["latency_ms"] for one in each], medians)


def repeatability(rows: Sequence[dict[str, Any]]) -> float:
    """Standard deviation of a measurement of one network, as a share, from the rounds."""
    logs: dict[str, list[float]] = {}
    for row in rows:
        logs.setdefault(row["spec_hash"], []).append(float(np.log(row["latency_ms"])))
    return float(np.sqrt(np.mean([np.var(one, ddof=1) for one in logs.values() if len(one) > 1])))


# Tables of others


def tables(folder: Path, file: str) -> Iterator[Source]:
    """What is fitted and judged of a table, by device."""
    table = pq.read_table(folder / file).to_pydict()
    devices = [name.removeprefix("lat_").removesuffix("_ms") for name in table if name.startswith("lat_")]
    places = np.random.default_rng(0).permutation(len(table["ops"]))[: max(SIZES) + JUDGED]
    listings = [LISTINGS[file](table["ops"][i]) for i in places]
    kept = [(i, one) for i, one in zip(places, listings, strict=True) if one]
    for device in devices:
        milliseconds = [float(table[f"lat_{device}_ms"][i]) for i, _ in kept]
        make = device.removesuffix("_1").removesuffix("_32").removesuffix("_64")
        name = f"{file.partition('_')[0]} {device}"
        yield Source(name, [one for _, one in kept], milliseconds, milliseconds, make)


def layers(folder: Path) -> Iterator[Source]:
    """What is fitted and judged of TF-NAS's layers, by device; begun from the other one."""
    rows = pq.read_table(folder / "tfnas_mbconv_lut.parquet").to_pylist()
    for device in sorted({row["device"] for row in rows}):
        own = [row for row in rows if row["device"] == device and row["mid"] >= row["cin"]]
        places = np.random.default_rng(0).permutation(len(own))[: max(SIZES) + JUDGED]
        milliseconds = [own[i]["ms"] for i in places]
        listings = [layer_listing(own[i]) for i in places]
        yield Source(f"tfnas {device}", listings, milliseconds, milliseconds, device)


def layer_listing(row: Mapping[str, Any]) -> Listing:
    """Of one layer of TF-NAS: an inverted residual, with squeeze and excitation where it has `se` channels."""
    side, c_in, hidden, c_out, squeezed = (row[name] for name in ("hw", "cin", "mid", "cout", "se"))
    after = side // row["stride"]
    listing = [_conv(c_in, hidden, side, side), _elementwise(row["act"], hidden, side)]
    listing += [_conv(hidden, hidden, side, after, row["kernel"], hidden), _elementwise(row["act"], hidden, after)]
    if squeezed:
        listing += [Operation("mean", 0, hidden * (after**2 + 1), 0), _conv(hidden, squeezed, 1, 1)]
        listing += [_elementwise(row["act"], squeezed, 1), _conv(squeezed, hidden, 1, 1)]
        listing += [_elementwise("sigmoid", hidden, 1), _elementwise("multiply", hidden, after)]
    listing += [_conv(hidden, c_out, after, after)]
    return [*listing, *([_elementwise("add", c_out, after)] if (side, c_in) == (after, c_out) else [])]


def cell_listing(codes: Sequence[int]) -> Listing:
    """Of a network of NAS-Bench-201; none, if what it computes does not reach the output."""
    listing = operations(Cell201Spec(tuple(CELL_OPS[code] for code in codes)), IMAGES)
    return listing if any(one.kind == "conv 3x3" for one in listing) else ()


def fbnet_listing(codes: Sequence[int]) -> Listing:
    """Of a network of FBNet."""
    side, c_in, layers = 32, 16, iter(codes)
    listing = [_conv(3, c_in, side, side, 3)]
    for filters, depth, stride in FBNET_STAGES:
        for layer in range(depth):
            after = side // stride if layer == 0 else side
            listing += _fbnet_layer(FBNET_OPS[next(layers)], c_in, filters, side, after)
            side, c_in = after, filters
    head = 1504
    return [*listing, _conv(c_in, head, side, side), Operation("product", head * 100, head + 100, head * 100)]


def _fbnet_layer(op: tuple[int, int, int] | None, c_in: int, filters: int, side: int, after: int) -> list[Operation]:
    is_alike = side == after and c_in == filters
    if op is None:
        return [] if is_alike else [_conv(c_in, filters, side, after), _elementwise("relu", filters, after)]
    kernel, expansion, groups = op
    hidden = c_in * expansion
    listing = [_conv(c_in, hidden, side, side, groups=groups), _elementwise("relu", hidden, side)]
    listing += [_elementwise("shuffle", hidden, side)] if groups > 1 else []
    listing += [_conv(hidden, hidden, side, after, kernel, hidden), _elementwise("relu", hidden, after)]
    listing += [_conv(hidden, filters, after, after, groups=groups)]
    return [*listing, *([_elementwise("add", filters, side)] if is_alike else [])]


def _conv(c_in: int, c_out: int, side: int, after: int, kernel: int = 1, groups: int = 1) -> Operation:
    kind = "depthwise" if groups == c_in else "grouped" if groups > 1 else "conv"
    weights = c_out * (c_in // groups) * kernel**2
    return Operation(f"{kind} {kernel}x{kernel}", after**2 * weights, side**2 * c_in + after**2 * c_out, weights)


def _elementwise(kind: str, channels: int, side: int) -> Operation:
    return Operation(kind, 0, 2 * side**2 * channels, 0)


LISTINGS = {"fbnet_latency.parquet": fbnet_listing, "nasbench201_cifar10.parquet": cell_listing}
"""Tables of networks, and what each executes by its codes."""


# Judging


SCOPE = Scope(("any",), IMAGES, {})


def judge(source: Source, size: int, choice: str, method: str, earlier: Sequence[Predictor] = ()) -> dict[str, Any]:
    """Fit one method on so many networks, and say how it does on those that none was fitted on."""
    half = max(SIZES)
    chosen = spread_out(source.listings[:half], size) if choice == "spread" else list(range(size))
    seen, seen_ms = [source.listings[i] for i in chosen], [source.fitted_ms[i] for i in chosen]
    unseen, truth = source.listings[half:], np.array(source.judged_ms[half:])
    row: dict[str, Any] = {"source": source.name, "fitted": size, "choice": choice, "method": method}
    row |= dict.fromkeys(("stated_error", "covered", "median_spread"))  # only predictors have them
    if method == "macs":
        said = _line(seen, seen_ms, unseen)
    elif method == "measured":
        said = np.array(source.fitted_ms[half:])
    else:
        plain = patch.object(additive, "CORRECTIONS", NO_CORRECTION) if method == "linear" else nullcontext()
        with plain:
            fitted = fit(SCOPE, seen, seen_ms, earlier)
        estimates, is_answered = _estimates(fitted, unseen)
        truth = truth[is_answered]
        said = np.array([one.latency_ms for one in estimates])
        inside = [one.low_ms <= ms <= one.high_ms for one, ms in zip(estimates, truth, strict=True)]
        spread = statistics.median(one.spread for one in estimates)
        row |= {"stated_error": fitted.held_out.error, "covered": statistics.fmean(inside), "median_spread": spread}
    errors = np.abs(said / truth - 1)
    return row | {
        "judged": len(truth),
        "error": float(errors.mean()),
        "within_5": float((errors <= 0.05).mean()),
        "within_10": float((errors <= 0.1).mean()),
        "tau": float(stats.kendalltau(said, truth).statistic),
        "spearman": float(stats.spearmanr(said, truth).statistic),
    }


def _estimates(fitted: Predictor, listings: Sequence[Listing]) -> tuple[list[Estimate], list[bool]]:
    """Of networks that have nothing that no fitted one has, and which these are."""
    found: list[Estimate | None] = []
    for listing in listings:
        try:
            found.append(fitted.estimate(listing))
        except MeasureError:
            found.append(None)
    return [one for one in found if one is not None], [one is not None for one in found]


def _line(seen: Sequence[Listing], milliseconds: Sequence[float], unseen: Sequence[Listing]) -> Any:
    """What a straight line through MACs says; least squares of relative errors."""
    macs = [np.array([[1.0, sum(one.macs for one in listing)] for listing in some]) for some in (seen, unseen)]
    solved, *_ = np.linalg.lstsq(macs[0] / np.array(milliseconds)[:, None], np.ones(len(seen)), rcond=None)
    return macs[1] @ solved


def report(rows: Sequence[dict[str, Any]]) -> None:
    """Print all rows."""
    shares = ("error", "within_5", "within_10", "stated_error", "covered", "median_spread")
    columns = ("source", "method", "choice", "fitted", "judged", *shares, "tau", "spearman")
    cells = (
        [
            "" if row.get(name) is None else f"{100 * row[name]:.1f} %" if name in shares
            else f"{row[name]:.2f}" if name in ("tau", "spearman") else row[name]
            for name in columns
        ]
        for row in rows
    )  # fmt: skip
    print_table(columns, cells)


def main(options: argparse.Namespace) -> None:
    """Measure, fit, judge, print, and write `measured.parquet`, `errors.parquet` and `predictor.json`."""
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    measured = measure(options, output / "measured.parquet")
    about = conditions() | {
        "space": options.space,
        "device": options.device,
        "measurements": len(measured),
        "flagged": sum(bool(row["flags"]) for row in measured),
        "load_of_measurements": [min(row["load"] for row in measured), max(row["load"] for row in measured)],
        "deviation_of_a_measurement": repeatability(measured),
    }
    print_conditions(about)
    makers = {"own": lambda: [own(measured)]}
    if options.tables:
        makers |= {file.partition("_")[0]: partial(tables, options.tables, file) for file in LISTINGS}
        makers["tfnas"] = partial(layers, options.tables)
    sources = [one for name, make in makers.items() if options.only in ("", name) for one in make()]
    rows: list[dict[str, Any]] = []
    if options.only:
        kept = pq.read_table(output / "errors.parquet").to_pylist()
        rows = [row for row in kept if _table(row["source"]) != options.only]
    whole = {one.name: fit(SCOPE, one.listings[: max(SIZES)], one.fitted_ms[: max(SIZES)]) for one in sources}
    for source in sources:
        table, choices = _table(source.name), ("first", "spread") if source.name == "own" else ("first",)
        others = [o.name for o in sources if _table(o.name) == table and o.make != source.make]
        earlier = [whole[name] for name in Random(source.name).sample(others, min(MOST_EARLIER, len(others)))]
        for size in SIZES if source.name == "own" else (min(SIZES), max(SIZES)):
            for choice in choices if size < max(SIZES) else choices[:1]:
                methods = ("macs", "linear", "predictor") if choice == "first" else ("predictor",)
                rows += [judge(source, size, choice, method) for method in methods]
            if source.name == "own" and size == max(SIZES):
                rows.append(judge(source, size, "first", "measured"))
            if earlier:
                rows.append(judge(source, size, "first", "begun", earlier))
        write_rows(rows, output / "errors.parquet")
        if not options.only:
            (output / "predictor.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        print(f"judged {source.name}", flush=True)
    report(rows)


def _table(source: str) -> str:
    return source.partition(" ")[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--tables", type=Path, help="folder of the tables of others")
    parser.add_argument("--only", default="", help="judge own, fbnet, nasbench201 or tfnas alone; the rest is kept")
    parser.add_argument("--space", default="mnasnet:resolution=32,width=0.5")
    parser.add_argument("--device", default="onnxruntime")
    parser.add_argument("--cache", type=Path, help="folder where files of networks stay, if formats are slow to make")
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--attempts", type=int, default=QUICK.attempts)
    parser.add_argument("--pause", type=float, default=QUICK.pause, help="seconds before a slowed one is repeated")
    main(parser.parse_args())
