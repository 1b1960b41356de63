"""Whether the code that builds a network keeps what its interface promises, found before anything is paid for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.registry import blamed, short
from paretonas.space import Interface
from paretonas.space.interface import Port

EXAMPLES = 2
"""In a batch; a network takes batches of any size."""


def check_network(make: Callable[[], nn.Module], interface: Interface, what: str) -> None:
    """Build a network twice and run it once in each mode.

    Args:
        make: Builds it, with weights from torch's global generator, which is left as it was.
        interface: What it is to be fed and to give.
        what: It is; begins a sentence.

    Raises:
        SpecError: It cannot be built or run, is another one each time, shares its weights with the one before, changes
            what it is fed, says something else each time, or its outputs are not those of the interface.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, other = _made(make, what), _made(make, what)
        _check_own(model, other, what)
        inputs = tuple(_example(port) for port in interface.inputs)
        with running(what, inputs):
            first, again, _ = (_outputs(model.train(is_training), inputs, interface, what) for is_training in _MODES)
    if not all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(first, again, strict=True)):
        raise SpecError(
            f"{what} gives the same numbers for the same inputs in evaluation mode, but they differ. Is there a "
            "dropout that does not look at `self.training`?"
        )


_MODES = (False, False, True)


def running(what: str, inputs: Sequence[Tensor]) -> AbstractContextManager[None]:
    """Whatever the code of a network raises meanwhile is a `SpecError` that says what it was fed."""
    shapes = " and ".join(str(tuple(x.shape)) for x in inputs)
    return blamed(f"{what} takes inputs of shape {shapes}, but fails", SpecError)


def check_outputs(outputs: Any, interface: Interface, examples: int, what: str) -> tuple[Tensor, ...]:
    """What a network gave, as one tensor for each output of its interface.

    Args:
        outputs: A tensor, or a tuple or list of several.
        interface: Of the network.
        examples: How many it was fed.
        what: The network is; begins a sentence.

    Raises:
        SpecError: They are not those of the interface in number, shape or type.
    """
    ports = interface.outputs
    found = (outputs,) if len(ports) == 1 else outputs
    if not isinstance(found, tuple | list) or not all(isinstance(one, Tensor) for one in found):
        wanted = "one tensor" if len(ports) == 1 else f"a tuple of {len(ports)} tensors"
        raise SpecError(f"{what} gives {wanted}, but got {_described(outputs)}.")
    if len(found) != len(ports):
        raise SpecError(f"{what} gives {len(ports)} tensors, but got {len(found)}.")
    for port, output in zip(ports, found, strict=True):
        wanted_shape, shape = (examples, *port.shape[1:]), tuple(output.shape)
        if shape != wanted_shape or output.dtype != getattr(torch, port.dtype):
            raise SpecError(
                f"{what} gives {port.name!r} of shape {wanted_shape} and type {port.dtype} for a batch of {examples}, "
                f"but got {shape} and {str(output.dtype).removeprefix('torch.')}."
            )
    return tuple(found)


def _made(make: Callable[[], nn.Module], what: str) -> nn.Module:
    with blamed(f"{what} cannot be built", SpecError):
        model = make()
    if not isinstance(model, nn.Module):
        raise SpecError(f"{what} is a torch.nn.Module, but got {short(model)}.")
    return model


def _check_own(model: nn.Module, other: nn.Module, what: str) -> None:
    """Whether it is the same network each time, with weights of its own."""
    parts, others = _parts(model), _parts(other)
    if parts != others:
        odd = next(name for name in (*parts, *others) if parts.get(name) != others.get(name))
        raise SpecError(
            f"{what} is the same each time it is built, but two differ in {odd!r}. Give what is random an option, or a "
            "name of its own."
        )
    mine, theirs = ({x.untyped_storage().data_ptr() for x in m.state_dict().values()} for m in (model, other))
    if (mine & theirs) - {0}:
        raise SpecError(f"{what} has new weights each time it is built, but two share them. Build it in the factory.")


def _parts(model: nn.Module) -> dict[str, object]:
    """Classes of modules and shapes of weights, by name."""
    return {
        **{name: type(module).__qualname__ for name, module in model.named_modules()},
        **{name: tuple(tensor.shape) for name, tensor in model.state_dict().items()},
    }


def _example(port: Port) -> Tensor:
    """Noise where numbers go in, and zeros where indices do."""
    shape = (EXAMPLES, *port.shape[1:])
    return torch.randn(shape) if port.dtype == "float32" else torch.zeros(shape, dtype=getattr(torch, port.dtype))


def _outputs(model: nn.Module, inputs: tuple[Tensor, ...], interface: Interface, what: str) -> tuple[Tensor, ...]:
    fed = tuple(x.clone() for x in inputs)
    with torch.no_grad():
        outputs = check_outputs(model(*fed), interface, EXAMPLES, what)
    if not all(map(torch.equal, fed, inputs)):
        raise SpecError(f"{what} leaves what it is fed as it was, but changes it in place.")
    for port, output in zip(interface.outputs, outputs, strict=True):
        if not bool(torch.isfinite(output).all()):
            raise SpecError(f"{what} gives finite numbers, but {port.name!r} has some that are not.")
    return outputs


def _described(outputs: Any) -> str:
    if isinstance(outputs, tuple | list):
        return f"a {type(outputs).__name__} of {len(outputs)}"
    return f"a {type(outputs).__name__}"
