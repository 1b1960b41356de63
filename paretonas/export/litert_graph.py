"""What the graph of a `.tflite` is made of, as far as quantization asks: operations, their modules, tensors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from paretonas.errors import MissingPackageError
from paretonas.export.litert import named_module

WEIGHTED = frozenset({"BATCH_MATMUL", "CONV_2D", "CONV_2D_TRANSPOSE", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
FEATURES_FIRST = frozenset({"GATHER", "GATHER_ND"})
"""Operators whose first input alone is features; the others say where."""


class Operation(NamedTuple):
    """One of a file.

    Args:
        scope: By which the quantizer knows it: the names of what it gives.
        module: Of the network; "" where it is unknown.
        kind: As the format calls it.
        takes: Places of its tensors.
        gives: Likewise.
    """

    scope: str
    module: str
    kind: str
    takes: tuple[int, ...]
    gives: tuple[int, ...]


class Package(NamedTuple):
    """What is used of the quantizer."""

    quantizer: Any
    types: Any
    graphs: Any
    interpreters: Any


def package() -> Package:
    """The quantizer.

    Raises:
        MissingPackageError: It is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from ai_edge_quantizer import qtyping, quantizer
            from ai_edge_quantizer.utils import tfl_flatbuffer_utils, tfl_interpreter_utils
        except ImportError:
            raise MissingPackageError("ai-edge-quantizer", "int8 of the format 'litert'") from None
    return Package(quantizer, qtyping, tfl_flatbuffer_utils, tfl_interpreter_utils)


class Graph:
    """The main graph of a file.

    Args:
        content: The file's.
        known: Its modules.

    Attributes:
        operations: In the order of execution.
        activations: Places, names and numbers of sides of float tensors that are no weights.
        fed: Places of the inputs.
        spans: The largest absolute number of float weights, by their places.
        is_float: Whether nothing in it is quantized.
    """

    def __init__(self, content: bytes, known: Sequence[str]):
        graphs = package().graphs
        model = graphs.read_model(content)
        main = model.subgraphs[0]
        names = [graphs.get_tensor_name(tensor) for tensor in main.tensors]
        data = [graphs.get_tensor_data(tensor, model.buffers) for tensor in main.tensors]
        is_number = [tensor.type == package().types.TensorType.FLOAT32 for tensor in main.tensors]
        self.is_float, self.fed = graphs.is_float_model(model), tuple(int(place) for place in main.inputs)
        self.activations = {
            place: (names[place], len(tensor.shape) if tensor.shape is not None else 0)
            for place, tensor in enumerate(main.tensors)
            if is_number[place] and data[place] is None
        }
        self.spans = {
            place: float(np.abs(array).max(initial=0.0))
            for place, array in enumerate(data)
            if is_number[place] and array is not None
        }
        self.operations = []
        for one in main.operators:
            code = graphs.TFL_OP_CODE_TO_NAME.get(model.operatorCodes[one.opcodeIndex].builtinCode)
            kind = "" if code is None else str(code.value)
            takes, gives = (tuple(int(i) for i in places if i >= 0) for places in (one.inputs, one.outputs))
            said = [*(names[i] for i in gives), *(names[i] for i in takes if data[i] is not None)]
            modules = (named_module(name, known, kind in WEIGHTED) for name in said)
            scope = graphs.get_op_scope(one, main.tensors)
            self.operations.append(Operation(scope, next(filter(None, modules), ""), kind, takes, gives))


def on_the_way(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Those that are weighted, or whose features reach one that is."""
    wanted, found = set[int](), list[Operation]()
    for one in reversed(operations):
        if one.kind in WEIGHTED or wanted & set(one.gives):
            wanted |= set(one.takes[:1] if one.kind in FEATURES_FIRST else one.takes)
            found.append(one)
    return tuple(reversed(found))
