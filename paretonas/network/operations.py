"""What a network executes, operation by operation, without running it: what predictors of latency add up.

Shapes alone are propagated. What engines do in no time of its own is left out: views, batch normalization (folded into
the convolution before it, or going along with it), what no output follows from, and what no input leads to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from paretonas.network import build
from paretonas.network.check import running
from paretonas.network.shapes import BATCH_NORM, Recorder, inputs_without_numbers, result_of, without_numbers
from paretonas.space import Interface, Spec

CONSTANTS = ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
"""What reads a shape and no numbers."""
PRODUCTS = {"mm": 0, "addmm": 1, "bmm": 0, "baddbmm": 1}
"""Matrix products, and the place of the argument whose last side is summed over."""


@dataclass(frozen=True)
class Operation:
    """One operation of a forward pass of one example.

    Args:
        kind: `conv 1x1`, `depthwise 5x5`, `grouped 3x3`, `product`, or PyTorch's name for it (`add`, `mean`).
        macs: Multiply-accumulates.
        moved: Numbers that it reads and makes, but for weights.
        weights: Numbers of its weights and biases.
    """

    kind: str
    macs: int
    moved: int
    weights: int


@lru_cache(maxsize=4096)
def operations(spec: Spec, interface: Interface) -> tuple[Operation, ...]:
    """Of one example through the network of `spec`, in their order.

    Raises:
        SpecError: It cannot be built or run.
    """
    with without_numbers():
        model = build(spec, interface)
    model = model.to("meta").eval()
    recorder = _Recorder({_key(tensor) for tensor in (*model.parameters(), *model.buffers())})
    with torch.no_grad():
        inputs = inputs_without_numbers(interface)
        with running(type(model).__name__, inputs), recorder:
            outputs = model(*inputs)
    return recorder.between(inputs, tree_leaves(outputs))


@dataclass(frozen=True)
class _Step:
    """What was called: the storages that it read and made, and what it is; None: nothing that takes time."""

    read: frozenset[int]
    made: frozenset[int]
    operation: Operation | None
    is_constant: bool


class _Recorder(Recorder):
    """Lists what is executed; `weights` are the storages of what the model keeps."""

    def __init__(self, weights: set[int]):
        super().__init__()
        self._weights, self._steps = weights, list[_Step]()
        self._kept: list[Tensor] = []  # alive, so that no storage is reused

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = result_of(func, args, kwargs or {})
        if not func.is_view:
            read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
            name = func.overloadpacket.__name__.rstrip("_")
            operation = None if func is BATCH_NORM else self._operation(name, args, read, made)
            keys = frozenset(map(_key, read)), frozenset(map(_key, made))
            self._steps.append(_Step(*keys, operation, name in CONSTANTS))
            self._kept += made
        return result

    def _operation(self, name: str, args: Any, read: Sequence[Tensor], made: Sequence[Tensor]) -> Operation:
        kind, macs = name, 0
        if name == "convolution":
            kind, macs = _convolution(args[0], args[1], made[0], is_transposed=args[6])
        elif name in PRODUCTS:
            kind, macs = "product", made[0].numel() * args[PRODUCTS[name]].shape[-1]
        weights = sum(tensor.numel() for tensor in read if _key(tensor) in self._weights)
        return Operation(kind, macs, sum(tensor.numel() for tensor in (*read, *made)) - weights, weights)

    def between(self, inputs: Sequence[Tensor], outputs: Sequence[Any]) -> tuple[Operation, ...]:
        """What inputs lead to and outputs follow from."""
        led = {_key(tensor) for tensor in inputs}
        steps = []
        for step in self._steps:
            if step.read & led and not step.is_constant:
                led |= step.made
                steps.append(step)
        needed = {_key(tensor) for tensor in outputs if isinstance(tensor, Tensor)}
        found = []
        for step in reversed(steps):
            if step.made & needed:
                needed |= step.read
                if step.operation is not None:
                    found.append(step.operation)
        return tuple(reversed(found))


def _convolution(x: Tensor, weight: Tensor, out: Tensor, is_transposed: bool) -> tuple[str, int]:
    """Kind and MACs; weight is (filters, channels of a group, kernel…), of a transposed one with inputs for outputs."""
    channels, depth = x.shape[1], weight.shape[1]
    kind = "conv" if depth == channels else "depthwise" if depth == 1 else "grouped"
    sides = "x".join(map(str, weight.shape[2:]))
    macs = (x if is_transposed else out).numel() * math.prod(weight.shape[1:])
    return f"{'transposed' if is_transposed else kind} {sides}", macs


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
