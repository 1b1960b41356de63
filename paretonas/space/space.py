"""A search space: categorical decisions and the function that turns their values into a spec."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from paretonas.errors import SpecError
from paretonas.registry import blamed
from paretonas.space.spec import Spec, spec_hash

Choice = str | int | float

MUTATION_TRIES = 100
SOME_TRIES = 4
"""Draws for each of several different networks."""
RESTRICTED_TRIES = 10_000
"""So often an architecture is drawn that a restricted space accepts, before that is called hopeless."""


@dataclass(frozen=True)
class Decision:
    """One categorical decision.

    Args:
        name: Dotted path, unique in its space ("block3.kernel").
        choices: The values on offer, at least one, all different.
        kind: Decisions of one kind mean the same by their choices, so that what learns may share between them; empty:
            those that offer the same.

    Raises:
        SpecError: No choices, or two alike.
    """

    name: str
    choices: tuple[Choice, ...]
    kind: str = ""

    def __post_init__(self) -> None:
        if not self.choices or len(set(self.choices)) < len(self.choices):
            raise SpecError(f"A decision has choices that all differ, but {self.name!r} has {self.choices}.")

    @property
    def symbols(self) -> tuple[Hashable, ...]:
        """What each choice means, equal where decisions that are alike make the same choice."""
        if self.kind:
            return tuple((self.kind, choice) for choice in self.choices)
        return tuple((self.choices, i) for i in range(len(self.choices)))


def name_with_options(name: str, options: object) -> str:
    """The name of a space with those of its options that are not at their defaults, as users write it.

    Args:
        name: Under which it is registered.
        options: A dataclass, all of whose fields have defaults.
    """
    usual = type(options)()
    given = [f"{key}={value}" for key, value in vars(options).items() if value != getattr(usual, key)]
    return f"{name}:{','.join(given)}" if given else name


@dataclass(frozen=True)
class Architecture:
    """One point of a space, as data: one index a decision, from the first on."""

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
        lengths: Numbers of decisions after which there is an architecture already, rising; the last is all of them.
            Empty: only that. What is drawn, mutated and counted has full length.
        accepts: What the space is restricted to; None: everything. See `restricted`.
        width: Multiplier of filters that its networks share; what a task's typical network is scaled by beside them.

    Raises:
        SpecError: Two decisions of one name, none at all, or lengths that do not rise to their number.

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
    lengths: tuple[int, ...] = ()
    accepts: Callable[[Spec], bool] | None = None
    width: float = 1.0

    def __post_init__(self) -> None:
        names = [d.name for d in self.decisions]
        if not names or len(set(names)) < len(names):
            raise SpecError(f"A space has decisions with names of their own, but {self.name!r} has {names}.")
        object.__setattr__(self, "lengths", self.lengths or (len(names),))
        if list(self.lengths) != sorted(set(self.lengths)) or self.lengths[0] < 1 or self.lengths[-1] != len(names):
            raise SpecError(
                f"The lengths of a space rise to the number of its decisions, but {self.name!r} has {self.lengths} "
                f"and {len(names)} decisions."
            )

    @property
    def size(self) -> int:
        """Number of architectures of full length, exact; of a restricted space, before the restriction."""
        return math.prod(len(d.choices) for d in self.decisions)

    def restricted(self, accepts: Callable[[Spec], bool]) -> SearchSpace:
        """The same space, of which only the architectures are drawn whose specs are accepted (a limit of MACs, say).

        Args:
            accepts: Must be pure; a space that is restricted already keeps its restriction too.
        """
        before = self.accepts
        both = accepts if before is None else lambda spec: before(spec) and accepts(spec)
        return replace(self, accepts=both)

    def contains(self, architecture: Architecture) -> bool:
        """Whether the spec of a point of this space is accepted."""
        return self.accepts is None or self.accepts(self.decode(architecture))

    def sample(self, rng: Random, length: int | None = None) -> Architecture:
        """An architecture drawn uniformly.

        Args:
            rng: Used for all of it.
            length: One of `lengths`; None: the full one.

        Raises:
            SpecError: Of 10,000 draws the restriction accepts none.
        """

        def draw() -> Architecture:
            return Architecture(self.name, tuple(rng.randrange(len(d.choices)) for d in self.decisions[:length]))

        return self._accepted(draw)

    def some(self, count: int) -> list[Spec]:
        """Different networks, always the same ones; fewer where there are not as many."""
        rng, drawn = Random(0), dict[str, Spec]()
        for _ in range(SOME_TRIES * count):
            spec = self.decode(self.sample(rng))
            drawn.setdefault(spec_hash(spec), spec)
            if len(drawn) == count:
                break
        return list(drawn.values())

    def _accepted(self, draw: Callable[[], Architecture]) -> Architecture:
        for _ in range(RESTRICTED_TRIES):
            architecture = draw()
            if self.contains(architecture):
                return architecture
        raise SpecError(
            f"A restricted space has architectures that are accepted, but of {RESTRICTED_TRIES:,} drawn in "
            f"{self.name!r} none was. Loosen the restriction."
        )

    def mutate(self, architecture: Architecture, rng: Random) -> Architecture:
        """A copy with one decision changed, drawn until the spec changes too and is accepted.

        After 100 draws that leave the spec as it was, the last one is returned; in a space of one architecture, or
        where no changed one is accepted, `architecture` itself.
        """
        self.validate(architecture)
        open_decisions = [i for i, d in enumerate(self.decisions[: len(architecture.choices)]) if len(d.choices) > 1]
        if not open_decisions:
            return architecture
        before, last = self.decode(architecture), architecture
        for _ in range(MUTATION_TRIES):
            i = rng.choice(open_decisions)
            others = [c for c in range(len(self.decisions[i].choices)) if c != architecture.choices[i]]
            mutant = _replace(architecture, i, rng.choice(others))
            spec = self.decode(mutant)
            if self.accepts is not None and not self.accepts(spec):
                continue
            last = mutant
            if spec != before:
                break
        return last

    def redrawn(self, architecture: Architecture, chance: float, rng: Random) -> Architecture:
        """A copy of an architecture of full length, each decision drawn anew with this chance; it may be as it was."""
        choices = [
            rng.randrange(len(decision.choices)) if rng.random() < chance else choice
            for decision, choice in zip(self.decisions, architecture.choices, strict=True)
        ]
        return self.architecture(choices)

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        """Every decision from `a` or from `b` with equal chance; `a` where 100 such children are not accepted.

        Raises:
            SpecError: They are not of this space, or not of one length.
        """
        self.validate(a)
        self.validate(b)
        if len(a.choices) != len(b.choices):
            raise SpecError(f"A child has parents of one length, but got {len(a.choices)} and {len(b.choices)}.")
        for _ in range(MUTATION_TRIES):
            child = Architecture(self.name, tuple(rng.choice(pair) for pair in zip(a.choices, b.choices, strict=True)))
            if self.contains(child):
                return child
        return a

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All accepted architectures that differ in exactly one decision."""
        self.validate(architecture)
        for i, decision in enumerate(self.decisions[: len(architecture.choices)]):
            for c in range(len(decision.choices)):
                if c != architecture.choices[i] and self.contains(_replace(architecture, i, c)):
                    yield _replace(architecture, i, c)

    def values(self, architecture: Architecture) -> dict[str, Choice]:
        """The chosen values by decision name."""
        self.validate(architecture)
        return {d.name: d.choices[c] for d, c in zip(self.decisions, architecture.choices, strict=False)}

    def decode(self, architecture: Architecture) -> Spec:
        """What `architecture` means.

        Raises:
            SpecError: It is not of this space, or the space has no spec for it.
        """
        values = self.values(architecture)
        try:
            return self.decoder(values)
        except Exception:  # costs nothing where all is well: strategies decode by the thousand
            with blamed(f"Each architecture has a spec, but the space {self.name!r} has none for {values}", SpecError):
                raise

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
        if len(architecture.choices) not in self.lengths:
            known = " or ".join(map(str, self.lengths))
            raise SpecError(
                f"Space {self.name!r} takes one choice for each of its {known} decisions, "
                f"but got {len(architecture.choices)}."
            )
        for decision, choice in zip(self.decisions, architecture.choices, strict=False):
            if not isinstance(choice, int) or not 0 <= choice < len(decision.choices):
                raise SpecError(
                    f"Decision {decision.name!r} takes an index from 0 to {len(decision.choices) - 1} "
                    f"into {decision.choices}, but got {choice!r}."
                )


def _replace(architecture: Architecture, index: int, choice: int) -> Architecture:
    choices = architecture.choices
    return Architecture(architecture.space, (*choices[:index], choice, *choices[index + 1 :]))
