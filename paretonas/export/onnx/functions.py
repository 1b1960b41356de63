"""How functions of tensors are written: one entry a function, one short function each, its arguments PyTorch's."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from paretonas.errors import ExportError
from paretonas.export.onnx.graph import ELEMENTS, Graph, Operand, Value, require, whole

LAST = int(np.iinfo(np.int64).max)
"""Where a slice ends that goes to the end."""

RESHAPES: set[Any] = {
    torch.flatten,
    torch.reshape,
    torch.squeeze,
    torch.unflatten,
    torch.unsqueeze,
    torch.Tensor.view,
}
"""Functions that keep all numbers in their order, whatever their arguments."""


def reshape(graph: Graph, x: Operand) -> str:
    """To the shape that is known of the result."""
    shape = graph.result.shape
    if shape.count(None) > 1:
        raise ExportError(f"The direct ONNX writer gives a shape one side that depends on the batch, but got {shape}.")
    return graph.add("Reshape", x, whole(*(-1 if side is None else side for side in shape)))


def _unary(op: str) -> Callable[[Graph, Value], str]:
    return lambda graph, x: graph.add(op, x)


def _binary(op: str) -> Callable[[Graph, Any, Any], str]:
    """Of two tensors, or of a tensor and a number on either side."""

    def write(graph: Graph, a: Any, b: Any) -> str:
        for x in (a, b):
            require(isinstance(x, int | float) or (isinstance(x, Value) and x.dtype == "float32"), f"{op} of {x}")
        return graph.add(op, a, b)

    return write


def _reduction(op: str) -> Callable[..., str]:
    def write(graph: Graph, x: Value, dim: Any = None, keepdim: bool = False) -> str:
        axes = [dim] if isinstance(dim, int) else list(dim or ())
        require(bool(axes) and x.dtype == "float32", f"{op} over the dimensions {dim}")
        return graph.add(op, x, whole(*axes), keepdims=int(keepdim))

    return write


def _clamp(graph: Graph, x: Value, min: Any = None, max: Any = None) -> str:
    require(not isinstance(min, Value) and not isinstance(max, Value), "clamping by tensors")
    return graph.add("Clip", x, *("" if bound is None else bound for bound in (min, max)))


def _cat(graph: Graph, tensors: Sequence[Value], dim: int = 0) -> str:
    return graph.add("Concat", *tensors, axis=dim)


def _stack(graph: Graph, tensors: Sequence[Value], dim: int = 0) -> str:
    return graph.add("Concat", *(graph.add("Unsqueeze", x, whole(dim)) for x in tensors), axis=dim)


def _split(graph: Graph, x: Value, size: object, dim: int = 0) -> tuple[str, ...]:
    """Into parts of the sizes that are known of the results; `chunk` and `split` differ in `size` alone."""
    sizes = [part.shape[dim] for part in graph.result]
    require(None not in sizes, "a split of the batch")
    return graph.add_split(x, sizes, dim)


def _getitem(graph: Graph, x: Any, index: Any) -> Any:
    """An element of a tuple, or `x[:, 1:, ::2, -1]`: slices, then a reshape where a number or None is among them."""
    if isinstance(x, tuple):
        chosen = x[index]
        return chosen.name if isinstance(chosen, Value) else tuple(value.name for value in chosen)
    parts = index if isinstance(index, tuple) else (index,)
    require(all(part is None or part is ... or type(part) in (int, slice) for part in parts), f"the index {index}")
    if ... in parts:
        i, taken = parts.index(...), sum(part is not None and part is not ... for part in parts)
        parts = (*parts[:i], *[slice(None)] * (len(x.shape) - taken), *parts[i + 1 :])
    sliced = _slice(graph, x, [part for part in parts if part is not None])
    is_reshaped = any(not isinstance(part, slice) for part in parts)
    return reshape(graph, sliced) if is_reshaped else sliced


def _slice(graph: Graph, x: Value, parts: Sequence[Any]) -> str:
    """The slices; a whole number is one of length 1."""
    slices = [part if isinstance(part, slice) else slice(part, part + 1 or None) for part in parts]
    bounds = [(s.start or 0, LAST if s.stop is None else s.stop, i, s.step or 1) for i, s in enumerate(slices)]
    bounds = [bound for bound, s in zip(bounds, slices, strict=True) if s != slice(None)]
    if not bounds:
        return x.name
    starts, stops, axes, steps = zip(*bounds, strict=True)
    return graph.add("Slice", x, whole(*starts), whole(*stops), whole(*axes), whole(*steps))


def _transpose(graph: Graph, x: Value, dim0: int, dim1: int) -> str:
    order = list(range(len(x.shape)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return graph.add("Transpose", x, perm=order)


def _permute(graph: Graph, x: Value, *dims: Any) -> str:
    order = dims[0] if isinstance(dims[0], tuple | list) else dims
    return graph.add("Transpose", x, perm=[dim % len(x.shape) for dim in order])


def _pad(graph: Graph, x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> str:
    """PyTorch names the last dimension first, ONNX all of them, those before and then those after."""
    require(mode in ("constant", "replicate"), f"padding by {mode!r}")
    others = [0] * (len(x.shape) - len(pad) // 2)
    before, after = [*others, *reversed(pad[0::2])], [*others, *reversed(pad[1::2])]
    named = "edge" if mode == "replicate" else mode
    return graph.add("Pad", x, whole(*before, *after), *([value] if value else []), mode=named)


def _zeros_like(graph: Graph, x: Value) -> str:
    require(x.dtype == "float32", "zeros of whole numbers")
    return graph.add("ConstantOfShape", graph.add("Shape", x))


def _same(graph: Graph, x: Value) -> str:
    return x.name


def _to(graph: Graph, x: Value, dtype: object) -> str:
    require(dtype is torch.float32, f"numbers of type {dtype}")
    return x.name if x.dtype == "float32" else graph.add("Cast", x, to=ELEMENTS["float32"])


def _where(graph: Graph, condition: Value, a: Any, b: Any) -> str:
    require(condition.dtype == "bool", f"a choice by {condition.dtype}")
    return graph.add("Where", condition, a, b)


def _cumsum(graph: Graph, x: Value, dim: int) -> str:
    return graph.add("CumSum", x, np.array(dim))


def _triu(graph: Graph, x: Value, diagonal: int = 0) -> str:
    return graph.add("Trilu", x, np.array(diagonal), upper=1)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    F.pad: _pad,
    operator.add: _binary("Add"),
    operator.getitem: _getitem,
    operator.gt: _binary("Greater"),
    operator.matmul: _binary("MatMul"),
    operator.mul: _binary("Mul"),
    operator.neg: _unary("Neg"),
    operator.pow: _binary("Pow"),
    operator.sub: _binary("Sub"),
    operator.truediv: _binary("Div"),
    torch.Tensor.contiguous: _same,
    torch.Tensor.to: _to,
    torch.abs: _unary("Abs"),
    torch.add: _binary("Add"),
    torch.amax: _reduction("ReduceMax"),
    torch.amin: _reduction("ReduceMin"),
    torch.cat: _cat,
    torch.chunk: _split,
    torch.clamp: _clamp,
    torch.concat: _cat,
    torch.cumsum: _cumsum,
    torch.div: _binary("Div"),
    torch.exp: _unary("Exp"),
    torch.matmul: _binary("MatMul"),
    torch.maximum: _binary("Max"),
    torch.mean: _reduction("ReduceMean"),
    torch.minimum: _binary("Min"),
    torch.mul: _binary("Mul"),
    torch.neg: _unary("Neg"),
    torch.permute: _permute,
    torch.pow: _binary("Pow"),
    torch.sin: _unary("Sin"),
    torch.split: _split,
    torch.sqrt: _unary("Sqrt"),
    torch.stack: _stack,
    torch.sub: _binary("Sub"),
    torch.sum: _reduction("ReduceSum"),
    torch.transpose: _transpose,
    torch.triu: _triu,
    torch.where: _where,
    torch.zeros_like: _zeros_like,
}
