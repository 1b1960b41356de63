"""The raw timings behind latencies: found by the ids that trials keep, and in the files of finalists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from paretonas.errors import SpecError, StoreError
from paretonas.latency import Latency, latency_from_json
from paretonas.objective.metric import LATENCY, on_device
from paretonas.report.aims import Aims
from paretonas.report.boxes import BoxesFound, boxes_found
from paretonas.space import Interface, Port, read_json
from paretonas.store import Store
from paretonas.trial import Trial

REFERENCE_SHAPE = (3, 32, 32)
"""Of the images of the reference network beside a network that is fed no images."""


@dataclass(frozen=True)
class Timing:
    """A stored latency, and where it came from.

    Args:
        latency: With its raw samples.
        source: "search" for that of a candidate, "final" for that of a finalist's exported file.
        interface: Of the network; None if it was not kept.
        identity: Of the device; None if it was not kept.
    """

    latency: Latency
    source: Literal["search", "final"]
    interface: Interface | None = None
    identity: Mapping[str, Any] | None = None


Confused = tuple[int, int, int]
"""A class, the class that its examples were taken for, and how many: numbers in the order of the classes."""

Timings = Mapping[str, Mapping[int, Timing]]
"""Name of a latency's metric -> number of a trial -> its timing."""


@dataclass(frozen=True)
class Final:
    """What the file of a finalist tells beyond its trial.

    Args:
        timings: Of the exported files, by the name of the search's metric (`latency_ms.phone`).
        recipe: Of the training, with its teacher if it had one.
        date: On which it was written.
        classes: Names, where it tells classes apart.
        confused: Which class its exported file took for which.
        boxes: Which boxes it finds, where it is a detector.
    """

    timings: Mapping[str, Timing]
    recipe: Mapping[str, Any]
    date: str
    classes: tuple[str, ...] = ()
    confused: tuple[Confused, ...] = ()
    boxes: BoxesFound | None = None


def read_timings(store: Store, trials: Sequence[Trial], aims: Aims) -> Timings:
    """The timings behind the latencies of trials; a trial whose samples the store lacks is absent.

    Raises:
        StoreError: A damaged row.
    """
    read: dict[str, Timing | None] = {}
    timings: dict[str, dict[int, Timing]] = {name: {} for name in aims.latencies}
    for trial in trials:
        for name, by_trial in timings.items():
            id = trial.evidence.get(name)
            if id is None or name not in trial.metrics:
                continue
            if id not in read:
                read[id] = _read_timing(store, id)
            timing = read[id]
            if timing is not None:
                by_trial[trial.number] = timing
    return timings


def _read_timing(store: Store, id: str) -> Timing | None:
    evaluation = store.evaluation(id)
    if evaluation is None or evaluation[0] != "latency":
        return None
    _, key, value = evaluation
    return Timing(latency_from_json(value), "search", _interface(key.get("interface")), key.get("device"))


def read_final(trial: Trial, path: Path, aims: Aims) -> Final | None:
    """The finalist's file, if there is one and it tells of the training that the trial has the score of.

    Raises:
        StoreError: A damaged file.
    """
    quality = f"test_{aims.quality}"
    if quality not in trial.metrics or not path.exists():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        scored, interface = data["metrics"][quality], _interface(data["interface"])
        timings = {
            on_device(LATENCY.name, device): Timing(latency_from_json(latency), "final", interface)
            for device, latency in data["latency"].items()
        }
        recipe = dict(data["recipe"]) | ({"teacher": data["teacher"]} if "teacher" in data else {})
        boxes = boxes_found(data.get("details", {}))
        final = Final(timings, recipe, str(data["date"]), *_confused(data), boxes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SpecError, StoreError) as error:
        raise StoreError(
            f"A finalist's file holds its metrics, latency, interface, recipe and date, but {path} does not: "
            f"{error!r}. Move it away, or train the finalist again."
        ) from None
    return final if scored == trial.metrics[quality] else None


def _confused(data: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[Confused, ...]]:
    """Classes and confusions of a finalist's file; nothing where it has none.

    Raises:
        ValueError: They cannot be.
    """
    rows = data.get("details", {}).get("confusions", [])
    if not rows:
        return (), ()
    classes = tuple(map(str, data["classes"]))
    confused = tuple((int(shown), int(taken), int(count)) for shown, taken, count in rows)
    if any(not (0 <= shown < len(classes) > taken >= 0 < count) for shown, taken, count in confused):
        raise ValueError("confusions are of the classes")
    return classes, confused


def read_calibrations(store: Store, timings: Iterable[Timing]) -> list[tuple[dict[str, Any], Latency]]:
    """The calibrations that timings rest on, with their keys: of the same device, for what the network is fed.

    Raises:
        StoreError: A damaged row.
    """
    used = [
        {"inputs": _reference_inputs(timing.interface), "device": timing.identity}
        for timing in timings
        if timing.interface is not None and timing.identity is not None
    ]
    stored = store.evaluations("calibration")
    return [(key, latency_from_json(value)) for key, value in stored if key in used]


def _reference_inputs(interface: Interface) -> Any:
    """What the reference network of an interface is fed, as a stored key has it."""
    port = Port("images", (1, *(interface.image_shape or REFERENCE_SHAPE)))
    return json.loads(json.dumps([asdict(port)]))


def _interface(data: object) -> Interface | None:
    try:
        interface: Interface = read_json(Interface, data, "interface")
    except SpecError:
        return None
    return interface
