import math
from itertools import pairwise

import pytest
import torch

from paretonas.objective import Goals
from paretonas.space import Decision
from paretonas.strategy.controller import Baseline, Controller, standardized
from paretonas.strategy.ppo import PPO
from paretonas.testing.strategy import TOY_SPACE, accepts, ended


def decisions(*sizes, kind=""):
    return [Decision(f"d{i}", tuple(range(size)), kind) for i, size in enumerate(sizes)]


def test_controller_reproduces_the_log_probabilities_it_sampled_with():
    torch.manual_seed(0)
    controller = Controller(decisions(2, 3, 4), hidden=8)
    choices, log_probs = controller.sample(torch.Generator().manual_seed(1))
    again, entropies = controller(torch.tensor([choices]))
    assert again[0].tolist() == pytest.approx(log_probs, abs=1e-6)
    assert entropies[0].tolist() == pytest.approx([math.log(2), math.log(3), math.log(4)], abs=0.05)


def test_controller_has_the_published_initial_weights():
    weights = torch.cat([p.detach().flatten() for p in Controller(decisions(*[4] * 10), hidden=100).parameters()])
    assert float(weights.abs().max()) <= 0.1
    assert float(weights.std()) == pytest.approx(0.2 / math.sqrt(12), rel=0.02)


def test_update_happens_after_every_batch_of_usable_trials():
    strategy = PPO(batch=3, lr=0.1).start(TOY_SPACE, 0, Goals())
    proposals = strategy.ask(8)
    rewards = [0.5, None, 0.9, float("nan"), 0.1, 0.9, 0.2]
    log_probs = []
    for told, (proposal, reward) in enumerate(zip(proposals, rewards, strict=False)):
        strategy.tell([ended(proposal, reward, told)])
        log_probs.append(strategy._controller(torch.tensor([proposals[0].architecture.choices]))[0].sum().item())
    changes = [a != b for a, b in pairwise(log_probs)]
    assert changes == [False, False, False, True, False, False]  # only the fifth tell completes a batch of three


def test_advantage_is_the_reward_minus_the_moving_average_before_it():
    proposals = PPO().start(TOY_SPACE, 0, Goals()).ask(3)
    trials = [ended(p, r, n) for n, (p, r) in enumerate(zip(proposals, (0.4, 0.8, 0.2), strict=True))]
    found = Baseline(0.5).advantages(trials).flatten().tolist()
    assert found == pytest.approx([0.0, 0.4, -0.4])  # baselines 0.4, 0.4, 0.6


def test_standardized_advantages_of_one_value_are_zero():
    assert standardized(torch.full((3, 1), 0.1)).tolist() == [[0.0]] * 3
    assert standardized(torch.tensor([[0.7]])).tolist() == [[0.0]]


def test_decisions_without_a_kind_have_embeddings_of_their_own():
    controller = Controller(decisions(2, 3, 3, 4), hidden=8)
    assert [tuple(e.weight.shape) for e in controller.embeddings] == [(2, 8), (3, 8), (3, 8)]  # none after the last
    assert len({id(e) for e in controller.embeddings}) == 3


def test_decisions_of_a_kind_share_an_embedding_that_is_large_enough():
    mixed = [*decisions(2, 4, 3, kind="op"), Decision("x", (1, 2), "input"), Decision("y", (1, 2, 3), "op")]
    controller = Controller(mixed, hidden=8)
    first, *others = controller.embeddings
    assert all(embedding is first for embedding in others[:2])
    assert first.weight.shape == (4, 8)
    assert others[2].weight.shape == (2, 8)
    assert [head.out_features for head in controller.heads] == [2, 4, 3, 2, 3]
    assert len([name for name, _ in controller.named_parameters() if name.startswith("embeddings")]) == 2


def test_a_shared_embedding_learns_from_every_decision_of_its_kind():
    torch.manual_seed(0)
    controller = Controller(decisions(3, 3, 3, kind="op"), hidden=8)
    log_probs, _ = controller(torch.tensor([[1, 2, 0]]))
    log_probs.sum().backward()
    gradient = controller.embeddings[0].weight.grad
    assert [bool(row.any()) for row in gradient] == [False, True, True]


def test_standardized_advantages_have_mean_zero_and_deviation_one():
    found = standardized(torch.tensor([[0.1], [0.5], [0.9], [0.3]]))
    assert float(found.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(found.square().mean()) == pytest.approx(1.0, abs=1e-5)


def test_what_the_controller_never_draws_is_sampled_and_teaches_nothing(monkeypatch):
    monkeypatch.setattr("paretonas.strategy.controller.RESTRICTED_TRIES", 0)
    few = TOY_SPACE.restricted(accepts)
    strategy = PPO(batch=2).start(few, 0, Goals())
    before = [parameter.clone() for parameter in strategy._controller.parameters()]
    proposals = strategy.ask(6)
    assert all(few.contains(p.architecture) and not p.context for p in proposals)
    strategy.tell([ended(p, 0.1 * p.number, p.number) for p in proposals])
    assert all(torch.equal(a, b) for a, b in zip(before, strategy._controller.parameters(), strict=True))


def test_what_a_controller_draws_in_a_restricted_space_teaches_it():
    strategy = PPO(batch=2).start(TOY_SPACE.restricted(accepts), 0, Goals())
    before = [parameter.clone() for parameter in strategy._controller.parameters()]
    strategy.tell([ended(p, 0.1 * p.number, p.number) for p in strategy.ask(2)])
    assert any(not torch.equal(a, b) for a, b in zip(before, strategy._controller.parameters(), strict=True))
