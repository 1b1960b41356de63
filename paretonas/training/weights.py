"""Weights that a training begins with instead of fresh ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from paretonas.errors import SpecError, UsageError
from paretonas.files import open_regular
from paretonas.network import sharing
from paretonas.network.backbone import Backbone
from paretonas.network.sharing import SharedWeights, cut_out, take_over, write_into
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


@dataclass(frozen=True)
class Weights:
    """What trainings begin with.

    Args:
        file: Where they are, or will be.
        digest: Of what is in there, or of all that decides it.
    """

    file: Path
    digest: str

    @classmethod
    def of(cls, file: Path) -> Weights:
        """Those of a file.

        Raises:
            UsageError: There is no such file.
        """
        return cls(file, weights_digest(file))


def _cut_out(network: nn.Module, tensors: dict[str, Tensor], path: Path, classes: int) -> tuple[str, ...]:
    """A part of a supernet's weights; the backbone's alone where that is one of classifiers, and this a detector."""
    backbone = dict(network.named_children()).get(BACKBONE[:-1])
    is_inner = backbone is not None and not any(role.startswith(sharing.BACKBONE) for role in tensors)
    part = backbone if backbone is not None and is_inner else network
    try:
        fresh = cut_out(SharedWeights(tensors), part, classes)
    except SpecError as error:
        raise UsageError(f"The supernet of {path} has no weights for this network: {error}") from None
    if part is network:
        return fresh
    return tuple(name for name, _ in network.named_parameters() if not name.startswith(BACKBONE))


def load_shared(shared: SharedWeights, path: Path, largest: nn.Module, classes: int) -> None:
    """Give a supernet the weights of a file: of another supernet, or of the largest network.

    Args:
        shared: Has fresh weights; heads, and what has an output for each class, keep them where the file has none.
        path: See `load_weights`.
        largest: The largest network, with fresh weights.
        classes: That networks tell apart.

    Raises:
        UsageError: No such file, or not such weights.
    """
    tensors, words = _read(path)
    if SUPERNET not in words:
        load_weights(largest, path, classes)
        write_into(shared, largest)
        return
    own, missing = shared.tensors(), take_over(shared, tensors)
    is_standing = any(role.startswith(sharing.BACKBONE) for role in own)
    for role in missing:
        if role.startswith(sharing.BACKBONE) if is_standing else classes not in own[role].shape[:1]:
            raise UsageError(f"A supernet begins with weights of its own layers, but {path} lacks {role!r}.")


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
    tensors, words = _read(path)
    if SUPERNET in words:
        return _cut_out(network, tensors, path, classes)
    own, wanted = network.state_dict(), lasting_state(network)
    backbone = _in_classifier(network, wanted)
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


def _in_classifier(network: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Names of a detector's backbone, and what they are in the classifier."""
    backbone = dict(network.named_children()).get(BACKBONE[:-1])
    if not isinstance(backbone, Backbone):
        return {}
    own = (name for name in names if name.startswith(BACKBONE))
    return {name: backbone.in_classifier(name.removeprefix(BACKBONE)) for name in own}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        return read_tensors(path)
    except ValueError as error:
        raise UsageError(f"Weights are a .safetensors file, but {path} cannot be read: {error}") from None
