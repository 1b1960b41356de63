"""REINFORCE on the RNN controller: the search of the first NAS paper.

Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 3.2: the policy gradient
with a moving average of earlier rewards as the baseline, Adam with learning rate 6e-4.
Differs: the controller is NASNet's, of one layer of 100 units, where the paper's has two of 35; the paper's 100
replicas with 8 children each are one update of `batch` trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from paretonas.errors import UsageError
from paretonas.space import SearchSpace
from paretonas.strategy.controller import Baseline, new_controller, one_thread, propose
from paretonas.strategy.strategy import AskCounter, Strategy
from paretonas.trial import Proposal, Trial


@dataclass(frozen=True)
class Reinforce:
    """An LSTM controller, updated by one step along the policy gradient after every `batch` usable trials.

    Args:
        lr: Adam's learning rate.
        hidden: Units of the LSTM.
        batch: Architectures an update.
        entropy: Weight of the mean entropy of the decisions.
        baseline_decay: Of the moving average of rewards.

    Raises:
        UsageError: A value out of range.
    """

    lr: float = 6e-4
    hidden: int = 100
    batch: int = 8
    entropy: float = 0.0
    baseline_decay: float = 0.95

    def __post_init__(self) -> None:
        if min(self.hidden, self.batch) < 1 or not self.lr > 0:
            raise UsageError(f"`hidden, batch >= 1` and `lr > 0` must hold, but got {self}.")
        if not 0 <= self.baseline_decay < 1 or self.entropy < 0:
            raise UsageError(f"`0 <= baseline_decay < 1` and `entropy >= 0` must hold, but got {self}.")

    def start(self, space: SearchSpace, seed: int) -> Strategy:
        """Begin a search."""
        return _Reinforce(self, space, seed)


class _Reinforce(Strategy):
    def __init__(self, options: Reinforce, space: SearchSpace, seed: int):
        self._options, self._space, self._seed = options, space, seed
        self._controller = new_controller(space, options.hidden, seed)
        self._optimizer = torch.optim.Adam(self._controller.parameters(), lr=options.lr)
        self._baseline = Baseline(options.baseline_decay)
        self._batch: list[Trial] = []
        self._counter = AskCounter()

    def ask(self, n: int) -> list[Proposal]:
        return [propose(self._controller, self._space, self._seed, self._counter.take()) for _ in range(n)]

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            if trial.usable_reward is not None:
                self._batch.append(trial)
            if len(self._batch) == self._options.batch:
                with one_thread():
                    self._update()
                self._batch = []

    def _update(self) -> None:
        choices = torch.tensor([trial.architecture.choices for trial in self._batch])  # (n, decisions)
        advantage = self._baseline.advantages(self._batch)  # (n, 1)
        log_probs, entropies = self._controller(choices)  # (n, decisions) each
        loss = -(log_probs.sum(1, keepdim=True) * advantage).mean() - self._options.entropy * entropies.mean()
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._controller.parameters(), 1.0)
        self._optimizer.step()
