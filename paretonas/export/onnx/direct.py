"""Networks of our own layers, written without PyTorch's exporter."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import fx, nn

from paretonas.errors import ExportError
from paretonas.export.onnx.functions import FUNCTIONS, RESHAPES, reshape
from paretonas.export.onnx.graph import Graph, Value, array_of, require
from paretonas.export.onnx.layers import LAYERS_OF_FUNCTIONS, MODULES, conv, fold
from paretonas.export.onnx.regions import REGION_FUNCTIONS
from paretonas.export.onnx.trace import depends_on_batch, holds_tensors, module_path, trace
from paretonas.space import Interface


def export_directly(model: nn.Module, interface: Interface, path: Path) -> None:
    """Write a model made of the layers in `MODULES` and the functions in `FUNCTIONS`.

    Args:
        model: See `graph_of`.
        interface: Of the model.
        path: Is overwritten.

    Raises:
        ExportError: See `graph_of`.
    """
    onnx.save(graph_of(model, interface), path)


def graph_of(model: nn.Module, interface: Interface) -> onnx.ModelProto:
    """What `export_directly` writes.

    Args:
        model: In evaluation mode; `trace` says what its code may do.
        interface: Of the model.

    Raises:
        ExportError: The model does something else, or does not give the interface's outputs.
    """
    operations, given = trace(model, interface)
    writer = _Writer(model, interface, given)
    for node in operations.nodes:
        writer.write(node)
    outputs = writer.outputs if isinstance(writer.outputs, tuple) else (writer.outputs,)
    if len(outputs) != len(interface.outputs) or not all(isinstance(value, Value) for value in outputs):
        raise ExportError(
            f"{type(model).__name__} gives the {len(interface.outputs)} outputs of its interface, but got {outputs}."
        )
    return writer.graph.model(interface, outputs)


class _Writer:
    """Writes operations in the order in which they run.

    Attributes:
        graph: What was written.
        outputs: What the model gives, after the last operation.
    """

    def __init__(self, model: nn.Module, interface: Interface, given: Any):
        self.graph = Graph()
        self.outputs: Any = None
        self._model, self._given = model, given
        self._inputs = iter(interface.inputs)
        self._values: dict[fx.Node, Any] = {}
        self._pending: dict[fx.Node, nn.Conv2d] = {}  # convolutions that wait for the normalization after them

    def write(self, node: fx.Node) -> None:
        self.graph.module, self.graph.result = module_path(node), self._given[node]
        if node.op == "output":
            self.graph.module = ""
            self.outputs = self._resolve(node.args[0])
        elif not holds_tensors(self._given[node]):
            self._values[node] = self._given[node]  # a shape, or a number computed from one
        else:
            writers = {"placeholder": self._input, "get_attr": self._weight, "call_module": self._layer}
            self._values[node] = _named(self._given[node], writers.get(node.op, self._function)(node))

    def _resolve(self, argument: Any) -> Any:
        """An argument with values in the place of nodes."""
        resolved = fx.node.map_arg(argument, self._values.__getitem__)
        return tuple(resolved) if isinstance(resolved, list) else resolved

    def _input(self, node: fx.Node) -> str:
        return next(self._inputs).name

    def _weight(self, node: fx.Node) -> str:
        try:
            weight = attrgetter(str(node.target))(self._model)
        except AttributeError:  # the trace's own
            raise ExportError("A network's constants are its buffers, but one is made in its `forward`.") from None
        return self.graph.weight(array_of(weight))

    def _layer(self, node: fx.Node) -> str:
        layer: Any = self._model.get_submodule(str(node.target))
        if type(layer) not in MODULES or len(node.args) != 1 or node.kwargs:
            raise ExportError(f"The direct ONNX writer knows no {type(layer).__name__} of {node.format_node()}.")
        source, x = node.all_input_nodes[0], self._resolve(node.args[0])
        if type(layer) is nn.Conv2d and self._is_normalized(node):
            self._pending[node] = layer
            return str(x.name)
        if source in self._pending:
            self.graph.module = module_path(source)
            return conv(self.graph, self._pending[source], x, fold(layer))
        return self._write_layer(layer, node, x)

    def _write_layer(self, layer: Any, node: fx.Node, x: Value) -> str:
        is_in_place = getattr(layer, "inplace", False)  # then whoever else reads the input finds it changed
        require(not is_in_place or len(node.all_input_nodes[0].users) == 1, layer)
        return MODULES[type(layer)](self.graph, layer, x)

    def _is_normalized(self, node: fx.Node) -> bool:
        users = list(node.users)
        return (
            len(users) == 1
            and users[0].op == "call_module"
            and type(self._model.get_submodule(str(users[0].target))) is nn.BatchNorm2d
        )

    def _function(self, node: fx.Node) -> str | tuple[str, ...]:
        function, name = _function_of(node)
        if not node.args:
            raise ExportError(f"The direct ONNX writer takes a function's tensors first, but got {node.format_node()}.")
        (x, *options), written = self._resolve(node.args), dict(self._resolve(node.kwargs))
        if function in RESHAPES:
            return reshape(self.graph, x)
        if any(depends_on_batch(self._given[argument]) for argument in node.all_input_nodes):
            raise ExportError(f"The direct ONNX writer knows no {name} of sizes that depend on the batch.")
        if function in LAYERS_OF_FUNCTIONS:
            make = LAYERS_OF_FUNCTIONS[function]
            _check_arguments(name, make, options, written)
            return self._write_layer(make(*options, **written), node, x)
        if function in _KNOWN:
            _check_arguments(name, _KNOWN[function], (self.graph, x, *options), written)
            return _KNOWN[function](self.graph, x, *options, **written)
        raise ExportError(f"The direct ONNX writer knows no function {name!r}.")


_KNOWN = FUNCTIONS | REGION_FUNCTIONS


def _function_of(node: fx.Node) -> tuple[Any, str]:
    """What is called, and its name; a method of a tensor is PyTorch's function of that name, if there is one."""
    if node.op == "call_method":
        name = str(node.target)
        return getattr(torch, name, getattr(torch.Tensor, name, None)), name
    return node.target, getattr(node.target, "__name__", str(node.target))


def _check_arguments(name: str, function: Callable[..., Any], given: Iterable[Any], written: dict[str, Any]) -> None:
    try:
        inspect.signature(function).bind(*given, **written)
    except TypeError as error:
        raise ExportError(f"The direct ONNX writer does not know all options of {name!r}: {error}") from None


def _named(given: Any, names: str | tuple[str, ...]) -> Any:
    if isinstance(names, tuple):
        return tuple(replace(value, name=name) for value, name in zip(given, names, strict=True))
    return replace(given, name=names)
