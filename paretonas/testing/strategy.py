"""The contract of a strategy, and a small problem to try it on.

Use it in a plugin's tests:

    class TestMine(StrategyContract):
        @pytest.fixture
        def options(self) -> StrategyOptions:
            return Mine()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise
from random import Random

import pytest

from paretonas.errors import SpecError
from paretonas.objective import Goals
from paretonas.space import Architecture, Decision, ForeignSpec, SearchSpace, Spec, spec_hash
from paretonas.strategy import Prior, Strategy, StrategyOptions
from paretonas.trial import Proposal, State, Trial

TOY_SPACE = SearchSpace(
    "toy",
    tuple(Decision(f"d{i}", tuple("abcd"[: 2 + i % 3])) for i in range(8)),
    lambda values: ForeignSpec("toy:" + "".join(map(str, values.values()))),
)
"""Eight decisions of two to four choices, 5,184 architectures."""

TWO_GOALS = Goals(("accuracy", "latency_ms"))

Start = Callable[..., Strategy]
"""Begins a search: what is left to say are the seed and earlier searches."""


def accepts(spec: Spec) -> bool:
    """What restricted toy spaces accept: about a tenth."""
    return isinstance(spec, ForeignSpec) and spec.source.count("a") >= 5


RESTRICTED = TOY_SPACE.restricted(accepts)


def toy_reward(architecture: Architecture) -> float:
    """A fixed reward in [0, 1]: a term for each choice and one for each pair of neighbouring choices."""
    rng = Random("toy")
    single = [[rng.random() for _ in decision.choices] for decision in TOY_SPACE.decisions]
    pair = [[[rng.random() for _ in range(4)] for _ in range(4)] for _ in TOY_SPACE.decisions]
    choices = architecture.choices
    terms = [single[i][c] for i, c in enumerate(choices)]
    terms += [pair[i][a][b] for i, (a, b) in enumerate(pairwise(choices))]
    return sum(terms) / len(terms)


def toy_latency(architecture: Architecture) -> float:
    """A fixed latency in milliseconds: later choices are slower."""
    return 1.0 + sum(architecture.choices)


def ended(proposal: Proposal, reward: float | None, told: int) -> Trial:
    """A trial of `proposal` that ended with `reward`; without one it failed."""
    metrics = {} if reward is None else {"accuracy": reward, "latency_ms": toy_latency(proposal.architecture)}
    return Trial(
        number=proposal.number,
        architecture=proposal.architecture,
        spec_hash="0" * 16,
        state=State.FAILED if reward is None else State.COMPLETE,
        metrics=metrics,
        reward=reward,
        context=proposal.context,
        told=told,
    )


def run(strategy: Strategy, history: list[Trial], trials: int, batch: int = 4) -> list[Trial]:
    """Go on from `history` to `trials` trials on the toy problem, asking for `batch` at a time."""
    history = list(history)
    while len(history) < trials and not strategy.is_finished:
        proposals = strategy.ask(min(batch, trials - len(history)))
        assert proposals, "with everything told, a strategy proposes or is finished"
        for proposal in proposals:
            history.append(ended(proposal, toy_reward(proposal.architecture), len(history)))
            strategy.tell([history[-1]])
    return history


@lru_cache(maxsize=64)
def whole_run(options: StrategyOptions, goals: Goals, space: SearchSpace, seed: int, trials: int) -> tuple[Trial, ...]:
    """A search of the toy space, or of a part of it, that asks for one trial at a time and is never interrupted."""
    return tuple(run(options.start(space, seed, goals), [], trials, batch=1))


@lru_cache(maxsize=1)
def prior_trials() -> tuple[Trial, ...]:
    """Complete trials of an earlier search: 120 random architectures."""
    drawn = (Proposal(n, TOY_SPACE.sample(Random(f"prior/{n}"))) for n in range(120))
    return tuple(ended(proposal, toy_reward(proposal.architecture), proposal.number) for proposal in drawn)


def earlier(*, is_alike: bool = True) -> tuple[Prior, ...]:
    """That search, as a strategy gets it."""
    return (Prior(prior_trials(), is_alike),)


class StrategyContract:
    """What every strategy keeps. A subclass gives the fixture `options`, and `goals` if they are not the usual ones."""

    @pytest.fixture
    def goals(self) -> Goals:
        """What is pursued."""
        return Goals()

    @pytest.fixture
    def start(self, options: StrategyOptions, goals: Goals) -> Start:
        """Begins a search of the toy space."""
        return partial(options.start, TOY_SPACE, goals=goals)

    @pytest.fixture
    def start_restricted(self, options: StrategyOptions, goals: Goals) -> Start:
        """Begins a search of the part of the toy space that is accepted."""
        return partial(options.start, RESTRICTED, goals=goals)

    def test_proposals_are_valid_and_numbered_from_zero(self, start: Start) -> None:
        history = run(start(seed=0), [], 30)
        for trial in history:
            TOY_SPACE.validate(trial.architecture)
        assert [trial.number for trial in history] == list(range(len(history)))

    def test_ask_gives_at_most_what_was_asked_for(self, start: Start) -> None:
        strategy = start(seed=0)
        assert [len(strategy.ask(n)) <= n for n in (0, 1, 7)] == [True] * 3

    def test_the_seed_decides(self, start: Start) -> None:
        a, b, c = (_choices(run(start(seed=seed), [], 30)) for seed in (1, 1, 2))
        assert a == b
        assert a != c

    @pytest.mark.parametrize("cut", [1, 4, 19, 20, 21, 47])
    def test_a_resumed_search_proposes_what_it_would_have(
        self, options: StrategyOptions, start: Start, goals: Goals, cut: int
    ) -> None:
        whole = [*whole_run(options, goals, TOY_SPACE, 3, 60)]
        resumed = start(seed=3)
        resumed.tell(whole[:cut])
        until = min(cut + 20, 60)
        assert run(resumed, whole[:cut], until, batch=1) == whole[:until]

    def test_a_search_resumed_in_the_middle_of_a_batch_goes_on_with_the_next_number(self, start: Start) -> None:
        first = start(seed=4)
        proposals = first.ask(6)
        order = Random(0).sample(range(len(proposals)), len(proposals))
        told = [ended(proposals[i], toy_reward(proposals[i].architecture), n) for n, i in enumerate(order)]
        for trial in told:
            first.tell([trial])
        resumed = start(seed=4)
        resumed.tell(told)
        assert resumed.ask(3) == first.ask(3)

    def test_grouping_of_tells_makes_no_difference(self, start: Start) -> None:
        history = run(start(seed=5), [], 50)
        one_by_one, at_once = start(seed=5), start(seed=5)
        for trial in history:
            one_by_one.tell([trial])
        at_once.tell(history)
        assert one_by_one.ask(5) == at_once.ask(5)

    def test_failed_pruned_and_nan_trials_are_survived(self, start: Start) -> None:
        strategy, told = start(seed=6), 0
        for rewards in _odd_rewards():
            for proposal, reward in zip(strategy.ask(len(rewards)), rewards, strict=False):
                trial = ended(proposal, reward, told)
                strategy.tell([replace(trial, state=State.PRUNED) if reward == 0 else trial])
                told += 1
        assert told
        for proposal in strategy.ask(5):
            TOY_SPACE.validate(proposal.architecture)

    def test_nothing_but_failures_is_survived(self, start: Start) -> None:
        strategy = start(seed=7)
        for told in range(120):
            strategy.tell([ended(p, None, told) for p in strategy.ask(1)])
        assert strategy.is_finished or strategy.ask(1)

    def test_duplicates_are_survived(self, start: Start) -> None:
        strategy = start(seed=8)
        first = strategy.ask(1)[0]
        strategy.tell([ended(replace(first, number=n), 0.5, n) for n in range(25)])
        assert strategy.ask(1)[0].number == 25

    def test_a_space_of_one_architecture_is_survived(self, options: StrategyOptions, goals: Goals) -> None:
        one = SearchSpace("one", (Decision("only", ("this",)),), lambda values: ForeignSpec("toy:one"))
        strategy = options.start(one, 0, goals)
        for told in range(30):
            strategy.tell([ended(proposal, 0.5, told) for proposal in strategy.ask(1)])
        assert spec_hash(one.decode(Architecture("one", (0,)))) == spec_hash(ForeignSpec("toy:one"))

    def test_rewards_like_accuracies_are_as_good_as_random_search(self, start: Start) -> None:
        """The mean reward of the second half of 160 trials, over two seeds, against the mean of the space."""
        rewards = _rewards([t for seed in range(2) for t in run(start(seed=seed), [], 160)[80:]])
        rng = Random(0)
        baseline = [toy_reward(TOY_SPACE.sample(rng)) for _ in range(2000)]
        error = _deviation(baseline) / math.sqrt(len(rewards))
        assert sum(rewards) / len(rewards) > sum(baseline) / len(baseline) - 3 * error

    def test_goals_matter_to_those_that_pursue_them_and_to_nobody_else(self, options: StrategyOptions) -> None:
        both = (options.start(TOY_SPACE, 9, goals) for goals in (Goals(), TWO_GOALS))
        of_reward, of_two = (_choices(run(strategy, [], 60)) for strategy in both)
        assert (of_reward != of_two) is (options.pursues != "reward")

    # Restricted spaces

    def test_a_restricted_space_is_not_left(self, start_restricted: Start) -> None:
        for prior in ((), earlier(), earlier(is_alike=False)):
            history = run(start_restricted(seed=10, prior=prior), [], 40)
            assert history
            assert all(accepts(TOY_SPACE.decode(trial.architecture)) for trial in history)

    @pytest.mark.parametrize("cut", [4, 21])
    def test_a_resumed_search_of_a_restricted_space_proposes_what_it_would_have(
        self, options: StrategyOptions, start_restricted: Start, goals: Goals, cut: int
    ) -> None:
        whole = [*whole_run(options, goals, RESTRICTED, 11, 40)]
        resumed = start_restricted(seed=11)
        resumed.tell(whole[:cut])
        assert run(resumed, whole[:cut], 40, batch=1) == whole

    def test_a_restricted_space_that_accepts_everything_is_searched_as_the_whole(
        self, options: StrategyOptions, start: Start, goals: Goals
    ) -> None:
        everything = options.start(TOY_SPACE.restricted(lambda spec: True), 12, goals)
        assert _choices(run(everything, [], 40)) == _choices(run(start(seed=12), [], 40))

    def test_a_hopeless_restriction_is_an_error(self, options: StrategyOptions, goals: Goals) -> None:
        nothing = TOY_SPACE.restricted(lambda spec: False)
        with pytest.raises(SpecError, match="Loosen the restriction"):
            options.start(nothing, 0, goals).ask(1)

    # Earlier searches

    @pytest.mark.parametrize("is_alike", [True, False])
    def test_earlier_searches_do_no_harm(self, options: StrategyOptions, start: Start, is_alike: bool) -> None:
        prior = earlier(is_alike=is_alike)
        whole = run(start(seed=13, prior=prior), [], 40, batch=1)
        assert [trial.number for trial in whole] == list(range(len(whole)))
        for trial in whole:
            TOY_SPACE.validate(trial.architecture)
        resumed = start(seed=13, prior=prior)
        resumed.tell(whole[:20])
        assert run(resumed, whole[:20], 40, batch=1) == whole
        if not options.learns_from_prior:
            assert whole == run(start(seed=13), [], 40, batch=1)

    @pytest.mark.parametrize("is_alike", [True, False])
    def test_earlier_searches_help_those_that_learn_from_them(
        self, options: StrategyOptions, start: Start, is_alike: bool
    ) -> None:
        """The mean reward of the first 24 trials, over three seeds, with the trials of a random search and without."""
        if not options.learns_from_prior:
            return
        informed, blind = (
            _rewards([trial for seed in range(3) for trial in run(start(seed=seed, prior=prior), [], 24)])
            for prior in (earlier(is_alike=is_alike), ())
        )
        assert sum(informed) / len(informed) > sum(blind) / len(blind) + 0.01


def _rewards(trials: Sequence[Trial]) -> list[float]:
    return [trial.reward or 0.0 for trial in trials]


def _choices(history: Sequence[Trial]) -> list[tuple[int, ...]]:
    return [trial.architecture.choices for trial in history]


def _odd_rewards() -> Iterator[list[float | None]]:
    for _ in range(12):
        yield [None, float("nan"), 0.0, 0.5, float("inf")]


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
