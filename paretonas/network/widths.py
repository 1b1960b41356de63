"""Networks in other widths, and what of a network can have other widths.

Source: Gordon et al., MorphNet, CVPR 2018, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.network.check import check_outputs, running
from paretonas.network.dependencies import find_layout
from paretonas.network.layout import Layout, Removal, Run
from paretonas.network.removing import find_removals
from paretonas.network.resizing import resize
from paretonas.network.shapes import inputs_without_numbers, without_numbers
from paretonas.registry import short
from paretonas.space import Interface, Spec
from paretonas.space.widths import WidthsSpec


def WidthsNetwork(spec: WidthsSpec, interface: Interface, dropout: float = 0.0) -> nn.Module:  # noqa: N802
    """The network in its new widths, with fresh weights.

    Args:
        spec: The network as it was, and the widths of its groups.
        interface: What it is fed and gives.
        dropout: See `paretonas.network.build`.

    Raises:
        SpecError: Not one width for each group, or one that the network cannot have.
    """
    layout = spec_layout(spec.base, interface)
    return resize(build(spec.base, interface, dropout), layout, spec.widths)


@lru_cache(maxsize=64)
def spec_layout(spec: Spec, interface: Interface) -> Layout:
    """The groups of a spec's network: those whose widths can really be changed.

    Raises:
        SpecError: There are none, or it cannot be traced.
    """
    with without_numbers():
        shapes = build(spec, interface)
    layout = _changeable(shapes.to("meta"), find_layout(shapes, interface), interface)
    if not layout.groups:
        reasons = "; ".join(f"{layer}: {why}" for layer, why in layout.fixed.items())
        raise SpecError(f"A network has layers whose widths can be changed, but {short(spec)} has none ({reasons}).")
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # whoever asks may build without numbers
        torch.manual_seed(0)
        removals = find_removals(build(spec, interface), layout, interface)
    return _removable(shapes, _with_removals(layout, removals), interface)


def _with_removals(layout: Layout, removals: Mapping[int, Removal]) -> Layout:
    groups = (replace(g, is_removable=i in removals) for i, g in enumerate(layout.groups))
    return replace(layout, groups=tuple(groups), removals=removals)


def _removable(shapes: nn.Module, layout: Layout, interface: Interface) -> Layout:
    """The layout without the removals of what others rely on where widths differ."""

    def stands(removed: Iterable[int]) -> bool:
        widths = _other_widths(layout, range(len(layout.groups)))
        for group in removed:
            widths[group] = 0
        return _runs(shapes, layout, widths, interface) is None

    if stands(layout.removals):
        return layout
    return _with_removals(layout, {group: one for group, one in layout.removals.items() if stands([group])})


def _changeable(shapes: nn.Module, layout: Layout, interface: Interface) -> Layout:
    """The layout without the groups whose number of channels the network's code relies on."""
    if _runs(shapes, layout, _other_widths(layout, range(len(layout.groups))), interface) is None:
        return layout
    groups, refused = range(len(layout.groups)), dict[int, str]()
    for group in groups:
        why = _runs(shapes, layout, _other_widths(layout, [group]), interface)
        if why is not None:
            refused[group] = why
    left = [group for group in groups if group not in refused]
    why = _runs(shapes, layout, _other_widths(layout, left), interface) if left else None
    if why is not None:
        raise SpecError(f"The code of a network takes layers in other widths, but this one does not: {why}")
    return _without(layout, refused)


def _other_widths(layout: Layout, changed: Sequence[int]) -> list[int]:
    """Widths of which these groups' differ from what they are, and from one another."""
    widths = list(layout.widths)
    for group in changed:
        multiple = layout.groups[group].multiple
        widths[group] = max(multiple, int(widths[group] / multiple * (0.5 + 0.1 * (group % 5))) * multiple)
        if widths[group] == layout.groups[group].width:
            widths[group] += multiple
    return widths


def _runs(shapes: nn.Module, layout: Layout, widths: Sequence[int], interface: Interface) -> str | None:
    """Why a network does not run in these widths; None: it does."""
    model = resize(deepcopy(shapes).eval(), layout, widths)
    inputs = inputs_without_numbers(interface)
    try:
        with torch.no_grad(), running("It", inputs):
            check_outputs(model(*inputs), interface, 1, "It")
    except SpecError as error:
        return str(error)
    return None


def _without(layout: Layout, refused: dict[int, str]) -> Layout:
    """The layout with some groups' widths fixed."""
    left = [i for i in range(len(layout.groups)) if i not in refused]
    place = {group: i for i, group in enumerate(left)}

    def changed(runs: tuple[Run, ...]) -> tuple[Run, ...]:
        return tuple(replace(run, group=None if run.group is None else place.get(run.group)) for run in runs)

    layers = tuple(replace(layer, ins=changed(layer.ins), outs=changed(layer.outs)) for layer in layout.layers)
    fixed = {layout.groups[i].name: f"its code relies on the width: {why}" for i, why in refused.items()}
    return Layout(
        tuple(layout.groups[i] for i in left), tuple(x for x in layers if x.groups), {**layout.fixed, **fixed}
    )
