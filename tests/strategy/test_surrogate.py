import itertools
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from paretonas.errors import UsageError
from paretonas.objective import Goals, Limit
from paretonas.space import Architecture, Decision, ForeignSpec, SearchSpace
from paretonas.strategy import Prior
from paretonas.strategy.random import RandomSearch
from paretonas.strategy.surrogate import Surrogate
from paretonas.strategy.surrogates.acquisition import hypervolume_improvement
from paretonas.strategy.surrogates.gaussian import normal_scores
from paretonas.testing.strategy import TOY_SPACE, TWO_GOALS, ended, prior_trials, run, toy_latency, toy_reward
from paretonas.trial import Proposal, State


def test_architectures_that_compute_the_same_share_their_accuracy_and_not_their_latency():
    decisions = tuple(Decision(f"d{i}", (0, 1, 2)) for i in range(3))
    space = SearchSpace("dead", decisions, lambda v: ForeignSpec(f"toy:{v}"), lambda c: (c[0], c[1], 0))
    strategy = Surrogate().start(space, 0, TWO_GOALS)
    for told, proposal in enumerate(strategy.ask(20)):
        a, b, c = proposal.architecture.choices
        trial = ended(proposal, 0.1 * a + 0.01 * b, told)
        strategy.tell([replace(trial, metrics={"accuracy": 0.1 * a + 0.01 * b, "latency_ms": 1.0 + a + 5 * c})])
    (accuracy, deviation), (latency, _) = (model.predict([(2, 1, 0), (2, 1, 2)], []) for model in strategy._own.goals)
    assert accuracy[0] == accuracy[1]
    assert deviation[0] == deviation[1]
    assert latency == pytest.approx([-3.0, -13.0], abs=1.5)


def test_improvement_is_over_what_is_predicted_of_a_lucky_trial(monkeypatch):
    compared = []

    def recorded(means, deviations, points, reference):
        compared.append(points)
        return hypervolume_improvement(means, deviations, points, reference)

    monkeypatch.setattr("paretonas.strategy.surrogate.hypervolume_improvement", recorded)
    strategy = Surrogate(initial=60).start(TOY_SPACE, 0, Goals())
    proposals = strategy.ask(60)
    noise = np.random.default_rng(0).random(60)
    values = [toy_reward(p.architecture) + x for p, x in zip(proposals, noise, strict=True)]
    strategy.tell([ended(p, value, i) for i, (p, value) in enumerate(zip(proposals, values, strict=True))])
    strategy.ask(1)
    assert compared[0].shape == (1, 1)
    assert compared[0].max() < normal_scores(np.array(values)).max() - 0.3


EVERYTHING = [1.0 + sum(c) for c in itertools.product(*(range(2 + i % 3) for i in range(8)))]
"""Latencies of all architectures."""


@pytest.mark.parametrize(
    ("limits", "worst"),
    [
        ((), pytest.approx(np.quantile(EVERYTHING, 0.9), abs=0.7)),
        ((Limit("params", 7.0),), pytest.approx(np.quantile([one for one in EVERYTHING if one <= 7], 0.9), abs=0.7)),
        ((Limit("latency_ms", 9.0),), 9.0),
    ],
)
def test_reference_point_is_a_limit_or_of_what_is_predicted_of_random_ones_within(limits, worst, monkeypatch):
    references = []

    def recorded(means, deviations, points, reference):
        references.append(reference)
        return hypervolume_improvement(means, deviations, points, reference)

    monkeypatch.setattr("paretonas.strategy.surrogate.hypervolume_improvement", recorded)
    strategy = Surrogate(initial=2).start(TOY_SPACE, 0, Goals(("reward", "latency_ms"), limits))
    for told, proposal in enumerate(strategy.ask(200)):  # all are random
        latency = toy_latency(proposal.architecture)
        trial = ended(proposal, toy_reward(proposal.architecture), told)
        if latency < 8:
            strategy.tell([replace(trial, metrics={**trial.metrics, "params": latency})])
    strategy.ask(1)
    assert -references[0][1] == worst


def test_nothing_is_proposed_twice_not_even_as_another_architecture_of_the_same_spec():
    decisions = tuple(Decision(f"d{i}", (0, 1, 2)) for i in range(5))
    space = SearchSpace("sums", decisions, lambda v: ForeignSpec(f"toy:{sum(v.values())}"))  # eleven specs
    strategy = Surrogate(initial=4).start(space, 0, Goals())
    specs = []
    for told in range(11):
        (proposal,) = strategy.ask(1)
        specs.append(space.decode(proposal.architecture))
        strategy.tell([ended(proposal, float(specs[-1].source[4:]) / 10, told)])
    assert len(set(specs)) == 11


def test_it_ends_when_a_space_is_exhausted():
    space = SearchSpace("few", (Decision("a", (0, 1, 2)), Decision("b", (0, 1))), lambda v: ForeignSpec(f"toy:{v}"))
    strategy = Surrogate(initial=2).start(space, 0, Goals())
    history = []
    while not strategy.is_finished:
        for p in strategy.ask(1):
            history.append(ended(p, p.architecture.choices[0] / 2, len(history)))
            strategy.tell(history[-1:])
    assert len({t.architecture for t in history}) == len(history) == 6
    assert strategy.ask(3) == []


def test_members_of_a_batch_differ():
    strategy = Surrogate(initial=10).start(TOY_SPACE, 0, Goals())
    strategy.tell([ended(p, toy_reward(p.architecture), p.number) for p in strategy.ask(10)])
    batch = [p.architecture.choices for p in strategy.ask(8)]
    assert len(set(batch)) == 8
    apart = [sum(x != y for x, y in zip(a, b, strict=True)) for a, b in itertools.combinations(batch, 2)]
    assert max(apart) >= 3


def test_it_needs_far_fewer_trials_than_random_search():
    def best(options, trials, seed):
        return max(t.reward for t in run(options.start(TOY_SPACE, seed, Goals()), [], trials, batch=1))

    for seed in range(3):
        assert best(Surrogate(), 60, seed) >= best(RandomSearch(), 400, seed)


def limited(bound, trials, initial=10):
    """A search under a limit, and how many trials had values when the model first chose."""

    def evaluated(proposal, told):
        trial, latency = ended(proposal, toy_reward(proposal.architecture), told), toy_latency(proposal.architecture)
        pruned = replace(trial, state=State.PRUNED, reward=0.0, metrics={"latency_ms": latency})
        return trial if latency <= bound else pruned

    strategy = Surrogate(initial=initial).start(TOY_SPACE, 0, Goals(limits=(Limit("latency_ms", bound),)))
    pick, history, chosen = strategy._pick, [], []
    strategy._pick = lambda rng: chosen.append(len(history)) or pick(rng)
    while len(history) < trials:
        for p in strategy.ask(1):
            history.append(evaluated(p, len(history)))
            strategy.tell(history[-1:])
    return history, chosen


def test_broken_limits_are_avoided():
    history, _ = limited(8.0, 60)
    pruned = [t.state is State.PRUNED for t in history]
    assert sum(pruned[:10]) >= 3
    assert sum(pruned[30:]) <= 4


def test_random_architectures_at_the_start_are_as_many_as_keep_the_limits():
    history, chosen = limited(6.0, 80)
    begun = [trial.state for trial in history[: chosen[0]]]
    assert begun.count(State.COMPLETE) == 10
    drawn = [toy_latency(TOY_SPACE.sample(Random(i))) <= 6.0 for i in range(1000)]
    assert begun.count(State.COMPLETE) / len(begun) > 2 * sum(drawn) / 1000, "likely ones are drawn"


def test_where_next_to_nothing_keeps_the_limits_the_model_chooses_all_the_same():
    history, chosen = limited(4.0, 60, initial=5)
    assert sum(trial.state is State.COMPLETE for trial in history[:50]) >= 2
    assert chosen[0] <= 50


def test_where_nothing_keeps_the_limits_what_is_nearest_is_tried():
    history, _ = limited(0.5, 30)
    latencies = [toy_latency(trial.architecture) for trial in history]
    assert np.mean(latencies[10:]) < np.mean(latencies[:2]) - 3
    assert min(latencies) <= 3


def test_prior_trials_spare_as_many_random_architectures():
    prior, asked = prior_trials(), []

    def begin(number):
        strategy = Surrogate(initial=10).start(TOY_SPACE, 0, Goals(), [Prior(prior[:number])])
        return [p.architecture for p in strategy.ask(10)]

    for number in (0, 4, 10):
        found, plain = begin(number), begin(0)
        asked.append(sum(a == b for a, b in zip(found, plain, strict=True)))
    assert asked[0] == 10
    assert asked[1] >= 6  # the samples of the first six numbers
    assert asked[2] == 0


def test_prior_trials_without_the_goals_are_no_evidence():
    prior = [replace(trial, metrics={"accuracy": 0.5}) for trial in prior_trials()]
    strategy = Surrogate(initial=10).start(TOY_SPACE, 0, TWO_GOALS, [Prior(tuple(prior))])
    assert strategy.ask(10) == Surrogate(initial=10).start(TOY_SPACE, 0, TWO_GOALS).ask(10)


def test_prior_trials_are_evidence_and_may_be_proposed_again():
    space = SearchSpace(
        "grid", (Decision("a", tuple(range(8))), Decision("b", tuple(range(8)))), lambda v: ForeignSpec(f"toy:{v}")
    )
    everything = [Proposal(n, Architecture("grid", c)) for n, c in enumerate(itertools.product(range(8), repeat=2))]
    prior = [ended(p, sum(p.architecture.choices) / 14, p.number) for p in everything]
    (first,) = Surrogate().start(space, 0, Goals(), [Prior(tuple(prior))]).ask(1)
    assert first.number == 0
    assert sum(first.architecture.choices) >= 13


def grid(side):
    decisions = (Decision("a", tuple(range(side))), Decision("b", tuple(range(side))))
    return SearchSpace("grid", decisions, lambda v: ForeignSpec(f"toy:{v['a']}.{v['b']}"))


@pytest.mark.parametrize("candidates", [1000, 100])  # listed, and drawn
def test_a_restricted_space_is_finished_when_all_that_it_accepts_was_proposed(candidates):
    space = grid(12).restricted(lambda spec: spec.source in ("toy:0.1", "toy:2.3", "toy:4.0"))
    strategy = Surrogate(initial=2, candidates=candidates).start(space, 0, Goals())
    asked = []
    while not strategy.is_finished:
        asked += strategy.ask(2)
        strategy.tell([ended(p, 0.5, p.number) for p in asked[-2:]])
    assert sorted(p.architecture.choices for p in asked) == [(0, 1), (2, 3), (4, 0)]
    assert [p.number for p in asked] == [0, 1, 2]
    assert strategy.ask(3) == []


def test_a_resumed_search_of_a_finished_space_is_finished():
    space = grid(12).restricted(lambda spec: spec.source == "toy:0.1")
    strategy = Surrogate(initial=2, candidates=100).start(space, 0, Goals())
    (only,) = strategy.ask(5)
    again = Surrogate(initial=2, candidates=100).start(space, 0, Goals())
    again.tell([ended(only, 0.5, 0)])
    assert again.ask(5) == []
    assert again.is_finished


def test_latencies_of_several_devices_are_goals_that_fall():
    goals = Goals(("accuracy", "latency_ms.phone", "latency_ms.pi"))
    strategy = Surrogate(initial=20).start(TOY_SPACE, 0, goals)
    for told, p in enumerate(strategy.ask(20)):
        ms = toy_latency(p.architecture)
        metrics = {"accuracy": toy_reward(p.architecture), "latency_ms.phone": ms, "latency_ms.pi": 30.0 - ms}
        strategy.tell([replace(ended(p, 0.5, told), metrics=metrics)])
    slow, fast = TOY_SPACE.architecture([1, 2, 3, 1, 2, 3, 1, 2]), TOY_SPACE.architecture([0] * 8)
    _, phone, pi = (model.predict([slow.choices, fast.choices], [])[0] for model in strategy._own.goals)
    assert phone[0] < phone[1]
    assert pi[0] > pi[1]


# Earlier searches under other conditions

QUICK = Surrogate(candidates=300)


def other_conditions(value, trials=None):
    """An earlier search that measured something else."""
    measured = [replace(trial, reward=value(trial)) for trial in trials or prior_trials()]
    return [Prior(tuple(measured), is_alike=False)]


def test_what_is_foretold_best_is_proposed_first_and_every_second_is_random_at_the_start():
    prior = other_conditions(lambda trial: 100 * trial.reward)
    warm, cold = (Surrogate(initial=4).start(TOY_SPACE, 0, Goals(), given) for given in (prior, ()))
    asked, plain = warm.ask(5), cold.ask(5)
    assert [a.architecture == b.architecture for a, b in zip(asked, plain, strict=True)][1:4:2] == [True, True]
    rewards = sorted(toy_reward(TOY_SPACE.sample(Random(n))) for n in range(1000))
    assert all(toy_reward(p.architecture) > rewards[900] for p in asked[:3:2])


def test_units_of_an_earlier_search_make_no_difference():
    asked = []
    for value in (lambda trial: trial.reward, lambda trial: 1e3 * trial.reward + 7):
        strategy = QUICK.start(TOY_SPACE, 0, Goals(), other_conditions(value))
        asked.append([trial.architecture for trial in run(strategy, [], 20, batch=1)])
    assert asked[0] == asked[1]


def test_an_earlier_search_that_is_wrong_does_little_harm():
    prior = other_conditions(lambda trial: 1 - trial.reward)
    rewards = [
        [t.reward for seed in range(3) for t in run(QUICK.start(TOY_SPACE, seed, Goals(), given), [], 50, 1)[30:]]
        for given in (prior, ())
    ]
    assert np.mean(rewards[0]) > np.mean(rewards[1]) - 0.03


def test_several_earlier_searches_are_believed_as_far_as_they_are_right():
    right, wrong = other_conditions(lambda trial: trial.reward), other_conditions(lambda trial: 1 - trial.reward)
    strategy = QUICK.start(TOY_SPACE, 0, TWO_GOALS, [*right, *wrong])
    assert len(run(strategy, [], 12)) == 12
    best = [
        np.mean([t.reward for seed in range(3) for t in run(QUICK.start(TOY_SPACE, seed, Goals(), given), [], 24)])
        for given in ([*right, *wrong], ())
    ]
    assert best[0] > best[1]


def test_limits_are_learned_from_this_search_alone_at_first():
    goals = Goals(limits=(Limit("latency_ms", 8.0),))
    strategy = QUICK.start(TOY_SPACE, 0, goals, other_conditions(lambda trial: trial.reward))
    history = run(strategy, [], 30)
    assert len({trial.architecture for trial in history}) == 30


@pytest.mark.parametrize("wrong", [{"initial": 1}, {"candidates": 1}, {"evidence": 19}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="must hold"):
        Surrogate(**wrong)
