"""What a device does when it is asked: it keeps files, runs them, and measures. Whoever asks may be anybody."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from paretonas.device.engine import ENGINES, Runs, engine
from paretonas.device.runner.app import run_as_app
from paretonas.device.runner.moment import measuring_alone, pinned, processor
from paretonas.device.runner.wire import DTYPES, Message
from paretonas.device.timing import Protocol, time_pairs
from paretonas.errors import MeasureError, ParetonasError, UsageError

BEGINNINGS: Mapping[str, tuple[int, bytes]] = {
    suffix: (place, beginning) for suffix, place, beginning in (engine(name).FILES for name in ENGINES)
}
"""Where in a model's file what stands by which it is known, by its suffix."""
ELSEWHERE = re.compile(rb"[\x00-\x1f]location")
"""How an ONNX file says that weights lie in another file, which it would have an engine read."""
APP = "app"
"""What is asked of a process that has done nothing else yet."""
MOST_RUNS, LONGEST_PAUSE = 100_000, 3600.0
MOST_KEPT = 4 << 30
"""Bytes of all files; the ones that were not used for the longest time go first."""


class Host:
    """Answers messages.

    Args:
        folder: Where files are kept, and nothing else is read or written; made if it is missing.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._asked: dict[str, Callable[[Message], Message]] = {
            "hello": lambda message: Message({"protocol": 1}),
            "identify": self._identify,
            "has": self._has,
            "put": self._put,
            "run": self._run,
            "measure": self._measure,
            APP: self._run_as_app,
        }
        self._load = lru_cache(maxsize=2)(self._load_anew)

    def answer(self, message: Message) -> Message:
        """What was asked for, or `error` with its `kind` and what to say; never an exception."""
        try:
            asked = message.head.get("ask")
            if not isinstance(asked, str) or asked not in self._asked:
                raise MeasureError(f"A device is asked one of {', '.join(self._asked)}, but got {str(asked)[:80]!r}.")
            return self._asked[asked](message)
        except OSError as error:
            return refused("MachineError", f"{error.strerror or error}: {error.filename or self._folder}")
        except ParetonasError as error:
            return refused(type(error).__name__, str(error))
        except Exception as error:
            return refused("MeasureError", f"{type(error).__name__}: {error}")

    def _identify(self, message: Message) -> Message:
        version = engine(_string(message.head, "engine")).version()
        return Message({"version": version, "cpu": processor(), "machine": platform.machine()})

    # Files

    def _has(self, message: Message) -> Message:
        path = self._path(message.head.get("file"))
        if path.exists():
            os.utime(path)
        return Message({"has": path.exists()})

    def _put(self, message: Message) -> Message:
        path = self._path(message.head.get("file"))
        digest, kind = path.stem, path.suffix[1:]
        if hashlib.sha256(message.body).hexdigest() != digest:
            raise MeasureError(f"A file is called after its contents, but what came is not {digest}.")
        where, beginning = BEGINNINGS[kind]
        if message.body[where : where + len(beginning)] != beginning:
            raise MeasureError(f"A .{kind} file begins as such a model does, but this one does not.")
        if kind == "onnx" and ELSEWHERE.search(message.body):
            raise MeasureError("A model has its weights inside, but this one's lie in another file. Save them inside.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._make_room(len(message.body))
        draft = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            draft.write_bytes(message.body)
            draft.replace(path)
        finally:
            if draft.exists():
                draft.unlink()
        return Message({"has": True})

    def _path(self, name: object) -> Path:
        """Of a file of that name: its SHA-256, and what it is. Each has a folder of its own, which it cannot leave."""
        match = re.fullmatch(rf"([0-9a-f]{{64}})\.({'|'.join(BEGINNINGS)})", name) if isinstance(name, str) else None
        if match is None:
            raise MeasureError(
                f"A file is called SHA256.SUFFIX, of {', '.join(BEGINNINGS)}, but got {str(name)[:80]!r}."
            )
        return self._folder / "files" / match[1] / match[0]

    def _make_room(self, wanted: int) -> None:
        kept = []
        for path in (self._folder / "files").glob("*/*"):
            with suppress(FileNotFoundError):  # another process makes room too
                if path.suffix != ".part":
                    kept.append((path.stat().st_mtime, path.stat().st_size, path))
        kept.sort(reverse=True)
        while kept and sum(size for _, size, _ in kept) + wanted > MOST_KEPT:
            kept.pop()[2].unlink(missing_ok=True)

    # Running

    def _run(self, message: Message) -> Message:
        outputs = self._loaded(message.head, message.head.get("file"))(message.arrays)
        strange = [getattr(x, "dtype", type(x)) for x in outputs if str(getattr(x, "dtype", "")) not in DTYPES]
        if strange:
            raise MeasureError(f"A model gives arrays of {', '.join(DTYPES)}, but this one gives {strange[0]}.")
        return Message({}, outputs)

    def _measure(self, message: Message) -> Message:
        head, clock = message.head, _string(message.head, "clock")
        if clock not in ("thread", "process", "wall"):
            raise MeasureError(f"A clock is thread, process or wall, but got {clock[:80]!r}.")
        protocol, inputs = _protocol(head.get("protocol")), _portions(message)
        names = head.get("candidate"), head.get("reference")
        with measuring_alone(), pinned(clock) as conditions:
            loads = [partial(self._timed, head, name, fed) for name, fed in zip(names, inputs, strict=True)]
            samples = time_pairs(loads[0], loads[1], protocol, clock=clock)  # type: ignore[arg-type]
        return Message({"samples": asdict(samples), "conditions": conditions})

    def _run_as_app(self, message: Message) -> Message:
        """Load once, run with pauses, on whatever core the system gives, and tell what that took."""
        runs, every = message.head.get("runs"), message.head.get("every")
        if not (isinstance(runs, int) and 1 <= runs <= MOST_RUNS):
            raise MeasureError(f"`1 <= runs <= {MOST_RUNS}` must hold, but got {str(runs)[:80]}.")
        if not (isinstance(every, int | float) and 0 <= every <= LONGEST_PAUSE):
            raise MeasureError(f"`0 <= every <= {LONGEST_PAUSE:g}` seconds must hold, but got {str(every)[:80]}.")
        which = self._which(message.head, message.head.get("file"))
        engine(which[0]).prepare()  # an app has its engine already
        with measuring_alone(), pinned("wall") as conditions:
            told = run_as_app(partial(self._load_anew, *which), message.arrays, runs, float(every))
        return Message({**told, "conditions": conditions})

    def _timed(self, head: Mapping[str, Any], name: object, inputs: tuple[Any, ...]) -> Callable[[], object]:
        return partial(self._load_anew(*self._which(head, name)), inputs)

    def _loaded(self, head: Mapping[str, Any], name: object) -> Runs:
        return self._load(*self._which(head, name))

    def _which(self, head: Mapping[str, Any], name: object) -> tuple[str, Path, tuple[tuple[str, Any], ...]]:
        path, options = self._path(name), head.get("options")
        if not path.exists():
            raise MeasureError(f"A file is put before it is run, but {path.name} is not here.")
        if not isinstance(options, Mapping) or not all(isinstance(v, int | float | str) for v in options.values()):
            raise MeasureError(f"The options of an engine are plain data, but got {str(options)[:80]}.")
        return _string(head, "engine"), path, tuple(sorted(options.items()))

    def _load_anew(self, name: str, path: Path, options: tuple[tuple[str, Any], ...]) -> Runs:
        try:
            return engine(name).load(path, dict(options))
        except (KeyError, TypeError, ValueError) as error:
            raise MeasureError(f"The engine {name!r} cannot load {path.name}: {error!r}") from None


def refused(kind: str, text: str) -> Message:
    """An answer that there is none."""
    return Message({"error": kind, "text": text[:4000]})


def _string(head: Mapping[str, Any], name: str) -> str:
    value = head.get(name)
    if not isinstance(value, str):
        raise MeasureError(f"`{name}` is a text, but got {str(value)[:80]}.")
    return value


def _protocol(data: object) -> Protocol:
    try:
        return Protocol(**data)  # type: ignore[arg-type]
    except (TypeError, UsageError) as error:
        raise MeasureError(f"A protocol has its fields, but: {error}") from None


def _portions(message: Message) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arrays that the candidate is fed, and those of the reference."""
    count = message.head.get("inputs")
    if not isinstance(count, int) or not 0 <= count <= len(message.arrays):
        raise MeasureError(f"`inputs` is how many arrays the candidate is fed, but got {str(count)[:80]}.")
    return message.arrays[:count], message.arrays[count:]
