"""What a format has that can be quantized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretonas.export.pairing import Arrays
from paretonas.export.quantize import ModuleError, Quantization


@dataclass(frozen=True)
class Quantizer:
    """How files of one format become int8.

    Args:
        calibrate: `(path, examples, options)`: finds the ranges of a float file's tensors.
        write: `(calibration, path, keep, is_checked)`: an int8 file, with these modules in float.
        blame: `(calibration)`: errors of modules that are quantized alone, the worst first.
    """

    calibrate: Callable[[Path, Sequence[Arrays], Quantization], Any]
    write: Callable[[Any, Path, Sequence[str], bool], Any]
    blame: Callable[[Any], list[ModuleError]]
