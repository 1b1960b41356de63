import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from paretonas.errors import UsageError
from paretonas.objective import hypervolume
from paretonas.space import Decision, ForeignSpec, SearchSpace
from paretonas.strategy.random import RandomSearch
from paretonas.strategy.surrogate import Surrogate
from paretonas.strategy.surrogates.acquisition import expected_improvement, hypervolume_improvement
from paretonas.strategy.surrogates.gaussian import NOISES, Kernel, Posterior, encode, fit_kernel, normal_scores
from paretonas.strategy.surrogates.model import Model
from paretonas.testing.strategy import TOY_SPACE, ended, run, toy_reward
from paretonas.trial import State

OFFERS = [("a", "b"), ("c", "d", "e")]


def test_covariance_falls_with_the_number_of_decisions_that_differ():
    x = encode([[0, 0], [0, 1], [1, 2]], OFFERS)
    found = Kernel(2.0, math.inf, 0.1).covariance(*x.distances(x))
    assert found[0] == pytest.approx([1.0, math.exp(-0.5), math.exp(-1.0)])


def test_covariance_falls_further_where_choices_were_exchanged_and_not_only_their_places():
    alike = ("conv", "pool", "none")
    x = encode([[0, 1, 1], [1, 0, 1], [0, 2, 1]], [alike, alike, ("conv", "pool")])  # the third offers other things
    differing, exchanged = x.distances(x)
    assert differing[0].tolist() == [0.0, 2.0, 1.0]
    assert exchanged[0].tolist() == [0.0, 0.0, 1.0]
    found = Kernel(2.0, 4.0, 0.1).covariance(differing, exchanged)
    assert found[0] == pytest.approx([1.0, math.exp(-1.0), math.exp(-0.75)])


def test_posterior_is_that_of_the_textbook():
    x, new = encode([[0, 0], [1, 1]], OFFERS), encode([[0, 1]], OFFERS)
    y = np.array([1.0, -2.0])
    kernel = Kernel(1.0, math.inf, 0.25)
    a, b = math.exp(-2), math.exp(-1)  # between the two; from either to the new one
    inverse = np.linalg.inv(np.array([[1.25, a], [a, 1.25]]))
    k = np.array([b, b])
    mean, deviation = Posterior(kernel, x, y, encode([], OFFERS)).predict(new)
    scale = y @ inverse @ y / 2
    assert mean[0] == pytest.approx(k @ inverse @ y)
    assert deviation[0] == pytest.approx(math.sqrt(scale * (1 - k @ inverse @ k)))


def test_pending_architectures_shrink_the_uncertainty_and_leave_the_mean():
    x, new = encode([[0, 0], [1, 1]], OFFERS), encode([[0, 1], [1, 2]], OFFERS)
    y = np.array([1.0, -2.0])
    alone = Posterior(Kernel(1.0, 6.0, 0.1), x, y, encode([], OFFERS)).predict(new)
    beside = Posterior(Kernel(1.0, 6.0, 0.1), x, y, encode([[0, 2]], OFFERS)).predict(new)
    assert beside[0] == pytest.approx(alone[0])
    assert (beside[1] < alone[1]).all()


def test_kernel_is_fitted_to_how_rough_the_values_are():
    rng = np.random.default_rng(0)
    choices = rng.integers(0, 3, (120, 6))
    x = encode(choices, [[f"{i}{j}" for j in range(3)] for i in range(6)])
    smooth = normal_scores(choices @ np.arange(1.0, 7.0))
    rough = normal_scores((choices[:, 0] + choices[:, 1] + choices[:, 2]) % 3 + 0.01 * choices[:, 3])
    of_smooth, of_rough = fit_kernel(x, smooth), fit_kernel(x, rough)
    assert 1 / of_smooth.length + 1 / of_smooth.exchange < 0.1 < 1 / of_rough.length + 1 / of_rough.exchange
    assert fit_kernel(x, normal_scores(rng.normal(size=120))).noise == max(NOISES) > of_smooth.noise


def test_kernel_is_the_same_in_another_unit():
    rng = np.random.default_rng(0)
    choices, latency = rng.integers(0, 3, (60, 6)), rng.random(60)
    x = encode(choices, [range(3)] * 6)
    assert fit_kernel(x, 1e-6 * (latency - latency.mean())) == fit_kernel(x, 1e9 * (latency - latency.mean()))


def test_kernel_learns_whether_it_matters_where_a_choice_is_made():
    rng = np.random.default_rng(0)
    choices = rng.integers(0, 4, (80, 8))
    x = encode(choices, [range(4)] * 8)
    wherever = np.array([0.0, 1.0, 5.0, 2.0])[choices].sum(1)
    somewhere = choices @ np.array([1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -4.0])
    kernels = [fit_kernel(x, values - values.mean()) for values in (wherever, somewhere)]
    assert kernels[0].exchange / kernels[0].length < kernels[1].exchange / kernels[1].length == math.inf


def test_equal_values_get_equal_scores():
    assert normal_scores(np.array([1.0, 3.0, 1.0, 5.0])).tolist()[0] == normal_scores(np.array([1.0, 3.0, 1.0, 5.0]))[2]


def test_expected_improvement_is_the_mean_over_samples():
    rng = np.random.default_rng(0)
    samples = rng.normal(0.3, 1.2, 400_000)
    found = expected_improvement(np.array([0.3]), np.array([1.2]), 0.8)[0]
    assert found == pytest.approx(np.maximum(0, samples - 0.8).mean(), rel=0.02)


@pytest.mark.parametrize("goals", [1, 2, 3])
def test_hypervolume_improvement_is_the_mean_over_samples(goals):
    rng = np.random.default_rng(goals)
    points, reference = rng.random((6, goals)), np.zeros(goals)
    mean, deviation = rng.random((1, goals)) + 0.3, np.full((1, goals), 0.3)
    before = hypervolume(points.tolist(), reference.tolist())
    samples = rng.normal(mean, deviation, (3000, goals))
    gains = [hypervolume([*points.tolist(), sample.tolist()], reference.tolist()) - before for sample in samples]
    found = hypervolume_improvement(mean, deviation, points, reference)[0]
    assert found == pytest.approx(np.mean(gains), rel=0.08)


def test_hypervolume_improvement_without_uncertainty_is_the_gain():
    points, reference = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [-1.0, 9.0]]), np.zeros(2)
    found = hypervolume_improvement(np.array([[2.5, 2.5], [1.0, 1.0]]), np.full((2, 2), 1e-9), points, reference)
    assert found == pytest.approx([2.5 * 2.5 - 2 * 2 - 0.5 - 0.5, 0.0], abs=1e-6)


def test_model_keeps_the_best_and_the_latest_values():
    model = Model(lambda choices: encode(choices, [range(2)] * 2), np.asarray, 4)
    for value in (0.0, 9.0, 1.0, 8.0, 2.0, 3.0):
        model.add((0, 0), value)
    assert model._used(model.values, 4).tolist() == [1, 3, 4, 5]


def test_architectures_that_compute_the_same_share_their_accuracy_and_not_their_latency():
    decisions = tuple(Decision(f"d{i}", (0, 1, 2)) for i in range(3))
    space = SearchSpace("dead", decisions, lambda v: ForeignSpec(f"toy:{v}"), lambda c: (c[0], c[1], 0))
    strategy = Surrogate(goals="accuracy+latency_ms").start(space, 0)
    for told, proposal in enumerate(strategy.ask(20)):
        a, b, c = proposal.architecture.choices
        trial = ended(proposal, 0.1 * a + 0.01 * b, told)
        strategy.tell([replace(trial, metrics={"accuracy": 0.1 * a + 0.01 * b, "latency_ms": 1.0 + a + 5 * c})])
    (accuracy, deviation), (latency, _) = (model.predict([(2, 1, 0), (2, 1, 2)], []) for model in strategy._models)
    assert accuracy[0] == accuracy[1]
    assert deviation[0] == deviation[1]
    assert latency == pytest.approx([-3.0, -13.0], abs=1.5)


def test_improvement_is_over_what_is_predicted_of_a_lucky_trial(monkeypatch):
    compared = []

    def recorded(means, deviations, points, reference):
        compared.append(points)
        return hypervolume_improvement(means, deviations, points, reference)

    monkeypatch.setattr("paretonas.strategy.surrogate.hypervolume_improvement", recorded)
    strategy = Surrogate(initial=60).start(TOY_SPACE, 0)
    proposals = strategy.ask(60)
    noise = np.random.default_rng(0).random(60)
    values = [toy_reward(p.architecture) + x for p, x in zip(proposals, noise, strict=True)]
    strategy.tell([ended(p, value, i) for i, (p, value) in enumerate(zip(proposals, values, strict=True))])
    strategy.ask(1)
    assert compared[0].shape == (1, 1)
    assert compared[0].max() < normal_scores(np.array(values)).max() - 0.3


def test_reference_point_is_of_what_is_predicted_of_random_architectures(monkeypatch):
    references = []

    def recorded(means, deviations, points, reference):
        references.append(reference)
        return hypervolume_improvement(means, deviations, points, reference)

    def latency(architecture):
        return 1.0 + sum(architecture.choices)

    monkeypatch.setattr("paretonas.strategy.surrogate.hypervolume_improvement", recorded)
    strategy = Surrogate("reward+latency_ms", initial=200).start(TOY_SPACE, 0)
    proposals = [p for p in strategy.ask(200) if latency(p.architecture) < 8]
    trials = [ended(p, toy_reward(p.architecture), i) for i, p in enumerate(proposals)]
    strategy.tell([replace(t, metrics={**t.metrics, "latency_ms": latency(t.architecture)}) for t in trials])
    strategy.ask(1)
    of_all = np.quantile([1.0 + sum(c) for c in itertools.product(*(range(2 + i % 3) for i in range(8)))], 0.9)
    assert -references[0][1] == pytest.approx(of_all, abs=1.0)


def test_nothing_is_proposed_twice_not_even_as_another_architecture_of_the_same_spec():
    decisions = tuple(Decision(f"d{i}", (0, 1, 2)) for i in range(5))
    space = SearchSpace("sums", decisions, lambda v: ForeignSpec(f"toy:{sum(v.values())}"))  # eleven specs
    strategy = Surrogate(initial=4).start(space, 0)
    specs = []
    for told in range(11):
        (proposal,) = strategy.ask(1)
        specs.append(space.decode(proposal.architecture))
        strategy.tell([ended(proposal, float(specs[-1].source[4:]) / 10, told)])
    assert len(set(specs)) == 11


def test_it_ends_when_a_space_is_exhausted():
    space = SearchSpace("few", (Decision("a", (0, 1, 2)), Decision("b", (0, 1))), lambda v: ForeignSpec(f"toy:{v}"))
    strategy = Surrogate(initial=2).start(space, 0)
    history = []
    while not strategy.is_finished:
        for p in strategy.ask(1):
            history.append(ended(p, p.architecture.choices[0] / 2, len(history)))
            strategy.tell(history[-1:])
    assert len({t.architecture for t in history}) == len(history) == 6
    assert strategy.ask(3) == []


def test_members_of_a_batch_differ():
    strategy = Surrogate(initial=10).start(TOY_SPACE, 0)
    strategy.tell([ended(p, toy_reward(p.architecture), p.number) for p in strategy.ask(10)])
    batch = [p.architecture.choices for p in strategy.ask(8)]
    assert len(set(batch)) == 8
    apart = [sum(x != y for x, y in zip(a, b, strict=True)) for a, b in itertools.combinations(batch, 2)]
    assert max(apart) >= 3


def test_it_needs_far_fewer_trials_than_random_search():
    def best(options, trials, seed):
        return max(t.reward for t in run(options.start(TOY_SPACE, seed), [], trials, batch=1))

    for seed in range(3):
        assert best(Surrogate(), 60, seed) >= best(RandomSearch(), 400, seed)


def test_broken_limits_are_avoided():
    def evaluated(proposal, told):
        latency = 1.0 + sum(proposal.architecture.choices)
        trial = ended(proposal, toy_reward(proposal.architecture), told)
        trial = replace(trial, metrics={**trial.metrics, "latency_ms": latency})
        return (
            trial if latency <= 8 else replace(trial, state=State.PRUNED, reward=0.0, metrics={"latency_ms": latency})
        )

    strategy, history = Surrogate(limits="latency_ms<=8").start(TOY_SPACE, 0), []
    while len(history) < 60:
        for p in strategy.ask(1):
            history.append(evaluated(p, len(history)))
            strategy.tell(history[-1:])
    pruned = [t.state is State.PRUNED for t in history]
    assert sum(pruned[:20]) >= 8
    assert sum(pruned[30:]) <= 4


@pytest.mark.parametrize(
    "wrong", [{"initial": 1}, {"candidates": 1}, {"evidence": 19}, {"goals": "a+a"}, {"limits": "x"}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        Surrogate(**wrong)
