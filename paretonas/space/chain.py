"""NAS-RL's space for CIFAR-10: a chain of convolutions with skip connections, and the spec of its networks.

A layer is a convolution that takes any layers before it, concatenated; one that takes none is fed the image. The layers
that no other takes are concatenated before the classifier. Where sizes differ, the smaller are padded with zeros.

Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, sections 3.3 and 4.1, figures 2
and 4.
Differs: the sigmoids of an anchor point are decisions of their own, one for each layer before it. Layers of a spec are
in canonical order, so that networks which differ in the order of layers alone are one. That the padding lies around
what is smaller, and that the last layers are averaged over all pixels before the classifier, is ours; the paper does
not say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import islice
from typing import ClassVar

from paretonas.errors import SpecError
from paretonas.registry import Selection
from paretonas.space.graph import Graph, Node
from paretonas.space.order import orders_of
from paretonas.space.space import Choice, Decision, SearchSpace
from paretonas.space.spec import Part, Spec, check_multipliers

SIDES, FILTERS, STRIDES = (1, 3, 5, 7), (24, 36, 48, 64), (1, 2, 3)
"""What a layer of the paper chooses from."""
TAKES = ("no", "yes")
"""Whether a layer takes one before it."""
CLASSIFIER = ("last", "pool", "flatten", "dropout", "classifier")
"""Modules of the last part."""
MOST_LAYERS, MOST_FILTERS, LARGEST_FILTER = 50, 4096, 11
MOST_ORDERS = 100
"""So many orders of layers that look alike are tried at most for the first one."""


@dataclass(frozen=True, order=True)
class ChainLayer:
    """A convolution, its normalization and ReLU.

    Args:
        height: Of the filters, odd.
        width: Of the filters, odd.
        filters: How many.
        inputs: The layers that it takes, rising; none: the image.
        stride_height: 1 to 3.
        stride_width: 1 to 3.

    Raises:
        SpecError: A value out of its range.
    """

    height: int
    width: int
    filters: int
    inputs: tuple[int, ...] = ()
    stride_height: int = 1
    stride_width: int = 1

    def __post_init__(self) -> None:
        is_odd = all(1 <= side <= LARGEST_FILTER and side % 2 for side in (self.height, self.width))
        is_striding = all(stride in STRIDES for stride in (self.stride_height, self.stride_width))
        if not (is_odd and is_striding and 1 <= self.filters <= MOST_FILTERS):
            raise SpecError(
                f"A layer of a chain has odd sides up to {LARGEST_FILTER}, 1 to {MOST_FILTERS} filters and strides "
                f"from 1 to 3, but got {self}."
            )

    @property
    def words(self) -> str:
        """What it consists of.

        >>> ChainLayer(3, 7, 36, stride_height=2, stride_width=2).words
        'conv 3x7, stride 2x2'
        """
        strides = (self.stride_height, self.stride_width)
        return f"conv {self.height}x{self.width}" + (", stride {}x{}".format(*strides) if strides != (1, 1) else "")


@dataclass(frozen=True)
class ChainSpec(Spec):
    """Convolutions, each of which takes layers before it, global average pooling and a classifier.

    Args:
        layers: Each takes only layers before it.

    Raises:
        SpecError: None or too many, or a layer that takes what does not come before it.
    """

    kind: ClassVar[str] = "chain"
    layers: tuple[ChainLayer, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.layers) <= MOST_LAYERS:
            raise SpecError(f"`1 <= layers <= {MOST_LAYERS}` must hold for a chain, but got {len(self.layers)}.")
        for i, layer in enumerate(self.layers):
            if list(layer.inputs) != sorted(set(layer.inputs)) or not all(0 <= source < i for source in layer.inputs):
                raise SpecError(f"Layer {i} of a chain takes layers before it, rising, but got {layer.inputs}.")

    @property
    def outputs(self) -> tuple[int, ...]:
        """The layers that no other takes."""
        taken = {source for layer in self.layers for source in layer.inputs}
        return tuple(i for i in range(len(self.layers)) if i not in taken)

    def divisors(self) -> tuple[tuple[int, int], ...]:
        """By which each layer divides the height and the width of the image; what remains is rounded up.

        A layer's input has the sides of the largest that it takes.
        """
        found: list[tuple[int, int]] = []
        for layer in self.layers:
            high, wide = smallest([found[source] for source in layer.inputs])
            found.append((high * layer.stride_height, wide * layer.stride_width))
        return tuple(found)

    def canonical(self) -> ChainSpec:
        """The chain that stands for all which differ from it in the order of layers alone.

        Layers come by their depth, then by what they are and what they are connected with. Where layers look alike in
        that, the order is taken in which the whole chain comes first, among 100 orders at most.
        """
        return _canonical(self)

    def parts(self) -> tuple[Part, ...]:
        """Layers and classifier."""
        parts, divisors = [], self.divisors()
        for i, layer in enumerate(self.layers):
            taken = [divisors[source] for source in layer.inputs]
            largest = smallest(taken)
            first = sorted(layer.inputs, key=lambda source: divisors[source] != largest)
            is_square = layer.stride_height == layer.stride_width and divisors[i][0] == divisors[i][1]
            stride = layer.stride_height if is_square and largest in (taken or [largest]) else 0
            names = tuple(f"layer{source}" for source in first)
            parts.append(
                Part(f"layer{i}", (f"joins.{i}", f"layers.{i}"), layer.words, layer.filters, stride, names, "conv")
            )
        last = tuple(f"layer{i}" for i in self.outputs)
        return (*parts, Part("classifier", CLASSIFIER, "mean, linear", inputs=last))

    def graphs(self) -> tuple[Graph, ...]:
        """The layers."""
        nodes = [Node("image", "image", kind="input")]
        for i, layer in enumerate(self.layers):
            names = tuple(f"layer{source}" for source in layer.inputs) or ("image",)
            nodes.append(Node(f"layer{i}", f"{layer.words}, {layer.filters}", names))
        last = tuple(f"layer{i}" for i in self.outputs)
        return (Graph("layers", (*nodes, Node("classifier", "classifier", last, "output"))),)

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> ChainSpec:
        """With so many times the filters, rounded; it has the same strides for all images.

        Raises:
            SpecError: `width` is not in (0, 10], or `depth` is not 1: nothing says what further layers would be.
        """
        check_multipliers(width, depth)
        if depth != 1:
            super().scaled(1.0, depth)
        layers = (replace(layer, filters=max(1, round(width * layer.filters))) for layer in self.layers)
        return replace(self, layers=tuple(layers))


def smallest(divisors: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Divisors of the largest sides; of none, which stands for the image, 1."""
    return min((high for high, _ in divisors), default=1), min((wide for _, wide in divisors), default=1)


@lru_cache(maxsize=65536)
def _canonical(chain: ChainSpec) -> ChainSpec:
    labels = [replace(layer, inputs=()) for layer in chain.layers]
    orders = islice(orders_of(labels, [layer.inputs for layer in chain.layers]), MOST_ORDERS)
    return min((_in_order(chain, order) for order in orders), key=lambda one: one.layers)


def _in_order(chain: ChainSpec, order: Sequence[int]) -> ChainSpec:
    place = {layer: i for i, layer in enumerate(order)}
    layers = (chain.layers[i] for i in order)
    return ChainSpec(
        tuple(replace(layer, inputs=tuple(sorted(place[source] for source in layer.inputs))) for layer in layers)
    )


@dataclass(frozen=True)
class ChainSpace:
    """NAS-RL for CIFAR-10: size, strides and number of the filters of each layer, and which layers before it it takes.

    Args:
        layers: Of the longest architectures.
        first: Layers of the shortest ones.
        step: Layers from one length to the next.
        strides: Whether a layer chooses its strides; in the paper's first experiment all are 1.
        width: Multiplier of the filters.

    Raises:
        SpecError: A number out of its range.
    """

    layers: int = 20
    first: int = 6
    step: int = 2
    strides: bool = False
    width: float = 1.0

    def __post_init__(self) -> None:
        if not all(1 <= number <= MOST_LAYERS for number in (self.layers, self.first, self.step)):
            raise SpecError(
                f"`1 <= layers, first, step <= {MOST_LAYERS}` must hold, but got "
                f"(layers={self.layers}, first={self.first}, step={self.step})."
            )
        check_multipliers(self.width, 1.0)

    def build(self) -> SearchSpace:
        """The space; decisions are layer by layer, in the order of the paper's figures 2 and 4."""
        by_layer = [self._decisions(i) for i in range(self.layers)]
        decisions = tuple(decision for layer in by_layer for decision in layer)
        lengths = [sum(map(len, by_layer[:count])) for count in range(self.first, self.layers, self.step)]
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        name = str(Selection("nas-rl-chain", given))
        return SearchSpace(name, decisions, self._decode, lengths=(*lengths, len(decisions)), width=self.width)

    def _decisions(self, layer: int) -> tuple[Decision, ...]:
        named: dict[str, tuple[int, ...]] = {"height": SIDES, "width": SIDES}
        named |= {"stride_height": STRIDES, "stride_width": STRIDES} if self.strides else {}
        own = (
            Decision(f"layer{layer}.{name}", choices, name) for name, choices in {**named, "filters": FILTERS}.items()
        )
        return (*own, *(Decision(f"layer{layer}.takes{i}", TAKES, "takes") for i in range(layer)))

    def _decode(self, values: Mapping[str, Choice]) -> ChainSpec:
        layers = []
        for i in range(self.layers):
            own = {f.name: values.get(f"layer{i}.{f.name}", f.default) for f in fields(ChainLayer)}
            if f"layer{i}.filters" not in values:  # a shorter architecture
                break
            own["inputs"] = tuple(j for j in range(i) if values[f"layer{i}.takes{j}"] == "yes")
            layers.append(ChainLayer(**own))  # type: ignore[arg-type]
        return ChainSpec(tuple(layers)).scaled(self.width).canonical()
