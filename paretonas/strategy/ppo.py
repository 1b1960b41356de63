"""The RNN controller of NASNet and MnasNet, trained with proximal policy optimization.

An LSTM makes the decisions of an architecture one after the other: each step embeds the previous choice and a softmax
over the current decision's choices gives the next.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, appendix A: one
LSTM of 100 units, learning rate 3.5e-4, entropy weight 1e-5, exponential moving average baseline .95, initial weights
uniform in (-.1, .1), 20 architectures an update. Tan et al., MnasNet, CVPR 2019, section 5: the same controller.
Ours, as neither paper states them: the clip of .2 (that of the PPO paper, Schulman et al. 2017), 4 epochs an update,
the whole batch as the minibatch, the ratio clipped decision by decision, Adam, gradients clipped to norm 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.errors import UsageError
from paretonas.space import SearchSpace
from paretonas.strategy.strategy import AskCounter, Strategy, generator
from paretonas.trial import Proposal, Trial


@dataclass(frozen=True)
class PPO:
    """An LSTM controller updated by PPO after every `batch` usable trials.

    Args:
        lr: Adam's learning rate.
        hidden: Units of the LSTM.
        batch: Architectures an update.
        epochs: Passes over the batch an update.
        clip: Largest change of a decision's probability ratio that is rewarded.
        entropy: Weight of the mean entropy of the decisions.
        baseline_decay: Of the moving average of rewards.

    Raises:
        UsageError: A value out of range.
    """

    lr: float = 3.5e-4
    hidden: int = 100
    batch: int = 20
    epochs: int = 4
    clip: float = 0.2
    entropy: float = 1e-5
    baseline_decay: float = 0.95

    def __post_init__(self) -> None:
        if min(self.hidden, self.batch, self.epochs) < 1 or not 0 < self.clip < 1 or not self.lr > 0:
            raise UsageError(f"`hidden, batch, epochs >= 1`, `0 < clip < 1` and `lr > 0` must hold, but got {self}.")
        if not 0 <= self.baseline_decay < 1 or self.entropy < 0:
            raise UsageError(f"`0 <= baseline_decay < 1` and `entropy >= 0` must hold, but got {self}.")

    def start(self, space: SearchSpace, seed: int) -> Strategy:
        """Begin a search."""
        return _PPO(self, space, seed)


class _PPO(Strategy):
    def __init__(self, options: PPO, space: SearchSpace, seed: int):
        self._options, self._space, self._seed = options, space, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(seed, 0, "init").getrandbits(63))
            self._controller = Controller([len(d.choices) for d in space.decisions], options.hidden)
        self._optimizer = torch.optim.Adam(self._controller.parameters(), lr=options.lr)
        self._baseline: float | None = None
        self._batch: list[Trial] = []
        self._counter = AskCounter()

    def ask(self, n: int) -> list[Proposal]:
        return [self._propose(self._counter.take()) for _ in range(n)]

    def _propose(self, number: int) -> Proposal:
        rng = torch.Generator().manual_seed(generator(self._seed, number).getrandbits(63))
        with _one_thread():
            choices, log_probs = self._controller.sample(rng)
        return Proposal(number, self._space.architecture(choices), {"log_probs": log_probs})

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            if trial.usable_reward is not None and "log_probs" in trial.context:
                self._batch.append(trial)
            if len(self._batch) == self._options.batch:
                with _one_thread():
                    self._update()
                self._batch = []

    def _update(self) -> None:
        choices = torch.tensor([trial.architecture.choices for trial in self._batch])  # (n, decisions)
        old = torch.tensor([trial.context["log_probs"] for trial in self._batch])  # (n, decisions)
        advantage = torch.tensor([self._advantage(trial) for trial in self._batch])[:, None]  # (n, 1)
        for _ in range(self._options.epochs):
            log_probs, entropies = self._controller(choices)  # (n, decisions) each
            loss = ppo_loss(log_probs, old, advantage, self._options.clip) - self._options.entropy * entropies.mean()
            self._optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self._controller.parameters(), 1.0)
            self._optimizer.step()

    def _advantage(self, trial: Trial) -> float:
        """Reward minus the baseline before it, which the reward then moves."""
        reward, decay = trial.usable_reward or 0.0, self._options.baseline_decay
        before = reward if self._baseline is None else self._baseline
        self._baseline = decay * before + (1 - decay) * reward
        return reward - before


@contextmanager
def _one_thread() -> Iterator[None]:
    """The controller is too small to share; threads that wait for each other beside busy workers cost seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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


class Controller(nn.Module):
    """One LSTM layer over the decisions, with an embedding and a softmax for each.

    Args:
        sizes: Number of choices of each decision, in order.
        hidden: Units.
    """

    def __init__(self, sizes: Sequence[int], hidden: int):
        super().__init__()
        self.start = nn.Parameter(torch.empty(1, hidden))
        self.lstm = nn.LSTMCell(hidden, hidden)
        self.embeddings = nn.ModuleList(nn.Embedding(size, hidden) for size in sizes[:-1])
        self.heads = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the given choices and the entropies of the decisions.

        Args:
            choices: (n, decisions) indices.

        Returns:
            Two tensors (n, decisions).
        """
        x, state = self.start.expand(len(choices), -1), None
        chosen, entropies = [], []
        for i, head in enumerate(self.heads):
            state = self.lstm(x, state)
            log_probs = F.log_softmax(head(state[0]), dim=1)  # (n, choices of i)
            chosen.append(log_probs.gather(1, choices[:, i : i + 1]))
            entropies.append(-(log_probs.exp() * log_probs).sum(1, keepdim=True))
            if i < len(self.embeddings):
                x = self.embeddings[i](choices[:, i])
        return torch.cat(chosen, 1), torch.cat(entropies, 1)

    @torch.no_grad()
    def sample(self, rng: torch.Generator) -> tuple[list[int], list[float]]:
        """Draw an architecture.

        Returns:
            A choice and its log-probability for every decision.
        """
        x, state = self.start, None
        choices: list[int] = []
        chosen: list[float] = []
        for i, head in enumerate(self.heads):
            state = self.lstm(x, state)
            log_probs = F.log_softmax(head(state[0]), dim=1)[0]
            choices.append(int(torch.multinomial(log_probs.exp(), 1, generator=rng)))
            chosen.append(float(log_probs[choices[-1]]))
            if i < len(self.embeddings):
                x = self.embeddings[i](torch.tensor(choices[-1:]))
        return choices, chosen
