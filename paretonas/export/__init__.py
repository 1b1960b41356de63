"""A module becomes a file; one format a file."""

from paretonas.registry import Registry

exporters = Registry(
    "export format",
    {"onnx": "paretonas.export.onnx:export_onnx", "safetensors": "paretonas.export.checkpoint:export_checkpoint"},
)
"""Functions `(model, spec, input_shape, path)` that write `model`, in evaluation mode, to `path`."""

__all__ = ["exporters"]
