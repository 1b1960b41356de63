"""REINFORCE on the RNN controller: the search of the first NAS paper.

Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 3.2: the policy gradient
with a moving average of earlier rewards as the baseline, Adam with learning rate 6e-4. Section 4.1: its networks begin
with 6 layers and get 2 more after every 1,600 samples; `grow=1600` in the space `nas-rl-chain`.
Differs: the controller is NASNet's, of one layer of 100 units and a softmax of its own for each decision, where the
paper's has two of 35; the paper's 100 replicas with 8 children each are one update of `batch` trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import SearchSpace
from paretonas.strategy.controller import ControllerStrategy, Learning
from paretonas.strategy.strategy import Prior, Strategy, StrategyOptions


@dataclass(frozen=True)
class Reinforce(StrategyOptions):
    """An LSTM controller, updated by one step along the policy gradient after every `batch` usable trials.

    Args:
        lr: Adam's learning rate.
        hidden: Units of the LSTM.
        batch: Architectures an update.
        entropy: Weight of the mean entropy of the decisions.
        baseline_decay: Of the moving average of rewards.
        grow: Proposals of each length of the space, from the shortest on, before the next longer one; 0: all have full
            length, as they have in any case in a space of one length. Published: 1600.

    Raises:
        UsageError: A value out of range.
    """

    lr: float = 6e-4
    hidden: int = 100
    batch: int = 8
    entropy: float = 0.0
    baseline_decay: float = 0.95
    grow: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.hidden <= 4096 and 1 <= self.batch <= 100_000 and self.lr > 0):
            raise UsageError(f"`1 <= hidden <= 4096`, `1 <= batch <= 100000` and `lr > 0` must hold, but got {self}.")
        if not 0 <= self.baseline_decay < 1 or self.entropy < 0:
            raise UsageError(f"`0 <= baseline_decay < 1` and `entropy >= 0` must hold, but got {self}.")
        if not 0 <= self.grow <= 10_000_000:
            raise UsageError(f"`0 <= grow <= 10000000` must hold, but got (grow={self.grow}).")

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search."""
        return ControllerStrategy(
            space,
            seed,
            reinforce_loss,
            Learning(
                lr=self.lr,
                hidden=self.hidden,
                batch=self.batch,
                epochs=1,
                entropy=self.entropy,
                baseline_decay=self.baseline_decay,
                standardize=False,
                grow=self.grow,
            ),
        )


def reinforce_loss(log_probs: Tensor, old_log_probs: Tensor, advantage: Tensor) -> Tensor:
    """`-mean(sum over decisions of log p * A)`, whose gradient is the policy gradient; to be minimized.

    Args:
        log_probs: (n, decisions).
        old_log_probs: Not used: trials that an earlier controller proposed count like the others.
        advantage: (n, 1), `A`.

    Source: Zoph and Le, 2017, section 3.2.
    """
    return -(log_probs.sum(1, keepdim=True) * advantage).mean()
