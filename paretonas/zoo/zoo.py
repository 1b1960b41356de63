"""Published networks by name.

Source: tensorflow/tpu, models/official/mnasnet/mnasnet_models.py for the MnasNets; Tan et al., MnasNet, CVPR 2019,
table 6 for the variants of A1 of a single op; Sandler et al., MobileNetV2, CVPR 2018, table 2. MobileNetV3 and
EfficientNet-B0 come from timm as foreign models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from paretonas.errors import SpecError
from paretonas.registry import Registry
from paretonas.space import ForeignSpec, Spec
from paretonas.space.mnasnet import Activation, BlockSpec, MnasNetSpec, Skip, strides_for


@dataclass(frozen=True)
class ZooEntry:
    """A published network.

    Args:
        spec: At width 1, strides for `resolution`.
        resolution: Side of the images that it was published for.
        about: One line.
        widths: For a foreign model: width multiplier -> source, as far as they exist.
        scales_head_up: Whether the head grows with widths above 1, as MobileNetV2's does.
    """

    spec: Spec
    resolution: int
    about: str
    widths: Mapping[float, str] | None = None
    scales_head_up: bool = False


_STRING = re.compile(r"r(\d+)_k(\d+)_s(\d)\d_e(\d+)_o(\d+)(?:_se([\d.]+))?(_noskip)?$")


def _block(text: str) -> BlockSpec:
    """A block in the notation of the released code, without the input width.

    >>> _block("r3_k5_s22_e3_o40_se0.25").layers
    3
    """
    found = _STRING.match(text)
    if found is None:
        raise SpecError(f"A block string looks like r3_k5_s22_e3_o40_se0.25_noskip, but got {text!r}.")
    layers, kernel, stride, expansion, filters = map(int, found.groups()[:5])
    skip: Skip = "none" if found[7] else "identity"
    return BlockSpec("mbconv", kernel, filters, layers, stride, expansion, float(found[6] or 0), skip)


def _spec(blocks: str, stem_filters: int = 32, activation: Activation = "relu") -> MnasNetSpec:
    return MnasNetSpec(tuple(map(_block, blocks.split())), stem_filters, activation=activation)


_A1 = _spec(
    "r1_k3_s11_e1_o16_noskip r2_k3_s22_e6_o24 r3_k5_s22_e3_o40_se0.25 r4_k3_s22_e6_o80 "
    "r2_k3_s11_e6_o112_se0.25 r3_k5_s22_e6_o160_se0.25 r1_k3_s11_e6_o320"
)


def _a1_of_one_op(expansion: int, kernel: int) -> ZooEntry:
    """MnasNet-A1 with one op in all blocks but the first, and no squeeze-and-excitation."""
    first, *others = _A1.blocks
    same = (replace(block, expansion=expansion, kernel=kernel, se_ratio=0.0) for block in others)
    about = f"MnasNet-A1 of MBConv{expansion} {kernel}x{kernel} alone: the ablation of its diversity of layers"
    return ZooEntry(replace(_A1, blocks=(first, *same)), 224, about)


ZOO: dict[str, ZooEntry] = {
    "mnasnet-a1": ZooEntry(
        _A1,
        224,
        "MnasNet-A1, with squeeze-and-excitation: ImageNet top-1 75.2 %",
    ),
    "mnasnet-b1": ZooEntry(
        _spec(
            "r1_k3_s11_e1_o16_noskip r3_k3_s22_e3_o24 r3_k5_s22_e3_o40 r3_k5_s22_e6_o80 r2_k3_s11_e6_o96 "
            "r4_k5_s22_e6_o192 r1_k3_s11_e6_o320_noskip"
        ),
        224,
        "MnasNet-B1, without squeeze-and-excitation: ImageNet top-1 74.5 %",
    ),
    "mnasnet-small": ZooEntry(
        _spec(
            "r1_k3_s11_e1_o8_noskip r1_k3_s22_e3_o16 r2_k3_s22_e6_o16 r4_k5_s22_e6_o32_se0.25 "
            "r3_k3_s11_e6_o32_se0.25 r3_k5_s22_e6_o88_se0.25 r1_k3_s11_e6_o144",
            stem_filters=8,
        ),
        224,
        "MnasNet-small, searched for 22 ms on a Pixel 1: ImageNet top-1 66.0 %",
    ),
    "mnasnet-d1": ZooEntry(
        _spec(
            "r1_k3_s11_e9_o24 r3_k3_s22_e9_o36 r5_k3_s22_e9_o48 r4_k5_s22_e9_o96 r5_k7_s11_e3_o96 "
            "r3_k3_s22_e9_o80 r1_k7_s11_e6_o320_noskip"
        ),
        224,
        "MnasNet-D1, backbone of MnasFPN",
    ),
    "mnasnet-d1-320": ZooEntry(
        _spec(
            "r3_k5_s11_e6_o24 r4_k7_s22_e9_o36 r5_k5_s22_e9_o48 r5_k7_s22_e6_o96 r5_k3_s11_e9_o144 "
            "r5_k5_s22_e6_o160 r1_k7_s11_e9_o320"
        ),
        320,
        "MnasNet-D1 for images of 320 pixels",
    ),
    "mnasnet-a1-mbconv3-k3": _a1_of_one_op(3, 3),
    "mnasnet-a1-mbconv3-k5": _a1_of_one_op(3, 5),
    "mnasnet-a1-mbconv6-k3": _a1_of_one_op(6, 3),
    "mnasnet-a1-mbconv6-k5": _a1_of_one_op(6, 5),
    "mobilenet-v2": ZooEntry(
        _spec(
            "r1_k3_s11_e1_o16 r2_k3_s22_e6_o24 r3_k3_s22_e6_o32 r4_k3_s22_e6_o64 r3_k3_s11_e6_o96 "
            "r3_k3_s22_e6_o160 r1_k3_s11_e6_o320",
            activation="relu6",
        ),
        224,
        "MobileNetV2, the skeleton of the MnasNet space: ImageNet top-1 72.0 %",
        scales_head_up=True,
    ),
    "mobilenet-v3-small": ZooEntry(
        ForeignSpec("timm:mobilenetv3_small_100"),
        224,
        "MobileNetV3-small, from timm",
        {0.5: "timm:mobilenetv3_small_050", 0.75: "timm:mobilenetv3_small_075", 1.0: "timm:mobilenetv3_small_100"},
    ),
    "mobilenet-v3-large": ZooEntry(
        ForeignSpec("timm:mobilenetv3_large_100"),
        224,
        "MobileNetV3-large, from timm",
        {0.75: "timm:mobilenetv3_large_075", 1.0: "timm:mobilenetv3_large_100"},
    ),
    "efficientnet-b0": ZooEntry(
        ForeignSpec("timm:efficientnet_b0"), 224, "EfficientNet-B0, from timm", {1.0: "timm:efficientnet_b0"}
    ),
}

_names = Registry("network of the zoo", dict.fromkeys(ZOO, "paretonas.zoo.zoo:ZOO"))


def zoo_entry(name: str) -> ZooEntry:
    """The published network called `name`.

    Raises:
        UnknownNameError: No such network.
    """
    entry: ZooEntry = _names.load(name)[name]
    return entry


def zoo_spec(name: str, width: float = 1.0, resolution: int | None = None) -> Spec:
    """The spec of a published network.

    Args:
        name: A key of `ZOO`.
        width: Multiplier of the filters.
        resolution: Give it the strides that the MnasNet space has for images of this side: below 128 pixels the first
            ones are dropped. None: as published.

    Raises:
        UnknownNameError: No such network.
        SpecError: A foreign model that does not exist in that width.
    """
    entry = zoo_entry(name)
    if isinstance(entry.spec, ForeignSpec):
        widths = entry.widths or {}
        if width not in widths:
            raise SpecError(f"{name} comes in widths {', '.join(map(str, widths))}, but got {width}.")
        return ForeignSpec(widths[width])
    assert isinstance(entry.spec, MnasNetSpec)
    spec = entry.spec.scaled(width)
    if entry.scales_head_up and width > 1:
        spec = replace(spec, head_filters=int(1280 * width + 4) // 8 * 8)
    return spec if resolution is None else for_resolution(spec, resolution)


def scaled_spec(spec: Spec, width: float) -> Spec:
    """`spec` with `width` times the filters.

    Raises:
        SpecError: Not 1, and not a spec whose filters can be multiplied.
    """
    if width == 1:
        return spec
    if not isinstance(spec, MnasNetSpec):
        raise SpecError(f"A width multiplier goes with a spec of ours, but this one is of kind {spec.kind!r}.")
    return spec.scaled(width)


def for_resolution(spec: MnasNetSpec, resolution: int) -> MnasNetSpec:
    """`spec` with the strides of the small-image skeleton where `resolution` asks for them; ours."""
    stem_stride, strides = strides_for(resolution)
    kept = tuple(replace(b, stride=min(b.stride, s)) for b, s in zip(spec.blocks, strides, strict=True))
    return replace(spec, blocks=kept, stem_stride=min(spec.stem_stride, stem_stride))
