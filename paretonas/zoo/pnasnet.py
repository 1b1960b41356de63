"""PNASNet-5.

Source: Liu et al., Progressive Neural Architecture Search, ECCV 2018, figure 1; cell and sizes as in tensorflow/models,
slim/nets/nasnet/pnasnet.py, which concatenates all five blocks.
"""

from __future__ import annotations

from paretonas.zoo.cell import CellFamily, Size, read_cell


class PNASNet5(CellFamily):
    """PNASNet-5, N=3 and F=54 for ImageNet (top-1 74.2 %), F=48 for CIFAR-10."""

    normal = read_cell(
        "sep5x5:1+max3x3:1 sep7x7:0+max3x3:0 sep5x5:0+sep3x3:0 sep3x3:4+max3x3:0 sep3x3:1+identity:0", "23456"
    )
    reduction = None
    small = Size(cells=9, filters=48)
    large = Size(cells=9, filters=54)


class PNASNet5Large(PNASNet5):
    """PNASNet-5, N=4 and F=216 for ImageNet: top-1 82.9 %."""

    published_resolution = 331
    large = Size(cells=12, filters=216, stem=96)
