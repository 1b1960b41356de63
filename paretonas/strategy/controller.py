"""The RNN controller of NASNet and MnasNet, and what its trainers share.

An LSTM makes the decisions of an architecture one after the other: each step embeds the previous choice and a softmax
over the current decision's choices gives the next.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, appendix A: one
LSTM of 100 units, initial weights uniform in (-.1, .1), exponential moving average baseline .95. Tan et al., MnasNet,
CVPR 2019, section 5: the same controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.space import SearchSpace
from paretonas.strategy.strategy import generator
from paretonas.trial import Proposal, Trial


@contextmanager
def one_thread() -> Iterator[None]:
    """The controller is too small to share; threads that wait for each other beside busy workers cost seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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


def new_controller(space: SearchSpace, hidden: int, seed: int) -> Controller:
    """A controller with the first weights of a search."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, 0, "init").getrandbits(63))
        return Controller([len(d.choices) for d in space.decisions], hidden)


def propose(controller: Controller, space: SearchSpace, seed: int, number: int) -> Proposal:
    """Draw proposal `number`; its log-probabilities travel in the context."""
    rng = torch.Generator().manual_seed(generator(seed, number).getrandbits(63))
    with one_thread():
        choices, log_probs = controller.sample(rng)
    return Proposal(number, space.architecture(choices), {"log_probs": log_probs})


class Baseline:
    """The exponential moving average of rewards.

    Args:
        decay: Of the average, in [0, 1).
    """

    def __init__(self, decay: float):
        self._decay = decay
        self._mean: float | None = None

    def advantages(self, trials: Sequence[Trial]) -> Tensor:
        """Each reward minus the average before it, which the reward then moves: (n, 1)."""
        return torch.tensor([[self._advantage(trial.usable_reward or 0.0)] for trial in trials])

    def _advantage(self, reward: float) -> float:
        before = reward if self._mean is None else self._mean
        self._mean = self._decay * before + (1 - self._decay) * reward
        return reward - before
