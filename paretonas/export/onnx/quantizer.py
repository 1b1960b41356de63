"""ONNX in int8, as a format's plugin."""

from __future__ import annotations

from paretonas.export.onnx.quantized import calibrate, modules_to_blame, write_quantized
from paretonas.export.quantizer import Quantizer

ONNX = Quantizer(calibrate, write_quantized, modules_to_blame)
