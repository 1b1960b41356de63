"""Proximal policy optimization of the RNN controller: MnasNet's search, and NASNet's.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, appendix A: learning
rate 3.5e-4, entropy weight 1e-5, moving average baseline .95, 20 architectures an update. Tan et al., MnasNet, CVPR
2019, section 5.
Differs: the defaults are for searches of hundreds of trials, not for the 20,000 of NASNet. The learning rate is 5e-3:
Adam moves a weight by about the learning rate a step, whatever the scale of the rewards, and 500 trials make 100 steps,
in which the published rate moves weights that began within .1 by .035 or less; Real et al. (AAAI 2019) found 8e-4 the
best of 8 rates for the same controller. The advantages of a batch are standardized, and the entropy weight is .1, which
in that unit keeps the controller from settling on what it happened to meet first. As published:
`ppo:lr=0.00035,entropy=1e-5,standardize=false`.
Ours, as neither paper states them: the clip of .2 (that of the PPO paper, Schulman et al. 2017), 4 epochs an update,
the whole batch as the minibatch, the ratio clipped decision by decision, Adam, gradients clipped to norm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.space import SearchSpace
from paretonas.strategy.controller import ControllerStrategy, Learning
from paretonas.strategy.strategy import Prior, Strategy, StrategyOptions


@dataclass(frozen=True)
class PPO(StrategyOptions):
    """An LSTM controller updated by PPO after every `batch` usable trials.

    Args:
        lr: Adam's learning rate. Published: 3.5e-4.
        hidden: Units of the LSTM.
        batch: Architectures an update.
        epochs: Passes over the batch an update.
        clip: Largest change of a decision's probability ratio that is rewarded.
        entropy: Weight of the mean entropy of the decisions. Published: 1e-5.
        baseline_decay: Of the moving average of rewards.
        standardize: Whether the advantages of a batch are given mean 0 and deviation 1. Published: not.

    Raises:
        UsageError: A value out of range.
    """

    lr: float = 5e-3
    hidden: int = 100
    batch: int = 20
    epochs: int = 4
    clip: float = 0.2
    entropy: float = 0.1
    baseline_decay: float = 0.95
    standardize: bool = True

    def __post_init__(self) -> None:
        if not (1 <= self.hidden <= 4096 and 1 <= self.batch <= 100_000 and 1 <= self.epochs <= 1000):
            raise UsageError(
                f"`1 <= hidden <= 4096`, `1 <= batch <= 100000` and `1 <= epochs <= 1000` must hold, but got {self}."
            )
        if not 0 < self.clip < 1 or not self.lr > 0:
            raise UsageError(f"`0 < clip < 1` and `lr > 0` must hold, but got {self}.")
        if not 0 <= self.baseline_decay < 1 or self.entropy < 0:
            raise UsageError(f"`0 <= baseline_decay < 1` and `entropy >= 0` must hold, but got {self}.")
        if self.standardize and self.batch < 2:
            raise UsageError(f"To standardize advantages, `batch >= 2` must hold, but got {self}.")

    def start(self, space: SearchSpace, seed: int, goals: Goals, prior: Sequence[Prior] = ()) -> Strategy:
        """Begin a search."""
        return ControllerStrategy(
            space,
            seed,
            partial(ppo_loss, clip=self.clip),
            Learning(
                lr=self.lr,
                hidden=self.hidden,
                batch=self.batch,
                epochs=self.epochs,
                entropy=self.entropy,
                baseline_decay=self.baseline_decay,
                standardize=self.standardize,
            ),
        )


def ppo_loss(log_probs: Tensor, old_log_probs: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """The clipped surrogate, to be minimized: `-mean(min(r * A, clamp(r, 1 - clip, 1 + clip) * A))`.

    Args:
        log_probs: (n, decisions) of the current controller; `r = exp(log_probs - old_log_probs)`.
        old_log_probs: (n, decisions) of the controller that proposed.
        advantage: (n, 1), `A`.
        clip: In (0, 1).

    Source: Schulman et al., Proximal Policy Optimization Algorithms, 2017, equation 7.
    """
    ratio = (log_probs - old_log_probs).exp()
    return -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()
