"""Writes a store as files that can be kept with the results, and makes a store of such files again.

Usage: python benchmarks/export_store.py HOME OUTPUT
       python benchmarks/export_store.py --restore OUTPUT HOME DATA

For each search NAME: `NAME.parquet`, its trials, and `NAME.json`, its configuration. For all of them:
`timings.parquet`, a row for every latency with all its samples, and `evaluations.json`, what else was paid for. An
evaluation's id follows from its kind and key, so that trials find their evidence again. Of the data only the last part
of their path is kept; DATA is where they lie when a search goes on, which it does with `paretonas --home HOME resume
NAME`.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paretonas import Architecture, Store
from paretonas.data.listing import DIGITS
from paretonas.report.table import write_parquet
from paretonas.trial import State, Trial

KINDS = (
    "training",
    "calibration",
    "profile",
    "tuning",
    "untrained",
    "scored",
    "fitted",
    "predictor",
    "estimate",
    "trust",
    "morph",
)
"""Of evaluations, beside latencies."""
PLACES = {"task": "data", "table": "file"}
"""Sections of a configuration that name a place, and their fields that do."""
COLUMNS = {
    "trial", "state", "reward", "spec_hash", "space", "choices", "is_reused", "retries", "told", "seed", "fidelity",
    "seconds", "context", "evidence", "error", "stopped_by",
}  # fmt: skip
"""Of a table of trials; every other column is a metric."""


def export(home: Path, output: Path) -> None:
    """Write all searches and evaluations of the store in `home`."""
    output.mkdir(parents=True, exist_ok=True)
    store = Store(home / "store.db")
    for search in store.searches():
        write_parquet(store.trials(search.name), output / f"{search.name}.parquet")
        config = placed(store.config(search.name), last_part, last_part)
        facts = {"config": config, "seconds": search.seconds, "created": search.created}
        (output / f"{search.name}.json").write_text(json.dumps(facts, indent=1) + "\n")
        print(f"{search.name}: {sum(search.trials.values())} trials, ran {search.seconds:.0f} s")
    rows = [
        {"key": json.dumps(key), **value, "conditions": json.dumps(value["conditions"])}
        for key, value in store.evaluations("latency")
    ]
    pq.write_table(pa.Table.from_pylist(rows), output / "timings.parquet", compression="zstd")
    paid = {kind: store.evaluations(kind) for kind in KINDS}
    (output / "evaluations.json").write_text(json.dumps(paid) + "\n")
    print(f"{len(rows)} timings")


def restore(output: Path, home: Path, data: str) -> None:
    """Make the store in `home`, which must be new, of what `export` wrote; `data` is where the data lie now."""
    home.mkdir(parents=True, exist_ok=True)
    store = Store(home / "store.db")
    for file in sorted(output.glob("*.json")):
        if file.name == "evaluations.json":
            continue
        facts = json.loads(file.read_text())
        config = placed(facts["config"], lambda kept: data, lambda kept: str(Path(data).with_name(kept)))
        store.create_search(file.stem, config)
        store.set_seconds(file.stem, facts["seconds"])
        trials = [trial_of(row) for row in pq.read_table(file.with_suffix(".parquet")).to_pylist()]
        if trials:
            store.add_trials(file.stem, trials)
        print(f"{file.stem}: {len(trials)} trials")
    for row in pq.read_table(output / "timings.parquet").to_pylist():
        store.put("latency", json.loads(row.pop("key")), {**row, "conditions": json.loads(row["conditions"])})
    for kind, pairs in json.loads((output / "evaluations.json").read_text()).items():
        for key, value in pairs:
            store.put(kind, key, value)


def placed(config: Mapping[str, Any], place: Callable[[str], str], pretraining: Callable[[str], str]) -> dict[str, Any]:
    """A configuration whose data lie elsewhere, and those that its backbones learn first."""
    changed = dict(config)
    for section, field in PLACES.items():
        if field in changed.get(section, {}):
            changed[section] = {**changed[section], field: place(changed[section][field])}
    if "pretrain" in changed:
        task = changed["pretrain"]["task"]
        changed["pretrain"] = {**changed["pretrain"], "task": {**task, "data": pretraining(task["data"])}}
    return changed


def last_part(place: str) -> str:
    """All that is kept of where data lie."""
    return Path(place).name


def trial_of(row: dict[str, Any]) -> Trial:
    """The trial of which `write_parquet` wrote this row, maybe before it had all of these columns."""
    return Trial(
        number=row["trial"],
        architecture=Architecture(row["space"], tuple(row["choices"])),
        spec_hash=row["spec_hash"],
        state=State(row["state"]),
        metrics={name: value for name, value in row.items() if name not in COLUMNS and value is not None},
        evidence=json.loads(row["evidence"]),
        reward=row["reward"],
        fidelity=row["fidelity"],
        seed=row["seed"],
        context=json.loads(row["context"]),
        error=row["error"],
        stopped_by=row.get("stopped_by"),
        is_reused=row["is_reused"],
        retries=row.get("retries", 0),
        told=row["told"],
        seconds=row["seconds"],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restore", action="store_true", help="make a store of files")
    parser.add_argument("places", nargs="+", type=Path, help="HOME OUTPUT, or OUTPUT HOME DATA")
    options = parser.parse_args()
    if len(options.places) != (3 if options.restore else 2):
        parser.error("HOME and OUTPUT are wanted; with --restore OUTPUT, HOME and DATA")
    if options.restore:
        folder, home, data = options.places
        restore(folder, home, DIGITS if str(data) == DIGITS else str(data.resolve()))
    else:
        export(*options.places)
