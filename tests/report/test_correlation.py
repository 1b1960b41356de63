"""Rank correlations and what is said of them."""

import random

import pytest
from scipy import stats

from paretonas.errors import UsageError
from paretonas.report.correlation import rank_correlation


def test_a_metric_that_orders_all_alike_is_strong():
    found = rank_correlation([2.0**i for i in range(10)], range(10))
    assert (found.spearman, found.kendall, found.n) == (pytest.approx(1), pytest.approx(1), 10)
    assert found.verdict == "strong, more is better"
    assert rank_correlation([-i for i in range(10)], range(10)).verdict == "strong, less is better"


def test_chance_is_seen_to_be_chance():
    draw, verdicts = random.Random(0), []
    for _ in range(20):
        verdicts.append(rank_correlation([draw.random() for _ in range(30)], range(30)).verdict)
    assert verdicts.count("no evidence that it tells anything") >= 17


def test_a_metric_that_is_always_the_same_tells_nothing():
    found = rank_correlation([1.0] * 6, range(6))
    assert (found.spearman, found.kendall) == (0, 0)
    assert found.verdict == "no evidence that it tells anything"


def test_too_few_networks_are_refused():
    with pytest.raises(UsageError, match="5 networks or more, but there are 4"):
        rank_correlation([1, 2, 3, 4], [1, 2, 3, 4])


def test_ties_share_their_ranks_as_scipy_has_it():
    draw = random.Random(1)
    values, merits = ([float(draw.randrange(6)) for _ in range(25)] for _ in range(2))
    assert rank_correlation(values, merits).spearman == pytest.approx(stats.spearmanr(values, merits).statistic)
