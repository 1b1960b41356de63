from dataclasses import replace

import pytest

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.strategy import Prior
from paretonas.strategy.regularized_evolution import RegularizedEvolution
from paretonas.testing.strategy import TOY_SPACE, ended, prior_trials


def _tell(strategy, rewards):
    proposals = strategy.ask(len(rewards))
    strategy.tell([ended(p, r, p.number) for p, r in zip(proposals, rewards, strict=True)])
    return proposals


def differences(a, b):
    return sum(x != y for x, y in zip(a.architecture.choices, b.architecture.choices, strict=True))


def test_children_differ_from_their_parent_in_one_decision():
    strategy = RegularizedEvolution(population=3, tournament=50).start(TOY_SPACE, 0, Goals())
    first = _tell(strategy, [0.1, 0.9, 0.5])
    child = strategy.ask(1)[0]
    parent = first[child.context["parent"]]
    assert parent.number == 1  # the best of a tournament so large that it saw everybody
    assert sum(a != b for a, b in zip(child.architecture.choices, parent.architecture.choices, strict=True)) == 1


def test_the_oldest_dies_however_good_it_is():
    strategy = RegularizedEvolution(population=3, tournament=50).start(TOY_SPACE, 0, Goals())
    _tell(strategy, [0.9, 0.1, 0.2])
    _tell(strategy, [0.3])
    assert strategy.ask(1)[0].context["parent"] == 3


def test_a_child_is_as_its_parent_with_the_probability_of_the_identity():
    strategy = RegularizedEvolution(population=1, tournament=1, identity=0.3).start(TOY_SPACE, 0, Goals())
    (parent,) = _tell(strategy, [0.5])
    changes = [differences(child, parent) for child in strategy.ask(1000)]
    assert set(changes) == {0, 1}
    assert changes.count(0) / 1000 == pytest.approx(0.3, abs=0.05)


def test_without_aging_the_worst_of_the_tournament_dies():
    strategy = RegularizedEvolution(population=3, tournament=50, aging=False).start(TOY_SPACE, 0, Goals())
    _tell(strategy, [0.9, 0.1, 0.2])
    two = strategy.ask(2)
    assert [child.context for child in two] == [{"parent": 0, "worst": 1}] * 2
    strategy.tell([ended(two[0], 0.3, 3)])  # of 0, 2 and 3 are left
    assert strategy.ask(1)[0].context == {"parent": 0, "worst": 2}
    strategy.tell([ended(two[1], 0.4, 4)])  # 1 is gone already: the worst of all goes
    assert strategy.ask(1)[0].context == {"parent": 0, "worst": 3}


def test_failed_trials_never_become_parents():
    strategy = RegularizedEvolution(population=2, tournament=20).start(TOY_SPACE, 0, Goals())
    _tell(strategy, [None, 0.2, None, float("nan")])
    assert {p.context["parent"] for p in strategy.ask(10)} == {1}


def test_the_first_proposals_are_random_until_the_population_is_asked_for():
    strategy = RegularizedEvolution(population=5, tournament=2).start(TOY_SPACE, 0, Goals())
    assert all(not p.context for p in _tell(strategy, [0.1] * 5))
    assert all(p.context for p in strategy.ask(3))


def test_published_defaults():
    assert (RegularizedEvolution().population, RegularizedEvolution().tournament) == (100, 25)


@pytest.mark.parametrize("wrong", [{"population": 0}, {"tournament": 0}, {"identity": 1}, {"identity": -0.1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="must hold"):
        RegularizedEvolution(**wrong)


def test_prior_trials_are_the_population_that_it_begins_with():
    best = max(prior_trials(), key=lambda trial: trial.reward)
    options = RegularizedEvolution(population=120, tournament=2000)
    strategy = options.start(TOY_SPACE, 0, Goals(), [Prior(prior_trials())])
    children = strategy.ask(5)
    assert [differences(child, best) for child in children] == [1] * 5
    assert all(not child.context for child in children)  # the number of a parent is that of another search


def test_prior_trials_that_are_too_few_are_filled_up_with_random_ones():
    options = RegularizedEvolution(population=10, tournament=200)
    strategy = options.start(TOY_SPACE, 0, Goals(), [Prior(prior_trials()[:6])])
    plain = RegularizedEvolution(population=10).start(TOY_SPACE, 0, Goals())
    found, samples = strategy.ask(5), plain.ask(5)
    assert [a.architecture == b.architecture for a, b in zip(found, samples, strict=True)] == [True] * 4 + [False]
    best = max(prior_trials()[:6], key=lambda trial: trial.reward)
    assert differences(found[4], best) == 1


def test_prior_trials_die_as_others_do():
    options = RegularizedEvolution(population=3, tournament=50)
    strategy = options.start(TOY_SPACE, 0, Goals(), [Prior(prior_trials()[:3])])
    _tell(strategy, [0.1, 0.2, 0.3])
    assert {p.context["parent"] for p in strategy.ask(5)} == {2}


def test_prior_trials_without_a_reward_or_outside_of_the_space_are_no_parents():
    inside = TOY_SPACE.architecture([0] * 8)
    space = TOY_SPACE.restricted(lambda spec: spec.source.count("a") >= 7)
    failed = replace(prior_trials()[0], architecture=inside, reward=None)
    strategy = RegularizedEvolution(population=2).start(space, 0, Goals(), [Prior((failed, *prior_trials()))])
    assert all(space.contains(p.architecture) and not p.context for p in strategy.ask(2))
