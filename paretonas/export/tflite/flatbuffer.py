"""A `.tflite` under way: tensors, constants, operators, and the flatbuffer that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import MissingPackageError

VERSION = 3
ALIGNMENT = 16
"""Of constants, in bytes, as the format's schema has it: kernels read them where they lie."""
SIGNATURE = "serving_default"

OPTIONS = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DIV": "DivOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "MUL": "MulOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SOFTMAX": "SoftmaxOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
}
"""The schema's table of an operator's options; others need none."""
NAMED = {"padding": "Padding", "fusedActivationFunction": "ActivationFunctionType", "mode": "MirrorPadMode"}
"""Options whose values have names, with the schema's list of these."""
NONE: Mapping[str, Any] = MappingProxyType({})


class Tensor(NamedTuple):
    """One of a file's.

    Args:
        place: Among all of the file.
        shape: Its sides, in the order of the file.
    """

    place: int
    shape: tuple[int, ...]


class Flatbuffer:
    """The graph of a file.

    Raises:
        MissingPackageError: The package that has the format's schema is not installed.
    """

    def __init__(self) -> None:
        self._schema = _schema()
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, int] = {}
        self._buffers: list[Any] = [self._schema.BufferT()]  # an empty one first: that of whatever is computed
        self._names: set[str] = set()
        self._whole: dict[tuple[int, ...], Tensor] = {}

    def tensor(self, name: str, shape: Sequence[int], data: NDArray[Any] | None = None) -> Tensor:
        """A new tensor of fractions, or of `data`; where its name is taken, it gets a number behind it."""
        made = self._schema.TensorT()
        made.name = name if name not in self._names else f"{name}.{len(self._tensors)}"
        self._names.add(made.name)
        made.shape, made.hasRank, made.buffer = np.array(shape, np.int32), True, 0
        made.type = self._schema.TensorType.FLOAT32
        if data is not None:
            made.buffer = len(self._buffers)
            made.type = self._schema.TensorType.INT32 if data.dtype == np.int32 else made.type
            self._buffers.append(_Constant(self._schema, data))
        self._tensors.append(made)
        return Tensor(len(self._tensors) - 1, tuple(int(side) for side in shape))

    def constant(self, name: str, array: NDArray[Any]) -> Tensor:
        """Fractions."""
        return self.tensor(name, array.shape, np.ascontiguousarray(array, np.float32).reshape(array.shape))

    def whole(self, *numbers: int) -> Tensor:
        """Sides, axes or bounds: one constant for all that take the same."""
        if numbers not in self._whole:
            named = "_".join(["whole", *map(str, numbers)])
            self._whole[numbers] = self.tensor(named, (len(numbers),), np.array(numbers, np.int32))
        return self._whole[numbers]

    def pads(self, before: Sequence[int], after: Sequence[int]) -> Tensor:
        """What is added to each side."""
        table = np.stack([before, after], 1).astype(np.int32)
        return self.tensor("_".join(["pads", *map(str, table.ravel())]), table.shape, table)

    def add(
        self, op: str, inputs: Sequence[Tensor], shape: Sequence[int], name: str, options: Mapping[str, Any] = NONE
    ) -> Tensor:
        """An operator of one output.

        Args:
            op: As the format calls it.
            inputs: In its order.
            shape: Of the output.
            name: Of the output.
            options: As the schema calls them; those whose values have names there, by name.

        Returns:
            The output.
        """
        made, output = self._schema.OperatorT(), self.tensor(name, shape)
        made.opcodeIndex = self._codes.setdefault(op, len(self._codes))
        made.inputs = np.array([tensor.place for tensor in inputs], np.int32)
        made.outputs = np.array([output.place], np.int32)
        if op in OPTIONS:
            made.builtinOptionsType = getattr(self._schema.BuiltinOptions, OPTIONS[op])
            made.builtinOptions = getattr(self._schema, f"{OPTIONS[op]}T")()
            for key, value in options.items():
                kind = NAMED.get(key)
                setattr(made.builtinOptions, key, getattr(getattr(self._schema, kind), value) if kind else value)
        self._operators.append(made)
        return output

    def content(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> bytes:
        """The file, with one signature.

        Args:
            inputs: By their names.
            outputs: By their names.
        """
        import flatbuffers

        graph, model = self._schema.SubGraphT(), self._schema.ModelT()
        graph.name, graph.tensors, graph.operators = "main", self._tensors, self._operators
        graph.inputs = [tensor.place for tensor in inputs.values()]
        graph.outputs = [tensor.place for tensor in outputs.values()]
        model.version, model.description, model.subgraphs = VERSION, "paretonas", [graph]
        model.operatorCodes, model.buffers = [self._code(op) for op in self._codes], self._buffers
        signature = self._schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
        signature.inputs, signature.outputs = self._named(inputs), self._named(outputs)
        model.signatureDefs = [signature]
        size = sum(buffer.size for buffer in self._buffers[1:])
        builder = flatbuffers.Builder(size + 1024 * len(self._tensors))  # one that has to grow copies all
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, op: str) -> Any:
        made = self._schema.OperatorCodeT()
        made.builtinCode, made.version = getattr(self._schema.BuiltinOperator, op), 1
        made.deprecatedBuiltinCode = min(
            made.builtinCode, self._schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
        )
        return made

    def _named(self, tensors: Mapping[str, Tensor]) -> list[Any]:
        found = []
        for name, tensor in tensors.items():
            made = self._schema.TensorMapT()
            made.name, made.tensorIndex = name, tensor.place
            found.append(made)
        return found


@dataclass(frozen=True, eq=False)
class _Constant:
    """Numbers, packed as the schema's `Buffer`, but aligned, as its own class does not do it."""

    schema: Any
    array: NDArray[Any]

    @property
    def size(self) -> int:
        return self.array.nbytes + 2 * ALIGNMENT

    def Pack(self, builder: Any) -> Any:  # noqa: N802
        data = self.array.tobytes()
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        vector = builder.EndVector()
        self.schema.BufferStart(builder)
        self.schema.BufferAddData(builder, vector)
        return self.schema.BufferEnd(builder)


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise MissingPackageError("ai-edge-litert", "The format 'litert'") from None
    return schema_py_generated
