"""A network's layers made wider and narrower, with their weights or with fresh ones, and branches taken out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.network.layout import MAKERS, Layer, Layout, Removal, Run, is_depthwise

Kept = Sequence[Sequence[int]]
"""Of each group the channels that are kept, rising, in the seed network."""

Sided = tuple[nn.Module, str, Tensor, dict[int, tuple[Run, ...]]]
"""A tensor of a layer: the module, the name, the tensor, and which of its sides lie along which channels."""


class Nothing(nn.Module):
    """In the place of a branch that is gone: zeros.

    Args:
        channels: Of images; None: whatever it is fed, as many.
    """

    def __init__(self, channels: int | None = None):
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same; (N, C, H, W) to (N, channels, H, W)."""
        if self.channels is None:
            return torch.zeros_like(x)
        return F.pad(torch.zeros_like(x[:, :1]), (0, 0, 0, 0, 0, self.channels - 1))


def take_out(model: nn.Module, removal: Removal, widths: Sequence[int]) -> None:
    """Put what takes its place where a module is, in a network of these widths."""
    zeros = Nothing(_total(removal.gives, widths) if removal.gives else None)
    model.set_submodule(removal.path, nn.Identity() if removal.what == "identity" else zeros)


def check_widths(layout: Layout, widths: Sequence[int]) -> None:
    """Whether a network of this layout may have these widths.

    Raises:
        SpecError: It may not.
    """
    if len(widths) != len(layout.groups):
        raise SpecError(f"The network has {len(layout.groups)} groups of channels, but got {len(widths)} widths.")
    for group, width in zip(layout.groups, widths, strict=True):
        if width < group.floor or width % group.multiple:
            raise SpecError(
                f"The width of {group.name!r} is a multiple of {group.multiple} and at least {group.floor}, but got "
                f"{width}."
            )


def resize(model: nn.Module, layout: Layout, widths: Sequence[int], kept: Kept | None = None) -> nn.Module:
    """Give a network other widths, in place.

    Args:
        model: Of this layout, in its own widths.
        layout: Of it.
        widths: Of each group.
        kept: Which channels stay, with their weights: as many as the widths say. None: all weights whose shapes change
            are drawn anew, of the mean and spread that they had, in proportion to the root of the layers' sizes.

    Raises:
        SpecError: Not such widths.
    """
    check_widths(layout, widths)
    if kept is not None and [len(channels) for channels in kept] != list(widths):
        raise SpecError("Of each group as many channels are kept as it is wide, but got other numbers.")
    gone = [layout.removals[i] for i, width in enumerate(widths) if width == 0]
    modules = dict(model.named_modules())
    for layer in layout.layers:
        changed = any(widths[group] != layout.groups[group].width for group in layer.groups)
        if not changed or any(is_inside(layer.name, one.path) for one in gone):
            continue
        if kept is None:
            _redraw(modules, layer, widths)
        else:
            _cut(modules, layer, kept)
    for one in gone:
        if not any(
            is_inside(one.path, other.path) for other in gone if other.path != one.path
        ):  # else it goes with that
            take_out(model, one, widths)
    return model


# The shapes of one layer


def sided_tensors(modules: Mapping[str, nn.Module], layer: Layer) -> Iterator[Sided]:
    """The tensors of a layer that have channels."""
    if layer.name not in modules:
        parent, _, name = layer.name.rpartition(".")
        module = modules[parent]
        yield module, name, module.get_parameter(name), {layer.dim: layer.outs}
        return
    module = modules[layer.name]
    for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        if tensor.dim():
            is_two_sided = bool(layer.ins) and tensor.dim() > 1
            yield module, name, tensor, {0: layer.outs, 1: layer.ins} if is_two_sided else {0: layer.outs}


def _redraw(modules: Mapping[str, nn.Module], layer: Layer, widths: Sequence[int]) -> None:
    for module, name, tensor, sides in list(sided_tensors(modules, layer)):
        shape = list(tensor.shape)
        for side, runs in sides.items():
            groups = _groups_of(module) if side == 1 else 1
            shape[side] = _total(runs, widths) // groups
        _put(module, name, _drawn_like(tensor, shape))
    _count(modules.get(layer.name), layer, widths)


def _drawn_like(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor of that shape, of the mean and spread of another one."""
    if tensor.is_meta:
        return tensor.new_empty(shape)
    mean, spread = tensor.detach().float().mean(), tensor.detach().float().std(correction=0)
    if tensor.dim() > 1:
        spread = spread * (tensor.numel() / max(1, math.prod(shape))) ** 0.25
    if float(spread) == 0:
        return torch.full(list(shape), float(mean), dtype=tensor.dtype)
    return (torch.randn(list(shape)) * spread + mean).to(tensor.dtype)


def _cut(modules: Mapping[str, nn.Module], layer: Layer, kept: Kept) -> None:
    for module, name, tensor, sides in list(sided_tensors(modules, layer)):
        groups = _groups_of(module)
        if groups > 1 and len(sides) == 2:
            new = _cut_grouped(tensor, _channels(layer.outs, kept), _channels(layer.ins, kept), groups)
        else:
            new = tensor
            for side, runs in sides.items():
                new = new.index_select(side, torch.tensor(_channels(runs, kept), device=tensor.device))
        _put(module, name, new.detach().clone())
    _count(modules.get(layer.name), layer, [len(channels) for channels in kept])


def _cut_grouped(weight: Tensor, outs: Sequence[int], ins: Sequence[int], groups: int) -> Tensor:
    """The weight (out, in / groups, ...) of a convolution in groups, of each of which as many channels stay.

    Raises:
        SpecError: Of some more stay than of others.
    """
    rows, columns = weight.shape[0] // groups, weight.shape[1]
    parts = []
    for group in range(groups):
        out = [i for i in outs if i // rows == group]
        read = [i - group * columns for i in ins if i // columns == group]
        if len(out) * groups != len(outs) or len(read) * groups != len(ins):
            raise SpecError("Of each group of a convolution in groups as many channels stay.")
        parts.append(weight[out][:, read])
    return torch.cat(parts)


def _channels(runs: Sequence[Run], kept: Kept) -> list[int]:
    """The places of the channels that stay, on a side of a layer."""
    found, begin = list[int](), 0
    for run in runs:
        if run.group is None:
            found += range(begin, begin + run.count)
        else:
            found += [begin + i * run.copies + copy for i in kept[run.group] for copy in range(run.copies)]
        begin += run.count
    return found


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    old = getattr(module, name)
    if isinstance(old, nn.Parameter):
        setattr(module, name, nn.Parameter(tensor, requires_grad=old.requires_grad))
    else:
        module.register_buffer(name, tensor, persistent=name not in module._non_persistent_buffers_set)


def _count(module: nn.Module | None, layer: Layer, widths: Sequence[int]) -> None:
    """Tell a module how many channels it has now."""
    if module is None:
        return
    outs = _total(layer.outs, widths)
    if isinstance(module, MAKERS):
        depthwise = is_depthwise(module)
        ins = outs if depthwise else _total(layer.ins, widths)
        for name, count in (("out_channels", outs), ("out_features", outs), ("in_channels", ins), ("in_features", ins)):
            if hasattr(module, name):
                setattr(module, name, count)
        if depthwise:
            module.groups = outs
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = (outs,)
    else:
        for name in ("num_features", "num_channels", "num_parameters"):
            if hasattr(module, name):
                setattr(module, name, outs)


def _groups_of(module: nn.Module) -> int:
    """Of a convolution in groups, of which a depthwise one is none."""
    return 1 if is_depthwise(module) else int(getattr(module, "groups", 1))


def _total(runs: Sequence[Run], widths: Sequence[int]) -> int:
    return int(sum(run.width(widths) for run in runs))


def is_inside(name: str, path: str) -> bool:
    """Whether a module is another one, or in it."""
    return name == path or name.startswith(f"{path}.")
