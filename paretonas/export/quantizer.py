"""What a format has that can be quantized."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from paretonas.errors import UsageError
from paretonas.export.pairing import Arrays
from paretonas.export.quantize import Deviation, ModuleError, Quantization, is_within

T = TypeVar("T")


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


def check_kept(file: str, keep: Iterable[str], modules: Iterable[str]) -> None:
    """Whether what is to stay in float is in a file.

    Args:
        file: Its name.
        keep: Modules, and those within them.
        modules: Of the file; "" for what is of none.

    Raises:
        UsageError: One is not.
    """
    have = [*dict.fromkeys(filter(None, modules))]
    for part in keep:
        if not any(is_within(module, (part,)) for module in have):
            raise UsageError(
                f"What stays in float are modules of {file}, but it has no {part}: {', '.join(have[:12])}, …"
            )


def rank_modules(
    parts: Iterable[tuple[str, T]], errors: Callable[[list[T]], Mapping[str, Deviation]]
) -> list[ModuleError]:
    """Modules by the error of the network's output with nothing else quantized, the worst first.

    Args:
        parts: What can be quantized, each with its module; "" for what is of none, which is left out.
        errors: Of each output, where these parts alone are quantized.
    """
    own = dict[str, list[T]]()
    for module, part in parts:
        own.setdefault(module, []).append(part)
    found = [ModuleError(module, worst(errors(own[module]))) for module in filter(None, own)]
    return sorted(found, key=lambda one: -one.error)


def worst(errors: Mapping[str, Deviation]) -> float:
    """Root mean square of the error over that of the numbers, of the worst output."""
    return max(one.relative for one in errors.values())


def deviations(
    expected: Iterable[Sequence[NDArray[Any]]], found: Iterable[Sequence[NDArray[Any]]]
) -> tuple[Deviation, ...]:
    """How far tensors are from what they were, of the same examples of both, one after the other."""
    each: tuple[Deviation, ...] = ()
    for ours, theirs in zip(expected, found, strict=True):
        each = each or tuple(Deviation() for _ in ours)
        for deviation, one, other in zip(each, ours, theirs, strict=True):
            deviation.add(one, other)
    return each
