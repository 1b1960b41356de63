"""The RNN controller of NASNet and MnasNet, and the strategy around it; PPO and REINFORCE differ in the loss.

An LSTM makes the decisions of an architecture one after the other: each step embeds the previous choice and a softmax
over the current decision's choices gives the next.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, appendix A: one
LSTM of 100 units, initial weights uniform in (-.1, .1), exponential moving average baseline .95. Tan et al., MnasNet,
CVPR 2019, section 5: the same controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.space import Decision, SearchSpace
from paretonas.strategy.strategy import AskCounter, Strategy, generator
from paretonas.trial import Proposal, Trial

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

RESTRICTED_TRIES = 1000
"""So often the controller of a restricted space draws before one is proposed that it learns nothing from."""


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
    """One LSTM layer over the decisions, with an embedding and a softmax for each; those of a kind share the embedding.

    Args:
        decisions: In order.
        hidden: Units.
    """

    def __init__(self, decisions: Sequence[Decision], hidden: int):
        super().__init__()
        self.start = nn.Parameter(torch.empty(1, hidden))
        self.lstm = nn.LSTMCell(hidden, hidden)
        self.embeddings = nn.ModuleList(_embeddings(decisions[:-1], hidden))
        self.heads = nn.ModuleList(nn.Linear(hidden, len(decision.choices)) for decision in decisions)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the given choices and the entropies of the decisions.

        Args:
            choices: (n, decisions) indices; of the first decisions alone, if the architectures are shorter.

        Returns:
            Two tensors (n, decisions).
        """
        x, state = self.start.expand(len(choices), -1), None
        chosen, entropies = [], []
        for i, head in enumerate(self.heads[: choices.shape[1]]):
            state = self.lstm(x, state)
            log_probs = F.log_softmax(head(state[0]), dim=1)  # (n, choices of i)
            chosen.append(log_probs.gather(1, choices[:, i : i + 1]))
            entropies.append(-(log_probs.exp() * log_probs).sum(1, keepdim=True))
            if i < len(self.embeddings):
                x = self.embeddings[i](choices[:, i])
        return torch.cat(chosen, 1), torch.cat(entropies, 1)

    @torch.no_grad()
    def sample(self, rng: torch.Generator, length: int | None = None) -> tuple[list[int], list[float]]:
        """Draw an architecture.

        Args:
            rng: Used for all of it.
            length: How many decisions are made; None: all.

        Returns:
            A choice and its log-probability for every decision.
        """
        x, state = self.start, None
        choices: list[int] = []
        chosen: list[float] = []
        for i, head in enumerate(self.heads[:length]):
            state = self.lstm(x, state)
            log_probs = F.log_softmax(head(state[0]), dim=1)[0]
            choices.append(int(torch.multinomial(log_probs.exp(), 1, generator=rng)))
            chosen.append(float(log_probs[choices[-1]]))
            if i < len(self.embeddings):
                x = self.embeddings[i](torch.tensor(choices[-1:]))
        return choices, chosen


def _embeddings(decisions: Sequence[Decision], hidden: int) -> Iterator[nn.Embedding]:
    of_kind: dict[str, nn.Embedding] = {}
    for decision in decisions:
        alike = [d for d in decisions if d.kind and d.kind == decision.kind] or [decision]
        if decision.kind not in of_kind:
            embedding = nn.Embedding(max(len(d.choices) for d in alike), hidden)
        yield of_kind.setdefault(decision.kind, embedding) if decision.kind else embedding


@dataclass(frozen=True)
class Learning:
    """How a controller is updated.

    Args:
        lr: Adam's learning rate.
        hidden: Units of the LSTM.
        batch: Trials an update.
        epochs: Steps an update.
        entropy: Weight of the mean entropy of the decisions.
        baseline_decay: Of the moving average of rewards.
        standardize: Whether the advantages of a batch are given mean 0 and deviation 1.
        grow: Proposals of each length of the space before the next longer one; 0: all have full length.
    """

    lr: float
    hidden: int
    batch: int
    epochs: int
    entropy: float
    baseline_decay: float
    standardize: bool
    grow: int = 0


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


def standardized(advantages: Tensor) -> Tensor:
    """Mean 0 and deviation 1; zeros if all are equal, up to rounding.

    Args:
        advantages: (n, 1).

    >>> standardized(torch.tensor([[1.0], [3.0]])).flatten().tolist()
    [-1.0, 1.0]
    """
    centred = advantages - advantages.mean()
    deviation = centred.square().mean().sqrt()
    return centred / deviation if deviation > 1e-6 else torch.zeros_like(centred)


class ControllerStrategy(Strategy):
    """Proposes what a controller draws, and updates it after every batch of usable trials.

    Args:
        space: What can be built.
        seed: Of the search.
        loss: From the log-probabilities of a batch under the current controller and under the one that proposed it,
            both (n, decisions), and the advantages (n, 1), to what is minimized.
        learning: How it is updated.
    """

    def __init__(self, space: SearchSpace, seed: int, loss: Loss, learning: Learning):
        self._space, self._seed, self._loss = space, seed, loss
        self._size, self._epochs, self._entropy = learning.batch, learning.epochs, learning.entropy
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(seed, 0, "init").getrandbits(63))
            self._controller = Controller(space.decisions, learning.hidden)
        self._optimizer = torch.optim.Adam(self._controller.parameters(), lr=learning.lr)
        self._grow = learning.grow
        self._baseline, self._standardize = Baseline(learning.baseline_decay), learning.standardize
        self._batch: list[Trial] = []
        self._counter = AskCounter()

    def ask(self, n: int) -> list[Proposal]:
        return [self._propose(self._counter.take()) for _ in range(n)]

    def _length(self, number: int) -> int:
        """Of the architectures of an ask: shorter ones first, if they are to grow."""
        lengths = self._space.lengths
        return lengths[min(number // self._grow, len(lengths) - 1)] if self._grow else lengths[-1]

    def _propose(self, number: int) -> Proposal:
        rng, length = torch.Generator().manual_seed(generator(self._seed, number).getrandbits(63)), self._length(number)
        with one_thread():
            for _ in range(RESTRICTED_TRIES):
                choices, log_probs = self._controller.sample(rng, length)
                architecture = self._space.architecture(choices)
                if self._space.contains(architecture):
                    return Proposal(number, architecture, {"log_probs": log_probs})
        return Proposal(number, self._space.sample(generator(self._seed, number, "restricted"), length))

    def tell(self, trials: Sequence[Trial]) -> None:
        self._counter.see(trials)
        for trial in trials:
            if trial.usable_reward is not None and "log_probs" in trial.context:
                self._batch.append(trial)
            if len(self._batch) == self._size:
                with one_thread():
                    self._update()
                self._batch = []

    def _update(self) -> None:
        choices, is_made = padded([trial.architecture.choices for trial in self._batch])  # (n, longest) each
        old, _ = padded([trial.context["log_probs"] for trial in self._batch])  # (n, longest)
        advantage = self._baseline.advantages(self._batch)  # (n, 1)
        if self._standardize:
            advantage = standardized(advantage)
        for _ in range(self._epochs):
            log_probs, entropies = self._controller(choices)  # (n, longest) each
            entropy = (entropies * is_made).sum() / is_made.sum()
            loss = self._loss(log_probs * is_made, old, advantage) - self._entropy * entropy
            self._optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self._controller.parameters(), 1.0)
            self._optimizer.step()


def padded(rows: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    """Rows of several lengths as one tensor, zeros behind the shorter ones, and 1 where there is something, else 0.

    Args:
        rows: n of them.

    Returns:
        Two tensors (n, longest).

    >>> padded([[1, 2], [3]])[0].tolist(), padded([[1, 2], [3]])[1].tolist()
    ([[1, 2], [3, 0]], [[1.0, 1.0], [1.0, 0.0]])
    """
    values = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    counts = torch.tensor([[len(row)] for row in rows])  # (n, 1)
    return values, (torch.arange(values.shape[1]) < counts).float()
