"""The networks of a space that share weights: the smallest, the largest, and enough others to know all weights by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from random import Random

from paretonas.network.sharing import Make, Shape, fits, joined, shapes
from paretonas.space import SearchSpace, Spec

DRAWN = 20
"""Architectures that are drawn to begin from, for the largest or the smallest."""
IN_A_ROW = 150
"""So many drawn networks in a row have to find all their weights before all are taken to be known."""

Choices = tuple[int, ...]
Cost = Callable[[Spec], float]


class Family:
    """Networks of a space.

    Args:
        space: Of any kind whose networks are built of layers with choices.
        make: Builds a network.
        is_sliced: Whether weights of other shapes may be parts of one.
    """

    def __init__(self, space: SearchSpace, make: Make, is_sliced: bool = True):
        self.space, self._make, self._is_sliced = space, make, is_sliced
        self._shapes: dict[Spec, dict[str, Shape]] = {}
        self._estimated: tuple[Callable[[Choices], float], float] | None = None

    def draw(self, rng: Random) -> Spec:
        """A network, uniformly."""
        return self.space.decode(self.space.sample(rng))

    def draw_within(self, low: float, high: float, cost: Cost, rng: Random, tries: int) -> Spec:
        """A network that costs so much, uniformly of such; any network where none is found.

        What a quick estimate shows to be far off is passed over: what the smallest network costs, and by how much each
        decision alone changes that. Where blocks cost what they cost whatever the others are, it is exact.

        Args:
            low: Least cost.
            high: Most.
            cost: Of a network; the same function in each call.
            rng: Draws them.
            tries: So many are drawn.
        """
        if self._estimated is None:
            self._estimated = self._estimating(cost)
        estimate, error = self._estimated
        for _ in range(tries):
            choices = self.space.sample(rng).choices
            if low - error <= estimate(choices) <= high + error and low <= cost(spec := self._spec(choices)) <= high:
                return spec
        return self.draw(rng)

    @cached_property
    def smallest(self) -> Spec:
        """The one of the fewest weights that single changes of a drawn one lead to."""
        return self._spec(self._fewest)

    @cached_property
    def _fewest(self) -> Choices:
        return self._extreme(-1)

    @cached_property
    def largest(self) -> Spec:
        """Likewise, of the most."""
        return self._spec(self._extreme(1))

    @cached_property
    def specs(self) -> tuple[Spec, ...]:
        """Networks such that the weights of any network are parts of theirs, the largest last.

        As long as networks are drawn that have weights which none so far has, such networks are taken too: where
        weights are sliced, changed in one decision after the other so that as much as can be of theirs is new.
        """
        known, found, rng, in_a_row = dict(self._of(self.largest)), dict.fromkeys((self.largest,)), Random(0), 0

        def growth(spec: Spec) -> int:
            return _growth(known, self._of(spec))

        while in_a_row < IN_A_ROW:
            drawn = self.space.sample(rng).choices
            in_a_row += 1
            if growth(self._spec(drawn)):
                spec = self._spec(self._improved(drawn, growth) if self._is_sliced else drawn)
                known.update({role: joined(shape, known.get(role)) for role, shape in self._of(spec).items()})
                found[spec], in_a_row = None, 0
        return *(spec for spec in found if spec != self.largest), self.largest

    def _spec(self, choices: Choices) -> Spec:
        return self.space.decode(self.space.architecture(choices))

    def _of(self, spec: Spec) -> dict[str, Shape]:
        """Role -> shape of the weights."""
        if spec not in self._shapes:
            self._shapes[spec] = shapes(spec, self._make, self._is_sliced)
        return self._shapes[spec]

    def _estimating(self, cost: Cost) -> tuple[Callable[[Choices], float], float]:
        """What estimates costs quickly, and twice by how much it is off at most, for some that are drawn."""
        few, least = self._fewest, cost(self.smallest)
        changes = [
            [cost(self._spec((*few[:i], c, *few[i + 1 :]))) - least for c in range(len(decision.choices))]
            for i, decision in enumerate(self.space.decisions)
        ]

        def estimate(choices: Choices) -> float:
            return least + sum(changes[i][c] for i, c in enumerate(choices))

        rng = Random(0)
        drawn = [self.space.sample(rng).choices for _ in range(DRAWN)]
        return estimate, 2 * max(abs(estimate(choices) - cost(self._spec(choices))) for choices in drawn)

    def _extreme(self, sign: int) -> Choices:
        """The architecture of the most weights, or with -1 the fewest."""
        rng, before = Random(0), None

        def value(spec: Spec) -> int:
            return sign * sum(map(math.prod, self._of(spec).values()))

        choices = max((self.space.sample(rng).choices for _ in range(DRAWN)), key=lambda one: value(self._spec(one)))
        while choices != before:
            before, choices = choices, self._improved(choices, value)
        return choices

    def _improved(self, choices: Choices, value: Callable[[Spec], int]) -> Choices:
        """With the best choice for each decision, one after the other."""
        for i, decision in enumerate(self.space.decisions):
            others = ((*choices[:i], c, *choices[i + 1 :]) for c in range(len(decision.choices)) if c != choices[i])
            choices = max((choices, *others), key=lambda one: value(self._spec(one)))
        return choices


def _growth(known: Mapping[str, Shape], found: Mapping[str, Shape]) -> int:
    """Numbers that the known weights have to grow by for those that were found to be parts of them."""
    new = {role: shape for role, shape in found.items() if role not in known or not fits(shape, known[role])}
    whole = sum(math.prod(joined(shape, known.get(role))) for role, shape in new.items())
    return whole - sum(math.prod(known[role]) for role in new if role in known)
