"""ONNX files in int8: static quantization by ONNX Runtime's quantizer, as QuantizeLinear and DequantizeLinear.

Quantized are convolutions, matrix products and what lies on the way to them. What comes after the last of them
(softmax, boxes) stays in float, as do the choice of regions and operators without an int8 kernel. `quantize_static` is
not called: it writes to the system's temporary folder and calibrates anew for every layer that is kept in float.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorsData
from onnxruntime.quantization.quant_utils import add_infer_metadata

from paretonas.errors import DataError, ExportError
from paretonas.export import quantize
from paretonas.export.onnx.external import check_external_data
from paretonas.export.onnx.origin import modules_of_nodes
from paretonas.export.pairing import Arrays
from paretonas.export.quantize import Deviation, Ends, ModuleError, Quantization, is_within
from paretonas.export.quantizer import check_kept, deviations, rank_modules, worst
from paretonas.files import written_aside

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
OPS = WEIGHTED | {
    "Add", "AveragePool", "Clip", "Concat", "Flatten", "Gather", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Mul",
    "Pad", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Those that ONNX Runtime computes in int8 on a CPU."""

CHOOSING = frozenset({"ArgMax", "NonMaxSuppression", "NonZero", "TopK"})
FEATURES_FIRST = frozenset({"Gather", "GatherElements", "GatherND", "Resize", "RoiAlign"})
"""Operators whose first input alone is features; the others say where."""
STEPS = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, eq=False)
class Calibration:
    """A float file and the ranges of its tensors on examples; it can be quantized as often as one likes.

    Args:
        model: The file's contents; every node has a name.
        modules: Of every node; "" where it is unknown.
        nodes: That are quantized unless they are kept, in the order of execution.
        examples: One by one.
        options: What was asked for.
        ranges: Ends of what the nodes take and give.
    """

    model: onnx.ModelProto
    modules: Mapping[str, str]
    nodes: tuple[str, ...]
    examples: Sequence[Arrays]
    options: Quantization
    ranges: Mapping[str, Ends]

    def nodes_without(self, keep: Collection[str]) -> list[str]:
        """Nodes that are quantized where these modules and those of the options stay in float."""
        kept = (*self.options.keep, *keep)
        return [node for node in self.nodes if not is_within(self.modules[node], kept)]


@dataclass(frozen=True)
class Quantized:
    """A quantized file.

    Args:
        path: The file.
        error: Root mean square of the error over that of the numbers, on the examples, of the worst output.
        in_float: Operators that stay in float, by their module; "" where that is unknown.
    """

    path: Path
    error: float
    in_float: Mapping[str, tuple[str, ...]]


def calibrate(path: Path, examples: Sequence[Arrays], options: Quantization) -> Calibration:
    """Find the ranges of a float file's tensors.

    Args:
        path: An ONNX file of opset 13 or later, weights inside.
        examples: Inputs in the file's order, of any batch, as they come about: states too.
        options: How.

    Raises:
        DataError: Examples that cannot be used.
        ExportError: No float ONNX file that can be quantized.
        UsageError: What is to be kept in float is not in the file.
    """
    model, known = _read(path), modules_of_nodes(path)
    modules = {node.name: known.get(node.name, "") for node in model.graph.node}
    check_kept(path.name, options.keep, modules.values())
    nodes = _on_the_way(model.graph)
    if not nodes:
        raise ExportError(f"What is quantized are convolutions and matrix products, but {path.name} has none.")
    calibration = Calibration(model, modules, nodes, quantize.one_by_one(examples, options.examples), options, {})
    return replace(calibration, ranges=_ranges(calibration))


def write_quantized(
    calibration: Calibration, path: Path, keep: Collection[str] = (), is_checked: bool = True
) -> Quantized:
    """Write an int8 file that says, takes and gives what the float file does.

    Args:
        calibration: Of the float file.
        path: Is replaced in one step, unless the check fails.
        keep: Modules that stay in float, beside those of the options.
        is_checked: Refuse an output that errs by as much as it varies over the examples: see `check_deviations`. A
            network that has learned nothing varies by next to nothing; its latency may be wanted all the same.

    Raises:
        ExportError: Nothing would be quantized, or the file gives something else than the float file.
        MachineError: The system refuses to write.
    """
    model = _quantize(calibration, nodes := calibration.nodes_without(keep))
    found = _output_errors(calibration, model)
    if is_checked:
        quantize.check_deviations(found, path.name)
    with written_aside(path) as draft:
        onnx.save(model, draft)
    return Quantized(path, worst(found), _in_float(calibration, model, nodes))


def module_errors(calibration: Calibration, path: Path) -> list[ModuleError]:
    """How far what each module gives is from float, with all before it quantized; in the order of execution.

    Of the modules of `path`, made by `write_quantized`, those are left out whose output is no tensor of both files, as
    of a convolution that has become one with its activation, and those after a choice of regions.
    """
    model, graph = onnx.load(path), calibration.model.graph
    there = {name for node in model.graph.node for name in node.output} - _chosen(graph)
    last = {calibration.modules[node.name]: node.output[0] for node in graph.node if node.name in calibration.nodes}
    tensors = {module: tensor for module, tensor in last.items() if module and tensor in there}
    found = _deviations(calibration, model, list(dict.fromkeys(tensors.values())))
    return [ModuleError(module, found[tensor].relative) for module, tensor in tensors.items()]


def modules_to_blame(calibration: Calibration) -> list[ModuleError]:
    """Modules by the error of the network's output with nothing else quantized, the worst first."""
    parts = ((calibration.modules[node], node) for node in calibration.nodes_without(()))
    return rank_modules(parts, lambda own: _output_errors(calibration, _quantize(calibration, own)))


def _read(path: Path) -> onnx.ModelProto:
    """A float file, with the types of its tensors and names for all nodes."""
    try:
        check_external_data(path)
        model = onnx.shape_inference.infer_shapes(onnx.load(path))
    except Exception as error:  # protobuf's own among them
        raise ExportError(f"What is quantized is an ONNX file, but {path} cannot be read: {error}") from error
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < 13:  # that knows a scale for each channel
        raise ExportError(f"An int8 file is made of one of opset 13 or later, but {path.name} is of {opset}.")
    if any(node.op_type in STEPS for node in model.graph.node):
        raise ExportError(f"An int8 file is made of one in float, but {path.name} is quantized. Give the float file.")
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"unnamed_{i}"
    return model


def _on_the_way(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Nodes that are weighted, or whose features reach one that is, of operators with an int8 kernel."""
    wanted, found = set[str](), list[onnx.NodeProto]()
    for node in reversed(graph.node):
        if node.op_type in WEIGHTED or wanted & set(node.output):
            wanted |= set(node.input[:1] if node.op_type in FEATURES_FIRST else node.input)
            found.append(node)
    return tuple(node.name for node in reversed(found) if node.op_type in OPS)


def _chosen(graph: onnx.GraphProto) -> set[str]:
    """Tensors that hang on a choice, such as of regions: a small error may turn them into others."""
    found = set[str]()
    for node in graph.node:
        if node.op_type in CHOOSING or found & set(node.input):
            found |= set(node.output)
    return found


def _output_errors(calibration: Calibration, model: onnx.ModelProto) -> dict[str, Deviation]:
    """Of each float output; where one hangs on a choice, of all that comes out of the quantized part before it."""
    chosen = _chosen(graph := calibration.model.graph)
    outputs = [value.name for value in graph.output if value.type.tensor_type.elem_type == TensorProto.FLOAT]
    if chosen.isdisjoint(outputs):
        return _deviations(calibration, model, outputs)
    own = [node for node in graph.node if node.name in calibration.nodes]
    taken = {name for node in own for name in node.input} | chosen
    given = [name for node in own for name in node.output if name not in taken]
    return {"the network": Deviation.of_all(_deviations(calibration, model, given).values())}


def _in_float(calibration: Calibration, model: onnx.ModelProto, nodes: Collection[str]) -> dict[str, tuple[str, ...]]:
    dequantized = {name for node in model.graph.node if node.op_type == STEPS[1] for name in node.output}
    found: dict[str, dict[str, None]] = {}
    for node in model.graph.node:
        if node.op_type not in STEPS and not (node.name in nodes and node.input[0] in dequantized):
            found.setdefault(calibration.modules.get(node.name, ""), {})[node.op_type] = None
    return {module: tuple(ops) for module, ops in found.items()}


def _run(model: onnx.ModelProto, tensors: Sequence[str], is_exact: bool = False) -> Callable[[Arrays], list[Any]]:
    """What gives these tensors of an example; exact: by no machine's own kernels, but as the file says."""
    shown, options = onnx.ModelProto(), onnxruntime.SessionOptions()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    if is_exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no public base class
        raise ExportError(f"What is quantized is a file that ONNX Runtime runs, but: {error}") from error
    names = [value.name for value in session.get_inputs()]

    def run(example: Arrays) -> list[Any]:
        try:
            return list(session.run(None, dict(zip(names, example, strict=True))))
        except Exception as error:
            got = ", ".join(f"{array.dtype} {array.shape}" for array in example)
            raise DataError(f"An example is fed as {', '.join(names)}, but got {got}: {error}") from error

    return run


def _ranges(calibration: Calibration) -> dict[str, Ends]:
    """Ends of the activations that the nodes take and give."""
    graph = calibration.model.graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    names = [name for node in graph.node if node.name in calibration.nodes for name in (*node.input, *node.output)]
    weights = {tensor.name for tensor in graph.initializer}
    tensors = [x for x in dict.fromkeys(names) if types.get(x) == TensorProto.FLOAT and x not in weights]
    ends = quantize.find_ends(_run(calibration.model, tensors), calibration.examples, calibration.options)
    for name, (low, high) in zip(tensors, ends, strict=True):
        if not np.isfinite((low, high)).all():
            raise ExportError(f"A network gives finite numbers, but on the examples {name!r} has {low} to {high}.")
        if low == high and name in {value.name for value in graph.input}:
            raise DataError(f"Examples show what a network is fed, but {name!r} is {low:g} in all. Give true ones.")
    return dict(zip(tensors, ends, strict=True))


def _quantize(calibration: Calibration, nodes: Sequence[str]) -> onnx.ModelProto:
    """A model with these nodes in int8."""
    if not nodes:
        raise ExportError("A quantized file has something in int8, but all of the network is kept in float.")
    options, model = calibration.options, onnx.ModelProto()
    model.CopyFrom(calibration.model)
    add_infer_metadata(model)  # else it infers shapes, in the system's temporary folder
    ends = {name: (np.float32(low), np.float32(high)) for name, (low, high) in calibration.ranges.items()}
    ranges = TensorsData(CalibrationMethod.MinMax, ends)
    activations = QuantType.QInt8 if options.activations == "int8" else QuantType.QUInt8
    tables = {node.input[0] for node in model.graph.node if node.op_type == "Gather" and node.name in nodes}
    tables &= {tensor.name for tensor in model.graph.initializer}
    # A row of a table is no channel of a product, even where one array is both.
    more = {"TensorQuantOverrides": {x: [{"quant_type": QuantType.QInt8, "symmetric": True}] for x in tables}}
    root, mute = logging.getLogger(), logging.NullHandler()
    root.addHandler(mute)  # its first warning would give the root logger a handler that prints
    was_disabled, root.disabled = root.disabled, True
    try:
        quantizer = QDQQuantizer(
            model, True, options.is_narrow, QuantType.QInt8, activations, ranges, nodes, [], sorted(OPS), more
        )
        found = quantizer.quantize_model()
        quantizer.model.topological_sort()
    finally:
        root.disabled = was_disabled
        root.removeHandler(mute)
    del found.metadata_props[:]
    found.metadata_props.extend(calibration.model.metadata_props)
    return found


def _deviations(calibration: Calibration, model: onnx.ModelProto, tensors: Sequence[str]) -> dict[str, Deviation]:
    """How far tensors of a quantized model are from those of the float one, over the examples."""
    made = {name for node in model.graph.node for name in node.output}
    after = [f"{name}_DequantizeLinear_Output" for name in tensors]
    theirs = [given if given in made else name for name, given in zip(tensors, after, strict=True)]
    one, other = _run(calibration.model, tensors), _run(model, theirs, calibration.options.activations == "int8")
    examples = calibration.examples
    return dict(zip(tensors, deviations(map(one, examples), map(other, examples)), strict=True))
