"""What a network does, as a list of operations, and what each of them gives."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, fx, nn

from paretonas.errors import ExportError
from paretonas.export.onnx.graph import Value
from paretonas.network.shapes import Shapes
from paretonas.space import Interface


class _OfTheBatch:
    """A number that depends on the batch, which a file leaves open."""

    def __repr__(self) -> str:
        return "a size of the batch"


OF_THE_BATCH = _OfTheBatch()

SAME_SHAPE = (nn.BatchNorm2d, nn.Dropout, nn.Hardswish, nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.SiLU)
"""Layers whose outputs are shaped as their inputs, in which PyTorch would spend most of the time."""


def trace(model: nn.Module, interface: Interface) -> tuple[fx.Graph, Mapping[fx.Node, Any]]:
    """The operations of a model, and what each gives: a `Value` without a name, a tuple of such, or a number.

    Args:
        model: In evaluation mode. Its code may ask for shapes, but must not branch on them or on tensors; a function
            that computes numbers from shapes and would branch is marked with `torch.fx.wrap`. What is None
            unless it is given, beyond the inputs of the interface, is None.
        interface: Of the model.

    Raises:
        ExportError: The model cannot be traced, or does not take what the interface says.
    """
    name = type(model).__name__
    try:
        beyond = list(inspect.signature(model.forward).parameters.values())[len(interface.inputs) :]
        left_out = {parameter.name: None for parameter in beyond if parameter.default is None}
        traced = fx.symbolic_trace(deepcopy(model).to("meta"), left_out)
    except Exception as error:  # the model's own code ran on symbols
        raise ExportError(f"The direct ONNX writer cannot trace {name}: {error}") from error
    traced.graph.eliminate_dead_code()
    for node in traced.graph.find_nodes(op="placeholder")[len(interface.inputs) :]:
        if not node.users:
            traced.graph.erase_node(node)
    asked = len(traced.graph.find_nodes(op="placeholder"))
    if asked != len(interface.inputs):
        raise ExportError(f"A network takes the {len(interface.inputs)} inputs of its interface, but {name} {asked}.")
    try:
        two, three = (_run(traced, interface, batch) for batch in (2, 3))
    except Exception as error:  # the model's own code ran on shapes
        raise ExportError(f"{name} cannot run on the inputs of its interface: {error}") from error
    return traced.graph, {node: _common(two[node], three[node]) for node in traced.graph.nodes}


def depends_on_batch(given: object) -> bool:
    """Whether what an operation gives is such a number, or holds one."""
    return given is OF_THE_BATCH or (isinstance(given, tuple) and any(map(depends_on_batch, given)))


def holds_tensors(given: object) -> bool:
    """Whether what an operation gives is a tensor or holds one."""
    return isinstance(given, Value) or (isinstance(given, tuple) and any(map(holds_tensors, given)))


def module_path(node: fx.Node) -> str:
    """Of the module that is called, or of the one whose code calls a function."""
    callers = list(node.meta.get("nn_module_stack", {}).values())  # path and type, from the outside to the inside
    return str(node.target) if node.op == "call_module" else str(callers[-1][0]) if callers else ""


class _Interpreter(fx.Interpreter):
    """Runs a traced model on shapes alone."""

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        is_same = args and type(self.fetch_attr(target)) in SAME_SHAPE
        return args[0] if is_same else super().call_module(target, args, kwargs)


def _run(traced: fx.GraphModule, interface: Interface, batch: int) -> dict[fx.Node, Any]:
    inputs = [
        torch.empty(batch, *port.shape[1:], dtype=getattr(torch, port.dtype), device="meta")
        for port in interface.inputs
    ]
    interpreter = _Interpreter(traced, garbage_collect_values=False)
    interpreter.args_iter = iter(inputs)
    with torch.no_grad(), Shapes():  # PyTorch's own ways would load its compiler
        for node in traced.graph.nodes:  # as `run` does, but for a progress bar whose lock a killed worker would leave
            interpreter.env[node] = interpreter.run_node(node)
    return interpreter.env


def _common(two: Any, three: Any) -> Any:
    """What is the same for two batches."""
    if isinstance(two, Tensor):
        sides = (a if a == b else None for a, b in zip(two.shape, three.shape, strict=True))
        return Value(tuple(sides), str(two.dtype).removeprefix("torch."))
    if isinstance(two, tuple | list):
        return tuple(_common(a, b) for a, b in zip(two, three, strict=True))
    return two if two == three else OF_THE_BATCH
