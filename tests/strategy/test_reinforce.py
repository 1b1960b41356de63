import pytest
import torch

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space.chain import ChainSpace
from paretonas.strategy.controller import padded
from paretonas.strategy.reinforce import Reinforce
from paretonas.testing.strategy import TOY_SPACE, ended

GROWING = ChainSpace(layers=5, first=1, step=2).build()


def test_what_was_rewarded_above_the_baseline_becomes_likelier():
    strategy = Reinforce(batch=2, lr=0.01).start(TOY_SPACE, 0, Goals())
    good, bad = strategy.ask(2)
    choices = torch.tensor([good.architecture.choices, bad.architecture.choices])

    def log_probs():
        return strategy._controller(choices)[0].sum(1).tolist()

    before = log_probs()
    strategy.tell([ended(bad, 0.1, 0), ended(good, 0.9, 1)])  # the baseline is 0.1 when the good one comes
    after = log_probs()
    assert after[0] - before[0] > 0.01
    assert after[0] - before[0] > after[1] - before[1]


def test_options_are_the_published_ones():
    assert (Reinforce().lr, Reinforce().batch, Reinforce().baseline_decay) == (6e-4, 8, 0.95)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"lr": 0.0}, {"baseline_decay": 1.0}, {"entropy": -1.0}, {"grow": -1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        Reinforce(**wrong)


def reward(architecture):
    """The share of the decisions that are the first choice."""
    return architecture.choices.count(0) / len(architecture.choices)


def search(strategy, history, trials, batch=4):
    history = list(history)
    while len(history) < trials:
        for proposal in strategy.ask(min(batch, trials - len(history))):
            history.append(ended(proposal, reward(proposal.architecture), len(history)))
        strategy.tell(history[-batch:])
    return history


def test_architectures_grow_after_so_many_proposals_and_stay_at_full_length():
    history = search(Reinforce(grow=6, batch=4).start(GROWING, 0, Goals()), [], 20)
    lengths = [len(trial.architecture.choices) for trial in history]
    assert GROWING.lengths == (3, 12, 25)
    assert lengths == [3] * 6 + [12] * 6 + [25] * 8
    assert all(len(trial.context["log_probs"]) == length for trial, length in zip(history, lengths, strict=True))


@pytest.mark.parametrize("space", [GROWING, TOY_SPACE])
def test_without_growth_all_have_full_length(space):
    history = search(Reinforce(batch=4).start(space, 0, Goals()), [], 8)
    assert {len(trial.architecture.choices) for trial in history} == {len(space.decisions)}


@pytest.mark.parametrize("cut", [1, 5, 6, 7, 13])
def test_a_resumed_search_grows_as_it_would_have(cut):
    options = Reinforce(grow=6, batch=4, lr=0.01)
    whole = search(options.start(GROWING, 3, Goals()), [], 20, batch=1)
    resumed = options.start(GROWING, 3, Goals())
    resumed.tell(whole[:cut])
    assert search(resumed, whole[:cut], 20, batch=1) == whole


def test_what_shorter_architectures_do_not_decide_learns_nothing_from_them():
    strategy = Reinforce(grow=1, batch=2, lr=0.01).start(GROWING, 0, Goals())
    short, long = strategy.ask(2)
    heads = strategy._controller.heads
    before = [head.weight.clone() for head in heads]
    strategy.tell([ended(short, 0.1, 0), ended(long, 0.9, 1)])  # the first: advantage 0
    moved = [not torch.equal(old, head.weight) for old, head in zip(before, heads, strict=True)]
    assert moved == [True] * 12 + [False] * 13  # what neither decides stays as it is


def test_a_batch_of_two_lengths_is_the_sum_of_both():
    """Each architecture counts as it would in a batch of its own length."""
    controller = Reinforce().start(GROWING, 0, Goals())._controller
    rows = [[1, 2, 3], [0] * 12]
    choices, is_made = padded(rows)
    mixed = (controller(choices)[0] * is_made).sum(1)
    alone = torch.stack([controller(torch.tensor([row]))[0].sum() for row in rows])
    assert torch.allclose(mixed, alone, atol=1e-6)


def test_a_growing_search_learns():
    history = search(Reinforce(grow=60, batch=4, lr=0.02, hidden=30).start(GROWING, 0, Goals()), [], 240)
    rewards = [trial.reward for trial in history]
    assert sum(rewards[160:]) / 80 > 0.45 > sum(rewards[:20]) / 20
