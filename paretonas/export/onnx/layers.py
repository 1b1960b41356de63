"""How the layers of `torch.nn` are written: one entry a layer, one short function each.

Functions that do what a layer does, and have its options, are written as that layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from paretonas.export.onnx.functions import reshape
from paretonas.export.onnx.graph import Graph, Value, array_of, require, whole

Affine = tuple[NDArray[Any], NDArray[Any]]


def fold(norm: nn.BatchNorm2d) -> Affine:
    """The scale and the shift that the normalization applies to each channel."""
    require(norm.affine and norm.track_running_stats, norm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = array_of(norm.weight) / np.sqrt(array_of(norm.running_var) + np.float32(norm.eps))
    return scale, array_of(norm.bias) - array_of(norm.running_mean) * scale


def conv(graph: Graph, layer: nn.Conv2d, x: Value, after: Affine | None = None) -> str:
    """A convolution, with what a normalization after it does to its weights."""
    require(layer.padding_mode == "zeros" and not isinstance(layer.padding, str), layer)
    weight, bias = array_of(layer.weight), None if layer.bias is None else array_of(layer.bias)
    if after is not None:
        scale, shift = after
        weight, bias = weight * scale[:, None, None, None], shift if bias is None else bias * scale + shift
    return graph.add(
        "Conv",
        x,
        weight,
        *([] if bias is None else [bias]),
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding],
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def _batch_norm(graph: Graph, norm: nn.BatchNorm2d, x: Value) -> str:
    scale, shift = fold(norm)
    return graph.add("Add", graph.add("Mul", x, scale[:, None, None]), shift[:, None, None])


def _linear(graph: Graph, layer: nn.Linear, x: Value) -> str:
    weight, bias = array_of(layer.weight), [] if layer.bias is None else [array_of(layer.bias)]
    if len(x.shape) == 2:
        return graph.add("Gemm", x, weight, *bias, transB=1)
    product = graph.add("MatMul", x, np.ascontiguousarray(weight.T))
    return graph.add("Add", product, *bias) if bias else product


def _embedding(graph: Graph, layer: nn.Embedding, x: Value) -> str:
    require(layer.max_norm is None, layer)
    return graph.add("Gather", array_of(layer.weight), x)


def _avg_pool(graph: Graph, pool: nn.AvgPool2d, x: Value) -> str:
    require(len(x.shape) == 4 and not pool.ceil_mode and pool.divisor_override is None, pool)
    return graph.add(
        "AveragePool",
        x,
        kernel_shape=_pair(pool.kernel_size),
        strides=_pair(pool.stride),
        pads=_pair(pool.padding) * 2,
        count_include_pad=int(pool.count_include_pad),
    )


def _max_pool(graph: Graph, pool: nn.MaxPool2d, x: Value) -> str:
    require(len(x.shape) == 4 and not pool.ceil_mode and not pool.return_indices, pool)
    return graph.add(
        "MaxPool",
        x,
        kernel_shape=_pair(pool.kernel_size),
        strides=_pair(pool.stride),
        pads=_pair(pool.padding) * 2,
        dilations=_pair(pool.dilation),
    )


def _global_pool(op: str) -> Callable[[Graph, Any, Value], str]:
    def write(graph: Graph, pool: Any, x: Value) -> str:
        is_global = pool.output_size in (1, (1, 1)) and not getattr(pool, "return_indices", False)
        require(len(x.shape) == 4 and is_global, pool)
        return graph.add(op, x)

    return write


def _flatten(graph: Graph, layer: nn.Flatten, x: Value) -> str:
    is_usual = layer.start_dim == 1 and layer.end_dim in (-1, len(x.shape) - 1)
    return graph.add("Flatten", x, axis=1) if is_usual else reshape(graph, x)


def _upsample(graph: Graph, layer: nn.Upsample, x: Value) -> str:
    """Whole multiples by their factors, which every engine rounds alike; other sizes as they are."""
    require(len(x.shape) == 4 and layer.mode == "nearest" and not layer.recompute_scale_factor, layer)
    after, before = graph.result.shape[2:], x.shape[2:]
    require(None not in (*after, *before), layer)
    options: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    factors = _pair(layer.scale_factor) if layer.scale_factor else [m / n for m, n in zip(after, before, strict=True)]
    if layer.scale_factor or all(factor == math.floor(factor) for factor in factors):
        return graph.add("Resize", x, "", np.array([1, 1, *factors], np.float32), mode="nearest", **options)
    return graph.add("Resize", x, "", "", whole(*after), mode="nearest", axes=[2, 3], **options)


def _gelu(graph: Graph, layer: nn.GELU, x: Value) -> str:
    """`x / 2 * (1 + erf(x / sqrt(2)))`; ONNX has it from opset 20 on."""
    require(layer.approximate == "none", layer)
    error = graph.add("Erf", graph.add("Div", x, math.sqrt(2)))
    return graph.add("Mul", graph.add("Mul", x, graph.add("Add", error, 1)), 0.5)


def _silu(graph: Graph, layer: nn.SiLU, x: Value) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _softmax(op: str) -> Callable[[Graph, Any, Value], str]:
    def write(graph: Graph, layer: Any, x: Value) -> str:
        require(layer.dim is not None, layer)
        return graph.add(op, x, axis=layer.dim)

    return write


def _same(graph: Graph, layer: nn.Module, x: Value) -> str:
    return x.name


def _activation(op: str) -> Callable[[Graph, Any, Value], str]:
    return lambda graph, layer, x: graph.add(op, x)


def _pair(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple | list) else [value, value]


MODULES: dict[type[nn.Module], Callable[[Graph, Any, Value], str]] = {
    nn.AdaptiveAvgPool2d: _global_pool("GlobalAveragePool"),
    nn.AdaptiveMaxPool2d: _global_pool("GlobalMaxPool"),
    nn.AvgPool2d: _avg_pool,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: conv,
    nn.Dropout: _same,
    nn.ELU: lambda graph, layer, x: graph.add("Elu", x, alpha=layer.alpha),
    nn.Embedding: _embedding,
    nn.Flatten: _flatten,
    nn.GELU: _gelu,
    nn.Hardsigmoid: lambda graph, layer, x: graph.add("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    nn.Hardswish: _activation("HardSwish"),
    nn.Hardtanh: lambda graph, layer, x: graph.add("Clip", x, layer.min_val, layer.max_val),
    nn.Identity: _same,
    nn.LeakyReLU: lambda graph, layer, x: graph.add("LeakyRelu", x, alpha=layer.negative_slope),
    nn.Linear: _linear,
    nn.LogSoftmax: _softmax("LogSoftmax"),
    nn.MaxPool2d: _max_pool,
    nn.ReLU: _activation("Relu"),
    nn.ReLU6: lambda graph, layer, x: graph.add("Clip", x, 0, 6),
    nn.SiLU: _silu,
    nn.Sigmoid: _activation("Sigmoid"),
    nn.Softmax: _softmax("Softmax"),
    nn.Tanh: _activation("Tanh"),
    nn.Upsample: _upsample,
}


def _interpolate(
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> nn.Module:
    require(not antialias, "'interpolate'")
    return nn.Upsample(size, scale_factor, mode, align_corners, recompute_scale_factor)


def _dropout(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Module:
    require(not training, "'dropout'")
    return nn.Dropout(p)


def _softmax_of(layer: type[nn.Module]) -> Callable[..., nn.Module]:
    def make(dim: int | None = None, _stacklevel: int = 3, dtype: object = None) -> nn.Module:
        require(dtype is None, "'softmax'")
        return layer(dim)

    return make


LAYERS_OF_FUNCTIONS: dict[Any, Callable[..., nn.Module]] = {
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    F.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
    F.avg_pool2d: nn.AvgPool2d,
    F.dropout: _dropout,
    F.elu: nn.ELU,
    F.gelu: nn.GELU,
    F.hardsigmoid: nn.Hardsigmoid,
    F.hardswish: nn.Hardswish,
    F.hardtanh: nn.Hardtanh,
    F.interpolate: _interpolate,
    F.leaky_relu: nn.LeakyReLU,
    F.log_softmax: _softmax_of(nn.LogSoftmax),
    F.max_pool2d: nn.MaxPool2d,
    F.relu: nn.ReLU,
    F.relu6: nn.ReLU6,
    F.silu: nn.SiLU,
    F.softmax: _softmax_of(nn.Softmax),
    torch.log_softmax: nn.LogSoftmax,
    torch.relu: nn.ReLU,
    torch.sigmoid: nn.Sigmoid,
    torch.softmax: nn.Softmax,
    torch.tanh: nn.Tanh,
}
