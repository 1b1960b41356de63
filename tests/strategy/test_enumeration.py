from paretonas.objective import Goals
from paretonas.space import Decision, ForeignSpec, SearchSpace
from paretonas.strategy import strategies
from paretonas.trial import State, Trial

SPACE = SearchSpace(
    "toy", (Decision("a", (1, 2)), Decision("b", (1, 2, 3))), lambda v: ForeignSpec(f"timm:r{v['a']}{v['b']}")
)


def test_enumeration_proposes_everything_once_in_order_and_ends():
    strategy = strategies.create("enumeration").start(SPACE, 0, Goals())
    found = [p.architecture.choices for p in strategy.ask(4)]
    assert not strategy.is_finished
    found += [p.architecture.choices for p in strategy.ask(4)]
    assert found == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert strategy.is_finished
    assert strategy.ask(1) == []


def test_enumeration_goes_on_after_what_it_was_told():
    before = strategies.create("enumeration").start(SPACE, 0, Goals()).ask(4)
    strategy = strategies.create("enumeration").start(SPACE, 0, Goals())
    strategy.tell([Trial(p.number, p.architecture, "", State.COMPLETE, reward=0.0) for p in before])
    assert [p.architecture.choices for p in strategy.ask(9)] == [(1, 1), (1, 2)]
