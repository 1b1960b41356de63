"""Generational evolution under a limit: DetNAS's search, and that of Single Path One-Shot.

Source: Chen et al., DetNAS, NeurIPS 2019, section 3.4; megvii-model/DetNAS (search.py, arch_search_config.py). Guo et
al., Single Path One-Shot Neural Architecture Search, ECCV 2020, algorithm 1 (its numbers: 25 mutations, 25 crossovers).
Differs: tries are bounded, where the published code may draw for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import Architecture, SearchSpace, Spec
from paretonas.strategy.strategy import AskCounter, Prior, Strategy, StrategyOptions, generator
from paretonas.trial import Proposal, State, Trial

TRIES = 100
"""So often an architecture that was proposed before is drawn anew."""
MOST_REFUSED = 10
"""So many times its share mutations or crossovers are tried in a generation; then random ones take their place."""
MUTATION, CROSSOVER, RANDOM = "mutation", "crossover", "random"


@dataclass(frozen=True)
class Generational(StrategyOptions):
    """The best of all generations are mutated and crossed over; what breaks a limit is replaced and counts for nothing.

    Args:
        population: Members of a generation that were scored. Published: 50.
        generations: After these it is finished. Published: 20.
        parents: The best of all generations. Published: 10.
        mutations: Of a generation. Published: 20.
        crossovers: Of a generation; the rest is random. Published: 20.
        mutation: Probability with which a mutation draws a decision anew. Published: .1.

    Raises:
        UsageError: A number out of its range.
    """

    population: int = 50
    generations: int = 20
    parents: int = 10
    mutations: int = 20
    crossovers: int = 20
    mutation: float = 0.1

    def __post_init__(self) -> None:
        sizes = (self.population, self.generations, self.parents)
        bred = self.mutations + self.crossovers
        if not (all(1 <= n <= 1_000_000 for n in sizes) and min(self.mutations, self.crossovers) >= 0):
            raise UsageError(
                "`1 <= population, generations, parents <= 1000000` and `0 <= mutations, crossovers` must hold, but "
                f"got {self}."
            )
        if bred > self.population or not 0 < self.mutation <= 1:
            raise UsageError(
                f"`mutations + crossovers <= population` and `0 < mutation <= 1` must hold, but got {self}."
            )

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search."""
        return _Generational(self, space, seed)


class _Generational(Strategy):
    def __init__(self, options: Generational, space: SearchSpace, seed: int):
        self._options, self._space, self._seed = options, space, seed
        self._counter = AskCounter()
        self._seen: set[Spec] = set()
        self._best: list[tuple[float, Architecture]] = []
        self._generation = 0
        self._told: Counter[str] = Counter()
        self._scored: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    @property
    def is_finished(self) -> bool:
        return self._generation >= self._options.generations

    def ask(self, n: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        while len(proposals) < n and not self.is_finished and self._expected() < self._options.population:
            proposals.append(self._propose(self._counter.take()))
        return proposals

    def _expected(self) -> int:
        """Members of this generation, if all that is being evaluated is scored."""
        return self._scored.total() + self._asked.total() - self._told.total()

    def _propose(self, number: int) -> Proposal:
        rng, kind = generator(self._seed, number), self._kind()
        self._asked[kind] += 1
        architecture = self._new(self._drawing(kind, rng), rng)
        self._seen.add(self._space.decode(architecture))
        return Proposal(number, architecture, {"generation": self._generation, "kind": kind})

    def _kind(self) -> str:
        """Of the next proposal: mutations first, then crossovers, while there are parents."""
        options = self._options
        for kind, share in ((MUTATION, options.mutations), (CROSSOVER, options.crossovers)):
            expected = self._scored[kind] + self._asked[kind] - self._told[kind]
            if self._best and self._generation and expected < share and self._asked[kind] < MOST_REFUSED * share:
                return kind
        return RANDOM

    def _drawing(self, kind: str, rng: Random) -> Callable[[], Architecture]:
        parents = [architecture for _, architecture in self._best]
        if kind == MUTATION:
            return lambda: self._space.redrawn(rng.choice(parents), self._options.mutation, rng)
        if kind == CROSSOVER:
            return lambda: self._space.crossover(rng.choice(parents), rng.choice(parents), rng)
        return lambda: self._space.sample(rng)

    def _new(self, draw: Callable[[], Architecture], rng: Random) -> Architecture:
        """One that was not proposed before, if some draws find one; a random one where the space accepts none."""
        architecture = draw()
        for _ in range(TRIES):
            if self._space.contains(architecture) and self._space.decode(architecture) not in self._seen:
                return architecture
            architecture = draw()
        return architecture if self._space.contains(architecture) else self._space.sample(rng)

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            self._counter.see([trial])
            self._seen.add(self._space.decode(trial.architecture))
            self._take_in(trial)

    def _take_in(self, trial: Trial) -> None:
        kind, is_scored = _kind_of(trial.context), trial.usable_reward is not None and trial.state is State.COMPLETE
        if is_scored:
            self._best.append((trial.usable_reward or 0.0, trial.architecture))
            self._best = sorted(dict.fromkeys(self._best), key=lambda one: -one[0])[: self._options.parents]
        if trial.context.get("generation", self._generation) != self._generation:
            return
        self._told[kind] += 1
        self._asked[kind] = max(self._asked[kind], self._told[kind])  # an earlier process asked
        self._scored[kind] += is_scored
        if self._scored.total() >= self._options.population:
            self._generation += 1
            self._told, self._scored, self._asked = Counter(), Counter(), Counter()


def _kind_of(context: Mapping[str, object]) -> str:
    kind = context.get("kind")
    return str(kind) if kind in (MUTATION, CROSSOVER) else RANDOM
