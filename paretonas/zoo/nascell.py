"""Recurrent cells: NASCell, which NAS-RL found, and the LSTM that it is held against.

Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 4.2 and figure 8; cell
as in tensorflow/addons, rnn/nas_cell.py. Sizes: Zaremba et al., Recurrent Neural Network Regularization, 2014, whose
medium network has 2 layers of 650 units.
"""

from __future__ import annotations

from dataclasses import dataclass

from paretonas.space.recurrent import Node, RecurrentSpec, TreeCell
from paretonas.zoo.zoo import Published

CELL = TreeCell(
    (
        Node("add", "sigmoid"), Node("add", "relu"), Node("add", "sigmoid"), Node("elem_mult", "relu"),
        Node("add", "tanh"), Node("add", "sigmoid"), Node("add", "tanh"), Node("add", "sigmoid"),
        Node("elem_mult", "tanh"), Node("add", "tanh"), Node("elem_mult", "tanh"), Node("add", "sigmoid"),
        Node("elem_mult", "identity"), Node("add", "tanh"),
        Node("elem_mult", "tanh"),
    ),
    inject=Node("add", "tanh"),
    state_out=12,
    state_in=8,
)  # fmt: skip
"""NASCell: level by level, eight leaves first. Node 12 has no activation, so its value is the state too."""


@dataclass(frozen=True)
class LSTM(Published):
    """A language model of LSTM layers.

    Args:
        width: Multiplier of the units.
        hidden: Units of each layer.
        layers: One on the other.
        tied: Whether the decoder has the weights of the embedding.

    Raises:
        SpecError: A size out of its range.
    """

    width: float = 1.0
    hidden: int = 650
    layers: int = 2
    tied: bool = True

    def spec(self) -> RecurrentSpec:
        return RecurrentSpec(None, self.hidden, self.layers, self.tied).scaled(self.width)


@dataclass(frozen=True)
class NASCell(LSTM):
    """A language model of NASCell layers, NAS-RL's on the Penn Treebank."""

    def spec(self) -> RecurrentSpec:
        return RecurrentSpec(CELL, self.hidden, self.layers, self.tied).scaled(self.width)
