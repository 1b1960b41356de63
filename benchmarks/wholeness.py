"""What has to hold of a home whatever happened to the processes that wrote into it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from paretonas import Store

STORE = "store.db"
MEASURED = ("latency_", "train_seconds", "examples_per_second")
"""Beginnings of metrics, of a search or of a final training, that no two runs share."""


def torn(home: Path) -> list[str]:
    """Files that are not whole under their final names; nothing in the home is touched."""
    broken = []
    for path in sorted(path for path in home.rglob("*") if path.is_file() and ".part" not in str(path)):
        check = _CHECKS.get(path.suffix)
        try:
            if check is not None:
                check(path)
        except Exception as error:  # whatever a reader says of half a file
            broken.append(f"{path.relative_to(home)} is torn: {type(error).__name__}: {error}")
    return broken


def left_over(home: Path) -> list[str]:
    """What was written aside and is still there."""
    return [f"{path.relative_to(home)} was left" for path in sorted(home.rglob("*.part"))]


def is_recorded(home: Path, name: str) -> bool:
    """Whether the home has a search of that name."""
    if not (home / STORE).exists():
        return False
    with closing(Store(home / STORE)) as store:
        return name in {summary.name for summary in store.searches()}


def trials(home: Path, name: str) -> dict[str, dict[str, Any]]:
    """All that two runs of one search share, by trial; of the latencies only that they are there."""
    if not is_recorded(home, name):
        return {}
    with closing(Store(home / STORE)) as store:
        return {f"trial {trial.number}": _shared(asdict(trial)) for trial in store.trials(name)}


def finalist(home: Path, name: str, number: int) -> dict[str, dict[str, Any]]:
    """All that two trainings of one finalist share: its weights, its files, what its trial was told."""
    from safetensors.numpy import load_file

    stem = home / name / f"trial-{number}"
    weights, model = stem.with_suffix(".safetensors"), stem.with_suffix(".onnx")
    digests = {key: _digest(value.tobytes()) for key, value in load_file(weights).items()} if weights.exists() else {}
    info = json.loads(stem.with_suffix(".json").read_text()) if stem.with_suffix(".json").exists() else {}
    files = {
        "weights": digests,
        "model": {"digest": _digest(model.read_bytes()) if model.exists() else None},
        "info": _shared({key: value for key, value in info.items() if key not in ("latency", "date")}),
    }
    return trials(home, name) | files


def differences(found: Mapping[str, Any], expected: Mapping[str, Any], where: str = "") -> list[str]:
    """Where two descriptions differ, a line for each value that does."""
    lines = []
    for key in dict.fromkeys((*expected, *found)):
        place = f"{where}{key}"
        if key not in found or key not in expected:
            lines.append(f"{place} is {'missing' if key in expected else 'too many'}")
        elif isinstance(found[key], Mapping) and isinstance(expected[key], Mapping):
            lines += differences(found[key], expected[key], f"{place}: ")
        elif found[key] != expected[key]:
            lines.append(f"{place} is {found[key]!r:.80}, not {expected[key]!r:.80}")
    return lines


def _shared(facts: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on clocks."""
    metrics = facts.get("metrics", {})
    kept = {name: None if _is_measured(name) else value for name, value in metrics.items()}
    return {key: value for key, value in facts.items() if key != "seconds"} | {"metrics": kept}


def _is_measured(name: str) -> bool:
    return name.removeprefix("final_").startswith(MEASURED)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _check_json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


def _check_onnx(path: Path) -> None:
    import onnx

    onnx.checker.check_model(str(path), full_check=True)


def _check_safetensors(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            file.get_tensor(name)


def _check_array(path: Path) -> None:
    np.load(path, mmap_mode="r", allow_pickle=False)


def _check_database(path: Path) -> None:
    """A copy of it, with what was written ahead: to look at a database is to write to it."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            if file.is_file():
                shutil.copy(file, folder)
        connection = sqlite3.connect(Path(folder, path.name))
        try:
            said = connection.execute("PRAGMA integrity_check").fetchall()
        finally:
            connection.close()
    if said != [("ok",)]:
        raise ValueError(f"integrity_check says {said}")


_CHECKS: Mapping[str, Callable[[Path], None]] = {
    ".json": _check_json,
    ".onnx": _check_onnx,
    ".safetensors": _check_safetensors,
    ".state": _check_safetensors,
    ".npy": _check_array,
    ".db": _check_database,
}
