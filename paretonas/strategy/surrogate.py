"""A model of what was told picks what to try next: Bayesian optimization over the decisions.

A Gaussian process over the decisions predicts every goal with its uncertainty: what rises, such as accuracy, by rank;
what falls, such as latency, as it is. Of many candidates, mutants of the best trials and fresh samples, the one is
proposed that promises the largest expected improvement: of the reward, or of the front's hypervolume where there are
several goals; over what the process makes of the trials, not over what a lucky one reached. What was proposed before is
never proposed again. Random architectures are drawn at the start until so many have kept the limits; as soon as
something is known of these, one is taken by its chance to keep them.

Earlier searches under the same conditions are evidence like the search's own. What others foretell is the mean of the
process, as far as it is believed: `surrogates/earlier.py`.

Source: ours, from known parts. Expected improvement: Jones et al., Efficient Global Optimization of Expensive Black-Box
Functions, Journal of Global Optimization 13, 1998. Expected hypervolume improvement: Emmerich et al., Single- and
Multiobjective Evolutionary Optimization Assisted by Gaussian Random Field Metamodels, IEEE TEC 10(4), 2006. Improvement
over predictions where values are noisy: Picheny et al., A Benchmark of Kriging-Based Infill Criteria for Noisy
Optimization, Structural and Multidisciplinary Optimization 48, 2013. Believing in pending trials: Ginsbourger et al.,
Kriging Is Well-Suited to Parallelize Optimization, 2010. That such models need the fewest evaluations in architecture
search: White et al., BANANAS, AAAI 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import ClassVar

import numpy as np
from scipy import special

from paretonas.errors import UsageError
from paretonas.objective import Goals, front
from paretonas.space import Architecture, SearchSpace, Spec
from paretonas.strategy.strategy import AskCounter, Prior, Pursues, Strategy, StrategyOptions, generator
from paretonas.strategy.surrogates.acquisition import hypervolume_improvement
from paretonas.strategy.surrogates.evidence import Evidence
from paretonas.strategy.surrogates.gaussian import Floats
from paretonas.trial import Proposal, Trial

ORDINARY = 200
"""Of so many random architectures the model says what is ordinary."""
LIKELY = 500
"""So many are drawn for one that is likely to keep the limits."""
BOLD = 3
"""Times its chance to keep the limits is the chance that one is taken: the best are near the limits, where the model is
unsure."""
MOST_INITIAL = 10
"""Times as many proposals as were wanted at the start may be random, where few of them come to values."""
RISING_WORST, FALLING_WORST = 0.5, 0.1
"""Quantiles of what is ordinary within the limits that are the front's reference point: the median of what rises, the
90th percentile of what falls, which enters with its sign changed."""


@dataclass(frozen=True)
class Surrogate(StrategyOptions):
    """Expected improvement under a Gaussian process over the decisions; never proposes anything twice.

    Args:
        initial: Random architectures within the limits at the start; after a search under other conditions, every
            second of these is the best by what it foretells. Random ones tell how good the rest is, and whether to
            believe it.
        candidates: Architectures scored for each proposal; a space of fewer is scored whole.
        evidence: Most values that the model takes in: the best half and the latest half.

    Raises:
        UsageError: A value out of range.
    """

    pursues: ClassVar[Pursues] = "goals"
    learns_from_prior: ClassVar[bool] = True
    initial: int = 10
    candidates: int = 2000
    evidence: int = 500

    def __post_init__(self) -> None:
        if not (2 <= self.initial <= 1_000_000 and 2 <= self.candidates <= 1_000_000 and 20 <= self.evidence <= 10_000):
            raise UsageError(
                f"`2 <= initial, candidates <= 1000000` and `20 <= evidence <= 10000` must hold, but got {self}."
            )

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search; earlier ones under the same conditions are evidence, others what is expected beforehand."""
        return _Surrogate(self, space, seed, goals, prior)


class _Surrogate(Strategy):
    def __init__(self, options: Surrogate, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior]):
        self._options, self._space, self._seed, self._goals = options, space, seed, goals
        self._sizes = [len(decision.choices) for decision in space.decisions]
        self._all = _accepted(space) if space.size <= options.candidates else None  # of a small space
        self._is_exhausted = False
        self._counter = AskCounter()
        rng = generator(seed, -1)  # asks count from 0
        self._ordinary = [space.sample(rng).choices for _ in range(ORDINARY)]
        self._seen: set[Spec] = set()
        self._known: set[tuple[int, ...]] = set()
        self._pending: dict[int, tuple[int, ...]] = {}
        self._earlier = [self._evidence(one.trials) for one in prior if not one.is_alike]
        self._own = self._evidence([t for one in prior if one.is_alike for t in one.trials], self._earlier)
        self._is_warm = any(one.goals[0].is_informed for one in self._earlier)

    def _evidence(self, trials: Sequence[Trial], earlier: Sequence[Evidence] = ()) -> Evidence:
        evidence = Evidence(self._space, self._goals, self._options.evidence, earlier)
        for trial in trials:
            evidence.learn(trial)
        return evidence

    def ask(self, n: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        while len(proposals) < n and not self.is_finished:
            number = self._counter.next
            architecture = self._choose(number)
            if architecture is None:
                self._is_exhausted = True
                break
            self._remember(architecture)
            self._pending[number] = architecture.choices
            proposals.append(Proposal(self._counter.take(), architecture))
        return proposals

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to propose; of a large space, whether many draws gave nothing new."""
        return self._is_exhausted or (self._all is not None and self._all <= self._known)

    def _choose(self, number: int) -> Architecture | None:
        rng, wanted = generator(self._seed, number), self._options.initial
        is_early = self._own.within + len(self._pending) < wanted and number < MOST_INITIAL * wanted
        if is_early and (number % 2 == 1 or not self._is_warm):
            return self._likely(rng) or self._fresh(rng)
        return self._pick(rng) if self._own.goals[0].is_informed else self._fresh(rng)

    def _likely(self, rng: Random) -> Architecture | None:
        """A new sample that is taken by its chance to keep the limits, or the likeliest; None if these are unknown."""
        if not self._own.knows_limits:
            return None
        drawn = [self._space.sample(rng) for _ in range(LIKELY)]
        chances = self._chances([one.choices for one in drawn])
        for architecture, chance in zip(drawn, chances, strict=True):
            if rng.random() < BOLD * chance and self._is_new(architecture):
                return architecture
        return next((drawn[i] for i in np.argsort(-chances, kind="stable") if self._is_new(drawn[i])), None)

    def _is_new(self, architecture: Architecture) -> bool:
        return self._space.decode(architecture) not in self._seen

    def _fresh(self, rng: Random) -> Architecture | None:
        """A sample, drawn until it is new; after many draws, one whose spec is known, or None if nothing is left."""
        spare = None
        for _ in range(self._options.candidates):
            architecture = self._space.sample(rng)
            if architecture.choices not in self._known:
                spare = architecture
                if self._is_new(architecture):
                    break
        left = sorted((self._all or set()) - self._known)
        return spare or (self._space.architecture(left[0]) if left else None)

    def _pick(self, rng: Random) -> Architecture | None:
        """The candidate of the largest acquisition whose spec is new and accepted."""
        candidates = self._candidates(rng)
        for i in np.argsort(-self._acquisition(candidates), kind="stable") if candidates else []:
            architecture = self._space.architecture(candidates[i])
            if self._is_new(architecture) and self._space.contains(architecture):
                return architecture
        return self._fresh(rng)

    def _candidates(self, rng: Random) -> list[tuple[int, ...]]:
        """New architectures: all of a small space; else half fresh ones, half the best with up to three changes."""
        n = self._options.candidates
        if self._all is not None:
            return sorted(self._all - self._known)
        draw = np.random.default_rng(rng.getrandbits(64))
        drawn = draw.integers(0, self._sizes, (n, len(self._sizes)))
        parents = np.array([choices for evidence in (self._own, *self._earlier) for choices in evidence.best])
        mutants = parents[draw.integers(len(parents), size=n // 2)]
        changes = draw.integers(1, 4, n // 2)
        for i in range(3):
            rows = np.flatnonzero(changes > i)
            columns = draw.integers(len(self._sizes), size=len(rows))
            mutants[rows, columns] = draw.integers(0, np.array(self._sizes)[columns])
        drawn[: n // 2] = mutants
        earlier = [choices for evidence in self._earlier for choices in evidence.tried]
        unique = dict.fromkeys([*map(tuple, drawn.tolist()), *earlier])
        return [choices for choices in unique if choices not in self._known]

    def _acquisition(self, candidates: Sequence[tuple[int, ...]]) -> Floats:
        pending = list(self._pending.values())
        tried = self._own.tried
        asked = [*candidates, *tried, *self._ordinary]
        predicted = [model.predict(asked, pending) for model in self._own.goals]
        means, deviations = (np.stack(each, axis=1) for each in zip(*predicted, strict=True))  # (asked, goals)
        new, known, ordinary = np.split(means, [len(candidates), len(candidates) + len(tried)])
        chances, of_ordinary = np.split(self._chances([*candidates, *self._ordinary]), [len(candidates)])
        is_within = of_ordinary > 0.5
        reference = self._worst(ordinary[is_within] if is_within.any() else ordinary)
        improvements = hypervolume_improvement(new, deviations[: len(new)], known[front(known.tolist())], reference)
        return improvements * chances

    def _worst(self, within: Floats) -> Floats:
        """(goals,) the front's reference point: a goal's limit, else of what is predicted of ordinary ones within."""
        quantiles = [RISING_WORST if metric.is_rising else FALLING_WORST for metric in self._goals.declared]
        worst = np.array([np.quantile(part, q) for part, q in zip(within.T, quantiles, strict=True)])
        bounds = {limit.metric: limit.bound for limit in self._goals.limits}
        for i, name in enumerate(self._goals.metrics):
            if name in bounds:
                worst[i] = self._goals.declared[i].at_best(bounds[name])
        return worst

    def _chances(self, candidates: Sequence[tuple[int, ...]]) -> Floats:
        """(m,) that they keep all limits, as far as anything is known of these."""
        chances = np.ones(len(candidates))
        for model in self._own.limits:
            if model.has_values:
                mean, deviation = model.predict(candidates, list(self._pending.values()))
                chances = chances * special.ndtr(-mean / deviation)
        return chances

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            self._pending.pop(trial.number, None)
            self._remember(trial.architecture)
            self._own.learn(trial)

    def _remember(self, architecture: Architecture) -> None:
        self._known.add(architecture.choices)
        self._seen.add(self._space.decode(architecture))


def _accepted(space: SearchSpace) -> set[tuple[int, ...]]:
    """All that can be proposed."""
    every = product(*(range(len(decision.choices)) for decision in space.decisions))
    return {choices for choices in every if space.contains(space.architecture(choices))}
