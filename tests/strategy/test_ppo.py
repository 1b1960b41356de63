import math
import statistics
from itertools import pairwise

import pytest
import torch

from paretonas.errors import UsageError
from paretonas.strategy import strategies
from paretonas.strategy.controller import Baseline, Controller, standardized
from paretonas.strategy.ppo import PPO, ppo_loss
from paretonas.testing.strategy import TOY_SPACE, ended, run


def test_ppo_loss_is_the_clipped_surrogate():
    # ratios 1.5 and 0.5; advantages 2 and -1; clip 0.2: min(3, 2.4) = 2.4 and min(-0.5, -0.8) = -0.8
    log_probs = torch.tensor([[math.log(1.5)], [math.log(0.5)]])
    loss = ppo_loss(log_probs, torch.zeros(2, 1), torch.tensor([[2.0], [-1.0]]), clip=0.2)
    assert float(loss) == pytest.approx(-(2.4 - 0.8) / 2)


def test_controller_reproduces_the_log_probabilities_it_sampled_with():
    torch.manual_seed(0)
    controller = Controller([2, 3, 4], hidden=8)
    choices, log_probs = controller.sample(torch.Generator().manual_seed(1))
    again, entropies = controller(torch.tensor([choices]))
    assert again[0].tolist() == pytest.approx(log_probs, abs=1e-6)
    assert entropies[0].tolist() == pytest.approx([math.log(2), math.log(3), math.log(4)], abs=0.05)


def test_controller_has_the_published_initial_weights():
    weights = torch.cat([p.detach().flatten() for p in Controller([4] * 10, hidden=100).parameters()])
    assert float(weights.abs().max()) <= 0.1
    assert float(weights.std()) == pytest.approx(0.2 / math.sqrt(12), rel=0.02)


def test_published_options_can_be_written():
    options = strategies.create("ppo:lr=0.00035,entropy=1e-5,standardize=false")
    assert (options.lr, options.entropy, options.standardize) == (3.5e-4, 1e-5, False)
    assert (options.hidden, options.batch, options.baseline_decay) == (100, 20, 0.95)


@pytest.mark.parametrize("seed", range(3))
def test_the_controller_learns_within_some_hundred_trials(seed):
    rewards = [trial.reward for trial in run(PPO().start(TOY_SPACE, seed), [], 300, batch=20)]
    assert statistics.fmean(rewards[-100:]) > statistics.fmean(rewards[:100]) + 0.08  # 0.13; published: 0.03


def test_update_happens_after_every_batch_of_usable_trials():
    strategy = PPO(batch=3, lr=0.1).start(TOY_SPACE, 0)
    proposals = strategy.ask(8)
    rewards = [0.5, None, 0.9, float("nan"), 0.1, 0.9, 0.2]
    log_probs = []
    for told, (proposal, reward) in enumerate(zip(proposals, rewards, strict=False)):
        strategy.tell([ended(proposal, reward, told)])
        log_probs.append(strategy._controller(torch.tensor([proposals[0].architecture.choices]))[0].sum().item())
    changes = [a != b for a, b in pairwise(log_probs)]
    assert changes == [False, False, False, True, False, False]  # only the fifth tell completes a batch of three


def test_advantage_is_the_reward_minus_the_moving_average_before_it():
    proposals = PPO().start(TOY_SPACE, 0).ask(3)
    trials = [ended(p, r, n) for n, (p, r) in enumerate(zip(proposals, (0.4, 0.8, 0.2), strict=True))]
    found = Baseline(0.5).advantages(trials).flatten().tolist()
    assert found == pytest.approx([0.0, 0.4, -0.4])  # baselines 0.4, 0.4, 0.6


def test_standardized_advantages_of_one_value_are_zero():
    assert standardized(torch.full((3, 1), 0.1)).tolist() == [[0.0]] * 3
    assert standardized(torch.tensor([[0.7]])).tolist() == [[0.0]]


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"batch": 1}, {"clip": 1.0}, {"lr": 0.0}, {"baseline_decay": 1.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        PPO(**wrong)
