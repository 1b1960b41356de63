import numpy as np
import pytest

from paretonas.strategy.surrogates.earlier import DOUBT, weights

RISING = np.arange(30.0)


def test_trust_goes_with_the_rank_correlation():
    foretold = np.array([[1.0], [2.0], [4.0], [3.0]])  # five of six pairs are in order
    assert weights(foretold, RISING[:4]) == pytest.approx([(DOUBT + 4 * 4 / 6) / (DOUBT + 4)])


def test_nothing_new_is_full_trust_in_equal_shares():
    assert weights(np.empty((0, 1)), np.empty(0)).tolist() == [1.0]
    assert weights(np.empty((0, 4)), np.empty(0)).tolist() == [0.25] * 4


def test_scale_makes_no_difference():
    rng = np.random.default_rng(0)
    foretold, values = rng.normal(size=(20, 3)), rng.normal(size=20)
    assert weights(np.exp(3 * foretold), values**3).tolist() == weights(foretold, values).tolist()


def test_what_ranks_the_wrong_way_is_soon_believed_no_more():
    assert weights(-RISING[:DOUBT, None], RISING[:DOUBT]) == pytest.approx([0.0])
    assert weights(-RISING[:, None], RISING).tolist() == [0.0]


def test_what_says_the_same_of_all_is_believed_less_and_less():
    assert [weights(np.ones((n, 1)), RISING[:n])[0] for n in (0, 10, 30)] == pytest.approx([1.0, 0.5, 0.25])


def test_a_useless_one_takes_nothing_from_a_good_one():
    both = np.stack([RISING, -RISING], axis=1)
    assert weights(both, RISING).tolist() == [1.0, 0.0]
