"""The spaces of NAS-Bench-Macro and NAS-Bench-201, so that what stands in their tables can be built and trained.

Source: Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021, and its repository
xiusu/NAS-Bench-Macro; Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search,
ICLR 2020.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from paretonas.errors import SpecError
from paretonas.space.graph import Graph, Node
from paretonas.space.space import Choice, Decision, SearchSpace
from paretonas.space.spec import Part, Spec, check_multipliers

MacroOp = Literal["identity", "mbconv3_k3", "mbconv6_k5"]
MACRO_OPS: tuple[MacroOp, ...] = ("identity", "mbconv3_k3", "mbconv6_k5")
"""In the order of the table's digits."""
MACRO_STAGES = ((2, 64), (3, 128), (3, 256))
"""Layers and channels of each stage."""

CellOp = Literal["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
CELL_OPS: tuple[CellOp, ...] = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the table's codes."""
CELL_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""From which node to which, in the order of the decisions."""
CLASSIFIER = ("pool", "flatten", "dropout", "classifier")
"""Modules of the last part."""
WRITTEN_CELL = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|")


@dataclass(frozen=True)
class MacroSpec(Spec):
    """A network of NAS-Bench-Macro.

    Args:
        layers: An op for each of the eight layers.

    Raises:
        SpecError: Not eight.
    """

    kind: ClassVar[str] = "nasbench-macro"
    layers: tuple[MacroOp, ...]

    def __post_init__(self) -> None:
        needed = sum(layers for layers, _ in MACRO_STAGES)
        if len(self.layers) != needed:
            raise SpecError(f"A network of NAS-Bench-Macro has {needed} layers, but got {len(self.layers)}.")

    def parts(self) -> tuple[Part, ...]:
        """Stem, layers, head and classifier."""
        parts = [Part("stem", ("stem",), "conv 3x3", 32)]
        places = [(filters, 2 if i == 0 else 1) for layers, filters in MACRO_STAGES for i in range(layers)]
        for i, (op, (filters, stride)) in enumerate(zip(self.layers, places, strict=True)):
            kind, before = "other" if op == "identity" else "mbconv", (parts[-1].name,)
            parts.append(Part(f"layer{i}", (f"layers.{i}",), op.replace("_", " "), filters, stride, before, kind))
        head = Part("head", ("head",), "conv 1x1", 1280, inputs=(parts[-1].name,))
        return (*parts, head, Part("classifier", CLASSIFIER, "mean, linear", inputs=("head",)))


@dataclass(frozen=True)
class Cell201Spec(Spec):
    """A network of NAS-Bench-201: one cell, repeated.

    Args:
        edges: An op for each edge of `CELL_EDGES`.
        channels: Of the first stage; each further one has twice as many.
        cells: In each of the three stages.

    Raises:
        SpecError: Not six edges, or a size that is not positive.
    """

    kind: ClassVar[str] = "nasbench201"
    edges: tuple[CellOp, ...]
    channels: int = 16
    cells: int = 5

    def __post_init__(self) -> None:
        if len(self.edges) != len(CELL_EDGES):
            raise SpecError(f"A cell of NAS-Bench-201 has {len(CELL_EDGES)} edges, but got {len(self.edges)}.")
        if not (0 < self.channels <= 1024 and 0 < self.cells <= 100):
            raise SpecError(
                f"`1 <= channels <= 1024` and `1 <= cells <= 100` must hold, but got {self.channels}, {self.cells}."
            )

    def parts(self) -> tuple[Part, ...]:
        """Stem, cells with a reduction before the second and the third stage, and classifier."""
        parts, width = [Part("stem", ("stem",), "conv 3x3", self.channels)], self.channels
        words = ", ".join(f"{a}-{b} {op}" for (a, b), op in zip(CELL_EDGES, self.edges, strict=True) if op != "none")
        for stage in range(3):
            if stage:
                width, before, module = 2 * width, (parts[-1].name,), f"layers.{len(parts) - 1}"
                parts.append(Part(f"reduction{stage}", (module,), "residual, stride 2", width, 2, before, "conv"))
            for cell in range(self.cells):
                name, module, before = f"cell{stage * self.cells + cell}", f"layers.{len(parts) - 1}", (parts[-1].name,)
                parts.append(Part(name, (module,), words, width, 1, before))
        return (*parts, Part("classifier", ("last", *CLASSIFIER), "BN, mean, linear", inputs=(parts[-1].name,)))

    def graphs(self) -> tuple[Graph, ...]:
        """The cell; edges that give zeros are left out."""
        nodes = [Node("node0", "input", kind="input")]
        for target in (1, 2, 3):
            into = [(source, op) for (source, end), op in zip(CELL_EDGES, self.edges, strict=True) if end == target]
            ops = [Node(f"edge{a}{target}", op.replace("_", " "), (f"node{a}",)) for a, op in into if op != "none"]
            joined = tuple(op.name for op in ops)
            nodes += [*ops, Node(f"node{target}", "add" if ops else "zeros", joined, "join" if ops else "input")]
        return (Graph("cell", (*nodes, Node("output", "output", ("node3",), "output"))),)

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> Cell201Spec:
        """With so many times the channels and cells, rounded up; it has the same strides for all images.

        Raises:
            SpecError: `width` or `depth` is not in (0, 10].
        """
        check_multipliers(width, depth)
        return replace(self, channels=math.ceil(width * self.channels), cells=math.ceil(depth * self.cells))


@dataclass(frozen=True)
class NASBenchMacroSpace:
    """NAS-Bench-Macro: eight layers, each an identity or one of two inverted bottlenecks; for 32 pixels."""

    def build(self) -> SearchSpace:
        """The space; its choices are in the order of the table's digits."""
        count = sum(layers for layers, _ in MACRO_STAGES)
        decisions = tuple(Decision(f"layer{i}", MACRO_OPS) for i in range(count))
        return SearchSpace("nasbench-macro", decisions, _macro)


@dataclass(frozen=True)
class NASBench201Space:
    """NAS-Bench-201: one cell of four nodes, an op for each of its six edges; for 32 pixels.

    Args:
        channels: Of the first stage; published: 16.
        cells: In each of the three stages; published: 5.
    """

    channels: int = 16
    cells: int = 5

    def build(self) -> SearchSpace:
        """The space; its choices are in the order of the table's codes."""
        decisions = tuple(Decision(f"edge{source}{target}", CELL_OPS) for source, target in CELL_EDGES)

        def decode(values: Mapping[str, Choice]) -> Spec:
            return Cell201Spec(tuple(values.values()), self.channels, self.cells)  # type: ignore[arg-type]

        def representative(choices: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(map(CELL_OPS.index, canonical_cell(tuple(CELL_OPS[choice] for choice in choices))))

        Cell201Spec((CELL_OPS[0],) * len(CELL_EDGES), self.channels, self.cells)
        return SearchSpace(
            f"nasbench201:channels={self.channels},cells={self.cells}", decisions, decode, representative
        )


def canonical_cell(edges: tuple[CellOp, ...]) -> tuple[CellOp, ...]:
    """The cell that stands for all which compute the same as this one.

    Edges on no path from input to output become `none`; nodes 1 and 2, if not joined, may be exchanged, and come in the
    order of the ops' names.

    >>> canonical_cell(("nor_conv_3x3", "none", "none", "skip_connect", "none", "avg_pool_3x3"))
    ('none', 'none', 'none', 'skip_connect', 'none', 'none')
    """
    used = dict(zip(CELL_EDGES, edges, strict=True))
    reached, needed = {0}, {3}
    for source, target in sorted(used, key=lambda edge: edge[1]):
        if source in reached and used[source, target] != "none":
            reached.add(target)
    for source, target in sorted(used, key=lambda edge: -edge[0]):
        if target in needed and used[source, target] != "none":
            needed.add(source)
    alive: dict[tuple[int, int], CellOp] = {
        edge: op if edge[0] in reached and edge[1] in needed else "none" for edge, op in used.items()
    }
    if alive[1, 2] != "none":
        return tuple(alive.values())
    other = {0: 0, 1: 2, 2: 1, 3: 3}
    exchanged: dict[tuple[int, int], CellOp] = {(other[a], other[b]): op for (a, b), op in alive.items()}
    first, second = (tuple(cell.get(edge, "none") for edge in CELL_EDGES) for cell in (alive, exchanged))
    return min(first, second)


def parse_cell(text: str) -> tuple[CellOp, ...] | None:
    """The edges of a cell as the table's makers write it; None if it is something else.

    >>> parse_cell("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")
    ('nor_conv_3x3', 'none', 'skip_connect', 'none', 'none', 'avg_pool_3x3')
    """
    match = WRITTEN_CELL.fullmatch(text)
    ops = match.groups() if match else ()
    return ops if ops and set(ops) <= set(CELL_OPS) else None  # type: ignore[return-value]


def _macro(values: Mapping[str, Choice]) -> Spec:
    return MacroSpec(tuple(values.values()))  # type: ignore[arg-type]
