"""The networks of a space that share weights: the smallest, the largest, and enough others to know all weights by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from paretonas.network.sharing import Make, Shape, fits, joined, shapes
from paretonas.space import SearchSpace, Spec

DRAWN, CLIMBED = 50, 2
"""Architectures that are drawn to begin from, and those of them that are improved, for the largest or the smallest."""
IN_A_ROW = 30
"""So many drawn networks in a row have to find all their weights before all are taken to be known."""


@dataclass(frozen=True)
class Family:
    """Networks of a space.

    Args:
        space: Theirs.
        smallest: The one of the fewest weights, one decision after the other.
        largest: Of the most.
        specs: Such that the weights of any network are parts of theirs, the largest last.
    """

    space: SearchSpace
    smallest: Spec
    largest: Spec
    specs: tuple[Spec, ...]

    def draw(self, rng: Random) -> Spec:
        """A network, uniformly."""
        return self.space.decode(self.space.sample(rng))


def family(space: SearchSpace, make: Make, is_sliced: bool = True) -> Family:
    """The networks of a space.

    All networks are taken that differ in one decision from the largest; then, as long as networks are drawn that have
    weights which none of these has, such networks too, made as large as that weight can be where weights are sliced.

    Args:
        space: Of any kind whose networks are built of layers with choices.
        make: Builds a network.
        is_sliced: Whether weights of other shapes may be parts of one.
    """
    sizes = _Sizes(space, make, is_sliced)
    smallest, largest = sizes.extreme(-1), sizes.extreme(1)
    known: dict[str, Shape] = {}
    chosen = list(_beside(space, largest))
    for choices in chosen:
        known |= _joined(known, sizes.of(choices))
    rng, found = Random(0), 0
    while found < IN_A_ROW:
        drawn = space.sample(rng).choices
        missing = next((role for role, shape in sizes.of(drawn).items() if not _is_known(shape, known.get(role))), None)
        found = found + 1 if missing is None else 0
        if missing is not None:
            chosen.append(sizes.enlarged(drawn, missing) if is_sliced else drawn)
            known |= _joined(known, sizes.of(chosen[-1]))
    specs = dict.fromkeys(sizes.spec(choices) for choices in chosen)
    specs.pop(sizes.spec(largest), None)
    return Family(space, sizes.spec(smallest), sizes.spec(largest), (*specs, sizes.spec(largest)))


class _Sizes:
    """Shapes of the weights of architectures."""

    def __init__(self, space: SearchSpace, make: Make, is_sliced: bool):
        self._space, self._make, self._is_sliced = space, make, is_sliced
        self._known: dict[Spec, dict[str, Shape]] = {}

    def spec(self, choices: tuple[int, ...]) -> Spec:
        return self._space.decode(self._space.architecture(choices))

    def of(self, choices: tuple[int, ...]) -> dict[str, Shape]:
        """Role -> shape."""
        spec = self.spec(choices)
        if spec not in self._known:
            self._known[spec] = shapes(spec, self._make, self._is_sliced)
        return self._known[spec]

    def extreme(self, sign: int) -> tuple[int, ...]:
        """The architecture of the most weights, or with -1 the fewest, that single changes of drawn ones lead to."""
        rng = Random(0)
        drawn = [self._space.sample(rng).choices for _ in range(DRAWN)]

        def value(choices: tuple[int, ...]) -> int:
            return sign * sum(map(math.prod, self.of(choices).values()))

        begins = sorted(drawn, key=value)[-CLIMBED:]
        return max((self._climbed(begin, value) for begin in begins), key=value)

    def enlarged(self, choices: tuple[int, ...], role: str) -> tuple[int, ...]:
        """The architecture of the largest weight of a role that single changes lead to."""
        return self._climbed(choices, lambda one: math.prod(self.of(one).get(role, (0,))))

    def _climbed(self, choices: tuple[int, ...], value: Callable[[tuple[int, ...]], int]) -> tuple[int, ...]:
        before = None
        while choices != before:
            before = choices
            for i in range(len(choices)):
                choices = max((choices, *_others(self._space, choices, i)), key=value)
        return choices


def _others(space: SearchSpace, choices: tuple[int, ...], i: int) -> Iterator[tuple[int, ...]]:
    """What differs in one decision."""
    for c in range(len(space.decisions[i].choices)):
        if c != choices[i]:
            yield (*choices[:i], c, *choices[i + 1 :])


def _beside(space: SearchSpace, choices: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All that differ in one decision, and the architecture itself."""
    for i in range(len(choices)):
        yield from _others(space, choices, i)
    yield choices


def _joined(known: dict[str, Shape], found: dict[str, Shape]) -> dict[str, Shape]:
    return {role: joined(shape, known.get(role)) for role, shape in found.items()}


def _is_known(shape: Shape, whole: Shape | None) -> bool:
    return whole is not None and fits(shape, whole)
