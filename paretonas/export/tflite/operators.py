"""How nodes of ONNX are written in a `.tflite`: one entry an operator, one short function each."""

from __future__ import annotations

from collections.abc import Callable
from math import isclose

import numpy as np
import onnx

from paretonas.errors import ExportError
from paretonas.export.tflite.flatbuffer import Tensor
from paretonas.export.tflite.values import Values, attributes, order, permuted
from paretonas.export.tflite.windows import average_pool, conv, fully_connected, global_pool, max_pool, pad, resize

Writer = Callable[[Values, onnx.NodeProto], None]


def require(holds: bool, what: str) -> None:
    """Refuse what cannot be written.

    Raises:
        ExportError: It does not hold.
    """
    if not holds:
        raise ExportError(f"The direct LiteRT writer knows no {what}.")


def _unary(op: str) -> Writer:
    def write(values: Values, node: onnx.NodeProto) -> None:
        x = values.either(node.input[0])
        values.write(node, op, [x.tensor], x.is_last)

    return write


def _binary(op: str) -> Writer:
    """Of two tensors, or of a tensor and a constant on either side."""

    def write(values: Values, node: onnx.NodeProto) -> None:
        computed = [name for name in node.input if not values.is_constant(name)]
        rank = len(values.shapes[node.output[0]])
        is_last = rank >= 4 and any(values.is_last(name) for name in computed)
        require(not is_last or all(len(values.shapes[name]) == rank for name in computed), "sum across ranks")
        values.write(node, op, [_operand(values, name, rank, is_last) for name in node.input], is_last)

    return write


def _operand(values: Values, name: str, rank: int, is_last: bool) -> Tensor:
    if not values.is_constant(name):
        return values.last(name) if is_last else values.plain(name)
    array = values.array(name)
    require(array.dtype == np.float32, "numbers but fractions")
    if is_last and array.ndim:
        array = array.reshape((1,) * (rank - array.ndim) + array.shape).transpose(order(rank))
    return values.file.constant(name, array)


def _sum(values: Values, node: onnx.NodeProto) -> None:
    """Nothing added is nothing to do."""
    for name, other in (node.input, reversed(node.input)):
        is_nothing = values.is_constant(other) and not values.array(other).any()
        if is_nothing and values.shapes.get(name) == values.shapes[node.output[0]]:
            if values.is_constant(name):
                values.set_constant(node.output[0], values.array(name))
            else:
                values.set(node.output[0], *values.either(name))
            return
    _binary("ADD")(values, node)


def _zeros(values: Values, node: onnx.NodeProto) -> None:
    require(not attributes(node), "constant but zeros")
    values.set_constant(node.output[0], np.zeros(values.shapes[node.output[0]], np.float32))


def _nothing(values: Values, node: onnx.NodeProto) -> None:
    """Whoever takes it knows of itself what it says."""


def _activation(values: Values, node: onnx.NodeProto) -> None:
    """One that no operator before it does: `RELU` and the like, or a bound each."""
    name, x = values.activation(node), values.either(node.input[0])
    if name != "NONE":
        values.write(node, name, [x.tensor], x.is_last)
        return
    low, high = values.bounds(node)
    tensor = x.tensor
    for op, bound in (("MAXIMUM", low), ("MINIMUM", high)):
        if np.isfinite(bound):
            limit = values.file.constant(f"{node.name}.{op.lower()}", np.array(bound))
            tensor = values.file.add(op, [tensor, limit], tensor.shape, node.name)
    values.set(node.output[0], tensor, x.is_last)


def _hard_sigmoid(values: Values, node: onnx.NodeProto) -> None:
    said, x = attributes(node), values.either(node.input[0])
    require(isclose(said["alpha"], 1 / 6, rel_tol=1e-6) and said["beta"] == 0.5, "hard sigmoid but `relu6(x + 3) / 6`")
    three, sixth = (values.file.constant(f"{node.name}.{a}", np.array(b)) for a, b in (("shift", 3), ("scale", 1 / 6)))
    options = {"fusedActivationFunction": "RELU6"}
    shifted = values.file.add("ADD", [x.tensor, three], x.tensor.shape, f"{node.name}.shifted", options)
    values.write(node, "MUL", [shifted, sixth], x.is_last)


def _elu(values: Values, node: onnx.NodeProto) -> None:
    require(attributes(node).get("alpha", 1.0) == 1, "ELU but of alpha 1")
    _unary("ELU")(values, node)


def _leaky(values: Values, node: onnx.NodeProto) -> None:
    x = values.either(node.input[0])
    values.write(node, "LEAKY_RELU", [x.tensor], x.is_last, {"alpha": attributes(node).get("alpha", 0.01)})


def _softmax(values: Values, node: onnx.NodeProto) -> None:
    x = values.either(node.input[0])
    require(_axis(values, node, x.is_last) == len(x.tensor.shape) - 1, "softmax but along the last axis")
    values.write(node, "SOFTMAX", [x.tensor], x.is_last, {"beta": 1.0})


def _axis(values: Values, node: onnx.NodeProto, is_last: bool) -> int:
    """The axis that a node names, in the file's order."""
    rank = len(values.shapes[node.input[0]])
    return order(rank, is_last).index(attributes(node).get("axis", -1) % rank)


def _reduction(op: str) -> Writer:
    def write(values: Values, node: onnx.NodeProto) -> None:
        x, rank = values.either(node.input[0]), len(values.shapes[node.input[0]])
        axes = {axis % rank for axis in values.whole(node.input[1])}
        is_kept = bool(attributes(node).get("keepdims", 1))
        left = [axis for axis in order(rank, x.is_last) if axis not in axes]
        if x.is_last and not is_kept and left != sorted(left):
            x = x._replace(tensor=values.plain(node.input[0]), is_last=False)
        named = sorted(order(rank, x.is_last).index(axis) for axis in axes)
        inputs = [x.tensor, values.file.whole(*named)]
        values.write(node, op, inputs, x.is_last and is_kept, {"keepDims": is_kept})

    return write


def _concat(values: Values, node: onnx.NodeProto) -> None:
    is_last = any(values.is_last(name) for name in node.input)
    parts = [values.last(name) if is_last else values.plain(name) for name in node.input]
    values.write(node, "CONCATENATION", parts, is_last, {"axis": _axis(values, node, is_last)})


def _split(values: Values, node: onnx.NodeProto) -> None:
    x = values.either(node.input[0])
    axis, begin = _axis(values, node, x.is_last), 0
    for size, name in zip(values.whole(node.input[1]), node.output, strict=True):
        begins, sizes = [0] * len(x.tensor.shape), list(x.tensor.shape)
        begins[axis], sizes[axis] = begin, size
        begin += size
        inputs = [x.tensor, values.file.whole(*begins), values.file.whole(*sizes)]
        values.set(name, values.file.add("SLICE", inputs, sizes, name), x.is_last)


def _slice(values: Values, node: onnx.NodeProto) -> None:
    x, rank = values.either(node.input[0]), len(values.shapes[node.input[0]])
    begins, ends, strides = [0] * rank, list(x.tensor.shape), [1] * rank
    for start, stop, axis, step in zip(*(values.whole(name) for name in node.input[1:]), strict=True):
        require(step > 0, "slice backwards")
        at = order(rank, x.is_last).index(axis % rank)
        begins[at], ends[at], strides[at] = *slice(start, stop).indices(ends[at])[:2], step
    if set(strides) == {1}:
        sizes = [end - begin for begin, end in zip(begins, ends, strict=True)]
        values.write(node, "SLICE", [x.tensor, *(values.file.whole(*part) for part in (begins, sizes))], x.is_last)
        return
    inputs = [x.tensor, *(values.file.whole(*part) for part in (begins, ends, strides))]
    values.write(node, "STRIDED_SLICE", inputs, x.is_last)


def _pad(values: Values, node: onnx.NodeProto) -> None:
    said, x = attributes(node), values.either(node.input[0])
    require(said.get("mode", b"constant") == b"constant", f"padding by {said.get('mode')}")
    widths = values.whole(node.input[1])
    rank = len(widths) // 2
    require(min(widths) >= 0, "padding by less than nothing")
    around = float(values.array(node.input[2])) if len(node.input) > 2 else 0.0
    before, after = (permuted(part, order(rank, x.is_last)) for part in (widths[:rank], widths[rank:]))
    values.set(node.output[0], pad(values, x.tensor, (before, after), node.name, around), x.is_last)


def _reshape(values: Values, node: onnx.NodeProto) -> None:
    """Channels alone are divided or joined as they lie; so is what is one pixel. All else is brought in order first."""
    before, after = (values.shapes[name] for name in (node.input[0], node.output[0]))
    x = values.either(node.input[0])
    ends_alike = len(after) >= 4 and (before[0], before[-2:]) == (after[0], after[-2:])
    if x.is_last and ends_alike:
        _reshaped(values, node, x.tensor, True)
    else:
        is_pixel = before[-2:] == (1, 1) and len(before) == 4
        _reshaped(values, node, x.tensor if x.is_last and is_pixel else values.plain(node.input[0]), False)


def _reshaped(values: Values, node: onnx.NodeProto, x: Tensor, is_last: bool) -> None:
    shape = values.shapes[node.output[0]]
    values.write(node, "RESHAPE", [x, values.file.whole(*permuted(shape, order(len(shape), is_last)))], is_last)


def _transpose(values: Values, node: onnx.NodeProto) -> None:
    """In the file's order; nothing is done where that is what is asked for."""
    x, asked = values.either(node.input[0]), list(attributes(node)["perm"])
    rank = len(asked)
    stays_last = x.is_last and all(asked[axis] == axis for axis in (0, rank - 2, rank - 1))
    found = permuted(asked, order(rank, stays_last))
    axes = [order(rank, x.is_last).index(axis) for axis in found]
    if axes == sorted(axes):
        values.set(node.output[0], x.tensor, stays_last)
    else:
        values.write(node, "TRANSPOSE", [x.tensor, values.file.whole(*axes)], stays_last)


def _mat_mul(values: Values, node: onnx.NodeProto) -> None:
    """With weights, (inputs, outputs)."""
    weight = values.array(node.input[1])
    require(weight.ndim == 2, "product with a pile of matrices")
    x, shape = values.plain(node.input[0]), values.shapes[node.output[0]]
    kernel = values.file.constant(f"{node.name}.weight", weight.T)
    bias = values.file.constant(f"{node.name}.bias", np.zeros(shape[-1]))
    values.write(node, "FULLY_CONNECTED", [x, kernel, bias], options={"keepNumDims": True})


OPERATORS: dict[str, Writer] = {
    "Abs": _unary("ABS"),
    "Add": _sum,
    "AveragePool": average_pool,
    "Clip": _activation,
    "Concat": _concat,
    "ConstantOfShape": _zeros,
    "Conv": conv,
    "Div": _binary("DIV"),
    "Elu": _elu,
    "Exp": _unary("EXP"),
    "Flatten": _reshape,
    "Gemm": fully_connected,
    "GlobalAveragePool": global_pool("MEAN"),
    "GlobalMaxPool": global_pool("REDUCE_MAX"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary("HARD_SWISH"),
    "LeakyRelu": _leaky,
    "MatMul": _mat_mul,
    "Max": _binary("MAXIMUM"),
    "MaxPool": max_pool,
    "Min": _binary("MINIMUM"),
    "Mul": _binary("MUL"),
    "Neg": _unary("NEG"),
    "Pad": _pad,
    "ReduceMax": _reduction("REDUCE_MAX"),
    "ReduceMean": _reduction("MEAN"),
    "ReduceMin": _reduction("REDUCE_MIN"),
    "ReduceSum": _reduction("SUM"),
    "Relu": _activation,
    "Reshape": _reshape,
    "Resize": resize,
    "Shape": _nothing,
    "Sigmoid": _unary("LOGISTIC"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _unary("SQRT"),
    "Sub": _binary("SUB"),
    "Tanh": _unary("TANH"),
    "Transpose": _transpose,
}


def write_node(values: Values, node: onnx.NodeProto) -> None:
    """Write a node, unless the one before it did.

    Raises:
        ExportError: This writer does not know it, or not with its options.
    """
    if values.is_fused(node):
        return
    require(node.op_type in OPERATORS, node.op_type)
    OPERATORS[node.op_type](values, node)
