"""A search space: categorical decisions and the function that turns their values into a spec."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from paretonas.errors import SpecError
from paretonas.space.spec import Spec

Choice = str | int | float

MUTATION_TRIES = 100


@dataclass(frozen=True)
class Decision:
    """One categorical decision.

    Args:
        name: Dotted path, unique in its space ("block3.kernel").
        choices: The values on offer, at least one, all different.

    Raises:
        SpecError: No choices, or two alike.
    """

    name: str
    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.choices or len(set(self.choices)) < len(self.choices):
            raise SpecError(f"A decision has choices that all differ, but {self.name!r} has {self.choices}.")


@dataclass(frozen=True)
class Architecture:
    """One point of a space, as data: one index a decision."""

    space: str
    choices: tuple[int, ...]


@dataclass(frozen=True)
class SearchSpace:
    """Decisions and what they mean.

    Different architectures may decode to equal specs (a residual connection that no layer can use, say); the spec, not
    the architecture, is what is built, timed and trained.

    Args:
        name: Under which architectures of this space are stored.
        decisions: In the order in which a controller makes them.
        decoder: Values by decision name -> spec. Must be pure.
        representative: Indices -> those of the architecture that stands for all that compute the same, where that is
            known. Must be pure.

    Raises:
        SpecError: Two decisions of one name, or none at all.

    >>> from random import Random
    >>> from paretonas.space import ForeignSpec
    >>> space = SearchSpace("toy", (Decision("depth", (18, 34)),), lambda v: ForeignSpec(f"timm:resnet{v['depth']}"))
    >>> space.size, space.decode(space.sample(Random(0))).source
    (2, 'timm:resnet34')
    """

    name: str
    decisions: tuple[Decision, ...]
    decoder: Callable[[Mapping[str, Choice]], Spec]
    representative: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None

    def __post_init__(self) -> None:
        names = [d.name for d in self.decisions]
        if not names or len(set(names)) < len(names):
            raise SpecError(f"A space has decisions with names of their own, but {self.name!r} has {names}.")

    @property
    def size(self) -> int:
        """Number of architectures, exact."""
        return math.prod(len(d.choices) for d in self.decisions)

    def sample(self, rng: Random) -> Architecture:
        """An architecture drawn uniformly."""
        return Architecture(self.name, tuple(rng.randrange(len(d.choices)) for d in self.decisions))

    def mutate(self, architecture: Architecture, rng: Random) -> Architecture:
        """A copy with one decision changed, drawn until the spec changes too.

        After 100 draws that leave the spec as it was, the last one is returned; in a space of one architecture, that.
        """
        self.validate(architecture)
        open_decisions = [i for i, d in enumerate(self.decisions) if len(d.choices) > 1]
        if not open_decisions:
            return architecture
        before = self.decode(architecture)
        for _ in range(MUTATION_TRIES):
            i = rng.choice(open_decisions)
            others = [c for c in range(len(self.decisions[i].choices)) if c != architecture.choices[i]]
            mutant = _replace(architecture, i, rng.choice(others))
            if self.decode(mutant) != before:
                break
        return mutant

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        """Every decision from `a` or from `b` with equal chance."""
        self.validate(a)
        self.validate(b)
        return Architecture(self.name, tuple(rng.choice(pair) for pair in zip(a.choices, b.choices, strict=True)))

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All architectures that differ in exactly one decision."""
        self.validate(architecture)
        for i, decision in enumerate(self.decisions):
            for c in range(len(decision.choices)):
                if c != architecture.choices[i]:
                    yield _replace(architecture, i, c)

    def values(self, architecture: Architecture) -> dict[str, Choice]:
        """The chosen values by decision name."""
        self.validate(architecture)
        return {d.name: d.choices[c] for d, c in zip(self.decisions, architecture.choices, strict=True)}

    def decode(self, architecture: Architecture) -> Spec:
        """What `architecture` means.

        Raises:
            SpecError: It is not of this space.
        """
        return self.decoder(self.values(architecture))

    def canonical(self, choices: tuple[int, ...]) -> tuple[int, ...]:
        """Indices of the architecture that stands for all which compute the same; where none is known, `choices`.

        Such architectures may be built differently: a branch that leads nowhere costs time, and changes no output.
        """
        return self.representative(choices) if self.representative is not None else choices

    def architecture(self, choices: Sequence[int]) -> Architecture:
        """The checked architecture with these indices.

        Raises:
            SpecError: A wrong number of indices, or one out of range.
        """
        architecture = Architecture(self.name, tuple(choices))
        self.validate(architecture)
        return architecture

    def validate(self, architecture: Architecture) -> None:
        """Check that `architecture` is a point of this space.

        Raises:
            SpecError: Another space's, a wrong number of choices, or one out of range.
        """
        if architecture.space != self.name:
            raise SpecError(f"An architecture belongs to its space, but {architecture.space!r} is not {self.name!r}.")
        if len(architecture.choices) != len(self.decisions):
            raise SpecError(
                f"Space {self.name!r} takes one choice for each of its {len(self.decisions)} decisions, "
                f"but got {len(architecture.choices)}."
            )
        for decision, choice in zip(self.decisions, architecture.choices, strict=True):
            if not isinstance(choice, int) or not 0 <= choice < len(decision.choices):
                raise SpecError(
                    f"Decision {decision.name!r} takes an index from 0 to {len(decision.choices) - 1} "
                    f"into {decision.choices}, but got {choice!r}."
                )


def _replace(architecture: Architecture, index: int, choice: int) -> Architecture:
    choices = architecture.choices
    return Architecture(architecture.space, (*choices[:index], choice, *choices[index + 1 :]))
