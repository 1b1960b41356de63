"""A module becomes a file that is checked against it; one format a file."""

from paretonas.export.export import (
    Arrays,
    Format,
    LoadedModel,
    ModelFile,
    Precision,
    example_inputs,
    in_batches,
    verify,
)
from paretonas.registry import Registry

formats = Registry(
    "export format",
    {
        "executorch": "paretonas.export.executorch:ExecuTorchFormat",
        "litert": "paretonas.export.litert:LiteRtFormat",
        "ncnn": "paretonas.export.ncnn:NcnnFormat",
        "onnx": "paretonas.export.onnx:OnnxFormat",
        "safetensors": "paretonas.export.checkpoint:CheckpointFormat",
    },
)

quantizers = Registry(
    "quantizer",
    {"litert": "paretonas.export.litert_quantized:LITERT", "onnx": "paretonas.export.onnx.quantizer:ONNX"},
)
"""How files become int8, by their format."""

__all__ = [
    "Arrays",
    "Format",
    "LoadedModel",
    "ModelFile",
    "Precision",
    "example_inputs",
    "formats",
    "in_batches",
    "quantizers",
    "verify",
]
