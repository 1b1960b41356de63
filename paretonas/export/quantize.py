"""What quantization to 8 bits is, whatever the format: options, ranges of numbers, errors, and what to keep in float.

A tensor's numbers between two ends become 256 steps; what lies beyond is cut off. The ends are found on examples of the
data (calibration). Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import DataError, ExportError, UsageError
from paretonas.export.pairing import Arrays

Method = Literal["minmax", "percentile", "mse"]
"""One of least entropy was tried once, cost MobileNetV2 half of its accuracy, and is not offered."""
BINS, LEVELS = 2048, 256
MOST_EXAMPLES = 10_000

Ends = tuple[float, float]


@dataclass(frozen=True)
class Quantization:
    """How a network is quantized: weights to int8, each channel by a scale of its own, activations as told.

    Args:
        method: How the ends of activations are chosen: `minmax`: the least and the greatest number seen; `percentile`:
            without the rarest on either side; `mse`: those of the least squared error.
        examples: That are looked at, at most: the first ones.
        activations: Their type: `uint8` is what x86 is fast at, `int8` what ARM is.
        keep: Modules that stay in float, with all that is in them: `stem`, `blocks.2`.
        percentile: Share of the numbers within the ends, in percent; of `percentile` alone.
        narrow_weights: Use 7 of the 8 bits of weights: x86 without VNNI adds products in 16 bits, which else overflow.
            None: where activations are `uint8`, as a file may go to any machine, and no accuracy was seen to be lost.

    Raises:
        UsageError: An option out of its range.
    """

    method: Method = "minmax"
    examples: int = 100
    activations: Literal["uint8", "int8"] = "uint8"
    keep: tuple[str, ...] = ()
    percentile: float = 99.99
    narrow_weights: bool | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(Method) or self.activations not in ("uint8", "int8"):
            raise UsageError(
                f"A method is one of {', '.join(get_args(Method))} and activations become uint8 or int8, but got "
                f"(method={self.method!r}, activations={self.activations!r})."
            )
        if not 1 <= self.examples <= MOST_EXAMPLES or not 90 <= self.percentile <= 100:
            raise UsageError(
                f"`1 <= examples <= {MOST_EXAMPLES}` and `90 <= percentile <= 100` must hold, but got "
                f"(examples={self.examples}, percentile={self.percentile})."
            )
        if isinstance(self.keep, str) or not all(self.keep):
            raise UsageError(f"What stays in float is a list of modules, such as ['stem'], but got {self.keep!r}.")

    @property
    def is_narrow(self) -> bool:
        """Whether weights have 7 bits."""
        return self.activations == "uint8" if self.narrow_weights is None else self.narrow_weights


def is_within(module: str, parts: Iterable[str]) -> bool:
    """Whether a module is one of these, or inside one."""
    return any(module == part or module.startswith(f"{part}.") for part in parts)


def one_by_one(examples: Sequence[Arrays], most: int) -> list[Arrays]:
    """The first examples, each of batch 1: files that end in boxes take no other.

    Args:
        examples: A network's inputs in order, of any batch.
        most: How many.

    Raises:
        DataError: There is none, inputs differ in their batch, or a number is not finite.
    """
    found: list[Arrays] = []
    for arrays in examples:
        sizes = {array.shape[0] if array.ndim else 0 for array in arrays}
        if len(sizes) != 1 or 0 in sizes:
            raise DataError(f"The inputs of an example are of one batch, but got shapes {[x.shape for x in arrays]}.")
        if not all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f"):
            raise DataError(f"Examples are finite numbers, but number {len(found)} holds NaN or infinity.")
        found += [tuple(array[i : i + 1] for array in arrays) for i in range(min(sizes.pop(), most - len(found)))]
        if len(found) == most:
            break
    if not found:
        raise DataError("Quantization looks at examples of the data, but got none. Give a few dozen.")
    return found


def find_ends(
    run: Callable[[Arrays], Sequence[NDArray[Any]]], examples: Sequence[Arrays], options: Quantization
) -> list[Ends]:
    """The ends of tensors: examples are run for the least and the greatest numbers, and again for what lies between.

    Args:
        run: Gives the tensors of an example.
        examples: One or more.
        options: Say the method.
    """
    seen = np.array([[(x.min(initial=inf), x.max(initial=-inf)) for x in run(one)] for one in examples])
    ends: list[Ends] = list(zip(seen[..., 0].min(0).tolist(), seen[..., 1].max(0).tolist(), strict=True))
    if options.method == "minmax" or not np.isfinite(ends).all():
        return ends
    counts = [np.zeros(BINS, np.int64) for _ in ends]
    for one in examples:
        for count, own, x in zip(counts, ends, run(one), strict=True):
            count += histogram(x, own)
    return [ends_of(count, own, options) for count, own in zip(counts, ends, strict=True)]


def histogram(array: NDArray[Any], ends: Ends) -> NDArray[np.int64]:
    """How many numbers lie in each of `BINS` parts between two ends, which hold all of them."""
    low, high = ends
    places = ((array.ravel() - np.float32(low)) * np.float32(BINS / max(high - low, 1e-30))).astype(np.int32)
    return np.bincount(places.clip(0, BINS - 1), minlength=BINS)


def ends_of(counts: NDArray[np.int64], ends: Ends, options: Quantization) -> Ends:
    """The ends by which a tensor is quantized, of the least and the greatest number seen and the counts between."""
    low, high = ends
    if options.method == "minmax" or high <= low:
        return ends
    if options.method == "mse":
        return _least_error(counts, ends)
    edges, below = np.linspace(low, high, BINS + 1), np.cumsum(counts) / counts.sum()
    cut = (100 - options.percentile) / 200  # on either side
    return float(edges[np.searchsorted(below, cut, "right")]), float(edges[np.searchsorted(below, 1 - cut) + 1])


def _least_error(counts: NDArray[np.int64], ends: Ends) -> Ends:
    """Squared error: a twelfth of a step's square for what is rounded, the whole distance for what is cut off.

    Zeros are left out, as they are exact: an activation may have made most numbers so.
    """
    low, high = ends
    middles = np.linspace(low, high, 2 * BINS + 1)[1::2]
    is_rounded = np.abs(middles) > (high - low) / BINS
    middles, counts = middles[is_rounded], counts[is_rounded]
    shares = np.linspace(0.02, 1, 50)
    lows, highs = (min(low, 0.0) * shares if low < 0 else np.zeros(1)), (high * shares if high > 0 else np.zeros(1))
    cut_low = ((lows[:, None] - middles).clip(0) ** 2 @ counts)[:, None]
    cut_high = ((middles - highs[:, None]).clip(0) ** 2 @ counts)[None]
    step = (highs[None] - lows[:, None]) / (LEVELS - 1)
    best = np.unravel_index(np.argmin(cut_low + cut_high + step**2 / 12 * counts.sum()), step.shape)
    return float(lows[best[0]]), float(highs[best[1]])


class Deviation:
    """How far a tensor is from another, summed over examples."""

    def __init__(self) -> None:
        self._error = self._square = 0.0
        self._sum: Any = 0.0
        self._examples = 0

    @classmethod
    def of_all(cls, parts: Iterable[Deviation]) -> Deviation:
        """Of several tensors of the same examples as of one."""
        found, several = cls(), [*parts]
        found._error, found._square = sum(one._error for one in several), sum(one._square for one in several)
        found._sum = np.concatenate([np.ravel(one._sum) for one in several])
        found._examples = several[0]._examples
        return found

    def add(self, expected: NDArray[Any], found: NDArray[Any]) -> None:
        """One example of both, of one shape."""
        ours, theirs = expected.astype(np.float64), found.astype(np.float64)
        self._error += float(((theirs - ours) ** 2).sum())
        self._square += float((ours**2).sum())
        self._sum, self._examples = self._sum + ours, self._examples + 1

    @property
    def relative(self) -> float:
        """Root mean square of the error over that of the numbers; infinite where all of these are zero."""
        return sqrt(self._error / self._square) if self._square else (inf if self._error else 0.0)

    @property
    def unexplained(self) -> float:
        """Squared error over what the numbers vary by from example to example.

        With 1 or more, the mean of all examples would say as much of one. Of a single example: the squared `relative`.
        """
        varied = self._square - float((self._sum**2).sum()) / max(self._examples, 1)
        if self._examples < 2 or varied <= 1e-12 * self._square:
            return self.relative**2
        return self._error / varied


@dataclass(frozen=True)
class ModuleError:
    """How far from float something is by a module.

    Args:
        module: Its dotted path.
        error: Root mean square of the error over that of the numbers: see the function that gives it of what.
    """

    module: str
    error: float


@dataclass(frozen=True)
class Attempt:
    """A file with some modules in float.

    Args:
        keep: These modules.
        score: Of the file; more is better.
    """

    keep: tuple[str, ...]
    score: float


def keep_worst(
    write: Callable[[tuple[str, ...]], Path],
    score: Callable[[Path], float],
    blame: Sequence[str],
    least: float,
    attempts: int = 12,
) -> tuple[Attempt, ...]:
    """Keep the modules most to blame in float: 0, 1, 2, 4 … of them until it is enough, then the fewest that are.

    More modules are taken to score no less: where that does not hold, fewer may be enough than are found.

    Args:
        write: A file with these modules in float, the next in the place of the last.
        score: Of a file; more is better.
        blame: Modules, the worst first.
        least: The score that is enough.
        attempts: At most; each writes and scores a file.

    Returns:
        All attempts. The last is that of the file in the end: enough, or, where none is, the best.

    Raises:
        UsageError: No attempt is allowed.
    """
    if attempts < 1:
        raise UsageError(f"`attempts > 0` must hold, but got (attempts={attempts}).")
    made: dict[int, float] = {}

    def is_enough(count: int) -> bool:
        made[count] = score(write(tuple(blame[:count])))
        return made[count] >= least

    failed, count = -1, 0
    while len(made) < attempts and not is_enough(count) and count < len(blame):
        failed, count = count, min(len(blame), max(1, 2 * count))
    enough = next((count for count, reached in made.items() if reached >= least), None)
    while enough is not None and enough - failed > 1 and len(made) < attempts:
        middle = (failed + enough) // 2
        enough, failed = (middle, failed) if is_enough(middle) else (enough, middle)
    chosen = max(made, key=lambda count: (made[count], -count)) if enough is None else enough
    if chosen != [*made][-1]:
        write(tuple(blame[:chosen]))
    order = (*(count for count in made if count != chosen), chosen)
    return tuple(Attempt(tuple(blame[:count]), made[count]) for count in order)


def check_deviations(found: Mapping[str, Deviation], file: str) -> None:
    """Refuse outputs whose error is as large as what they vary by: they say no more of an example than their mean.

    Raises:
        ExportError: One's is, or a number is not finite.
    """
    for output, deviation in found.items():
        if not deviation.unexplained < 1:
            raise ExportError(
                f"A quantized output errs by less than it varies from example to example, but {output!r} of {file} "
                f"errs by {sqrt(deviation.unexplained):.2g} of it ({deviation.relative:.2g} of its size). Keep the "
                "modules most to blame in float, calibrate by another method, or give more and truer examples."
            )
