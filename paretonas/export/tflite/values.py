"""An ONNX graph that becomes a `.tflite`: what its values are in the file, and how they lie there.

Kernels of LiteRT take images with the channels last, ONNX has them second. A value of four sides and more that comes
from such a kernel stays as the kernel gives it, and whoever takes it says which order it needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from paretonas.errors import ExportError
from paretonas.export.tflite.flatbuffer import NONE, Flatbuffer, Tensor

FUSING = frozenset(
    {"ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "FULLY_CONNECTED", "MAX_POOL_2D", "MUL", "SUB"}
)
"""Operators that may end in an activation."""
CLIPPING: dict[tuple[float, float], str] = {(0, 6): "RELU6", (-1, 1): "RELU_N1_TO_1", (0, np.inf): "RELU"}
"""Activations by their bounds."""


class Lying(NamedTuple):
    """A value of the network in the file.

    Args:
        tensor: Of the file.
        is_last: Whether its channels come last, `(N, H, W, C…)`; else it lies as in ONNX, `(N, C…, H, W)`.
    """

    tensor: Tensor
    is_last: bool = False


def order(rank: int, is_last: bool = True) -> tuple[int, ...]:
    """Axes of ONNX in the order of the file.

    >>> order(4)
    (0, 2, 3, 1)
    """
    return (0, rank - 2, rank - 1, *range(1, rank - 2)) if is_last else tuple(range(rank))


def permuted(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """A shape whose axes are taken in this order."""
    return tuple(shape[axis] for axis in axes)


class Values:
    """Values of a graph and the file under way.

    Args:
        model: Of ONNX, with the shapes of all values.

    Attributes:
        file: What was written.
        shapes: Of values, as in ONNX.

    Raises:
        ExportError: A shape is not known.
    """

    def __init__(self, model: onnx.ModelProto):
        graph = model.graph
        self.file = Flatbuffer()
        self.shapes = {
            value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.value_info, *graph.output)
        }
        for name in (name for node in graph.node for name in node.output):
            if 0 in self.shapes.get(name, (0,)):
                raise ExportError(f"The direct LiteRT writer asks ONNX for shapes, but it knows none of {name!r}.")
        self._fed = {value.name for value in graph.input}
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._lying: dict[tuple[str, bool], Tensor] = {}
        self._users: dict[str, list[onnx.NodeProto | None]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._users[name].append(node)
        for value in graph.output:
            self._users[value.name].append(None)
        self._is_fused: set[str] = set()

    def is_constant(self, name: str) -> bool:
        """Whether a value is a weight or a number."""
        return name in self._constants

    def array(self, name: str) -> NDArray[Any]:
        """A constant, as ONNX has it.

        Raises:
            ExportError: The network computes it.
        """
        if name not in self._constants:
            raise ExportError(f"The direct LiteRT writer takes a constant here, but {name!r} is computed.")
        return self._constants[name]

    def whole(self, name: str) -> list[int]:
        """A constant of whole numbers."""
        return [int(number) for number in self.array(name)]

    def set_constant(self, name: str, array: NDArray[Any]) -> None:
        """A value turns out to be one."""
        self._constants[name] = array

    def is_last(self, name: str) -> bool:
        """Whether a value lies in the file with its channels last."""
        return (name, True) in self._lying

    def either(self, name: str) -> Lying:
        """A value as it lies."""
        is_last = self.is_last(name)
        return Lying(self.last(name) if is_last else self.plain(name), is_last)

    def last(self, name: str) -> Tensor:
        """A value with its channels last."""
        return self._lying_so(name, True)

    def plain(self, name: str) -> Tensor:
        """A value as it lies in ONNX."""
        return self._lying_so(name, False)

    def _lying_so(self, name: str, is_last: bool) -> Tensor:
        if self.is_constant(name):
            raise ExportError(f"The direct LiteRT writer computes nothing of constants alone, but {name!r} is one.")
        if (name, is_last) not in self._lying:
            axes = order(len(self.shapes[name]))
            axes = axes if is_last else tuple(np.argsort(axes).tolist())
            self._lying[name, is_last] = self._moved(self._lying[name, not is_last], axes, name)
        return self._lying[name, is_last]

    def _moved(self, tensor: Tensor, axes: Sequence[int], name: str) -> Tensor:
        user = next(iter(self._users[name]), None)
        named = user.name if name in self._fed and user is not None else name  # quantized as the module that takes it
        return self.file.add("TRANSPOSE", [tensor, self.file.whole(*axes)], permuted(tensor.shape, axes), named)

    def set(self, name: str, tensor: Tensor, is_last: bool = False) -> None:
        """A value is in the file."""
        if tensor.shape != permuted(self.shapes[name], order(len(self.shapes[name]), is_last)):
            raise ExportError(f"{name!r} is shaped {self.shapes[name]}, but was written as {tensor.shape}.")
        self._lying[name, is_last] = tensor

    def activated(self, node: onnx.NodeProto) -> tuple[str, str]:
        """The activation that can be a part of a node, as the format calls it, and the value that both give."""
        users = self._users[node.output[0]]
        activation = "NONE" if len(users) != 1 or users[0] is None else self.activation(users[0])
        if activation == "NONE":
            return activation, node.output[0]
        assert users[0] is not None
        self._is_fused.add(users[0].name)
        return activation, users[0].output[0]

    def is_fused(self, node: onnx.NodeProto) -> bool:
        """Whether a node is an activation that the one before it does."""
        return node.name in self._is_fused

    def activation(self, node: onnx.NodeProto) -> str:
        """What a node is as an activation; NONE: nothing that an operator has."""
        if node.op_type == "Relu":
            return "RELU"
        if node.op_type == "Clip":
            return CLIPPING.get(self.bounds(node), "NONE")
        return "NONE"

    def bounds(self, node: onnx.NodeProto) -> tuple[float, float]:
        """Of a node that clips."""
        given = [*node.input[1:], "", ""][:2]
        low, high = (
            float(self.array(name)) if name else end for name, end in zip(given, (-np.inf, np.inf), strict=True)
        )
        return low, high

    def write(
        self,
        node: onnx.NodeProto,
        op: str,
        inputs: Sequence[Tensor],
        is_last: bool = False,
        options: Mapping[str, Any] = NONE,
    ) -> None:
        """Give a node's output by one operator, with the activation after it if its options may have one."""
        activation, output = self.activated(node) if op in FUSING else ("NONE", node.output[0])
        if op in FUSING:
            options = {**options, "fusedActivationFunction": activation}
        shape = permuted(self.shapes[output], order(len(self.shapes[output]), is_last))
        self.set(output, self.file.add(op, inputs, shape, node.name, options), is_last)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Of a node, by their names."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
