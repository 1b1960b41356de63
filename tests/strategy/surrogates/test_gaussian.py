import math

import numpy as np
import pytest

from paretonas.strategy.surrogates.gaussian import NOISES, Kernel, Posterior, encode, fit_kernel, normal_scores

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
