"""Inference engines where the device is: a module loads and runs files by one engine.

A device may be a board that has Python, numpy and an engine, and nothing else; these modules are sent to it, with
`device/timing.py`, `device/runner`, `errors.py` and `quiet.py`. So they import nothing of ours but the last two, and
need no Python above 3.10. Each has a constant and three functions:

    FILES = "tflite", 4, b"TFL3"           the suffix of its files, and what they have at that place
    version() -> str                       the engine's; a MissingPackageError with the install line where it is absent
    prepare() -> None                      imports the engine; likewise
    load(path, options) -> run             a MeasureError where the engine does not take the file

`options` are those of the runtime as plain data, and `run` maps a tuple of arrays, one example, to one of arrays; it
raises a MeasureError where the engine does not take them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from paretonas.errors import MeasureError

Runs = Callable[[tuple[Any, ...]], tuple[Any, ...]]
"""Maps the arrays that a model is fed to those that it gives."""

ENGINES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
"""The modules of this package."""


class Engine(Protocol):
    """What a module of this package is."""

    FILES: tuple[str, int, bytes]

    def version(self) -> str:
        """Of the engine."""
        ...

    def prepare(self) -> None:
        """Import it."""
        ...

    def load(self, path: Path, options: Mapping[str, Any]) -> Runs:
        """What runs a file."""
        ...


def engine(name: str) -> Engine:
    """The module of that name.

    Raises:
        MeasureError: There is none; whoever asks may be anybody.
    """
    if name not in ENGINES:
        raise MeasureError(f"An engine is one of {', '.join(ENGINES)}, but got {name!r}.")
    found: Any = importlib.import_module(f"{__name__}.{name}")
    return found
