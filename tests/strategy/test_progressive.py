from itertools import product
from random import Random

import pytest

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import Architecture, Decision, ForeignSpec, SearchSpace
from paretonas.space.chain import ChainSpace
from paretonas.space.nasnet import PNASNetSpace
from paretonas.strategy.progressive import Progressive
from paretonas.testing.strategy import ended

BLOCKS = SearchSpace(
    "blocks",
    tuple(Decision(f"b{i}.{part}", tuple("abcd"), part) for i in range(3) for part in ("left", "right")),
    lambda values: ForeignSpec("toy:" + "".join(map(str, values.values()))),
    lengths=(2, 4, 6),
)
SMALL = Progressive(beam=8, ensemble=2)


def reward(architecture):
    """Every choice is worth its number."""
    return 0.5 + 0.02 * sum(architecture.choices)


def searched(space, options=SMALL, seed=0, value=reward, batch=5):
    strategy, history = options.start(space, seed, Goals()), []
    while not strategy.is_finished:
        proposals = strategy.ask(batch)
        assert proposals
        for proposal in proposals:
            history.append(ended(proposal, value(proposal.architecture), len(history)))
            strategy.tell(history[-1:])
    return history


def of_length(history, length):
    return [trial for trial in history if len(trial.architecture.choices) == length]


@pytest.mark.parametrize("surrogate", ["lstm", "mlp"])
def test_all_of_the_first_length_are_tried_and_then_the_most_promising_extensions(surrogate):
    history = searched(BLOCKS, Progressive(beam=8, ensemble=2, surrogate=surrogate))
    assert {t.architecture.choices for t in of_length(history, 2)} == set(product(range(4), repeat=2))
    for length in (4, 6):
        beam = of_length(history, length)
        assert len({t.architecture for t in beam}) == 8
        before = {t.architecture.choices for t in of_length(history, length - 2)}
        assert all(t.architecture.choices[:-2] in before for t in beam)
        assert min(t.reward for t in beam) > 0.5 + 0.02 * 1.5 * length  # that of a random one
        predicted = [t.context["predicted"] for t in beam]
        assert predicted == sorted(predicted, reverse=True)


def test_a_step_waits_for_the_one_before():
    strategy = SMALL.start(BLOCKS, 0, Goals())
    first = strategy.ask(100)
    assert len(first) == 16
    for told, proposal in enumerate(first[1:]):
        strategy.tell([ended(proposal, reward(proposal.architecture), told)])
        assert strategy.ask(1) == []
    assert not strategy.is_finished
    strategy.tell([ended(first[0], reward(first[0].architecture), 15)])
    assert len(strategy.ask(100)) == 8


@pytest.mark.slow
def test_it_goes_on_in_any_step_as_it_would_have():
    whole = searched(BLOCKS, batch=1)
    for cut in (3, 16, 20, 24, 31):
        resumed = SMALL.start(BLOCKS, 0, Goals())
        resumed.tell(whole[:cut])
        (proposal,) = resumed.ask(1)
        assert (proposal.number, proposal.architecture) == (cut, whole[cut].architecture)


def test_trials_without_a_reward_are_not_extended():
    def value(architecture):
        return None if architecture.choices[0] == 3 else reward(architecture)

    history = searched(BLOCKS, value=value)
    assert all(t.architecture.choices[0] != 3 for t in of_length(history, 4) + of_length(history, 6))
    assert of_length(searched(BLOCKS, value=lambda architecture: None), 4) == []


def test_a_long_first_length_is_sampled():
    history = searched(BLOCKS, Progressive(beam=4, ensemble=1, first=10))
    assert len(of_length(history, 2)) == 10


def test_one_block_cells_of_pnasnet_are_tried_once_each():
    space = PNASNetSpace(blocks=2).build()
    strategy = Progressive(beam=4, candidates=500, ensemble=1).start(space, 0, Goals())
    first = strategy.ask(1000)
    assert len(first) == 136
    for told, proposal in enumerate(first):
        strategy.tell([ended(proposal, reward(proposal.architecture), told)])
    assert [len(p.architecture.choices) for p in strategy.ask(1000)] == [8] * 4


def test_extensions_of_a_restricted_space_are_accepted():
    space = BLOCKS.restricted(lambda spec: spec.source.count("d") <= 1)
    assert all(space.contains(trial.architecture) for trial in searched(space))


def test_a_space_draws_prefixes():
    assert len(BLOCKS.sample(Random(0), 4).choices) == 4
    BLOCKS.validate(Architecture("blocks", (0, 1)))


@pytest.mark.parametrize("options", [{"beam": 0}, {"ensemble": 0}, {"first": 0}, {"candidates": 10}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        Progressive(**options)


def test_extensions_may_be_more_than_a_machine_counts():
    space = ChainSpace(layers=16, first=12, step=4, strides=True).build()  # a step of 576^4 * 2^54
    options = Progressive(beam=3, surrogate="mlp", ensemble=1, first=2, candidates=10)
    history = searched(space, options, value=lambda architecture: architecture.choices.count(0) / 1000)
    assert [len(trial.architecture.choices) for trial in history] == [126] * 2 + [200] * 3
    assert all(trial.architecture.choices[:126] in {one.architecture.choices for one in history} for trial in history)
