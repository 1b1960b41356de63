import pytest

from paretonas.errors import UsageError
from paretonas.strategy.regularized_evolution import RegularizedEvolution
from paretonas.testing.strategy import TOY_SPACE, ended


def _tell(strategy, rewards):
    proposals = strategy.ask(len(rewards))
    strategy.tell([ended(p, r, p.number) for p, r in zip(proposals, rewards, strict=True)])
    return proposals


def test_children_differ_from_their_parent_in_one_decision():
    strategy = RegularizedEvolution(population=3, tournament=50).start(TOY_SPACE, 0)
    first = _tell(strategy, [0.1, 0.9, 0.5])
    child = strategy.ask(1)[0]
    parent = first[child.context["parent"]]
    assert parent.number == 1  # the best of a tournament so large that it saw everybody
    assert sum(a != b for a, b in zip(child.architecture.choices, parent.architecture.choices, strict=True)) == 1


def test_the_oldest_dies_however_good_it_is():
    strategy = RegularizedEvolution(population=3, tournament=50).start(TOY_SPACE, 0)
    _tell(strategy, [0.9, 0.1, 0.2])
    _tell(strategy, [0.3])
    assert strategy.ask(1)[0].context["parent"] == 3


def test_failed_trials_never_become_parents():
    strategy = RegularizedEvolution(population=2, tournament=20).start(TOY_SPACE, 0)
    _tell(strategy, [None, 0.2, None, float("nan")])
    assert {p.context["parent"] for p in strategy.ask(10)} == {1}


def test_the_first_proposals_are_random_until_the_population_is_asked_for():
    strategy = RegularizedEvolution(population=5, tournament=2).start(TOY_SPACE, 0)
    assert all(not p.context for p in _tell(strategy, [0.1] * 5))
    assert all(p.context for p in strategy.ask(3))


def test_published_defaults():
    assert (RegularizedEvolution().population, RegularizedEvolution().tournament) == (100, 25)


@pytest.mark.parametrize("wrong", [{"population": 0}, {"tournament": 0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="must hold"):
        RegularizedEvolution(**wrong)
