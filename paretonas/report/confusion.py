"""Which class a finalist takes for which: a heat map of few classes, of many the pairs that are confused most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.report.evidence import Confused

MOST_DRAWN = 20
"""Classes of a heat map."""
MOST_PAIRS = 12
RIGHT, WRONG = (31, 122, 77), (179, 55, 43)
"""Colours of the diagonal and of all else, as red, green, blue."""


@dataclass(frozen=True)
class Cell:
    """Examples of one class that were taken for another, or for itself.

    Args:
        count: How many.
        share: Of the examples of the class, in [0, 1].
        is_right: Whether it is on the diagonal.
    """

    count: int
    share: float
    is_right: bool

    @property
    def style(self) -> str:
        """Its colour: the stronger the larger the share; small shares of mistakes are seen too."""
        red, green, blue = RIGHT if self.is_right else WRONG
        strength = self.share if self.is_right else self.share**0.5
        text = "#fff" if strength > 0.6 else "inherit"
        return f"background: rgba({red}, {green}, {blue}, {strength:.2f}); color: {text}"


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes, one of which is often taken for the other.

    Args:
        shown: The class of the examples.
        taken_for: What they were taken for.
        cell: How often.
        of: All examples of the class.
    """

    shown: str
    taken_for: str
    cell: Cell
    of: int


@dataclass(frozen=True)
class Confusion:
    """What is shown of a finalist.

    Args:
        trial: Its number.
        classes: Names, in the order of the rows; empty where there are too many to draw.
        rows: Of each class the cells of all classes; of a class without examples none is coloured.
        pairs: The most confused ones, most often first.
    """

    trial: int
    classes: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    pairs: tuple[ConfusedPair, ...]


def confusion_of(trial: int, classes: Sequence[str], confused: Sequence[Confused]) -> Confusion | None:
    """What to show; None where nothing is known.

    Args:
        trial: Number of the finalist.
        classes: All names.
        confused: Class, the class that it was taken for, and how often.
    """
    if not confused:
        return None
    support = [0] * len(classes)
    for shown, _, count in confused:
        support[shown] += count
    cells = {(a, b): Cell(count, count / max(1, support[a]), a == b) for a, b, count in confused}
    wrong = sorted((pair for pair in cells if pair[0] != pair[1]), key=lambda pair: (-cells[pair].count, pair))
    pairs = tuple(ConfusedPair(classes[a], classes[b], cells[a, b], support[a]) for a, b in wrong[:MOST_PAIRS])
    if len(classes) > MOST_DRAWN:
        return Confusion(trial, (), (), pairs)
    numbers = range(len(classes))
    rows = tuple(tuple(cells.get((a, b), Cell(0, 0.0, a == b)) for b in numbers) for a in numbers)
    return Confusion(trial, tuple(classes), rows, pairs)
