"""DetNAS's space: ShuffleNetV2's skeleton, each block one of four.

Source: Chen et al., DetNAS: Backbone Search for Object Detection, NeurIPS 2019, section 3.3; megvii-model/DetNAS and
ShuffleNet-Series. The four blocks: Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020, section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from paretonas.errors import SpecError
from paretonas.space.mnasnet import round_filters
from paretonas.space.space import Choice, Decision, SearchSpace, name_with_options
from paretonas.space.spec import Part, Spec, check_multipliers, strides_to_drop

ShuffleBlock = Literal["shuffle3", "shuffle5", "shuffle7", "xception3"]
BLOCKS: tuple[ShuffleBlock, ...] = get_args(ShuffleBlock)
"""In the order of the published code, which writes 0 to 3."""
SizeName = Literal["small", "large", "huge"]


@dataclass(frozen=True)
class Skeleton:
    """Where blocks stand.

    Args:
        stem: Filters of the 3x3 convolution before them, of stride 2.
        repeats: Blocks of each stage; the first of them halves the sides.
        filters: Of each stage.
    """

    stem: int
    repeats: tuple[int, ...]
    filters: tuple[int, ...]


SKELETONS: Mapping[str, Skeleton] = {
    "small": Skeleton(16, (4, 4, 8, 4), (64, 160, 320, 640)),
    "large": Skeleton(48, (8, 8, 16, 8), (96, 240, 480, 960)),
    "huge": Skeleton(72, (8, 8, 16, 8), (172, 432, 864, 1728)),
}
"""DetNASNet's of 300 M, 1.3 G and 3.8 G multiply-adds."""


@dataclass(frozen=True)
class ShuffleNetSpec(Spec):
    """A stem, stages of blocks that split and shuffle channels, a 1x1 convolution, pooling and a classifier.

    Args:
        blocks: From the image on: `shuffle3`, `shuffle5`, `shuffle7` (one depthwise convolution of that side between
            two 1x1 convolutions) or `xception3` (three depthwise separable convolutions).
        repeats: Blocks of each stage.
        filters: Of each stage, even.
        stem: Filters of the stem.
        last: Filters of the 1x1 convolution before the classifier.

    Raises:
        SpecError: A value out of range, or blocks that do not fill the stages.
    """

    kind: ClassVar[str] = "shufflenet"
    blocks: tuple[ShuffleBlock, ...]
    repeats: tuple[int, ...] = SKELETONS["small"].repeats
    filters: tuple[int, ...] = SKELETONS["small"].filters
    stem: int = SKELETONS["small"].stem
    last: int = 1024

    def __post_init__(self) -> None:
        if not set(self.blocks) <= set(BLOCKS):
            raise SpecError(f"A block is one of {', '.join(BLOCKS)}, but got {sorted(set(self.blocks) - set(BLOCKS))}.")
        if not self.repeats or min(self.repeats) < 1 or len(self.blocks) != sum(self.repeats) or len(self.blocks) > 256:
            raise SpecError(
                f"Stages have one block or more, 256 in all at most, but got {len(self.blocks)} blocks for stages of "
                f"{self.repeats}."
            )
        sizes = (*self.filters, self.stem, self.last)
        is_growing = all(a < b for a, b in zip((self.stem, *self.filters), self.filters, strict=False))
        if len(self.filters) != len(self.repeats) or any(n % 2 for n in self.filters) or not is_growing:
            raise SpecError(
                "Each stage has an even number of filters, more than the one before it, but got "
                f"{self.filters} after a stem of {self.stem}, for {len(self.repeats)} stages."
            )
        if not all(1 <= n <= 65536 for n in sizes):
            raise SpecError(f"Layers have 1 to 65536 filters, but got {sizes}.")

    def parts(self) -> tuple[Part, ...]:
        """Stem, blocks, head and classifier."""
        parts = [Part("stem", ("stem",), "conv 3x3, stride 2", self.stem, 2)]
        blocks = iter(self.blocks)
        for repeats, filters in zip(self.repeats, self.filters, strict=True):
            for i in range(repeats):
                n, op, before = len(parts), next(blocks), (parts[-1].name,)
                words = op + (", stride 2" if i == 0 else "")
                parts.append(Part(f"block{n}", (f"blocks.{n - 1}",), words, filters, 2 if i == 0 else 1, before, op))
        head = Part("head", ("head",), "conv 1x1", self.last, inputs=(parts[-1].name,))
        last = Part("classifier", ("pool", "flatten", "dropout", "classifier"), "mean, linear", inputs=("head",))
        return (*parts, head, last)

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> ShuffleNetSpec:
        """Stem and stages with `width` times the filters; its depth and its strides are its own.

        Raises:
            SpecError: A depth other than 1, or a width out of (0, 10].
        """
        check_multipliers(width, depth)
        if depth != 1:
            raise SpecError(f"A network of kind {self.kind!r} comes in its own depth, but got {depth=}.")
        if width == 1:
            return self
        stem, *filters = (round_filters(n, width) for n in (self.stem, *self.filters))
        return replace(self, stem=stem, filters=tuple(filters))


@dataclass(frozen=True)
class ShuffleNetSpace:
    """DetNAS's backbones: each of 20 (or 40) blocks one of four.

    Args:
        resolution: Side of the images in pixels; the strides are those for 224 whatever it is.
        size: `small` (20 blocks), `large` or `huge` (40 blocks).
        width: Multiplier of the filters.

    Raises:
        SpecError: An unknown size, or a width out of range.
    """

    resolution: int = 224
    size: SizeName = "small"
    width: float = 1.0

    def __post_init__(self) -> None:
        strides_to_drop(self.resolution)  # a side that is none is refused
        if self.size not in SKELETONS:
            raise SpecError(f"A size is one of {', '.join(SKELETONS)}, but got {self.size!r}.")
        self.spec((0,) * sum(SKELETONS[self.size].repeats))

    def spec(self, choices: tuple[int, ...]) -> ShuffleNetSpec:
        """The network of the published code's numbers, 0 to 3 for each block."""
        skeleton = SKELETONS[self.size]
        blocks = tuple(BLOCKS[i] for i in choices)
        return ShuffleNetSpec(blocks, skeleton.repeats, skeleton.filters, skeleton.stem).scaled(self.width)

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        names = [f"block{i + 1}" for i in range(sum(SKELETONS[self.size].repeats))]

        def decode(values: Mapping[str, Choice]) -> Spec:
            return self.spec(tuple(BLOCKS.index(_block(values[name])) for name in names))

        decisions = tuple(Decision(name, BLOCKS, "block") for name in names)
        return SearchSpace(name_with_options("detnas", self), decisions, decode, width=self.width)


def _block(choice: Choice) -> ShuffleBlock:
    return next(block for block in BLOCKS if block == choice)
