"""The zoo as a search space: one decision, which published network. It gives a search its baselines.

What a baseline is trained on, by which recipe, and how it is timed is then what every trial gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paretonas.errors import SpecError
from paretonas.space import ForeignSpec, SearchSpace, Spec
from paretonas.space.space import Choice, Decision, name_with_options
from paretonas.zoo.zoo import zoo_spec

SCALED = {"mobilenet-v2": (0.5, 0.7, 1.0, 1.4), "mnasnet-a1": (0.7, 1.0, 1.4), "mnasnet-b1": (1.0,)}
"""Networks of any width, and the multiples of the space's width in which they are offered."""
FIXED = {
    "mnasnet-small": (1.0,),
    "mobilenet-v3-small": (0.5, 0.75, 1.0),
    "mobilenet-v3-large": (0.75, 1.0),
    "efficientnet-b0": (1.0,),
}
"""Networks offered in widths of their own."""


@dataclass(frozen=True)
class ZooSpace:
    """Published networks, and any of your own: the baselines of a search.

    Args:
        width: Of the search. MobileNetV2 comes in 0.5, 0.7, 1 and 1.4 times this width, MnasNet-A1 in 0.7, 1 and 1.4
            times, B1 in just this; the others in their own.
        resolution: Side of the images in pixels; below 128 the networks lose their first strides.
        networks: Names of the zoo, `+` between them, a width after `*`: `mobilenet-v2*0.5+mnasnet-small`. Empty: the
            usual ones.
        also: Models of your own as `module:factory`, `+` between them.

    Raises:
        UnknownNameError: No such network.
        SpecError: A network that does not come in a width.
    """

    width: float = 1.0
    resolution: int = 224
    networks: str = ""
    also: str = ""

    def __post_init__(self) -> None:
        self._specs()

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        specs = self._specs()

        def decode(values: Mapping[str, Choice]) -> Spec:
            return specs[str(values["network"])]

        return SearchSpace(
            name_with_options("zoo", self), (Decision("network", tuple(specs)),), decode, width=self.width
        )

    def _specs(self) -> dict[str, Spec]:
        specs = {f"{name} x{width:g}": zoo_spec(name, width, self.resolution) for name, width in self._chosen()}
        return specs | {source: ForeignSpec(source) for source in self.also.split("+") if source}

    def _chosen(self) -> list[tuple[str, float]]:
        if self.networks:
            written = [part.partition("*") for part in self.networks.split("+") if part]
            return [(name, _width(text) if star else self.width) for name, star, text in written]
        scaled = [(name, round(f * self.width, 3)) for name, factors in SCALED.items() for f in factors]
        return scaled + [(name, width) for name, widths in FIXED.items() for width in widths]


def _width(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"A network's width is a number after '*', but got {text!r}.") from None
