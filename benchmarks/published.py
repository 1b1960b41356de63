"""Published networks timed in one run: how many times as fast is MnasNet-A1 as the others?

Each round times each network once, in another order; ratios are taken within a round. Usage: published.py OUTPUT.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from conditions import conditions, print_conditions, print_table, write_rows

from paretonas.evaluation.measure import Subject, measure_model
from paretonas.network.cost import spec_cost
from paretonas.store import Store

NETWORKS = (
    "mnasnet-a1", "mobilenet-v2", "mobilenet-v2:width=1.4", "efficientnet-b0", "nasnet-a", "pnasnet-5", "amoebanet-a",
)  # fmt: skip
BASE = "mnasnet-a1"


def measured(device: str, rounds: int, file: Path) -> list[dict[str, Any]]:
    """A row for each network and round, kept in `file` as they come."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store.db")
        for number in range(rounds):
            for name in Random(number).sample(NETWORKS, len(NETWORKS)):
                subject = Subject(name)
                found = measure_model(subject, device, store, Path(folder))
                cost = spec_cost(*subject.network())
                kept = {key: found[key] for key in ("latency_ms", "ratio", "spread", "flags", "attempts")}
                rows.append({"network": name, "round": number, **kept, "params": cost.params, "macs": cost.macs})
                write_rows(rows, file)
                print(f"round {number}: {name} {found['latency_ms']:.2f} ms {' '.join(found['flags'])}", flush=True)
    return rows


def main() -> None:
    """Time, keep and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--device", default="onnxruntime")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print_conditions(conditions())
    options.output.mkdir(parents=True, exist_ok=True)
    rows = measured(options.device, options.rounds, options.output / "published.parquet")
    base = {row["round"]: row["latency_ms"] for row in rows if row["network"] == BASE}
    shown = []
    for name in NETWORKS:
        own = [row for row in rows if row["network"] == name]
        ratios = [row["latency_ms"] / base[row["round"]] for row in own]
        flagged = sum(bool(row["flags"]) for row in own)
        millions = [f"{own[0][key] / 1e6:.1f}" for key in ("params", "macs")]
        middle = statistics.median(row["latency_ms"] for row in own)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        shown.append(
            (name, *millions, f"{middle:.1f}", f"{statistics.median(ratios):.2f}", spread, f"{flagged}/{len(own)}")
        )
    print_table(("network", "M params", "M MACs", "ms", f"x {BASE}", "rounds", "flagged"), shown)


if __name__ == "__main__":
    main()
