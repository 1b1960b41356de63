"""PNAS's surrogates: networks that read the decisions of an architecture of any length and predict its reward.

Source: Liu et al., Progressive Neural Architecture Search, ECCV 2018, section 4.3: an LSTM over the decisions, or an
MLP over the mean of the blocks; decisions of a kind share embeddings; L1 loss, Adam with a learning rate of .01 for the
shortest cells and .002 afterwards; ensembles whose members each leave out a part of the data.
Differs: rewards are standardized and the output is linear, so that any reward can be learned; the number of steps is
ours, as none is published.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paretonas.space import Decision
from paretonas.strategy.controller import one_thread

Kind = Literal["lstm", "mlp"]

UNITS = 100
"""Of embeddings and of the hidden layer."""
FIRST_LR, LATER_LR = 0.01, 0.002
STEPS, BATCH = 200, 256
SCORED_AT_ONCE = 4096


class Tokens:
    """Turns choices into rows of tokens: decisions that mean the same by a choice give the same token.

    Args:
        decisions: Of the space.
        lengths: Numbers of decisions after which there is an architecture; what lies between two is a block.
    """

    def __init__(self, decisions: Sequence[Decision], lengths: Sequence[int]):
        symbols: dict[Hashable, int] = {}
        self._ids = [[symbols.setdefault(symbol, 1 + len(symbols)) for symbol in d.symbols] for d in decisions]
        self.count = 1 + len(symbols)  # 0 is no token
        begins = np.searchsorted(lengths, np.arange(len(decisions)), side="right")
        starts = np.array([0, *lengths[:-1]])
        self.slots = torch.from_numpy(np.arange(len(decisions)) - starts[begins])  # place of a decision in its block

    def of(self, architectures: Sequence[Sequence[int]]) -> Tensor:
        """(n, decisions) int64; 0 after the end of a shorter architecture."""
        rows = np.zeros((len(architectures), len(self._ids)), np.int64)
        for row, choices in zip(rows, architectures, strict=True):
            row[: len(choices)] = [ids[choice] for ids, choice in zip(self._ids, choices, strict=False)]
        return torch.from_numpy(rows)


class Recurrent(nn.Module):
    """An LSTM over the tokens; its last state gives the score."""

    def __init__(self, tokens: Tokens):
        super().__init__()
        self.embedding = nn.Embedding(tokens.count, UNITS)
        self.lstm = nn.LSTM(UNITS, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, decisions) tokens to (n,) scores."""
        last = (x > 0).sum(1) - 1
        states, _ = self.lstm(self.embedding(x[:, : int(last.max()) + 1]))  # (n, longest, units)
        scores: Tensor = self.head(states[torch.arange(len(x)), last]).squeeze(1)
        return scores


class Averaging(nn.Module):
    """An MLP over the mean of the blocks, each the embeddings of its decisions beside each other."""

    def __init__(self, tokens: Tokens):
        super().__init__()
        self.slots, self.count = tokens.slots, int(tokens.slots.max()) + 1
        self.embedding = nn.Embedding(tokens.count, UNITS)
        self.body = nn.Sequential(nn.Linear(self.count * UNITS, UNITS), nn.ReLU())
        self.head = nn.Linear(UNITS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, decisions) tokens to (n,) scores."""
        embedded = self.embedding(x) * (x > 0).unsqueeze(2)  # (n, decisions, units)
        sums = torch.zeros(len(x), self.count, UNITS).index_add(1, self.slots, embedded)
        blocks = (x[:, self.slots == 0] > 0).sum(1)  # (n,)
        scores: Tensor = self.head(self.body((sums / blocks[:, None, None]).flatten(1))).squeeze(1)
        return scores


class Ensemble:
    """Members that are fitted to rewards, each without a part of them of its own.

    Args:
        kind: Of the members.
        size: How many.
        tokens: What they read.
        seed: Of weights and batches.
    """

    def __init__(self, kind: Kind, size: int, tokens: Tokens, seed: int):
        self._tokens, self._rng = tokens, torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._members = [(Recurrent if kind == "lstm" else Averaging)(tokens) for _ in range(size)]
            for member in self._members:
                for part in (member.embedding, member.head):
                    nn.init.uniform_(part.weight, -0.1, 0.1)
                nn.init.zeros_(member.head.bias)
        self._is_fitted, self._mean, self._deviation = False, 0.0, 1.0

    def fit(self, architectures: Sequence[Sequence[int]], rewards: Sequence[float]) -> None:
        """Learn from n architectures, from where the last call has left off."""
        y = np.array(rewards)
        self._mean, self._deviation = float(y.mean()), float(y.std()) or 1.0
        x, scores = self._tokens.of(architectures), torch.from_numpy((y - self._mean) / self._deviation).float()
        parts = torch.randperm(len(x), generator=self._rng) % max(2, len(self._members))
        lr, self._is_fitted = LATER_LR if self._is_fitted else FIRST_LR, True
        with one_thread():
            for i, member in enumerate(self._members):
                kept = torch.nonzero(parts != i).squeeze(1) if len(self._members) > 1 and len(x) > 1 else slice(None)
                self._fit(member, x[kept], scores[kept], lr)

    def _fit(self, member: nn.Module, x: Tensor, scores: Tensor, lr: float) -> None:
        optimizer = torch.optim.Adam(member.parameters(), lr)
        for _ in range(STEPS):
            drawn = torch.randperm(len(x), generator=self._rng)[:BATCH]
            optimizer.zero_grad()
            (member(x[drawn]) - scores[drawn]).abs().mean().backward()
            optimizer.step()

    @torch.no_grad()
    def predict(self, architectures: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """(n,) rewards: the mean of the members."""
        with one_thread():
            parts = [
                self._tokens.of(architectures[i : i + SCORED_AT_ONCE])
                for i in range(0, len(architectures), SCORED_AT_ONCE)
            ]
            scores = [torch.stack([member(x) for member in self._members]).mean(0) for x in parts]
        return torch.cat(scores).double().numpy() * self._deviation + self._mean
