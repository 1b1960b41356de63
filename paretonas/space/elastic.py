"""A space for weight sharing: MnasNet's blocks, whose depth, width and kernel are parts of the largest ones.

Source: ours, after Once-for-All (Cai et al., ICLR 2020) and BigNAS (Yu et al., ECCV 2020), over the seven blocks
of MobileNetV2. Every network of it is an ordinary `MnasNetSpec`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paretonas.space.mnasnet import REFERENCES, BlockSpec, MnasNetSpec, Op, round_filters, strides_for
from paretonas.space.space import Choice, Decision, SearchSpace, name_with_options

WIDTHS: tuple[Choice, ...] = (0.5, 0.75, 1.0, 1.25)
EXPANSIONS: tuple[Choice, ...] = (2, 3, 4, 6)
KERNELS: tuple[Choice, ...] = (3, 5)
HEADS: tuple[Choice, ...] = (0.25, 0.5, 1.0)
STEM, HEAD = 32, 1280


def earlier(stem: int, strides: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """The strides of stem and blocks with the last one of 2 moved to the stem, which has 1.

    >>> earlier(1, (1, 1, 2, 2, 1, 2, 1))
    (2, (1, 1, 2, 2, 1, 1, 1))
    """
    last = max(i for i, stride in enumerate(strides) if stride == 2)
    return 2 * stem, tuple(1 if i == last else stride for i, stride in enumerate(strides))


@dataclass(frozen=True)
class ElasticSpace:
    """Inverted bottlenecks of elastic depth, width, kernel and expansion, which may be fused, or plain convolutions.

    Kernels of 5 are those of depthwise convolutions alone: as plain ones they would cost nearly three times as much.
    For images so small that the stem has stride 1, it may have the last block's stride instead.

    Args:
        resolution: Side of the images in pixels; decides the strides.
        width: Multiplier of all filters.
        fused: Whether blocks may be fused inverted bottlenecks, or plain convolutions, instead.
        se: Whether squeeze-and-excitation is on offer.

    Raises:
        SpecError: A value out of range.
    """

    resolution: int = 224
    width: float = 1.0
    fused: bool = True
    se: bool = False

    def __post_init__(self) -> None:
        strides_for(self.resolution)
        MnasNetSpec((BlockSpec("conv", 3, STEM),)).scaled(self.width)

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        layers, filters = REFERENCES["mobilenet-v2"]
        usual = strides_for(self.resolution)
        decisions = [Decision("stem.filters", WIDTHS)]
        if usual[0] == 1:
            decisions.append(Decision("stem.stride", (1, 2)))
        for i, deepest in enumerate(layers):
            decisions += self._decisions(i, deepest)
        decisions.append(Decision("head.filters", HEADS))

        def decode(values: Mapping[str, Choice]) -> MnasNetSpec:
            stem_stride, strides = earlier(*usual) if values.get("stem.stride") == 2 else usual
            blocks = (self._block(values, i, filters[i], strides[i]) for i in range(len(filters)))
            return MnasNetSpec(
                tuple(blocks),
                stem_filters=self._filters(STEM, values["stem.filters"]),
                stem_stride=stem_stride,
                head_filters=self._filters(HEAD, values["head.filters"]),
            ).canonical()

        return SearchSpace(name_with_options("elastic", self), tuple(decisions), decode, width=self.width)

    def _decisions(self, i: int, deepest: int) -> list[Decision]:
        ops: tuple[Choice, ...] = ("mbconv", "fused", "conv") if self.fused else ()
        offered: dict[str, tuple[Choice, ...]] = {
            "op": ops,
            "layers": tuple(range(1, deepest + 2)),
            "filters": WIDTHS,
            "expansion": EXPANSIONS if i else (1, *EXPANSIONS),
            "kernel": KERNELS,
            "se": (0.0, 0.25) if self.se else (),
        }
        return [Decision(f"block{i + 1}.{key}", choices) for key, choices in offered.items() if choices]

    def _block(self, values: Mapping[str, Choice], i: int, filters: int, stride: int) -> BlockSpec:
        name = f"block{i + 1}"
        op: Op = {"fused": "fused", "conv": "conv"}.get(str(values.get(f"{name}.op")), "mbconv")  # type: ignore[assignment]
        return BlockSpec(
            op,
            kernel=int(values[f"{name}.kernel"]) if op == "mbconv" else 3,
            filters=self._filters(filters, values[f"{name}.filters"]),
            layers=int(values[f"{name}.layers"]),
            stride=stride,
            expansion=1 if op == "conv" else int(values[f"{name}.expansion"]),
            se_ratio=float(values.get(f"{name}.se", 0.0)),
            skip="identity",
        )

    def _filters(self, filters: int, ratio: Choice) -> int:
        return round_filters(filters, self.width * float(ratio))
