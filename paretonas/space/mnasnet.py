"""MnasNet's factorized hierarchical space, its variants, and the spec they decode to.

Source: Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, CVPR 2019, section 4.1. The variant
`google` is the space that Google released with Vertex AI NAS (google/vertex-ai-nas).

The paper lists three convolution ops and counts 432 choices a block. Both hold only if the expansion ratio of the
inverted bottleneck is part of the op, so there are four here: conv, dconv, mbconv3, mbconv6.

Ours, because the paper does not say: what a pooling skip does where shapes change (`BlockSpec.skip`), that a block of
one layer offers one or two, the skeleton for images below 128 pixels, and the layout of the flat and the cell variant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from paretonas.errors import SpecError
from paretonas.space.space import Choice, Decision, SearchSpace, name_with_options
from paretonas.space.spec import Part, Spec, check_multipliers, strides_to_drop

Op = Literal["conv", "mbconv", "fused"]
Skip = Literal["none", "identity", "pool"]
Activation = Literal["relu", "relu6"]

OPS: dict[str, tuple[Op, int]] = {
    "conv": ("conv", 1),
    "dconv": ("mbconv", 1),
    "mbconv3": ("mbconv", 3),
    "mbconv6": ("mbconv", 6),
}
"""Convolution op of the space -> op and expansion of a block."""
SKIPS: dict[Choice, Skip] = {"pool": "pool", "identity": "identity", "none": "none"}
STEM_FILTERS = 32
STRIDES = (1, 2, 2, 2, 1, 2, 1)
REFERENCES = {
    "mobilenet-v2": ((1, 2, 3, 4, 3, 3, 1), (16, 24, 32, 64, 96, 160, 320)),
    "mnasnet-a1": ((1, 2, 3, 4, 2, 3, 1), (16, 24, 40, 80, 112, 160, 320)),
}
"""Layers and filters of the seven blocks that layer counts and widths are relative to."""

VARIANTS = ("paper", "google", "flat", "cell")


@dataclass(frozen=True)
class BlockSpec:
    """Layers that are all alike; the first carries the stride and the change of width.

    Args:
        op: `conv`: k x k convolution, BN, activation. `mbconv`: inverted bottleneck; the depthwise separable
            convolution of the paper is the one with expansion 1. `fused`: an inverted bottleneck whose expansion and
            depthwise convolution are one k x k convolution.
        kernel: Odd side of the convolution.
        filters: Output channels.
        layers: How many.
        stride: Of the first layer, 1 or 2.
        expansion: Width inside an `mbconv` or `fused` block over its input width; 1 for `conv`.
        se_ratio: Squeeze-and-excitation's reduced width over the layer's input width; 0 for none.
        skip: `identity` adds the input to the output wherever their shapes agree. `pool` adds the input after 3x3
            average pooling with the layer's stride, its channels cut or padded with zeros to the output's, so that it
            has no weights; this definition is ours.

    Raises:
        SpecError: A value out of range.
    """

    op: Op
    kernel: int
    filters: int
    layers: int = 1
    stride: int = 1
    expansion: int = 1
    se_ratio: float = 0.0
    skip: Skip = "none"

    def __post_init__(self) -> None:
        rules = {
            "op": self.op in get_args(Op),
            "kernel": self.kernel in (1, 3, 5, 7, 9, 11),
            "filters": 1 <= self.filters <= 65536,
            "layers": 1 <= self.layers <= 64,
            "stride": self.stride in (1, 2),
            "expansion": 1 <= self.expansion <= 32 and (self.op != "conv" or self.expansion == 1),
            "se_ratio": 0 <= self.se_ratio <= 1,
            "skip": self.skip in ("none", "identity", "pool"),
        }
        for name, holds in rules.items():
            if not holds:
                raise SpecError(
                    "A block has an odd kernel up to 11, 1 to 65536 filters, 1 to 64 layers, stride 1 or 2, expansion "
                    "1 to 32 (1 for conv), se_ratio from 0 to 1 and skip none, identity or pool, "
                    f"but got {name}={getattr(self, name)!r}."
                )

    def words(self) -> str:
        """What it consists of.

        >>> BlockSpec("mbconv", 5, 40, layers=3, stride=2, expansion=3, se_ratio=0.25, skip="identity").words()
        '3 x mbconv3 5x5, se 0.25, stride 2, skip identity'
        """
        op = {"conv": "conv", "fused": f"fused{self.expansion}"}.get(self.op, f"mbconv{self.expansion}")
        op = "dconv" if op == "mbconv1" else op
        words = f"{self.layers} x {op} {self.kernel}x{self.kernel}"
        words += f", se {self.se_ratio:g}" if self.se_ratio else ""
        return words + _stride(self.stride) + (f", skip {self.skip}" if self.skip != "none" else "")


@dataclass(frozen=True)
class MnasNetSpec(Spec):
    """A stem convolution, blocks, a 1x1 head convolution, global pooling and a classifier.

    Args:
        blocks: From the image to the head.
        stem_filters: Output channels of the 3x3 stem.
        stem_stride: 1 or 2.
        head_filters: Output channels of the head.
        activation: `relu` as MnasNet, `relu6` as MobileNetV2.

    Raises:
        SpecError: A value out of range.
    """

    kind: ClassVar[str] = "mnasnet"
    blocks: tuple[BlockSpec, ...]
    stem_filters: int = STEM_FILTERS
    stem_stride: int = 2
    head_filters: int = 1280
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if not 1 <= len(self.blocks) <= 64:
            raise SpecError(f"A network has 1 to 64 blocks, but got {len(self.blocks)}.")
        if self.activation not in get_args(Activation):
            raise SpecError(f"An activation is one of {', '.join(get_args(Activation))}, but got {self.activation!r}.")
        if self.stem_stride not in (1, 2):
            raise SpecError(f"The stem's stride is 1 or 2, but got {self.stem_stride}.")
        if not (1 <= self.stem_filters <= 65536 and 1 <= self.head_filters <= 65536):
            raise SpecError(f"Stem and head have 1 to 65536 filters, but got {self.stem_filters}, {self.head_filters}.")

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> MnasNetSpec:
        """Stem and blocks with `width` times the filters, blocks with `depth` times the layers; the head keeps its own.

        Filters are rounded as published, layers up (as EfficientNet's are). For images of `resolution` pixels it gets
        the strides of the small-image skeleton, see `strides_for`.

        Raises:
            SpecError: `width` or `depth` is not in (0, 10].
        """
        check_multipliers(width, depth)
        spec = self
        if width != 1:
            filters = (round_filters(block.filters, width) for block in spec.blocks)
            blocks = tuple(replace(block, filters=n) for block, n in zip(spec.blocks, filters, strict=True))
            spec = replace(spec, blocks=blocks, stem_filters=round_filters(spec.stem_filters, width))
        if depth != 1:
            deeper = tuple(replace(block, layers=math.ceil(depth * block.layers)) for block in spec.blocks)
            spec = replace(spec, blocks=deeper)
        return spec if resolution is None else spec._for_resolution(resolution)

    def _for_resolution(self, resolution: int) -> MnasNetSpec:
        if len(self.blocks) != len(STRIDES):
            return self
        stem_stride, strides = strides_for(resolution)
        kept = tuple(replace(b, stride=min(b.stride, s)) for b, s in zip(self.blocks, strides, strict=True))
        return replace(self, blocks=kept, stem_stride=min(self.stem_stride, stem_stride))

    def parts(self) -> tuple[Part, ...]:
        """Stem, blocks, head and classifier."""
        parts = [Part("stem", ("stem",), "conv 3x3" + _stride(self.stem_stride), self.stem_filters, self.stem_stride)]
        for i, block in enumerate(self.blocks):
            op = "dconv" if block.op == "mbconv" and block.expansion == 1 else block.op
            name, modules, before = f"block{i + 1}", (f"blocks.{i}",), (parts[-1].name,)
            parts.append(Part(name, modules, block.words(), block.filters, block.stride, before, op, block.layers))
        head = Part("head", ("head",), "conv 1x1", self.head_filters, inputs=(parts[-1].name,))
        last = Part("classifier", ("pool", "flatten", "dropout", "classifier"), "mean, linear", inputs=("head",))
        return (*parts, head, last)

    def canonical(self) -> MnasNetSpec:
        """The same network with every identity skip that no layer can use written as `none`."""
        blocks, width = [], self.stem_filters
        for block in self.blocks:
            is_usable = block.layers > 1 or (block.stride == 1 and block.filters == width)
            blocks.append(block if block.skip != "identity" or is_usable else replace(block, skip="none"))
            width = block.filters
        return replace(self, blocks=tuple(blocks))


def _stride(stride: int) -> str:
    return f", stride {stride}" if stride > 1 else ""


def round_filters(filters: int, width: float) -> int:
    """`filters * width` rounded to a multiple of 8, never below 8 nor more than 10 % down.

    Source: tensorflow/tpu, models/official/mnasnet/mnasnet_model.py.

    >>> round_filters(24, 0.5), round_filters(16, 0.75), round_filters(40, 0.5)
    (16, 16, 24)
    """
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def strides_for(resolution: int) -> tuple[int, tuple[int, ...]]:
    """Strides of the stem and of the seven blocks for square images of `resolution` pixels.

    As many of the published strides as leave 4 pixels or more a side before the head; the first ones are dropped. From
    128 pixels on that is the published skeleton; the smaller ones are ours.

    >>> strides_for(224), strides_for(32)
    ((2, (1, 2, 2, 2, 1, 2, 1)), (1, (1, 1, 2, 2, 1, 2, 1)))
    """
    strides, to_drop = [2, *STRIDES], strides_to_drop(resolution)
    for i, stride in enumerate(strides):
        if stride == 2 and to_drop:
            strides[i], to_drop = 1, to_drop - 1
    return strides[0], tuple(strides[1:])


@dataclass(frozen=True)
class MnasNetSpace:
    """MnasNet's space over the seven blocks of MobileNetV2, and its variants.

    Args:
        variant: `paper` (432 choices a block of several layers), `google` (the released 42 decisions), `flat` (every
            layer decides for itself, layer counts fixed: the ablation of the factorization), `cell` (one set of
            decisions for all blocks: the ablation of the hierarchy).
        resolution: Side of the images in pixels; decides the strides.
        width: Multiplier of the stem's and blocks' filters.
        se: Whether squeeze-and-excitation is on offer (`paper`, `flat`, `cell`).
        reference: What layer counts and filters are relative to: `mobilenet-v2` or `mnasnet-a1`.
        head_filters: Output channels of the head.

    Raises:
        SpecError: An unknown variant or reference, or a value out of range.
    """

    variant: str = "paper"
    resolution: int = 224
    width: float = 1.0
    se: bool = True
    reference: str = "mobilenet-v2"
    head_filters: int = 1280

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise SpecError(
                f"A variant of the MnasNet space is one of {', '.join(VARIANTS)}, but got {self.variant!r}."
            )
        if self.reference not in REFERENCES:
            raise SpecError(f"A reference is one of {', '.join(REFERENCES)}, but got {self.reference!r}.")
        strides_for(self.resolution)
        MnasNetSpec((BlockSpec("conv", 3, STEM_FILTERS),), head_filters=self.head_filters).scaled(self.width)

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        layers, filters = REFERENCES[self.reference]
        stem_stride, strides = strides_for(self.resolution)
        slots = [_Slot(f"block{i + 1}", layers[i], filters[i], strides[i]) for i in range(len(layers))]
        if self.variant == "flat":
            slots = [
                _Slot(f"{slot.name}.layer{j + 1}", 1, slot.filters, slot.stride if j == 0 else 1)
                for slot in slots
                for j in range(slot.layers)
            ]
        decisions = {
            "paper": lambda: [d for slot in slots for d in _paper_decisions(slot.name, self.se, slot.depths)],
            "google": lambda: [d for slot in slots for d in _google_decisions(slot)],
            "flat": lambda: [d for slot in slots for d in _paper_decisions(slot.name, self.se, ())],
            "cell": lambda: _paper_decisions("cell", self.se, (0, 1, -1)),
        }[self.variant]()
        read_block = _google_block if self.variant == "google" else _paper_block
        prefix = "cell" if self.variant == "cell" else None

        def decode(values: Mapping[str, Choice]) -> MnasNetSpec:
            blocks = tuple(read_block(values, prefix or slot.name, slot) for slot in slots)
            spec = MnasNetSpec(blocks, stem_stride=stem_stride, head_filters=self.head_filters)
            return spec.scaled(self.width).canonical()

        return SearchSpace(name_with_options("mnasnet", self), tuple(decisions), decode, width=self.width)


@dataclass(frozen=True)
class _Slot:
    """A place for a block in the skeleton."""

    name: str
    layers: int
    filters: int
    stride: int

    @property
    def depths(self) -> tuple[int, ...]:
        return (self.layers, self.layers + 1, self.layers - 1) if self.layers > 1 else (1, 2)


def _paper_decisions(name: str, se: bool, depths: tuple[int, ...]) -> list[Decision]:
    """The decisions of one block in the paper's order; widths are ratios to the slot's."""
    offered: dict[str, tuple[Choice, ...]] = {
        "op": tuple(OPS),
        "kernel": (3, 5),
        "se": (0.0, 0.25) if se else (),
        "skip": tuple(SKIPS),
        "filters": (0.75, 1.0, 1.25),
        "layers": depths,
    }
    return [Decision(f"{name}.{key}", choices) for key, choices in offered.items() if choices]


def _paper_block(values: Mapping[str, Choice], name: str, slot: _Slot) -> BlockSpec:
    op, expansion = OPS[str(values[f"{name}.op"])]
    depth = int(values.get(f"{name}.layers", slot.layers))
    return BlockSpec(
        op=op,
        kernel=int(values[f"{name}.kernel"]),
        filters=int(slot.filters * float(values[f"{name}.filters"])),
        layers=max(1, slot.layers + depth) if name == "cell" else depth,
        stride=slot.stride,
        expansion=expansion,
        se_ratio=float(values.get(f"{name}.se", 0.0)),
        skip=SKIPS[values[f"{name}.skip"]],
    )


def _google_decisions(slot: _Slot) -> list[Decision]:
    """The released decisions of one block, in the released order."""
    depths = (slot.layers, slot.layers - 1, slot.layers + 1) if slot.layers > 1 else slot.depths
    offered: dict[str, tuple[Choice, ...]] = {
        "layers": depths,
        "op": ("conv", "mbconv"),
        "expansion": (1, 3, 6),
        "kernel": (3, 5),
        "se": (0.0, 0.25),
        "filters": (int(0.75 * slot.filters), slot.filters, int(1.25 * slot.filters)),
    }
    return [Decision(f"{slot.name}.{key}", choices) for key, choices in offered.items()]


def _google_block(values: Mapping[str, Choice], name: str, slot: _Slot) -> BlockSpec:
    """A released block: a plain `conv` ignores expansion and SE and has no skip; an `mbconv` has the identity."""
    is_conv = values[f"{name}.op"] == "conv"
    return BlockSpec(
        op="conv" if is_conv else "mbconv",
        kernel=int(values[f"{name}.kernel"]),
        filters=int(values[f"{name}.filters"]),
        layers=int(values[f"{name}.layers"]),
        stride=slot.stride,
        expansion=1 if is_conv else int(values[f"{name}.expansion"]),
        se_ratio=0.0 if is_conv else float(values[f"{name}.se"]),
        skip="none" if is_conv else "identity",
    )
