"""Weights that a training begins with instead of fresh ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor, nn

from paretonas.errors import SpecError, UsageError
from paretonas.files import open_regular
from paretonas.network.sharing import SharedWeights, cut_out
from paretonas.network.weights import lasting_state, read_tensors

BACKBONE = "backbone."
"""Before the names of what a detector keeps of a classifier."""
SUPERNET = "supernet"
"""What a supernet's file has words about."""


def weights_digest(path: Path) -> str:
    """Sixteen hexadecimal digits of a file's contents.

    Raises:
        UsageError: There is no such file.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]  # type: ignore[arg-type]
    except (OSError, ValueError) as error:
        raise UsageError(f"Weights are a .safetensors file, but {path} cannot be read: {error}") from None


def _cut_out(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> tuple[str, ...]:
    try:
        cut_out(SharedWeights(tensors), network)
    except SpecError as error:
        raise UsageError(f"The supernet of {path} has no weights for this network: {error}") from None
    return ()


def load_weights(network: nn.Module, path: Path, classes: int) -> tuple[str, ...]:
    """Give `network` the weights of a file, but for its classifier where that tells apart other classes.

    Args:
        network: Has fresh weights; what serves training alone keeps them.
        path: A .safetensors file, by the names of this network: a checkpoint of ours, say; or a supernet's, which
            gives it the part that is its own; or that of the classifier that a detector stands on.
        classes: That the network tells apart.

    Returns:
        Names of the tensors that stayed fresh: for their number of classes, or as they are none of the backbone.

    Raises:
        UsageError: No such file, or not the weights of this network.
    """
    try:
        tensors, words = read_tensors(path)
    except ValueError as error:
        raise UsageError(f"Weights are a .safetensors file, but {path} cannot be read: {error}") from None
    if SUPERNET in words:
        return _cut_out(network, tensors, path)
    own, wanted = network.state_dict(), lasting_state(network)
    backbone = {name: name.removeprefix(BACKBONE) for name in wanted if name.startswith(BACKBONE)}
    fresh: set[str] = set()
    if backbone and set(backbone.values()) <= tensors.keys():
        fresh = wanted.keys() - backbone.keys()
        wanted = {name: wanted[name] for name in backbone}
        tensors = {name: tensors[inner] for name, inner in backbone.items()}
    odd = sorted(wanted.keys() ^ tensors.keys())
    if odd:
        which = "lacks" if odd[0] in wanted else "has"
        raise UsageError(f"Weights are by the names of the network that learns, but {path} {which} {odd[0]!r}.")
    replaced = []
    for name, tensor in wanted.items():
        given = tensors[name]
        if given.shape == tensor.shape:
            own[name] = given
        elif tensor.dim() and tensor.shape[0] == classes and given.shape[1:] == tensor.shape[1:]:
            replaced.append(name)
        else:
            raise UsageError(
                f"Weights have the shapes of the network that learns, {tuple(tensor.shape)} for {name!r}, but {path} "
                f"has {tuple(given.shape)}."
            )
    network.load_state_dict(own)
    return (*sorted(fresh), *replaced)
