"""Which branches of a network can be taken out: those without which it still computes something.

A branch is taken out where it is found, on numbers, that the network without it computes what the network computes in
which nothing comes out of the branch.

Source: Gordon et al., MorphNet, CVPR 2018, section 4.4 (residual branches that vanish).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile

import torch
from torch import Tensor, nn

from paretonas.network.layout import MAKERS, Layout, Removal, Run
from paretonas.network.resizing import is_inside, sided_tensors, take_out
from paretonas.space import Interface

NEAR = 1e-4
"""Relative difference of outputs that are called equal."""
IMAGES = 4
"""Sides of a tensor of images: examples, channels, height, width."""
AROUND = 3
"""Modules, one around the other, that may go with a branch."""


def find_removals(model: nn.Module, layout: Layout, interface: Interface) -> dict[int, Removal]:
    """The groups without which a network still is one, and what goes with each.

    Args:
        model: Of this layout; its weights are changed.
        layout: Of it.
        interface: What it is fed and gives.
    """
    model = _unbiased(model.eval())
    inputs = [_noise(interface, seed) for seed in (1, 2)]
    fed = _fed(model, {path for group in range(len(layout.groups)) for path in _around(layout, group)}, inputs[0])
    found: dict[int, Removal] = {}
    for group in range(len(layout.groups)):
        places = [path for path in _around(layout, group) if path in fed]
        with _without_readers(model, layout, group):
            given = {path: _given(model, path, fed[path]) for path in places}
        same = next((path for path in places if _are_near(given[path], fed[path])), None)
        if same is not None:
            found[group] = Removal(same, "identity")
            continue
        empty = next((path for path in places if not given[path].any()), None)
        if empty is not None and _is_whole(model, empty, inputs):
            found[group] = Removal(empty, "zeros", _made(layout, empty, fed[empty]))
    return found


def _made(layout: Layout, path: str, fed: Tensor) -> tuple[Run, ...]:
    """The channels that a module makes of images of others; none where it makes as many as it is fed."""
    inside = [layer for layer in layout.layers if is_inside(layer.name, path)]
    first, last = inside[0].ins or inside[0].outs, inside[-1].outs
    return () if fed.dim() != IMAGES or first == last else last


def _given(model: nn.Module, path: str, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model.get_submodule(path)(x)


def _is_whole(model: nn.Module, path: str, inputs: Sequence[Sequence[Tensor]]) -> bool:
    """Whether what a network gives with zeros in a module's place still follows from what it is fed."""
    before = model.get_submodule(path)
    take_out(model, Removal(path, "zeros"), ())
    try:
        first, second = (_flat(model, x) for x in inputs)
        return not _are_near(first, second)
    finally:
        model.set_submodule(path, before)


def _around(layout: Layout, group: int) -> list[str]:
    """The modules that hold all layers of a group, the innermost first."""
    names = [layer.name.split(".") for layer in layout.layers if group in layer.groups]
    common = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*names, strict=False))]
    return [".".join(common[:depth]) for depth in range(len(common), max(0, len(common) - AROUND), -1)]


def _fed(model: nn.Module, paths: set[str], inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """What modules are fed that take one tensor, and give one of its shape."""
    found: dict[str, Tensor] = {}

    def note(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, args: tuple[object, ...], output: object) -> None:
            fed = args[0] if len(args) == 1 else None
            if isinstance(fed, Tensor) and isinstance(output, Tensor) and fed.shape == output.shape:
                found[name] = fed.clone()

        return model.get_submodule(name).register_forward_hook(hook)

    hooks = [note(path) for path in sorted(paths)]
    _flat(model, inputs)
    for handle in hooks:
        handle.remove()
    return found


def _unbiased(model: nn.Module) -> nn.Module:
    """The network, of which layers that are fed zeros give zeros, and no branch begins small."""
    for module in model.modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if name in ("bias", "running_mean"):
                nn.init.zeros_(tensor)
            elif not isinstance(module, MAKERS) and tensor.is_floating_point():
                nn.init.uniform_(tensor, 0.5, 1.5)
    return model


@contextmanager
def _without_readers(model: nn.Module, layout: Layout, group: int) -> Iterator[None]:
    """Meanwhile nothing comes of what the channels of a group hold."""
    modules, before = dict(model.named_modules()), list[tuple[Tensor, Tensor]]()
    for layer in layout.layers:
        if any(run.group == group for run in layer.ins):
            before += [(x, x.detach().clone()) for _, _, x, sides in sided_tensors(modules, layer) if len(sides) == 2]
    for tensor, _ in before:
        nn.init.zeros_(tensor)
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, values in before:
                tensor.copy_(values)


def _noise(interface: Interface, seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(p.shape, generator=generator)
        if p.dtype == "float32"
        else torch.randint(0, 2, p.shape, generator=generator).to(getattr(torch, p.dtype))
        for p in interface.inputs
    )


def _flat(model: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        outputs = model(*inputs)
    return torch.cat([x.flatten().float() for x in ((outputs,) if isinstance(outputs, Tensor) else outputs)])


def _are_near(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= NEAR * max(float(a.abs().max()), float(b.abs().max()), 1e-12))
