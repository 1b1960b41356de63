"""What comes back from a phone, any of which may be junk: the runner's answer, examples, what other programs print."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paretonas.device.contract import AppRuns
from paretonas.device.timing import Protocol, Samples
from paretonas.errors import MachineError, MeasureError
from paretonas.export import Arrays

MAGIC = b"paretonas-tensor"
CODES = {
    "float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11,
}  # fmt: skip
"""Types of numbers as ONNX counts them."""
NAMES = {code: name for name, code in CODES.items()}
MOST_SIDES, MOST_TENSORS = 8, 1 << 24
TIMES = ("candidate_wall", "candidate_cpu", "reference_wall", "reference_cpu")


def answer_of(text: str) -> dict[str, Any] | None:
    """The JSON of a runner's answer, or None where there is none that is whole: see `native/answer.c`.

    Raises:
        MeasureError: The runner says that it could not be done.
        MachineError: It says that the phone refuses.
    """
    found = list(re.finditer(r"^(.*)\nparetonas-end (\d+)\s*$", text, re.M))
    if not found or len(found[-1][1]) != int(found[-1][2]):
        return None
    try:
        answer = json.loads(found[-1][1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    if "error" in answer:
        kind = MachineError if answer["error"] == "MachineError" else MeasureError
        raise kind(f"On the phone: {str(answer.get('text'))[:2000]}")
    if answer.get("protocol") != 1:
        raise MeasureError(
            f"A runner speaks protocol 1, but this one {str(answer.get('protocol'))[:20]}. Build it anew from this "
            "version of paretonas."
        )
    return answer


def samples_of(answer: Mapping[str, Any], protocol: Protocol) -> Samples:
    """The times of a measurement.

    Raises:
        MeasureError: They are not as many positive numbers as the protocol says.
    """
    times = {name: answer.get(name) for name in TIMES}
    is_whole = all(isinstance(t, list) and len(t) == protocol.pairs and all(map(_is_time, t)) for t in times.values())
    if not is_whole or answer.get("loads") != list(protocol.portions):
        raise MeasureError(f"A measurement has {protocol.pairs} positive times of each kind, but got others.")
    candidate_wall, candidate_cpu, reference_wall, reference_cpu = (tuple(answer[name]) for name in TIMES)
    is_settled = answer.get("is_settled") is True
    return Samples(candidate_wall, candidate_cpu, reference_wall, reference_cpu, is_settled, protocol.portions)


def app_runs_of(answer: Mapping[str, Any], runs: int) -> AppRuns:
    """The times of a model that was run as an app runs one.

    Raises:
        MeasureError: They are not as many positive numbers as there were runs.
    """
    wall, times = answer.get("wall"), [answer.get("load"), answer.get("first")]
    if not isinstance(wall, list) or len(wall) != runs or not all(map(_is_time, [*wall, *times])):
        raise MeasureError(f"A phone tells a time above 0 for the load and each of {runs} runs, but gave others.")
    told = answer.get("rss"), answer.get("rss_before")
    rss, before = (value if isinstance(value, int) and value > 0 else None for value in told)
    return AppRuns(answer["load"], answer["first"], tuple(wall), rss, before, conditions=conditions_of(answer, "wall"))


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def conditions_of(answer: Mapping[str, Any], clock: str) -> dict[str, Any]:
    """The conditions of a measurement: before it, and where they may have changed, after it too."""
    before, after = (_object(answer.get(name)) for name in ("before", "after"))
    cores = answer.get("cores")
    slowed = {before.get("throttled"), after.get("throttled")}
    return {
        "core": cores[0] if clock != "wall" and isinstance(cores, list) and len(cores) == 1 else None,
        "load": before.get("load"),
        "governor": after.get("governor"),
        "mhz_before": before.get("mhz"),
        "mhz": after.get("mhz"),
        "celsius_before": before.get("celsius"),
        "celsius": after.get("celsius"),
        "throttled": "yes" if "yes" in slowed else "no" if "no" in slowed else "unknown",
    }


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def battery_of(text: str) -> dict[str, Any] | None:
    r"""Of `dumpsys battery`: `level` in percent, `celsius`, `joules` left, if it is `charging`; None: there is none.

    >>> battery_of("  AC powered: false\n  USB powered: true\n  level: 83\n  temperature: 291")
    {'level': 83, 'celsius': 29.1, 'joules': None, 'charging': True}
    """
    found = re.findall(r"^\s*(level|temperature|voltage|Charge counter): (-?\d{1,9})\s*$", text, re.M)
    numbers = {name: int(value) for name, value in found}
    if "level" not in numbers:
        return None
    celsius = numbers["temperature"] / 10 if "temperature" in numbers else None
    is_charging = bool(re.search(r"^\s*\w+ powered: true\s*$", text, re.M))
    told = {"voltage", "Charge counter"} <= numbers.keys()  # millivolts and microampere hours
    joules = numbers["voltage"] * numbers["Charge counter"] * 3600e-9 if told else None
    return {"level": numbers["level"], "celsius": celsius, "joules": joules, "charging": is_charging}


def joules_between(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> float | None:
    """What a battery gave between two looks; None where it was charged meanwhile, does not tell, or too coarsely."""
    looks = [look for look in (before, after) if look and look["joules"] is not None and not look["charging"]]
    used = looks[0]["joules"] - looks[1]["joules"] if len(looks) == 2 else 0.0
    return used if used > 0 else None


def write_examples(path: Path, examples: Sequence[Arrays]) -> None:
    """A file of examples as the runner reads it: see `native/tensors.c`.

    Raises:
        MeasureError: An array of a type that it does not know.
    """
    with path.open("wb") as file:
        file.write(MAGIC + struct.pack("<2q", len(examples), len(examples[0])))
        for array in (array for example in examples for array in example):
            name, shape = str(array.dtype), np.shape(array)
            if name not in CODES or len(shape) > MOST_SIDES:
                raise MeasureError(f"A runner takes {', '.join(CODES)}, of {MOST_SIDES} sides at most, but got {name}.")
            file.write(struct.pack(f"<{2 + len(shape)}q", CODES[name], len(shape), *shape))
            file.write(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def read_examples(path: Path) -> list[Arrays]:
    """What `write_examples` or the runner wrote.

    Raises:
        MeasureError: It is no such file, or no whole one.
    """
    data = memoryview(path.read_bytes())
    at = len(MAGIC) + 16
    try:
        examples, each = struct.unpack_from("<2q", data, len(MAGIC))
        if bytes(data[: len(MAGIC)]) != MAGIC or min(examples, each) < 1 or examples * each > MOST_TENSORS:
            raise ValueError("its beginning")
        arrays = []
        for _ in range(examples * each):
            code, rank = struct.unpack_from("<2q", data, at)
            if not 0 <= rank <= MOST_SIDES:
                raise ValueError("its sides")
            shape = struct.unpack_from(f"<{rank}q", data, at + 16)
            dtype, count = np.dtype(NAMES[code]).newbyteorder("<"), math.prod(shape)
            at += 16 + 8 * rank
            array = np.frombuffer(data, dtype, count, at) if count else np.zeros(0, dtype)
            arrays.append(array.astype(dtype.newbyteorder("="), copy=True).reshape(shape))
            at += count * dtype.itemsize
        if at != len(data):
            raise ValueError("its end")
    except (struct.error, ValueError, KeyError) as error:
        raise MeasureError(f"A phone gives files of whole examples, but {path.name} is none: {error!r}") from None
    return [tuple(arrays[i : i + each]) for i in range(0, len(arrays), each)]
