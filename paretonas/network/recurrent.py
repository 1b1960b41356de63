"""Recurrent language models: NAS-RL's tree cells, and the LSTM beside them.

Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 3.4; NASCell as released
in tensorflow/addons, rnn/nas_cell.py, which has no biases either. The LSTM: Zaremba et al., Recurrent Neural Network
Regularization, 2014. Dropout: Gal and Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural
Networks, NIPS 2016: one mask for all steps of a sequence. Differs: words are not dropped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.space import Interface
from paretonas.space.recurrent import GATES_OF_LSTM, Node, RecurrentSpec, TreeCell

COMBINATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": torch.add, "elem_mult": torch.mul}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}

FORGET_BIAS = 1.0
"""Of an untrained LSTM, so that it remembers."""


class RecurrentNetwork(nn.Module):
    """Embedding, recurrent layers, decoder.

    Args:
        spec: What to build.
        interface: One word in, logits of the next out; with the states or without.
        dropout: Of each layer's inputs and last outputs, and before the decoder, while a sequence is learned.

    Raises:
        SpecError: Something else than a word goes in.
    """

    def __init__(self, spec: RecurrentSpec, interface: Interface, dropout: float = 0.0):
        super().__init__()
        if interface.inputs[0].dtype != "int64" or interface.inputs[0].shape != (1,):
            raise SpecError(
                f"Recurrent networks are fed the number of one word, but this task feeds {interface.inputs[0]}: choose "
                "another space."
            )
        words = interface.classes
        self.hidden, self.dropout = spec.hidden, dropout
        self.embedding = nn.Embedding(words, spec.hidden)
        layers = [RecurrentLayer(spec) for _ in range(spec.layers)]
        self.layers = nn.ModuleList(layers)
        self.decoder = nn.Linear(spec.hidden, words)
        bound = 1 / math.sqrt(spec.hidden)
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)
        nn.init.zeros_(self.decoder.bias)
        if spec.is_tied:
            self.decoder.weight = self.embedding.weight
        for layer in layers:
            layer.reset_biases()

    def forward(self, tokens: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> tuple[Tensor, ...]:
        """One step.

        Args:
            tokens: (N,) numbers of words.
            h: (N, layers, hidden), the last outputs of the layers; None: zeros.
            c: (N, layers, hidden), their states; None: zeros.

        Returns:
            (N, words) logits of the next word, and the new `h` and `c`.
        """
        if h is None or c is None:
            h = c = self._zeros(len(tokens))
        x = self.embedding(tokens)  # (N, hidden)
        outputs, states = [], []
        for i, layer in enumerate(self.layers):
            x, state = layer(x, h[:, i], c[:, i])
            outputs.append(x)
            states.append(state)
        return self.decoder(x), torch.stack(outputs, dim=1), torch.stack(states, dim=1)

    def sequence(self, tokens: Tensor, h: Tensor | None = None, c: Tensor | None = None) -> tuple[Tensor, ...]:
        """Many steps at once, with dropout while training.

        Args:
            tokens: (N, T) numbers of words.
            h: As for one step.
            c: As for one step.

        Returns:
            (N, T, words) logits of the next words, and `h` and `c` after the last step.
        """
        if h is None or c is None:
            h = c = self._zeros(len(tokens))
        x = self.embedding(tokens.t())  # (T, N, hidden)
        outputs, states = [], []
        for i, layer in enumerate(self.layers):
            x, output, state = layer.sequence(x * self._mask(x), h[:, i], c[:, i], self._mask(x))  # type: ignore[operator]
            outputs.append(output)
            states.append(state)
        logits = self.decoder(x * self._mask(x)).transpose(0, 1)
        return logits, torch.stack(outputs, dim=1), torch.stack(states, dim=1)

    def _zeros(self, examples: int) -> Tensor:
        return self.embedding.weight.new_zeros(examples, len(self.layers), self.hidden)

    def _mask(self, x: Tensor) -> Tensor | float:
        """Zero where a number of (N, hidden) is dropped at all steps; 1 where none is."""
        return F.dropout(torch.ones_like(x[0]), self.dropout) if self.training and self.dropout else 1.0


class RecurrentLayer(nn.Module):
    """One layer. All its shares of the input of a whole sequence are one product, those of an output one a step.

    Args:
        spec: Of the network.
    """

    def __init__(self, spec: RecurrentSpec):
        super().__init__()
        self.tree, self.gates = spec.tree, spec.gates
        self.kernel = nn.Parameter(torch.empty(spec.hidden, spec.gates * spec.hidden))
        self.recurrent = nn.Parameter(torch.empty(spec.hidden, spec.gates * spec.hidden))
        self.bias = nn.Parameter(torch.empty(spec.gates * spec.hidden)) if spec.tree is None else None

    def reset_biases(self) -> None:
        """Zero, but for an LSTM's forget gate."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)
            nn.init.constant_(self.bias.chunk(self.gates)[0], FORGET_BIAS)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Input, last output and state, (N, hidden) each, to output and state."""
        return self._step(self._fed(x), h, c)

    def sequence(self, x: Tensor, h: Tensor, c: Tensor, mask: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """(T, N, hidden) to the same of outputs, and the last output and state; `mask` is of each last output."""
        outputs = []
        for fed in self._fed(x).unbind(0):
            h, c = self._step(fed, h * mask, c)
            outputs.append(h)
        return torch.stack(outputs), h, c

    def _fed(self, x: Tensor) -> Tensor:
        fed = x @ self.kernel
        return fed if self.bias is None else fed + self.bias

    def _step(self, fed: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        recurrent = h @ self.recurrent  # (N, gates * hidden), as `fed`
        if self.tree is None:
            return lstm_step(fed + recurrent, c)
        return tree_step(self.tree, fed.chunk(self.gates, dim=-1), recurrent.chunk(self.gates, dim=-1), c)


def tree_step(tree: TreeCell, fed: Sequence[Tensor], recurrent: Sequence[Tensor], c: Tensor) -> tuple[Tensor, Tensor]:
    """One step of a tree cell.

    Args:
        tree: Which.
        fed: Of each leaf, its share of the input, (N, hidden).
        recurrent: Of each leaf, its share of the last output, (N, hidden).
        c: The old state, (N, hidden).

    Returns:
        The output and the new state.

    >>> tree = TreeCell((Node("add", "tanh"), Node("elem_mult", "relu"), Node("elem_mult", "sigmoid")),
    ...                 inject=Node("add", "relu"), state_out=1, state_in=0)  # figure 5 of the paper
    >>> one = torch.ones(1, 1)
    >>> h, c = tree_step(tree, [one, 2 * one], [one, 3 * one], c=one)
    >>> float(c)
    6.0
    """
    values: list[Tensor] = []
    state = c
    for i, node in enumerate(tree.nodes):
        a, b = (values[child] for child in tree.children(i)) if i >= tree.base else (fed[i], recurrent[i])
        value = COMBINATIONS[node.combine](a, b)
        if i == tree.state_out:
            state = value
        value = _activated(node, value)
        if i == tree.state_in:
            value = _activated(tree.inject, COMBINATIONS[tree.inject.combine](value, c))
        values.append(value)
    return values[-1], state


def lstm_step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: (N, 4 hidden) of forget, input and output gates and the candidate, and the old state.

    Returns:
        The output and the new state.

    Source: Zaremba et al., Recurrent Neural Network Regularization, 2014, section 3.1.
    """
    forget, take, give, candidate = gates.chunk(GATES_OF_LSTM, dim=-1)
    c = torch.sigmoid(forget) * c + torch.sigmoid(take) * torch.tanh(candidate)
    return torch.sigmoid(give) * torch.tanh(c), c


def _activated(node: Node, x: Tensor) -> Tensor:
    return x if node.activation == "identity" else ACTIVATIONS[node.activation](x)
