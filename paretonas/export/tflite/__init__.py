"""LiteRT's files, written without its converter: the graph of the direct ONNX writer becomes a flatbuffer."""

from __future__ import annotations

from pathlib import Path

import onnx
from torch import nn

from paretonas.errors import ExportError
from paretonas.export.onnx.direct import graph_of
from paretonas.export.tflite.flatbuffer import Tensor
from paretonas.export.tflite.operators import require, write_node
from paretonas.export.tflite.values import Values
from paretonas.space import Interface


def write_directly(model: nn.Module, interface: Interface, path: Path) -> None:
    """Write a model whose operations `operators` knows, one example at a time, laid out as the network is (NCHW).

    A tensor is named after the module that it comes from (`blocks.2.0.body.0/conv_12`).

    Args:
        model: In evaluation mode.
        interface: Of the model; its names are those of the file's inputs and outputs.
        path: Is overwritten.

    Raises:
        ExportError: The model does something else: the converter may know it.
        MissingPackageError: The package that has the format's schema is not installed.
    """
    ports = (*interface.inputs, *interface.outputs)
    require(all(port.dtype == "float32" for port in ports), "inputs and outputs but fractions")
    network = _of_one_example(graph_of(model, interface))
    values = Values(network)
    inputs = {port.name: values.file.tensor(f"serving_default_{port.name}", port.shape) for port in interface.inputs}
    for name, tensor in inputs.items():
        values.set(name, tensor)
    for node in network.graph.node:
        write_node(values, node)
    names = [value.name for value in network.graph.output]
    outputs = {port.name: values.plain(name) for port, name in zip(interface.outputs, names, strict=True)}
    _check_distinct([*inputs.values(), *outputs.values()])
    path.write_bytes(values.file.content(inputs, outputs))


def _check_distinct(ports: list[Tensor]) -> None:
    require(
        len({tensor.place for tensor in ports}) == len(ports), "tensors that are two of a file's inputs and outputs"
    )


def _of_one_example(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model with the shapes of all values, for one example."""
    for value in (*model.graph.input, *model.graph.output):
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param:
                side.dim_value = 1
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx raises several kinds
        raise ExportError(f"ONNX cannot tell the shapes of {type(model).__name__}: {error}") from error
