import numpy as np
import pytest

from paretonas.objective import hypervolume
from paretonas.strategy.surrogates.acquisition import expected_improvement, hypervolume_improvement


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
