"""Networks of which only the shapes are wanted: built on PyTorch's device `meta`, where no number is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

FILLING = (
    *(getattr(Tensor, name) for name in ("normal_", "uniform_", "zero_", "fill_", "bernoulli_", "exponential_")),
    *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and name[0] != "_"),
)  # fmt: skip
"""What gives a tensor its first numbers."""


@contextmanager
def without_numbers() -> Iterator[None]:
    """What is built meanwhile has shapes alone.

    Filling a tensor that holds nothing is left out: PyTorch goes through Python for it, which takes most of the time of
    building a network so.
    """
    with torch.device("meta"), _Unfilled():
        yield


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
