"""Networks of which only the shapes are wanted: built, and run, on PyTorch's device `meta`, where no number is stored.

PyTorch itself finds most shapes by long ways through Python; those of what networks consist of are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from paretonas.space import Interface

FILLING = (
    *(getattr(Tensor, name) for name in ("normal_", "uniform_", "zero_", "fill_", "bernoulli_", "exponential_")),
    *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and name[0] != "_"),
)  # fmt: skip
"""What gives a tensor its first numbers."""

BATCH_NORM = torch.ops.aten.native_batch_norm.default
CONVOLUTION = torch.ops.aten.convolution.default
MEAN, LINEAR = torch.ops.aten.mean.dim, torch.ops.aten.addmm.default
CAT, AVERAGE = torch.ops.aten.cat.default, torch.ops.aten.avg_pool2d.default
MAXIMUM = torch.ops.aten.max_pool2d_with_indices.default
ELEMENTWISE = (
    *("add", "mul"),
    *("elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "relu", "sigmoid", "silu", "tanh"),
)
"""What gives tensors of the kind that it is fed, where that are numbers with a point."""


@contextmanager
def without_numbers() -> Iterator[None]:
    """What is built meanwhile has shapes alone.

    Filling a tensor that holds nothing is left out: PyTorch goes through Python for it, which takes most of the time of
    building a network so.
    """
    with torch.device("meta"), _Unfilled():
        yield


def inputs_without_numbers(interface: Interface) -> tuple[Tensor, ...]:
    """One example of what a network is fed, as shapes alone."""
    return tuple(torch.empty(p.shape, dtype=getattr(torch, p.dtype), device="meta") for p in interface.inputs)


class _Unfilled(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls `func`, unless it only fills what holds nothing."""
        given = kwargs or {}
        if func in FILLING:
            tensor = args[0] if args else given.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **given)


class Recorder(TorchDispatchMode):
    """What sees every call; a subclass defines `__torch_dispatch__`.

    Without the compiler, which PyTorch loads for such classes only to tell it not to look at them: 1.5 s a process.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Shapes(Recorder):
    """Calls on tensors without numbers give what `result_of` says."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return result_of(func, args, kwargs or {})


def result_of(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a call on tensors without numbers gives; by our own arithmetic where PyTorch's takes many times as long.

    What does not fit is left to PyTorch, which refuses it.
    """
    if func is BATCH_NORM and all(x is None or x.shape == args[0].shape[1:2] for x in args[1:5]):
        return _like(args[0]), _like(args[0], [0]), _like(args[0], [0])
    if func is CONVOLUTION and (shape := _convolved(args)):
        return _like(args[0], shape)
    if func is MEAN and not kwargs and args[1]:
        return _like(args[0], _reduced(*args))
    if func is LINEAR and not kwargs and args[1].shape[1] == args[2].shape[0]:
        return _like(args[1], [args[1].shape[0], args[2].shape[1]])
    if func is CAT and not kwargs and _are_joined(*args):
        return _like(args[0][0], _joined(*args))
    if func in (AVERAGE, MAXIMUM) and not kwargs and not any(args[4:5]) and min(sides := _pooled(*args[:4])) > 0:
        values = _like(args[0], sides)  # those that round up, and dilated ones, are left to PyTorch
        return values if func is AVERAGE else (values, torch.empty(sides, dtype=torch.int64, device="meta"))
    name = func.overloadpacket.__name__
    if name.removesuffix("_") in ELEMENTWISE and not kwargs and _are_alike(args):
        return args[0] if name.endswith("_") else _like(args[0], _broadcast(args))
    return func(*args, **kwargs)


def _convolved(args: Sequence[Any]) -> list[int]:
    """Shape of what a convolution gives; empty for a transposed one, and where tensors do not fit."""
    x, weight, _, stride, padding, dilation, is_transposed, _, groups = args
    sides = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    shape = [x.shape[0], weight.shape[0], *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides)]
    return shape if not is_transposed and x.shape[1] == groups * weight.shape[1] and min(shape) > 0 else []


def _reduced(x: Tensor, sides: Sequence[int], is_kept: bool = False) -> list[int]:
    """Shape of what is left of a tensor when one number takes the place of these sides, which are kept or not."""
    gone = {side % x.dim() for side in sides}
    return [1 if i in gone else n for i, n in enumerate(x.shape) if is_kept or i not in gone]


def _are_joined(tensors: Sequence[Tensor], side: int = 0) -> bool:
    """Whether tensors of one type differ in this side alone."""
    first = tensors[0]
    rest = [n for i, n in enumerate(first.shape) if i != side % max(1, first.dim())]
    return all(
        x.dtype == first.dtype
        and x.dim() == first.dim() > 0
        and [n for i, n in enumerate(x.shape) if i != side % x.dim()] == rest
        for x in tensors
    )


def _joined(tensors: Sequence[Tensor], side: int = 0) -> list[int]:
    """Shape of tensors one after the other along a side."""
    shape = list(tensors[0].shape)
    shape[side] = sum(x.shape[side] for x in tensors)
    return shape


def _pooled(x: Tensor, kernel: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0, 0)) -> list[int]:
    """Shape of what pooling of images gives, where it rounds down."""
    sides = zip(x.shape[-2:], kernel, stride or kernel, padding, strict=True)
    return [*x.shape[:-2], *((n + 2 * p - k) // s + 1 for n, k, s, p in sides)]


def _are_alike(args: Sequence[Any]) -> bool:
    """Whether tensors of one type, numbers with a point, go in, and beside them real numbers alone."""
    first = args[0]
    if not (isinstance(first, Tensor) and first.is_floating_point()):
        return False
    return all(x.dtype == first.dtype if isinstance(x, Tensor) else isinstance(x, int | float) for x in args)


def _broadcast(args: Sequence[Any]) -> Sequence[int]:
    """Shape of the result; that of numpy, as PyTorch's function loads its symbolic mathematics: a second a process."""
    first, *others = (x.shape for x in args if isinstance(x, Tensor))
    return first if all(shape == first for shape in others) else np.broadcast_shapes(first, *others)


def _like(x: Tensor, shape: Sequence[int] | None = None) -> Tensor:
    """A tensor of that type; `torch.empty_like` takes twenty times as long on no device."""
    return torch.empty(x.shape if shape is None else shape, dtype=x.dtype, device="meta")
