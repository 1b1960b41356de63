"""ONNX files.

Networks of our own layers are written directly: the module is traced symbolically, every layer is one entry of a table,
and batch normalization is folded into the convolution before it. That takes a tenth of a second, where PyTorch's
exporter takes several; in a search the conversion would otherwise cost more than the measurement. Foreign models go
through PyTorch's exporter, which is also the oracle of the tests. The batch dimension is left open.

Nodes and their outputs are named after the module that they come from (`blocks.2.0.body.0/conv_12`). An engine that
fuses nodes keeps one of these names, so that its profile can be read by module: see `modules_of_nodes`.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn

from paretonas.errors import ExportError
from paretonas.space import ForeignSpec, Spec

OPSET = 18
IR_VERSION = 10


def export_onnx(model: nn.Module, spec: Spec, input_shape: Sequence[int], path: Path) -> None:
    """Write `model` in evaluation mode as one ONNX file with input `images` and output `logits`.

    Args:
        model: Built from `spec`.
        spec: Decides who writes the file: ours if the layers are ours, PyTorch's exporter for a foreign model.
        input_shape: (N, C, H, W); N is left open in the file.
        path: Is overwritten.

    Raises:
        ExportError: A layer that cannot be written.
    """
    write = export_with_torch if isinstance(spec, ForeignSpec) else export_directly
    was_training = model.training
    model.eval()
    try:
        write(model, input_shape, path)
    finally:
        model.train(was_training)


def export_with_torch(model: nn.Module, input_shape: Sequence[int], path: Path) -> None:
    """Write through PyTorch's own exporter."""
    x = torch.zeros(2, *input_shape[1:])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (x,),
                path,
                dynamo=True,
                external_data=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(f"PyTorch could not export {type(model).__name__} to ONNX: {error}") from error


def export_directly(model: nn.Module, input_shape: Sequence[int], path: Path) -> None:
    """Write a model made of the layers in `MODULES` and the functions in `FUNCTIONS`."""
    try:
        traced = fx.symbolic_trace(model)
    except Exception as error:  # the model's own code ran on symbols
        raise ExportError(f"The direct ONNX writer cannot trace {type(model).__name__}: {error}") from error
    traced.graph.eliminate_dead_code()  # so that the last operation gives the output
    if len(traced.graph.find_nodes(op="placeholder")) != 1:
        raise ExportError(f"The direct ONNX writer takes a model of one input, but got {type(model).__name__}.")
    modules = dict(traced.named_modules())
    graph = _Graph()
    values: dict[fx.Node, str] = {}
    pending: dict[fx.Node, nn.Conv2d] = {}  # convolutions that wait for the normalization after them
    for node in traced.graph.nodes:
        graph.module = _module_path(node)
        if node.op == "placeholder":
            values[node] = "images"
        elif node.op == "output":
            graph.name_output(node.args[0])
        elif node.op == "call_function" and node.target in FUNCTIONS:
            values[node] = FUNCTIONS[node.target](graph, values, node)
        elif node.op == "call_module":
            module, source = modules[str(node.target)], node.args[0]
            if isinstance(module, nn.Conv2d) and _normalization_after(node, modules):
                pending[node] = module
                values[node] = values[source]
            elif isinstance(module, nn.BatchNorm2d) and source in pending:
                graph.module = _module_path(source)
                values[node] = _conv(graph, pending[source], values[source], _fold(module))
            elif type(module) in MODULES:
                values[node] = MODULES[type(module)](graph, module, values[source])
            else:
                raise ExportError(f"The direct ONNX writer knows no {type(module).__name__}.")
        else:
            raise ExportError(f"The direct ONNX writer knows no {node.op} of {node.target}.")
    onnx.save(graph.model(input_shape), path)


class _Graph:
    """Nodes and weights under way.

    Attributes:
        module: Dotted path of the module that the next nodes come from.
    """

    def __init__(self) -> None:
        self.module = ""
        self.nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        output = f"{self.module}/{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def weight(self, array: NDArray[Any]) -> str:
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def name_output(self, output: object) -> None:
        if not isinstance(output, fx.Node) or not self.nodes:
            raise ExportError(f"The direct ONNX writer takes a model with one computed output, but got {output}.")
        self.nodes[-1].output[0] = "logits"

    def model(self, input_shape: Sequence[int]) -> onnx.ModelProto:
        images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *input_shape[1:]])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", None])
        graph = helper.make_graph(self.nodes, "paretonas", [images], [logits], self._weights)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, producer_name="paretonas", ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model


def modules_of_nodes(path: Path) -> dict[str, str]:
    """The dotted path of the module behind every node of a file, by the node's name and by its outputs' names.

    Nodes that PyTorch's exporter wrote carry their modules as metadata; a folded normalization stands for the
    convolution before it. A node of unknown origin is left out; one of the model itself has the path "".
    """
    found: dict[str, str] = {}
    graph = onnx.load(path, load_external_data=False).graph
    for node in graph.node:
        scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), None)
        if scopes is not None:
            module = _innermost(scopes)
        else:
            module = node.name.rpartition("/")[0] if "/" in node.name else None
        if module is not None:
            found |= dict.fromkeys(filter(None, (node.name, *node.output)), module)
    return found


def _innermost(scopes: str) -> str | None:
    """The module of PyTorch's list of scopes, whose last entry is the operation.

    >>> _innermost("['', 'blocks', 'blocks.0', 'relu_1']")
    'blocks.0'
    """
    try:
        names = ast.literal_eval(scopes)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # whatever a stranger's file says
        return None
    return str(names[-2]) if isinstance(names, list) and len(names) > 1 else None


def _module_path(node: fx.Node) -> str:
    """Of the module that is called, or of the one whose code calls a function."""
    return str(node.target) if node.op == "call_module" else next(reversed(node.meta.get("nn_module_stack", {})), "")


Affine = tuple[NDArray[np.float32], NDArray[np.float32]]


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
    return array


def _normalization_after(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    users = list(node.users)
    return (
        len(users) == 1 and users[0].op == "call_module" and isinstance(modules[str(users[0].target)], nn.BatchNorm2d)
    )


def _require(module: nn.Module, holds: bool) -> None:
    if not holds:
        raise ExportError(f"The direct ONNX writer does not know all options of {module}.")


def _fold(norm: nn.BatchNorm2d) -> Affine:
    """The scale and the shift that the normalization applies to each channel."""
    _require(norm, norm.affine and norm.track_running_stats)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + np.float32(norm.eps))
    return scale, _array(norm.bias) - _array(norm.running_mean) * scale


def _conv(graph: _Graph, conv: nn.Conv2d, x: str, after: Affine | None = None) -> str:
    _require(conv, conv.padding_mode == "zeros" and not isinstance(conv.padding, str))
    weight = _array(conv.weight)
    bias = np.zeros(conv.out_channels, np.float32) if conv.bias is None else _array(conv.bias)
    if after is not None:
        scale, shift = after
        weight, bias = weight * scale[:, None, None, None], bias * scale + shift
    inputs = [x, graph.weight(weight)]
    if after is not None or conv.bias is not None:
        inputs.append(graph.weight(bias))
    assert not isinstance(conv.padding, str)
    return graph.add(
        "Conv",
        *inputs,
        kernel_shape=list(conv.kernel_size),
        strides=list(conv.stride),
        pads=[*conv.padding, *conv.padding],
        dilations=list(conv.dilation),
        group=conv.groups,
    )


def _batch_norm(graph: _Graph, norm: nn.BatchNorm2d, x: str) -> str:
    scale, shift = _fold(norm)
    scaled = graph.add("Mul", x, graph.weight(scale[:, None, None]))
    return graph.add("Add", scaled, graph.weight(shift[:, None, None]))


def _linear(graph: _Graph, linear: nn.Linear, x: str) -> str:
    bias = [] if linear.bias is None else [graph.weight(_array(linear.bias))]
    return graph.add("Gemm", x, graph.weight(_array(linear.weight)), *bias, transB=1)


def _avg_pool(graph: _Graph, pool: nn.AvgPool2d, x: str) -> str:
    _require(pool, not pool.ceil_mode and pool.divisor_override is None)
    kernel, stride, padding = (_pair(v) for v in (pool.kernel_size, pool.stride, pool.padding))
    includes = int(pool.count_include_pad)
    return graph.add(
        "AveragePool", x, kernel_shape=kernel, strides=stride, pads=padding * 2, count_include_pad=includes
    )


def _global_pool(graph: _Graph, pool: nn.AdaptiveAvgPool2d, x: str) -> str:
    if pool.output_size not in (1, (1, 1)):
        raise ExportError(f"The direct ONNX writer pools to 1 x 1, but got {pool.output_size}.")
    return graph.add("GlobalAveragePool", x)


def _flatten(graph: _Graph, module: nn.Flatten, x: str) -> str:
    _require(module, (module.start_dim, module.end_dim) == (1, -1))
    return graph.add("Flatten", x, axis=1)


def _relu6(graph: _Graph, module: nn.ReLU6, x: str) -> str:
    low, high = (graph.weight(np.array(bound, np.float32)) for bound in (0, 6))
    return graph.add("Clip", x, low, high)


def _pair(value: int | tuple[int, int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


MODULES: dict[type[nn.Module], Callable[[_Graph, Any, str], str]] = {
    nn.AdaptiveAvgPool2d: _global_pool,
    nn.AvgPool2d: _avg_pool,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _conv,
    nn.Dropout: lambda graph, module, x: x,
    nn.Flatten: _flatten,
    nn.Identity: lambda graph, module, x: x,
    nn.Linear: _linear,
    nn.ReLU: lambda graph, module, x: graph.add("Relu", x),
    nn.ReLU6: _relu6,
    nn.Sigmoid: lambda graph, module, x: graph.add("Sigmoid", x),
}


def _binary(op: str) -> Callable[[_Graph, dict[fx.Node, str], fx.Node], str]:
    def write(graph: _Graph, values: dict[fx.Node, str], node: fx.Node) -> str:
        operands = [x for x in node.args if isinstance(x, fx.Node)]  # all_input_nodes lists x + x once
        if len(operands) != 2:
            raise ExportError(f"The direct ONNX writer combines two tensors, but got {node.args}.")
        return graph.add(op, *(values[x] for x in operands))

    return write


def _slice_channels(graph: _Graph, values: dict[fx.Node, str], node: fx.Node) -> str:
    """`x[:, start:stop]`."""
    index = node.args[1]
    if not (
        isinstance(index, tuple)
        and len(index) == 2
        and index[0] == slice(None)
        and isinstance(index[1], slice)
        and index[1].step in (None, 1)
    ):
        raise ExportError(f"The direct ONNX writer slices channels only, but got {index}.")
    bounds = (index[1].start or 0, np.iinfo(np.int64).max if index[1].stop is None else index[1].stop)
    start, stop = (graph.weight(np.array([bound], np.int64)) for bound in bounds)
    return graph.add("Slice", values[node.all_input_nodes[0]], start, stop, graph.weight(np.array([1], np.int64)))


def _pad_channels(graph: _Graph, values: dict[fx.Node, str], node: fx.Node) -> str:
    """`F.pad(x, (0, 0, 0, 0, before, after))` with zeros."""
    pad: Any = node.args[1]
    if len(pad) != 6 or any(pad[:4]) or node.kwargs.get("mode") != "constant" or node.kwargs.get("value"):
        raise ExportError(f"The direct ONNX writer pads channels only, but got {pad}.")
    pads = np.array([0, pad[4], 0, 0, 0, pad[5], 0, 0], np.int64)
    return graph.add("Pad", values[node.all_input_nodes[0]], graph.weight(pads))


FUNCTIONS: dict[Any, Callable[[_Graph, dict[fx.Node, str], fx.Node], str]] = {
    operator.add: _binary("Add"),
    operator.mul: _binary("Mul"),
    operator.getitem: _slice_channels,
    F.pad: _pad_channels,
}
