import pytest

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import Decision, ForeignSpec, SearchSpace
from paretonas.space import spec_hash as spec_hash_of
from paretonas.strategy import strategies
from paretonas.trial import State, Trial

WIDE = SearchSpace(
    "wide",
    tuple(Decision(f"d{i}", tuple(range(10)), "digit") for i in range(12)),
    lambda values: ForeignSpec("timm:" + "".join(map(str, values.values()))),
)
SMALL = "generational:population=10,generations=3,parents=2,mutations=4,crossovers=3"


def start(text=SMALL):
    return strategies.create(text).start(WIDE, 0, Goals())


def ended(proposal, reward=0.5, state=State.COMPLETE):
    spec_hash = spec_hash_of(WIDE.decode(proposal.architecture))
    known = {"number": proposal.number, "architecture": proposal.architecture, "spec_hash": spec_hash}
    return Trial(**known, context=proposal.context, state=state, reward=reward)


def generation(strategy, reward=lambda number: number / 100):
    proposals = []
    while len(proposals) < 10:
        (proposal,) = strategy.ask(1)
        strategy.tell([ended(proposal, reward(proposal.number))])
        proposals.append(proposal)
    return proposals


def kinds(proposals):
    return [proposal.context["kind"] for proposal in proposals]


def test_a_generation_has_mutations_then_crossovers_and_the_rest_is_random():
    strategy = start()
    assert kinds(generation(strategy)) == ["random"] * 10
    assert kinds(generation(strategy)) == ["mutation"] * 4 + ["crossover"] * 3 + ["random"] * 3


def test_children_are_of_the_best_of_all_generations():
    strategy = start()
    first = generation(strategy, lambda number: 1.0 if number in (3, 7) else 0.1)
    parents = [first[3].architecture.choices, first[7].architecture.choices]
    for proposals in (generation(strategy, lambda number: 0.2), generation(strategy, lambda number: 0.2)):
        for proposal in proposals[4:7]:
            pairs = zip(proposal.architecture.choices, *parents, strict=True)
            assert all(child in options for child, *options in pairs)
    assert strategy.is_finished
    assert strategy.ask(5) == []


def test_the_next_generation_waits_for_the_last_member():
    strategy = start()
    proposals = strategy.ask(50)
    assert len(proposals) == 10
    assert strategy.ask(1) == []
    strategy.tell([ended(one, 0.5) for one in proposals[:9]])
    assert strategy.ask(1) == []
    strategy.tell([ended(proposals[9], 0.5)])
    assert kinds(strategy.ask(50)) == ["mutation"] * 4 + ["crossover"] * 3 + ["random"] * 3


@pytest.mark.parametrize(
    ("state", "reward"), [(State.PRUNED, 0.0), (State.FAILED, None), (State.COMPLETE, float("nan"))]
)
def test_what_was_not_scored_is_replaced_by_one_of_its_kind(state, reward):
    strategy = start()
    generation(strategy)
    (proposal,) = strategy.ask(1)
    strategy.tell([ended(proposal, reward, state)])
    assert kinds(strategy.ask(50)) == ["mutation"] * 4 + ["crossover"] * 3 + ["random"] * 3


def test_where_all_children_are_refused_random_ones_take_their_place():
    strategy = start()
    generation(strategy)
    for _ in range(70):
        (proposal,) = strategy.ask(1)
        assert proposal.context["kind"] != "random"
        strategy.tell([ended(proposal, 0.0, State.PRUNED)])
    assert kinds(strategy.ask(50)) == ["random"] * 10


@pytest.mark.parametrize(
    "options",
    ["population=0", "generations=0", "parents=0", "mutations=-1", "mutations=40", "mutation=0", "mutation=1.1"],
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(UsageError):
        strategies.create(f"generational:{options}")
