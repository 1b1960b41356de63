import pytest
import torch

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.strategy.reinforce import Reinforce
from paretonas.testing.strategy import TOY_SPACE, ended


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


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"lr": 0.0}, {"baseline_decay": 1.0}, {"entropy": -1.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        Reinforce(**wrong)
