"""The graph of an ONNX file under way: its nodes, its weights, its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from paretonas.errors import ExportError
from paretonas.space import Interface

OPSETS = range(13, 19)
"""That files are written in. What a node of ours may say means the same in all of them that know it."""

ELEMENTS = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


@dataclass(frozen=True)
class Value:
    """A tensor of the network.

    Args:
        shape: Its sides; None for one that depends on the batch.
        dtype: NumPy's name of its type.
        name: In the file; "" until it has one.
    """

    shape: tuple[int | None, ...]
    dtype: str
    name: str = ""


Operand = Value | str | float | NDArray[Any]
"""What a node may take: a tensor of the network, the output of another node by its name, or a constant."""


def output_names(interface: Interface) -> list[str]:
    """The names of a file's outputs: the interface's; one that an input has too gets `_out` after it.

    A file names inputs and outputs apart, where a recurrent network takes and gives a state of one name.
    """
    taken = {port.name for port in interface.inputs}
    return [port.name + "_out" if port.name in taken else port.name for port in interface.outputs]


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """A weight as it is stored: fractions in 32 bits."""
    tensor = tensor.detach().cpu()
    array: NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return array


def whole(*numbers: int) -> NDArray[np.int64]:
    """Sides, axes or bounds, as nodes take them."""
    return np.array(numbers, np.int64)


def require(holds: bool, what: object) -> None:
    """Refuse what cannot be written.

    Raises:
        ExportError: It does not hold.
    """
    if not holds:
        raise ExportError(f"The direct ONNX writer does not know all options of {what}.")


class Graph:
    """Nodes and weights under way.

    Args:
        prefix: Of the names of its weights, where two graphs become one.

    Attributes:
        module: Dotted path of the module that the next nodes come from.
        result: What the operation at hand gives, without names; a tuple if it gives several tensors.
    """

    def __init__(self, prefix: str = "") -> None:
        self.module = ""
        self.result: Any = None
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._shared: dict[tuple[Any, ...], tuple[str, NDArray[Any]]] = {}  # the array keeps its place in memory

    def add(self, op: str, *inputs: Operand, **attributes: Any) -> str:
        """A node of one output.

        Args:
            op: Of ONNX.
            inputs: In its order; "" for one that is left out.
            attributes: Of the node.

        Returns:
            The name of its output.
        """
        return self.add_several(op, inputs, attributes, 1)[0]

    def add_split(self, x: Value, sizes: Sequence[int], axis: int) -> tuple[str, ...]:
        """A node that cuts `x` into parts of these sizes; the names of its outputs."""
        return self.add_several("Split", [x, whole(*sizes)], {"axis": axis}, len(sizes))

    def add_top(self, x: Value, count: int, axis: int) -> tuple[str, ...]:
        """A node that gives the highest numbers of `x` and their places, of equal ones the first; names of both."""
        return self.add_several("TopK", [x, whole(count)], {"axis": axis}, 2)

    def add_several(
        self, op: str, inputs: Sequence[Operand], attributes: Mapping[str, Any], count: int
    ) -> tuple[str, ...]:
        """A node of `count` outputs; their names."""
        name = f"{self.module}/{op.lower()}_{len(self._nodes)}"
        outputs = (name,) if count == 1 else tuple(f"{name}.{i}" for i in range(count))
        self._nodes.append(helper.make_node(op, [self._name(x) for x in inputs], outputs, name=name, **attributes))
        return outputs

    def _name(self, operand: Operand) -> str:
        if isinstance(operand, Value):
            return operand.name
        if isinstance(operand, str):
            return operand
        return self.weight(np.float32(operand) if isinstance(operand, int | float) else operand)

    def weight(self, array: NDArray[Any] | np.float32) -> str:
        """A constant; its name. What lies at one place in memory, such as tied weights, is one constant."""
        array = np.asarray(array)
        place = (array.__array_interface__["data"], array.shape, array.strides, array.dtype)
        if place not in self._shared:
            name = f"{self._prefix}weight_{len(self._weights)}"
            self._weights.append(numpy_helper.from_array(array, name))
            self._shared[place] = name, array
        return self._shared[place][0]

    def model(self, interface: Interface, outputs: Sequence[Value]) -> onnx.ModelProto:
        """The checked model.

        Args:
            interface: Gives the names of inputs and outputs.
            outputs: What the network gives, in the interface's order.

        Raises:
            ExportError: ONNX does not allow it.
        """
        names = output_names(interface)
        self._name_outputs([value.name for value in outputs], names)
        graph = helper.make_graph(
            self._nodes,
            "paretonas",
            [_port(port.name, port.dtype, (None, *port.shape[1:])) for port in interface.inputs],
            [_port(name, value.dtype, value.shape) for name, value in zip(names, outputs, strict=True)],
            self._weights,
        )
        model = stamped(graph)
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise ExportError(f"The direct ONNX writer made a file that ONNX does not allow: {error}") from error
        return model

    def _name_outputs(self, values: Sequence[str], names: Sequence[str]) -> None:
        """Rename what nodes give; inputs, weights and what is given out twice get a node of their own."""
        made = {output for node in self._nodes for output in node.output}
        renamed: dict[str, str] = {}
        copies: list[tuple[str, str]] = []
        for value, name in zip(values, names, strict=True):
            if value in made and value not in renamed:
                renamed[value] = name
            else:
                copies.append((value, name))
        for node in self._nodes:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
        for value, name in copies:
            self.add("Identity", renamed.get(value, value))
            self._nodes[-1].output[0] = name


def stamped(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A model of the lowest opset that knows all nodes, and of the oldest format that has this opset.

    Engines refuse what is newer than they are.
    """
    opset = next((opset for opset in OPSETS if all(_is_known(node, opset) for node in graph.node)), OPSETS[-1])
    imports = [helper.make_opsetid("", opset)]
    version = helper.find_min_ir_version_for(imports)
    return helper.make_model(graph, opset_imports=imports, producer_name="paretonas", ir_version=version)


def _is_known(node: onnx.NodeProto, opset: int) -> bool:
    """Whether an opset has the operator, with these attributes and as many inputs."""
    context = onnx.checker.C.CheckerContext()
    context.opset_imports, context.ir_version = {"": opset}, onnx.IR_VERSION
    try:
        onnx.checker.check_node(node, context)
    except onnx.checker.ValidationError:
        return False
    return True


def _port(name: str, dtype: str, shape: Sequence[int | None]) -> onnx.ValueInfoProto:
    require(dtype in ELEMENTS, f"an output of type {dtype}")
    sides = ["batch" if i == 0 and side is None else side for i, side in enumerate(shape)]
    return helper.make_tensor_value_info(name, ELEMENTS[dtype], sides)
