"""Timings that a benchmark compares: rounds over all networks, each round in another order."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from conditions import write_rows

from paretonas.device import parse_device
from paretonas.device.calibration import calibrate
from paretonas.evaluation.device_job import MeasuringJob, run_measuring
from paretonas.evaluation.latencies import QUICK, RECORD
from paretonas.space import Interface, Spec, spec_to_json


def time_all(
    specs: Mapping[str, Spec], interface: Interface, file: Path, rounds: int, device: str = "onnxruntime"
) -> list[dict[str, Any]]:
    """Time every network in every round, by the protocol of candidates; all in this session.

    Args:
        specs: By name.
        interface: Of the networks.
        file: Of the rows, Parquet; what it held is lost, as latencies of two sessions are not to be compared.
        rounds: How many.
        device: As users write it.

    Returns:
        A row for each network and round.
    """
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        seconds = calibrate(parse_device(device), Path(folder), interface, RECORD).calibrated
        for number in range(rounds):
            for name in Random(number).sample(sorted(specs), len(specs)):
                job = MeasuringJob(spec_to_json(specs[name]), interface, device, Path(folder), seconds, QUICK)
                latency = run_measuring(job)
                kept = {"latency_ms": latency.latency_ms, "spread": latency.spread, "flags": list(latency.flags)}
                date = datetime.now(UTC).isoformat(timespec="seconds")
                rows.append({"network": name, "round": number, **kept, "date": date})
                write_rows(rows, file)
            print(f"timed: round {number + 1} of {rounds}", flush=True)
    return rows
