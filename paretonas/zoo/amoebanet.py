"""AmoebaNets.

Source: Real et al., Regularized Evolution for Image Classifier Architecture Search, AAAI 2019; cells as in
tensorflow/tpu, models/official/amoeba_net/model_specs.py (the paper's figure had a mistake before its seventh version).
Sizes for CIFAR-10 assume a stem of 3 F, which the paper does not say.
"""

from __future__ import annotations

from paretonas.zoo.cell import CellFamily, Size, read_cell


class AmoebaNetA(CellFamily):
    """AmoebaNet-A, N=4 and F=50 for ImageNet (top-1 74.5 %), N=6 and F=32 for CIFAR-10."""

    normal = read_cell(
        "avg3x3:0+max3x3:0 sep3x3:1+identity:1 identity:0+avg3x3:1 sep3x3:0+sep5x5:2 avg3x3:5+sep3x3:0", "1346"
    )
    reduction = read_cell(
        "sep3x3:1+avg3x3:0 max3x3:0+sep7x7:2 max3x3:1+max3x3:0 sep3x3:4+bottleneck1x7_7x1:0 avg3x3:1+sep7x7:0", "23456"
    )
    small = Size(cells=18, filters=32)
    large = Size(cells=12, filters=50)


class AmoebaNetB(CellFamily):
    """AmoebaNet-B, N=3 and F=62 for ImageNet (top-1 74.0 %), N=6 and F=36 for CIFAR-10."""

    normal = read_cell(
        "conv1x1:1+max3x3:1 identity:1+sep3x3:0 conv1x1:1+sep3x3:0 conv1x1:2+identity:2 avg3x3:1+conv1x1:5", "0346"
    )
    reduction = read_cell(
        "max2x2:0+max3x3:0 identity:2+bottleneck3x3:1 sep5x5:2+max3x3:2 identity:3+sep3x3:1 avg3x3:4+conv1x1:3", "56"
    )
    small = Size(cells=18, filters=36)
    large = Size(cells=9, filters=62)


class AmoebaNetC(CellFamily):
    """AmoebaNet-C, N=4 and F=50 for ImageNet: top-1 75.7 %."""

    normal = read_cell(
        "avg3x3:0+sep3x3:0 identity:0+sep3x3:0 avg3x3:2+sep3x3:1 identity:0+sep3x3:1 avg3x3:3+sep3x3:0", "12456"
    )
    reduction = read_cell(
        "max3x3:0+max3x3:0 sep7x7:2+sep3x3:0 sep7x7:0+max3x3:1 sep5x5:4+sep5x5:4 max3x3:1+sep3x3:1", "023456"
    )
    small = Size(cells=18, filters=36)
    large = Size(cells=12, filters=50)


class AmoebaNetD(CellFamily):
    """AmoebaNet-D, made for speed: twelve cells, F=256, at 299 pixels."""

    published_resolution = 299
    normal = read_cell(
        "conv1x1:1+max3x3:1 identity:1+bottleneck1x7_7x1:0 conv1x1:0+bottleneck1x7_7x1:0 max3x3:2+identity:2 "
        "avg3x3:1+conv1x1:5",
        "0346",
    )
    reduction = read_cell(
        "max2x2:0+max3x3:0 identity:2+bottleneck3x3:1 bottleneck1x7_7x1:2+max3x3:2 identity:3+max2x2:1 "
        "avg3x3:2+conv1x1:3",
        "456",
    )
    small = Size(cells=18, filters=36)
    large = Size(cells=12, filters=256)
