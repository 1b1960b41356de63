"""The widths of a network's layers as a search space: one decision for each group of layers that share a width.

Source: Gordon et al., MorphNet, CVPR 2018, section 3: the topology of a seed network stays, its output widths are what
is sought; a width of 0 removes a residual branch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from paretonas.errors import SpecError
from paretonas.space.interface import Interface
from paretonas.space.space import Choice, Decision, SearchSpace
from paretonas.space.spec import Part, Spec

WIDEST = 2**16
"""Channels of a layer."""


@dataclass(frozen=True)
class WidthGroup:
    """Channels of layers that have one width: those of a residual connection, a convolution and its normalization.

    Args:
        name: Of the first layer that makes them.
        width: In the seed network.
        multiple: Widths are multiples of it, where a convolution of the group is in groups.
        is_removable: Whether there may be none, which removes a residual branch.
    """

    name: str
    width: int
    multiple: int = 1
    is_removable: bool = False

    @property
    def floor(self) -> int:
        """The smallest width."""
        return 0 if self.is_removable else self.multiple

    def nearest(self, width: float, aligned: int = 1) -> int:
        """The width that may be, nearest to this one; none at all for none alone.

        Args:
            width: Wanted.
            aligned: A multiple of this, too, where the seed's width is one.
        """
        multiple = math.lcm(self.multiple, aligned) if self.width % aligned == 0 else self.multiple
        least = multiple if width > 0 else self.floor
        return max(least, min(WIDEST // multiple, round(width / multiple)) * multiple)


@dataclass(frozen=True)
class WidthsSpec(Spec):
    """A network in other widths.

    Args:
        base: The network as it was.
        widths: Of its groups, in the order in which `paretonas.network.dependencies` finds them.

    Raises:
        SpecError: A width that cannot be, or a network in other widths in the place of the one that was.
    """

    kind: ClassVar[str] = "widths"
    base: Spec
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.widths or not all(0 <= width <= WIDEST for width in self.widths):
            raise SpecError(f"Widths are numbers of channels from 0 to {WIDEST}, but got {self.widths}.")
        if self.base.kind == self.kind:
            raise SpecError("Widths are those of the network as it was, but got one whose widths were changed before.")

    @property
    def is_foreign(self) -> bool:
        return self.base.is_foreign

    def parts(self) -> tuple[Part, ...]:
        """Those of the network as it was, their filters unknown."""
        return tuple(replace(part, filters=None) for part in self.base.parts())

    def with_state(self, interface: Interface) -> Interface:
        return self.base.with_state(interface)

    @property
    def usual_classes(self) -> int:
        return self.base.usual_classes

    def usual_interface(self, channels: int, resolution: int, classes: int) -> Interface:
        return self.base.usual_interface(channels, resolution, classes)


def width_space(base: Spec, groups: Sequence[WidthGroup], most: int = 3, name: str = "widths") -> SearchSpace:
    """All widths of a network up to so many times those that it has.

    Args:
        base: The network.
        groups: Of its layers.
        most: Times its widths.
        name: Of the space.

    Raises:
        SpecError: There are no groups.

    >>> from paretonas.space import ForeignSpec
    >>> space = width_space(ForeignSpec("timm:resnet18"), [WidthGroup("conv1", 64), WidthGroup("layer1.0.conv1", 64)])
    >>> space.size == 256**2
    True
    """
    if not groups:
        raise SpecError("A network has layers whose widths can be changed, but none was found.")
    if base.kind == WidthsSpec.kind:
        raise SpecError("Widths are those of the network as it was, but got one whose widths were changed before.")
    own = tuple(group.width for group in groups)

    def decode(values: Mapping[str, Choice]) -> Spec:
        widths = tuple(int(width) for width in values.values())
        return base if widths == own else WidthsSpec(base, widths)

    decisions = tuple(
        Decision(f"{group.name}.width", tuple(range(group.floor, most * group.width + 1, group.multiple)), "width")
        for group in groups
    )
    return SearchSpace(name, decisions, decode)
