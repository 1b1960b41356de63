"""Progressive search: from short architectures to long ones, as a surrogate learns what is worth extending.

Source: Liu et al., Progressive Neural Architecture Search, ECCV 2018, algorithm 1: all cells of one block are trained;
then, block by block, the cells that were trained are extended by every block, a surrogate that has learned from all of
them picks the K best, and these are trained.
Differs: where a first length has more than `first` architectures, these are sampled; where the extensions are more than
`candidates`, so many of them are. In a space of one length there is nothing to extend, and the first sample is all.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from random import Random
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import Architecture, SearchSpace, Spec
from paretonas.strategy.strategy import AskCounter, Prior, Strategy, StrategyOptions, generator
from paretonas.trial import Proposal, Trial

if TYPE_CHECKING:
    from paretonas.strategy.surrogates.sequence import Ensemble

TRIES = 10
"""Times the size of a sample that is drawn at most to fill it with different networks."""


@dataclass(frozen=True)
class Progressive(StrategyOptions):
    """PNAS: every step one block more, the best K by a surrogate.

    Args:
        beam: K, architectures tried of each length but the first.
        surrogate: `lstm` or `mlp`.
        ensemble: Surrogates whose mean decides.
        first: Architectures tried of the first length, if it has more.
        candidates: Extensions that are scored for a step at most.

    Raises:
        UsageError: A number out of range.
    """

    beam: int = 256
    surrogate: Literal["lstm", "mlp"] = "lstm"
    ensemble: int = 5
    first: int = 1000
    candidates: int = 100_000

    def __post_init__(self) -> None:
        if not (1 <= self.beam <= 100_000 and 1 <= self.ensemble <= 100 and 1 <= self.first <= 100_000):
            raise UsageError(f"`1 <= beam, first <= 100000` and `1 <= ensemble <= 100` must hold, but got {self}.")
        if not self.beam <= self.candidates <= 10_000_000:
            raise UsageError(f"`beam <= candidates <= 10000000` must hold, but got {self}.")

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search."""
        return _Progressive(self, space, seed)


class _Progressive(Strategy):
    """A step's proposals are a list, made when all of the step before were told; ask numbers count through them."""

    def __init__(self, options: Progressive, space: SearchSpace, seed: int):
        self._options, self._space, self._seed = options, space, seed
        self._counter = AskCounter()
        self._surrogate: Ensemble | None = None
        self._told: dict[int, Trial] = {}
        self._seen: set[Spec] = set()
        self._step, self._begin = 0, 0
        self._proposals: list[Proposal] | None = None  # of the step; None: not made yet

    def ask(self, n: int) -> list[Proposal]:
        at = self._counter.next - self._begin
        asked = self._of_step()[at : at + n]
        for _ in asked:
            self._counter.take()
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            self._told[trial.number] = trial
            while self._step + 1 < len(self._space.lengths) and self._is_told():
                self._begin += len(self._of_step())
                self._step += 1
                self._proposals = self._extend()

    @property
    def is_finished(self) -> bool:
        is_last = self._step + 1 == len(self._space.lengths)
        return is_last and self._counter.next >= self._begin + len(self._of_step())

    def _is_told(self) -> bool:
        return all(self._begin + i in self._told for i in range(len(self._of_step())))

    def _of_step(self) -> list[Proposal]:
        if self._proposals is None:
            self._proposals = self._number(self._shortest(), {})
        return self._proposals

    def _number(self, chosen: Sequence[Architecture], predicted: dict[Architecture, float]) -> list[Proposal]:
        contexts = ({"predicted": predicted[one]} if one in predicted else {} for one in chosen)
        return [
            Proposal(self._begin + i, one, context)
            for i, (one, context) in enumerate(zip(chosen, contexts, strict=True))
        ]

    def _shortest(self) -> list[Architecture]:
        """All different networks of the first length in an order of the seed's, or a sample of them."""
        rng, length = generator(self._seed, 0, "first"), self._space.lengths[0]
        sizes = [len(decision.choices) for decision in self._space.decisions[:length]]
        if math.prod(sizes) > self._options.first:
            drawn = (self._space.sample(rng, length) for _ in range(TRIES * self._options.first))
            return list(islice(self._new(drawn), self._options.first))
        every = [Architecture(self._space.name, choices) for choices in product(*map(range, sizes))]
        return list(self._new(rng.sample(every, len(every))))

    def _extend(self) -> list[Proposal]:
        """The K extensions of the step before that promise most."""
        candidates = self._candidates(generator(self._seed, self._step, "extend"))
        scores = self._scores([one.choices for one in candidates])
        order = np.argsort(-scores, kind="stable")
        best = list(islice(self._new(candidates[i] for i in order), self._options.beam))
        return self._number(best, dict(zip(candidates, scores.tolist(), strict=True)))

    def _candidates(self, rng: Random) -> list[Architecture]:
        """Extensions of all trials of the step before that have a reward, in a random order."""
        before, after = self._space.lengths[self._step - 1 : self._step + 1]
        sizes = [len(decision.choices) for decision in self._space.decisions[before:after]]
        trials = (self._told[number] for number in sorted(self._told))
        parents = [
            trial.architecture.choices
            for trial in trials
            if trial.usable_reward is not None and len(trial.architecture.choices) == before
        ]
        count = math.prod(sizes)
        drawn = _drawn(rng, len(parents) * count, self._options.candidates)
        return [Architecture(self._space.name, (*parents[i // count], *_digits(i % count, sizes))) for i in drawn]

    def _scores(self, candidates: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
        """(n,) predicted rewards, from a surrogate that has learned from all that was told; none without candidates."""
        from paretonas.strategy.surrogates.sequence import Ensemble, Tokens

        if not candidates:
            return np.empty(0)
        if self._surrogate is None:
            tokens = Tokens(self._space.decisions, self._space.lengths)
            seed = generator(self._seed, 0, "surrogate").getrandbits(63)
            self._surrogate = Ensemble(self._options.surrogate, self._options.ensemble, tokens, seed)
        rewarded = [trial for _, trial in sorted(self._told.items()) if trial.usable_reward is not None]
        self._surrogate.fit([t.architecture.choices for t in rewarded], [t.usable_reward or 0.0 for t in rewarded])
        return self._surrogate.predict(candidates)

    def _new(self, architectures: Iterable[Architecture]) -> Iterator[Architecture]:
        """Those that are accepted and whose networks were not among the proposals yet."""
        for architecture in architectures:
            spec = self._space.decode(architecture)
            if spec not in self._seen and self._space.contains(architecture):
                self._seen.add(spec)
                yield architecture


def _drawn(rng: Random, total: int, most: int) -> list[int]:
    """Different numbers below `total` in a random order: all of them, or `most`."""
    if total <= sys.maxsize:
        return rng.sample(range(total), min(total, most))
    return [rng.randrange(total) for _ in range(most)]  # of so many that no two are likely to be one


def _digits(number: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """One index a decision; the last decision counts fastest.

    >>> _digits(7, (2, 3, 2))
    (1, 0, 1)
    """
    digits = []
    for size in reversed(sizes):
        number, digit = divmod(number, size)
        digits.append(digit)
    return tuple(reversed(digits))
