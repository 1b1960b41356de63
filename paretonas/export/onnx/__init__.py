"""ONNX files.

Networks of our own layers are written directly (`direct.py`): the module is traced symbolically, every layer and every
function is one entry of a table, and batch normalization is folded into the convolution before it. That takes a tenth
of a second, where PyTorch's exporter takes several; in a search the conversion would otherwise cost more than the
measurement. Foreign models go through PyTorch's exporter, which is also the oracle of the tests. The batch is left open
for every input and output.

Nodes and their outputs are named after the module that they come from (`blocks.2.0.body.0/conv_12`). An engine that
fuses nodes keeps one of these names, so that its profile can be read by module: see `modules_of_nodes`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from onnx import helper
from torch import nn

from paretonas.errors import ExportError
from paretonas.export.boxes import Decoding
from paretonas.export.export import NOTHING, Format, example_inputs, in_evaluation, tensors_for
from paretonas.export.onnx.boxes import add_boxes
from paretonas.export.onnx.direct import export_directly
from paretonas.export.onnx.graph import OPSETS, output_names, stamped
from paretonas.export.onnx.metadata import read_metadata, write_metadata
from paretonas.export.onnx.origin import modules_of_nodes
from paretonas.files import written_aside
from paretonas.space import Interface, Spec

__all__ = ["OnnxFormat", "export_directly", "export_with_torch", "modules_of_nodes", "stamped"]


@dataclass(frozen=True)
class OnnxFormat(Format):
    """ONNX, one file with its weights inside, for ONNX Runtime and most other engines.

    Args:
        boxes: Whether a detector's file ends in boxes, with decoding and suppression inside, for one image at a time;
            else in the network's outputs.
    """

    suffix: ClassVar[str] = ".onnx"
    runtime: ClassVar[str] = "onnxruntime"
    tolerance: ClassVar[float] = 1e-3
    boxes: bool = False

    def write(
        self,
        model: nn.Module,
        spec: Spec,
        interface: Interface,
        path: Path,
        metadata: Mapping[str, Any] = NOTHING,
        decoding: Decoding | None = None,
    ) -> None:
        self._check_decoding(decoding)
        export = export_with_torch if spec.is_foreign else export_directly
        with in_evaluation(model), written_aside(path) as draft:
            export(model, interface, draft)
            if decoding is not None:
                add_boxes(draft, decoding)
            write_metadata(draft, metadata)

    def metadata(self, path: Path) -> Mapping[str, Any]:
        return read_metadata(path)


def export_with_torch(model: nn.Module, interface: Interface, path: Path) -> None:
    """Write through PyTorch's own exporter.

    Args:
        model: In evaluation mode.
        interface: Of the model.
        path: Is overwritten.

    Raises:
        ExportError: PyTorch cannot export it, or it does not give the interface's outputs.
    """
    names = output_names(interface)
    inputs = tuple(x.repeat_interleave(2, 0) for x in tensors_for(model, example_inputs(interface)))
    batch = torch.export.Dim("batch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                inputs,
                input_names=[port.name for port in interface.inputs],
                output_names=names,
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                opset_version=OPSETS[-1],
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, ValueError) as error:  # ValueError: more names than tensors
        raise ExportError(f"PyTorch could not export {type(model).__name__} to ONNX: {error}") from error
    assert program is not None
    outputs = [value.name for value in program.model.graph.outputs]
    if outputs != names:
        raise ExportError(f"{type(model).__name__} gives the outputs {outputs}, but its interface has {names}.")
    program.model.ir_version = helper.find_min_ir_version_for([helper.make_opsetid("", OPSETS[-1])])
    program.save(path, external_data=False)
