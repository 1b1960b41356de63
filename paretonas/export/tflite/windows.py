"""Convolutions and pools, and what is around an image for them.

ONNX says how many pixels are added on each side; LiteRT has `SAME`, of which the greater half comes at the end, and
`VALID`. Where `SAME` reads the same pixels, it is written, else the padding is an operator of its own, which XNNPACK
joins to the convolution after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from paretonas.errors import ExportError
from paretonas.export.tflite.flatbuffer import Tensor
from paretonas.export.tflite.values import Values, attributes


@dataclass(frozen=True)
class _Axis:
    """One direction of a window that slides.

    Args:
        side: Of the image.
        result: How often the window is put.
        reach: From its first pixel to its last, both counted.
        stride: From one place to the next.
        before: Pixels that are added before the image.
    """

    side: int
    result: int
    reach: int
    stride: int
    before: int

    @property
    def after(self) -> int:
        """Pixels behind the image that are read."""
        return max((self.result - 1) * self.stride + self.reach - self.side - self.before, 0)

    @property
    def is_valid(self) -> bool:
        return self.before == self.after == 0

    @property
    def is_same(self) -> bool:
        total = max((self.result - 1) * self.stride + self.reach - self.side, 0)
        return self.result == -(-self.side // self.stride) and self.before == total // 2

    def inside(self) -> NDArray[Any]:
        """Of each place of the window, how many of its pixels are the image's."""
        first = np.arange(self.result) * self.stride - self.before
        return np.minimum(first + self.reach, self.side) - np.maximum(first, 0)


def _axes(values: Values, node: onnx.NodeProto, said: dict[str, Any]) -> tuple[_Axis, _Axis]:
    dilations, pads = said.get("dilations", [1, 1]), said.get("pads", [0, 0, 0, 0])
    sides, results = values.shapes[node.input[0]][2:], values.shapes[node.output[0]][2:]
    if len(sides) != 2:
        raise ExportError(f"The direct LiteRT writer slides windows over images, but got sides {sides}.")
    height, width = (
        _Axis(sides[i], results[i], dilations[i] * (said["kernel_shape"][i] - 1) + 1, said["strides"][i], pads[i])
        for i in range(2)
    )
    return height, width


Widths = tuple[Sequence[int], Sequence[int]]
"""What is added before and after each axis."""
Surround = Callable[[Values, Tensor, Widths, str], Tensor]


def pad(values: Values, x: Tensor, widths: Widths, name: str, around: float = 0.0) -> Tensor:
    """A tensor with numbers around it."""
    table, shape = values.file.pads(*widths), _padded(x, widths)
    if around == 0:
        return values.file.add("PAD", [x, table], shape, name)
    number = values.file.constant(f"{name}.around", np.array([around]))
    return values.file.add("PADV2", [x, table, number], shape, name)


def _mirror(values: Values, x: Tensor, widths: Widths, name: str) -> Tensor:
    """A tensor with its own edges around it, for maxima.

    A window that is padded by half its pixels at most has the same maximum, and no infinity has to be quantized.
    """
    return values.file.add(
        "MIRROR_PAD", [x, values.file.pads(*widths)], _padded(x, widths), name, {"mode": "SYMMETRIC"}
    )


def _padded(x: Tensor, widths: Widths) -> list[int]:
    return [before + side + after for before, side, after in zip(widths[0], x.shape, widths[1], strict=True)]


def _placed(
    values: Values, node: onnx.NodeProto, axes: Sequence[_Axis], surround: Surround = pad, is_same_allowed: bool = True
) -> tuple[Tensor, str]:
    """The image, with what is around it where that has to be written, and the padding that is left to the operator."""
    x = values.last(node.input[0])
    if all(axis.is_valid for axis in axes):
        return x, "VALID"
    if is_same_allowed and all(axis.is_same for axis in axes):
        return x, "SAME"
    widths = [0, *(axis.before for axis in axes), 0], [0, *(axis.after for axis in axes), 0]
    return surround(values, x, widths, f"{node.name}.padded"), "VALID"


def conv(values: Values, node: onnx.NodeProto) -> None:
    """Of one group, of as many as there are channels, or of several."""
    said, weight = attributes(node), values.array(node.input[1])
    axes, channels = _axes(values, node, said), values.shapes[node.input[0]][1]
    bias = values.array(node.input[2]) if len(node.input) > 2 else np.zeros(len(weight), np.float32)
    x, padding = _placed(values, node, axes)
    is_depthwise = said["group"] == channels > 1
    (down, right), (rows, columns) = said["strides"], said["dilations"]
    options: dict[str, Any] = {"padding": padding, "strideH": down, "strideW": right}
    options |= {"dilationHFactor": rows, "dilationWFactor": columns}
    options |= {"depthMultiplier": len(weight) // channels} if is_depthwise else {}
    kernel = weight.transpose(1, 2, 3, 0) if is_depthwise else weight.transpose(0, 2, 3, 1)
    op = "DEPTHWISE_CONV_2D" if is_depthwise else "CONV_2D"
    values.write(node, op, [x, *_weights(values, node, kernel, bias)], True, options)


def fully_connected(values: Values, node: onnx.NodeProto) -> None:
    """A product with weights, (outputs, inputs), and a bias."""
    said = attributes(node)
    if said != {"transB": 1}:
        raise ExportError(f"The direct LiteRT writer knows a product with {{'transB': 1}}, but got {said}.")
    weight = values.array(node.input[1])
    bias = values.array(node.input[2]) if len(node.input) > 2 else np.zeros(len(weight), np.float32)
    values.write(node, "FULLY_CONNECTED", [values.plain(node.input[0]), *_weights(values, node, weight, bias)])


def _weights(values: Values, node: onnx.NodeProto, weight: NDArray[Any], bias: NDArray[Any]) -> list[Tensor]:
    return [values.file.constant(f"{node.name}.weight", weight), values.file.constant(f"{node.name}.bias", bias)]


def _sliding(padding: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a pool."""
    (height, width), (down, right) = said["kernel_shape"], said["strides"]
    return {"padding": padding, "strideH": down, "strideW": right, "filterHeight": height, "filterWidth": width}


def _pool(values: Values, node: onnx.NodeProto, op: str, placed: tuple[Tensor, str], said: Mapping[str, Any]) -> None:
    x, padding = placed
    values.write(node, op, [x], True, _sliding(padding, said))


def max_pool(values: Values, node: onnx.NodeProto) -> None:
    """Of neighbours, without steps between them."""
    said = attributes(node)
    if set(said.get("dilations", [1])) != {1}:
        raise ExportError("The direct LiteRT writer knows no pools of dilated windows.")
    axes = _axes(values, node, said)
    if any(2 * max(axis.before, axis.after) > axis.reach for axis in axes):
        raise ExportError("The direct LiteRT writer knows pools whose windows are padded by half their pixels at most.")
    _pool(values, node, "MAX_POOL_2D", _placed(values, node, axes, _mirror), said)


def average_pool(values: Values, node: onnx.NodeProto) -> None:
    """Over the padding too, or over the image alone, as `SAME` has it; else by what of each window is of the image."""
    said = attributes(node)
    axes, is_counted = _axes(values, node, said), bool(said.get("count_include_pad", 0))
    x, padding = _placed(values, node, axes, is_same_allowed=not is_counted)
    if is_counted or padding == "SAME" or all(axis.is_valid for axis in axes):
        _pool(values, node, "AVERAGE_POOL_2D", (x, padding), said)
        return
    height, width = (axis.reach / axis.inside() for axis in axes)
    factors = values.file.constant(f"{node.name}.factors", np.outer(height, width)[None, :, :, None])
    averages = values.file.add(
        "AVERAGE_POOL_2D", [x], (*factors.shape[:3], x.shape[3]), f"{node.name}.padded", _sliding(padding, said)
    )
    values.write(node, "MUL", [averages, factors], True)


def global_pool(op: str) -> Callable[[Values, onnx.NodeProto], None]:
    """Over the whole of an image."""

    def write(values: Values, node: onnx.NodeProto) -> None:
        values.write(node, op, [values.last(node.input[0]), values.file.whole(1, 2)], True, {"keepDims": True})

    return write


def resize(values: Values, node: onnx.NodeProto) -> None:
    """To the nearest pixel, by whole factors."""
    before, after = (values.shapes[name][2:] for name in (node.input[0], node.output[0]))
    if any(b % a for a, b in zip(before, after, strict=True)):
        raise ExportError(f"The direct LiteRT writer makes images larger by whole factors, but {before} to {after}.")
    x = values.last(node.input[0])
    values.write(node, "RESIZE_NEAREST_NEIGHBOR", [x, values.file.whole(*after)], True)
