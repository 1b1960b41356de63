from dataclasses import replace

import pytest
from made import trials

from paretonas.report.foretold import foretold
from paretonas.space import Architecture


def made(pairs, length=3, first=0):
    """Trials of these predictions and rewards."""
    found = trials([(reward, 1.0) for _, reward in pairs])
    return [
        replace(t, number=first + t.number, architecture=Architecture("a", (0,) * length), context={"predicted": told})
        for t, (told, _) in zip(found, pairs, strict=True)
    ]


RISING = [(0.1 * i, 0.2 + 0.1 * i) for i in range(6)]
FALLING = [(-told, reward) for told, reward in RISING]


def test_each_length_is_judged_by_itself():
    found = foretold([*made(RISING, 4), *made(FALLING, 8)])
    assert [(step.decisions, step.correlation.n) for step in found] == [(4, 6), (8, 6)]
    assert [step.correlation.spearman for step in found] == [pytest.approx(1), pytest.approx(-1)]
    assert str(found[0]).startswith("Rewards foretold of 6 architectures of 4 decisions: rank correlation +1.00 (")


def test_what_was_not_foretold_or_has_no_reward_is_left_out():
    told = made(RISING)
    silent = [replace(t, context={}) for t in made(FALLING)]
    failed = [replace(t, reward=None) for t in made(FALLING)]
    odd = [replace(t, context={"predicted": "much"}) for t in made(FALLING)]
    assert foretold([*told, *silent, *failed, *odd]) == foretold(told)


def test_few_say_nothing():
    assert foretold(made(RISING[:4])) == []
