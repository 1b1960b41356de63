"""Published networks on every runtime: latency, size, and whether runtimes agree on which network is the faster one.

Each network is exported once a format, checked against the model, and timed by the protocol for the record, in rounds
through all devices, so that what the machine does in a minute is shared by all. In each round each device times its
reference anew: a latency is the median of a network's ratios to it, times the median of the reference. What is stored
already is not measured again. Usage: python benchmarks/runtimes.py OUTPUT_DIR [--side 224] [--rounds 1] [--devices
...]; on a quiet machine.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from conditions import conditions, print_conditions, print_table, write_rows
from scipy import stats

from paretonas.device import Device, parse_device
from paretonas.device.calibration import calibrate
from paretonas.errors import ParetonasError
from paretonas.evaluation.latencies import RECORD
from paretonas.export import ModelFile
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

NETWORKS = (
    ("mobilenet-v2", 0.35), ("mobilenet-v2", 0.5), ("mobilenet-v2", 1.0), ("mobilenet-v2", 1.4), ("mnasnet-a1", 1.0),
    ("mnasnet-b1", 1.0), ("mnasnet-small", 1.0), ("mobilenet-v3-large", 1.0), ("efficientnet-b0", 1.0),
    ("nasnet-a", 1.0),
)  # fmt: skip
DEVICES = (
    "onnxruntime", "onnxruntime:precision=int8", "litert", "litert:delegate=none", "executorch", "openvino", "ncnn",
    "torch",
)  # fmt: skip


def exported(device: Device, name: str, width: float, interface: Interface, folder: Path) -> ModelFile:
    """A network's file, made once for a format."""
    stem = folder / f"{name}-{width}-{interface.inputs[0].shape[-1]}"
    if device.path(stem).exists():
        return ModelFile(device.path(stem), interface, device.runtime.precision)
    spec = zoo_spec(name, width)
    torch.manual_seed(0)
    model = build(spec, interface)
    file = device.export(model, spec, interface, stem)
    device.verify(model, file)
    return file


def measure(options: argparse.Namespace, file: Path) -> list[dict[str, Any]]:
    """All networks on all devices; rows of an earlier session are kept."""
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist() if file.exists() else []
    done = {(row["network"], row["device"], row["round"], row["side"]) for row in rows}
    interface = Interface.of_images(3, options.side, 1000)
    folder = options.cache or Path(tempfile.mkdtemp())
    devices = {text: parse_device(text) for text in options.devices}
    seconds: dict[tuple[str, int], float] = {}
    protocol = replace(RECORD, attempts=options.attempts)
    for i, (name, width), text in itertools.product(range(options.rounds), NETWORKS, devices):
        network, device = f"{name} x{width:g}", devices[text]
        if (network, text, i, options.side) in done:
            continue
        row = {"network": network, "device": text, "round": i, "side": options.side}
        try:
            if (text, i) not in seconds:
                seconds[text, i] = calibrate(device, folder, interface, protocol).calibrated
            found = exported(device, name, width, interface, folder)
            latency = device.measure(found, folder, seconds[text, i], protocol)
            row |= {
                "latency_ms": latency.latency_ms,
                "ratio": latency.ratio,
                "reference_ms": latency.calibrated * 1e3,
                "spread": latency.spread,
                "flags": list(latency.flags),
                "bytes": found.path.stat().st_size,
                "macs": spec_cost(zoo_spec(name, width), interface).macs,
                "version": str(device.facts["version"]),
                "error": "",
            }
        except ParetonasError as error:
            row |= {"error": str(error)[:300]}
        rows.append(row | {"date": datetime.now(UTC).isoformat(timespec="seconds")})
        write_rows(rows, file)
        print(f"{network} on {text}: {row.get('latency_ms', row.get('error'))}", flush=True)
    return rows


def table(rows: Sequence[Mapping[str, Any]], value: str) -> dict[str, dict[str, float]]:
    """Medians over the rounds: of each network, by device."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.get(value) is not None:
            found.setdefault(row["network"], {}).setdefault(row["device"], []).append(row[value])
    return {network: {device: statistics.median(v) for device, v in one.items()} for network, one in found.items()}


def latencies(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Milliseconds of each network, by device, whose reference is the same for all."""
    references = {device: statistics.median(by.values()) for device, by in _references(rows).items()}
    ratios = table(rows, "ratio")
    return {name: {device: ratio * references[device] for device, ratio in one.items()} for name, one in ratios.items()}


def _references(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    """Milliseconds of each device's reference, by round."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if row.get("reference_ms") is not None:
            found.setdefault(row["device"], {})[row["round"]] = row["reference_ms"]
    return found


def rank(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's tau."""
    return float(stats.kendalltau(one, other).statistic)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--attempts", type=int, default=RECORD.attempts, help="of a timing that others disturb")
    parser.add_argument("--devices", nargs="+", default=DEVICES)
    parser.add_argument("--cache", type=Path, help="folder for exported files")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    print_conditions(conditions())
    rows = [row for row in measure(options, options.output / "runtimes.parquet") if row["side"] == options.side]
    timed, sizes = latencies(rows), table(rows, "bytes")
    macs = {network: max(one.values()) for network, one in table(rows, "macs").items()}
    print("\nmilliseconds")
    print_table(
        ["network", "M MACs", *options.devices],
        [
            [n, f"{macs[n] / 1e6:.0f}", *(f"{one.get(d, float('nan')):.2f}" for d in options.devices)]
            for n, one in timed.items()
        ],
    )
    print("\nmegabytes")
    print_table(
        ["network", *options.devices],
        [[n, *(f"{one.get(d, float('nan')) / 1e6:.1f}" for d in options.devices)] for n, one in sizes.items()],
    )
    print("\nKendall's tau of the networks' order")
    whole = [n for n, one in timed.items() if set(options.devices) <= set(one)]
    columns = {"MACs": [macs[n] for n in whole], **{d: [timed[n][d] for n in whole] for d in options.devices}}
    print_table(["", *columns], [[a, *(f"{rank(columns[a], columns[b]):.2f}" for b in columns)] for a in columns])


if __name__ == "__main__":
    main()
