"""One set of weights for all networks of a space: each network's own are parts of it.

What a weight is for, its role, follows from where it stands in its network and from the layers around it. Networks
share the weights of a role: a narrow layer has the first channels of a wide one, a small kernel the centre of a large
one. So no space has to be written anew to share weights, and what was shared is the network itself once it is cut out.

Source: single paths with weights of their own for each choice, Guo et al., Single Path One-Shot Neural Architecture
Search with Uniform Sampling, ECCV 2020; parts of one tensor, Cai et al., Once-for-All, ICLR 2020, and Yu et al.,
BigNAS, ECCV 2020. Differs: a small kernel is the centre of the large one as it is, without Once-for-All's transform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from paretonas.errors import SpecError
from paretonas.network.shapes import without_numbers
from paretonas.space import Spec

Make = Callable[[Spec], nn.Module]
Shape = tuple[int, ...]
Place = tuple[Tensor, tuple[slice, ...]]
"""A whole, and which part of it."""


class Shared(nn.Module):
    """Holds the parameters of one layer's role."""


class SharedNorm(Shared):
    """Holds those of a normalization, which optimizers know by its class name and treat as such."""


class SharedWeights(nn.Module):
    """The weights of all roles.

    Args:
        tensors: By role.
    """

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__()
        self.owners = nn.ModuleDict()
        for role, tensor in tensors.items():
            owner, _, name = role.rpartition("/")
            if owner not in self.owners:
                self.owners[owner] = SharedNorm() if "Norm" in owner.rpartition("/")[2] else Shared()
            self.owners[owner].register_parameter(name, nn.Parameter(tensor))

    def tensors(self) -> dict[str, Tensor]:
        """The weights by role."""
        return {f"{owner}/{name}": p for owner, held in self.owners.items() for name, p in held.named_parameters()}

    def places(self, network: nn.Module, classes: int | None = None) -> dict[str, Place]:
        """Where the parameters of a network lie, by their names.

        Args:
            network: Any.
            classes: What has so many outputs may be no part of them; None: all of it is.

        Raises:
            SpecError: It has a weight that is no part of them.
        """
        tensors, found = self.tensors(), {}
        for name, role, shape in _needed(network):
            whole = tensors.get(role, tensors.get(_of_shape(role, shape)))
            if whole is None or not fits(shape, tuple(whole.shape)):
                if classes in shape[:1]:
                    continue
                has = "none" if whole is None else f"one of {tuple(whole.shape)}"
                raise SpecError(
                    f"Networks that share weights have parts of them, but {name!r} of shape {shape} has {has} to be a "
                    "part of. Is the space one of blocks with choices?"
                )
            found[name] = whole, _window(shape, tuple(whole.shape))
        return found


class Path(nn.Module):
    """A network that learns on shared weights, by the statistics of each batch.

    Args:
        shared: The weights.
        network: On the device `meta`: its own weights and statistics are not looked at.

    Raises:
        SpecError: See `SharedWeights.places`.
    """

    def __init__(self, shared: SharedWeights, network: nn.Module):
        super().__init__()
        self.network = network.train()
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None
        self._places = shared.places(network)

    def forward(self, *inputs: Any) -> Any:
        """What the network gives for them."""
        tensors = {name: whole[window] for name, (whole, window) in self._places.items()}
        return functional_call(self.network, tensors, inputs)


def fresh_weights(specs: Sequence[Spec], make: Make, is_sliced: bool) -> SharedWeights:
    """Weights for networks, as these begin with them; a later network's stand before an earlier one's.

    Args:
        specs: Of the networks.
        make: Builds one.
        is_sliced: Whether layers of one role and of other shapes share weights; else each shape has its own.
    """
    largest: dict[str, Shape] = {}
    for spec in specs:
        largest |= {role: joined(shape, largest.get(role)) for role, shape in shapes(spec, make, is_sliced).items()}
    shared = SharedWeights({role: torch.zeros(shape) for role, shape in largest.items()})
    for spec in specs:
        write_into(shared, make(spec))
    return shared


def cut_out(shared: SharedWeights, network: nn.Module, classes: int | None = None) -> tuple[str, ...]:
    """Give a network its part of the shared weights, to keep.

    Args:
        shared: By role.
        network: Is given them.
        classes: See `SharedWeights.places`.

    Returns:
        Names of the parameters that are no part of them.

    Raises:
        SpecError: See `SharedWeights.places`.
    """
    places = shared.places(network, classes)
    with torch.no_grad():
        for name, (whole, window) in places.items():
            network.get_parameter(name).copy_(whole[window])
    return tuple(name for name, _ in network.named_parameters() if name not in places)


def write_into(shared: SharedWeights, network: nn.Module) -> None:
    """Give shared weights those of a network, where its own lie.

    Raises:
        SpecError: See `SharedWeights.places`.
    """
    with torch.no_grad():
        for name, (whole, window) in shared.places(network).items():
            whole[window] = network.get_parameter(name)


def take_over(shared: SharedWeights, tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Give shared weights those of the same roles and shapes; detectors' backbones those of classifiers.

    Args:
        shared: Is given them.
        tensors: By role.

    Returns:
        Roles that there was nothing for.
    """
    missing = []
    with torch.no_grad():
        for role, own in shared.tensors().items():
            other = tensors.get(role, tensors.get(within_backbone(role)))
            if other is not None and other.shape == own.shape:
                own.copy_(other)
            else:
                missing.append(role)
    return tuple(missing)


ROOT = "network"
BACKBONE = f"{ROOT}/backbone:"
"""How the roles of what a detector stands on begin."""


def within_backbone(role: str) -> str:
    """What a role in a detector's backbone is in the classifier.

    >>> within_backbone("network/backbone:Blocks/stem:Sequential[Conv2d]/Conv2d0/weight")
    'network/stem:Sequential[Conv2d]/Conv2d0/weight'
    """
    _, _, rest = role.partition(BACKBONE)
    return f"{ROOT}/{rest.partition('/')[2]}"


def shapes(spec: Spec, make: Make, is_sliced: bool = True) -> dict[str, Shape]:
    """Role -> shape of the weights of a network."""
    with without_numbers():
        return {role: shape for _, role, shape in _needed(make(spec), is_sliced)}


def joined(shape: Shape, other: Shape | None) -> Shape:
    """The smallest shape that either is a part of."""
    return shape if other is None else tuple(map(max, shape, other))


def roles(network: nn.Module) -> dict[str, str]:
    """Name of each parameter -> its role."""
    return dict(_roles(network, "", ROOT))


def _needed(network: nn.Module, is_sliced: bool = True) -> Iterator[tuple[str, str, Shape]]:
    """Name, role and shape of each parameter."""
    for name, role in roles(network).items():
        shape = tuple(network.get_parameter(name).shape)
        yield name, role if is_sliced else _of_shape(role, shape), shape


def _of_shape(role: str, shape: Shape) -> str:
    owner, _, name = role.rpartition("/")
    return f"{owner}@{'x'.join(map(str, shape))}/{name}"


def _roles(module: nn.Module, name: str, role: str) -> Iterator[tuple[str, str]]:
    """A layer in a row is known by its class and its number among those, so that one more beside it changes nothing."""
    children = dict(module.named_children())
    kinds = [_kind(child) for child in children.values()]
    is_row = isinstance(module, nn.Sequential | nn.ModuleList)
    if is_row:
        role += f"[{'+'.join(kind for kind in kinds if kind in _CONVOLUTIONS)}]"
    for own, _ in module.named_parameters(recurse=False):
        yield f"{name}{own}", f"{role}/{own}"
    for i, (own, child) in enumerate(children.items()):
        label = f"{kinds[i]}{kinds[:i].count(kinds[i])}" if is_row else f"{own}:{kinds[i]}"
        yield from _roles(child, f"{name}{own}.", f"{role}/{label}")


_CONVOLUTIONS = ("Conv2d", "Depthwise")


def _kind(module: nn.Module) -> str:
    is_depthwise = isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    return "Depthwise" if is_depthwise else type(module).__name__


def fits(shape: Shape, whole: Shape) -> bool:
    """Whether a tensor of the one shape is a part of one of the other."""
    return len(shape) == len(whole) and all(part <= side for part, side in zip(shape, whole, strict=True))


def _window(shape: Shape, whole: Shape) -> tuple[slice, ...]:
    """The first channels, and the centre of the sides of a kernel."""
    begins = (0 if i < 2 else (side - part) // 2 for i, (part, side) in enumerate(zip(shape, whole, strict=True)))
    return tuple(slice(begin, begin + part) for begin, part in zip(begins, shape, strict=True))
