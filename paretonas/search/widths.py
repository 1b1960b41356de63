"""The widths of any network as a search space that is registered; its groups of channels are found when it is built.

Source: Gordon et al., MorphNet, CVPR 2018, section 3.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from paretonas.errors import SpecError
from paretonas.network.cost import spec_cost
from paretonas.network.widths import spec_layout
from paretonas.space import ForeignSpec, SearchSpace, Spec, load_spec, spec_from_json, spec_hash, spec_to_json
from paretonas.space.space import name_with_options
from paretonas.space.trust import LIBRARIES
from paretonas.space.widths import width_space
from paretonas.zoo import zoo, zoo_spec

COLOURS = 3
"""Channels of the images by which the groups of a network are found; they are the same for any."""


def network_spec(text: str, width: float = 1.0, resolution: int | None = None) -> Spec:
    """A network as users write it.

    Args:
        text: A name of the zoo, `timm:NAME`, `torchvision:NAME`, `module:factory`, or a spec as JSON.
        width: Multiplier of its filters.
        resolution: Side of the images; below 128 pixels the first strides go. None: as it is. Of a spec nothing is
            changed.

    Raises:
        SpecError: No such network, or not in that width.
    """
    if text.startswith("{"):
        return _spec(text).scaled(width)
    if ":" in text and text.partition(":")[0] not in zoo:
        return ForeignSpec(text).scaled(width, resolution=resolution)
    return zoo_spec(text, width, resolution)


def _spec(text: str) -> Spec:
    try:
        return spec_from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"A spec is JSON, but got {text[:60]!r}: {error}") from None


def names_code(text: str) -> bool:
    """Whether a network is made by a module of the user's own."""
    return not text.startswith("{") and ":" in text and text.partition(":")[0] not in (*zoo, *LIBRARIES)


@dataclass(frozen=True)
class WidthsSpace:
    """The widths of one network: MorphNet's space, for any strategy.

    Args:
        network: A name of the zoo, `timm:NAME`, `torchvision:NAME`, `module:factory`, a spec's .json file, or its text.
        width: Multiplier of its filters.
        resolution: Side of the images in pixels; below 128 networks of the zoo lose first strides, and foreign ones
            that run without them.
        most: Times its widths that a layer may have.

    Raises:
        SpecError: No such network, or not in that width.
    """

    network: str = "mobilenet-v2"
    width: float = 1.0
    resolution: int = 224
    most: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.most <= 10:
            raise SpecError(f"`1 <= most <= 10` must hold, but got (most={self.most}).")
        if self.network.endswith(".json"):  # what is recorded is the network, wherever its file is then
            spec = load_spec(Path(self.network).expanduser())
            object.__setattr__(self, "network", json.dumps(spec_to_json(spec)))

    @property
    def base(self) -> Spec:
        """The network as it is: in its own strides where it does not run without its first ones."""
        spec = network_spec(self.network, self.width, self.resolution)
        if not spec.is_foreign:
            return spec
        try:
            spec_cost(spec, spec.usual_interface(COLOURS, self.resolution, spec.usual_classes))
        except SpecError:
            return network_spec(self.network, self.width)
        return spec

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        base = self.base
        interface = base.with_state(base.usual_interface(COLOURS, self.resolution, base.usual_classes))
        named = self if not self.network.startswith("{") else replace(self, network=spec_hash(base))
        return width_space(base, spec_layout(base, interface).groups, self.most, name_with_options("widths", named))
