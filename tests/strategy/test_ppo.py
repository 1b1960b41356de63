import math
import statistics

import pytest
import torch

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.strategy import strategies
from paretonas.strategy.ppo import PPO, ppo_loss
from paretonas.testing.strategy import TOY_SPACE, run


def test_ppo_loss_is_the_clipped_surrogate():
    # ratios 1.5 and 0.5; advantages 2 and -1; clip 0.2: min(3, 2.4) = 2.4 and min(-0.5, -0.8) = -0.8
    log_probs = torch.tensor([[math.log(1.5)], [math.log(0.5)]])
    loss = ppo_loss(log_probs, torch.zeros(2, 1), torch.tensor([[2.0], [-1.0]]), clip=0.2)
    assert float(loss) == pytest.approx(-(2.4 - 0.8) / 2)


def test_published_options_can_be_written():
    options = strategies.create("ppo:lr=0.00035,entropy=1e-5,standardize=false")
    assert (options.lr, options.entropy, options.standardize) == (3.5e-4, 1e-5, False)
    assert (options.hidden, options.batch, options.baseline_decay) == (100, 20, 0.95)


@pytest.mark.parametrize("seed", range(3))
def test_the_controller_learns_within_some_hundred_trials(seed):
    rewards = [trial.reward for trial in run(PPO().start(TOY_SPACE, seed, Goals()), [], 300, batch=20)]
    assert statistics.fmean(rewards[-100:]) > statistics.fmean(rewards[:100]) + 0.08  # 0.13; published: 0.03


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"batch": 1}, {"clip": 1.0}, {"lr": 0.0}, {"baseline_decay": 1.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        PPO(**wrong)
