"""LiteRT's files in int8: static quantization by AI Edge Quantizer, with ranges of ours.

Quantized are convolutions, products and what lies on the way to them, as in ONNX files; what comes after the last of
them stays in float, as do operators without an int8 kernel. So do the file's inputs and outputs, which the quantizer
would make int8: whoever runs the file feeds it what the float file is fed. Its own calibration is not called, as that
takes moving averages of the least and greatest numbers. XNNPACK's kernels add products of bytes in 32 bits on every
processor: weights have all of their 8 bits.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import DataError, ExportError
from paretonas.export import quantize
from paretonas.export.appended import append_json, read_appended
from paretonas.export.litert import IDENTIFIER, modules_behind
from paretonas.export.litert_graph import WEIGHTED, Graph, Operation, on_the_way, package
from paretonas.export.pairing import Arrays
from paretonas.export.quantize import Deviation, Ends, ModuleError, Quantization, is_within
from paretonas.export.quantizer import Quantizer, check_kept, deviations, rank_modules, worst
from paretonas.files import written_aside
from paretonas.quiet import quiet
from paretonas.registry import blamed

PRODUCTS = WEIGHTED | {"MUL"}
SUMS = frozenset({"ADD", "SUB"})
HUGE = 3e38
"""What pads a pool of maxima, in place of an infinity; no number that was computed."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A float file and the ranges of its tensors on examples; it can be quantized as often as one likes.

    Args:
        content: The file's.
        told: What it says of itself, by the name of the entry.
        operations: That are quantized unless they are kept, in the order of execution.
        examples: One by one.
        options: What was asked for.
        ranges: Ends of what the operations take and give, by the names of tensors, and how many sides these have.
        expected: What the float file gives for each example.
    """

    content: bytes
    told: Mapping[str, Mapping[str, Any]]
    operations: tuple[Operation, ...]
    examples: Sequence[Arrays]
    options: Quantization
    ranges: Mapping[str, tuple[Ends, int]]
    expected: Sequence[Sequence[NDArray[Any]]]

    def operations_without(self, keep: Collection[str]) -> list[Operation]:
        """Those that are quantized where these modules and those of the options stay in float."""
        kept = (*self.options.keep, *keep)
        return [one for one in self.operations if not is_within(one.module, kept)]


def calibrate(path: Path, examples: Sequence[Arrays], options: Quantization) -> Calibration:
    """Find the ranges of a float file's tensors.

    Args:
        path: A `.tflite`; one that paretonas wrote knows of its modules.
        examples: Inputs in the file's order, of any batch, as they come about: states too.
        options: How; activations become int8, whatever they say.

    Raises:
        DataError: Examples that cannot be used.
        ExportError: No float file that can be quantized.
        MissingPackageError: The quantizer is not installed.
        UsageError: What is to be kept in float is not in the file.
    """
    known = modules_behind(path)
    told = {"metadata": read_appended(path, IDENTIFIER, "metadata"), "modules": {"names": known}}
    content = path.read_bytes()
    with blamed(f"What is quantized is a .tflite, but {path} cannot be read", ExportError):
        graph = Graph(content, known)
    if not graph.is_float:
        raise ExportError(f"An int8 file is made of one in float, but {path.name} is quantized. Give the float file.")
    check_kept(path.name, options.keep, [one.module for one in graph.operations])
    reaching = on_the_way(graph.operations)
    if not reaching:
        raise ExportError(f"What is quantized are convolutions and matrix products, but {path.name} has none.")
    seen = quantize.one_by_one(examples, options.examples)
    run = _run(content)
    expected = [run(example) for example in seen]
    calibration = Calibration(content, told, reaching, seen, options, {}, expected)
    return replace(calibration, ranges=_ranges(calibration, graph))


def write_quantized(calibration: Calibration, path: Path, keep: Collection[str] = (), is_checked: bool = True) -> float:
    """Write an int8 file that says, takes and gives what the float file does.

    Args:
        calibration: Of the float file.
        path: Is replaced in one step, unless the check fails.
        keep: Modules that stay in float, beside those of the options.
        is_checked: Refuse an output that errs by as much as it varies over the examples: see `check_deviations`. A
            network that has learned nothing varies by next to nothing; its latency may be wanted all the same.

    Returns:
        Root mean square of the error over that of the numbers, on the examples, of the worst output.

    Raises:
        ExportError: Nothing would be quantized, or the file gives something else than the float file.
        MachineError: The system refuses to write.
    """
    operations = calibration.operations_without(keep)
    if not any(one.kind in WEIGHTED for one in operations):
        raise ExportError("A quantized file has something in int8, but all of the network is kept in float.")
    content = _quantize(calibration, operations)
    found = _output_errors(calibration, content)
    if is_checked:
        quantize.check_deviations(found, path.name)
    with written_aside(path) as draft:
        draft.write_bytes(content)
        append_json(draft, calibration.told)
    return worst(found)


def modules_to_blame(calibration: Calibration) -> list[ModuleError]:
    """Modules by the error of the network's output with nothing else quantized, the worst first."""
    parts = ((one.module, one) for one in calibration.operations_without(()))
    return rank_modules(parts, lambda own: _output_errors(calibration, _quantize(calibration, own)))


LITERT = Quantizer(calibrate, write_quantized, modules_to_blame)
"""LiteRT's files in int8, as a format's plugin."""


def _run(content: bytes, places: Sequence[int] | None = None) -> Callable[[Arrays], list[Any]]:
    """What gives these tensors of an example; None: the outputs."""
    with quiet(), warnings.catch_warnings(), blamed("What is quantized is a file that LiteRT runs, but", ExportError):
        warnings.simplefilter("ignore")  # that to keep all tensors takes memory
        interpreter = package().interpreters.create_tfl_interpreter(
            content, num_threads=1, preserve_all_tensors=places is not None
        )
    inputs = interpreter.get_input_details()
    places = [tensor["index"] for tensor in interpreter.get_output_details()] if places is None else places

    def run(example: Arrays) -> list[Any]:
        try:
            for tensor, array in zip(inputs, example, strict=True):
                interpreter.set_tensor(tensor["index"], array)
            interpreter.invoke()
            return [interpreter.get_tensor(place) for place in places]  # copies
        except Exception as error:  # ValueError and RuntimeError
            names, got = ", ".join(t["name"] for t in inputs), ", ".join(f"{x.dtype} {x.shape}" for x in example)
            raise DataError(f"An example is fed as {names}, but got {got}: {error}") from error

    return run


def _ranges(calibration: Calibration, graph: Graph) -> dict[str, tuple[Ends, int]]:
    """Ends of the activations that operations take and give."""
    taken = (place for one in calibration.operations for place in (*one.takes, *one.gives))
    places = [place for place in dict.fromkeys(taken) if place in graph.activations]
    run = _run(calibration.content, places)

    def computed(example: Arrays) -> list[Any]:
        return [np.where(np.abs(array) >= HUGE, 0, array) for array in run(example)]

    seen = quantize.find_ends(computed, calibration.examples, calibration.options)
    ends = dict(zip(places, seen, strict=True))
    for place, (low, high) in ends.items():
        name, _ = graph.activations[place]
        if not (isfinite(low) and isfinite(high)):
            raise ExportError(f"A network gives finite numbers, but on the examples {name!r} has {low} to {high}.")
        if low == high and place in graph.fed:
            raise DataError(f"Examples show what a network is fed, but {name!r} is {low:g} in all. Give true ones.")
    _widen(ends, calibration.operations, graph.spans)
    return {graph.activations[place][0]: (own, graph.activations[place][1]) for place, own in ends.items()}


def _widen(ends: dict[int, Ends], operations: Sequence[Operation], weights: Mapping[int, float]) -> None:
    """Make ends at least so wide that XNNPACK takes them: it bounds how far a step may be from that of what comes out.

    Narrower ones are of what is as good as zero beside what it is made of or added to, as what a dead activation gives.
    """

    def span(place: int) -> float:
        low, high = ends.get(place, (0.0, 0.0))
        return max(high, 0.0) - min(low, 0.0)

    def widen(place: int, least: float) -> None:
        if place in ends and span(place) < least:
            low = min(ends[place][0], 0.0)
            ends[place] = low, low + least

    for one in operations:
        if one.kind in PRODUCTS:
            least = prod(weights.get(place, span(place)) for place in one.takes[:2]) / 2**14
        else:
            least = max(map(span, one.takes)) / 2**7
        for place in one.gives:
            widen(place, least)
        for place in one.takes if one.kind in SUMS else ():
            widen(place, span(one.gives[0]) / 2**9)


def _quantize(calibration: Calibration, operations: Iterable[Operation]) -> bytes:
    """The file with these operations in int8."""
    scopes = "|".join(re.escape(one.scope) for one in operations)
    used, ends = package(), calibration.ranges.items()
    kinds = used.types.TFLOperationName
    none = used.quantizer.AlgorithmName.NO_QUANTIZE
    seen = {  # it changes them
        name: {"min": np.full((1,) * sides, low, np.float32), "max": np.full((1,) * sides, high, np.float32)}
        for name, ((low, high), sides) in ends
    }
    with quiet(), warnings.catch_warnings(), blamed("AI Edge Quantizer cannot quantize this network", ExportError):
        warnings.simplefilter("ignore")
        quantizer = used.quantizer.Quantizer(calibration.content)
        quantizer.add_static_config(f"^(?:{scopes})$", kinds.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
        for end in (kinds.INPUT, kinds.OUTPUT):
            quantizer.update_quantization_recipe(".*", end, algorithm_key=none)
        done = quantizer.quantize(seen, enable_progress_bar=False, enable_progress_report=False)
    return bytes(done.quantized_model)


def _output_errors(calibration: Calibration, content: bytes) -> dict[str, Deviation]:
    """Of each float output, over the examples."""
    run = _run(content)
    found = deviations(calibration.expected, (run(example) for example in calibration.examples))
    numbers = [array.dtype.kind == "f" for array in calibration.expected[0]]
    return {f"output {place}": one for place, one in enumerate(found) if numbers[place]}
