"""Files of weights, and which of a network's tensors are for use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from paretonas.files import open_regular


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a .safetensors file by name, and its own words about them.

    Raises:
        ValueError: It cannot be read.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_words(path: Path) -> dict[str, str]:
    """The words of a .safetensors file about its tensors, without these.

    Raises:
        ValueError: It cannot be read.
    """
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        open_regular(path).close()  # a pipe would block for ever
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def lasting_state(network: nn.Module) -> dict[str, Tensor]:
    """The state of a network without that of modules whose attribute `serves_training_alone` is true."""
    gone = tuple(f"{name}." for name, of in network.named_modules() if getattr(of, "serves_training_alone", False))
    return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(gone)}
