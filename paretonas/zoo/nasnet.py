"""NASNet-A.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, figure 4; cells as
in tensorflow/models, slim/nets/nasnet/nasnet_utils.py, which concatenate the previous input too; sizes as in nasnet.py.
"""

from __future__ import annotations

from paretonas.zoo.cell import CellFamily, Size, read_cell


class NASNetA(CellFamily):
    """NASNet-A, 4@1056 for ImageNet (top-1 74.0 %) and 6@768 for CIFAR-10."""

    normal = read_cell(
        "sep5x5:0+sep3x3:1 sep5x5:1+sep3x3:1 avg3x3:0+identity:1 avg3x3:1+avg3x3:1 sep3x3:0+identity:0", "123456"
    )
    reduction = read_cell(
        "sep5x5:0+sep7x7:1 max3x3:0+sep7x7:1 avg3x3:0+sep5x5:1 identity:3+avg3x3:2 sep3x3:2+max3x3:0", "3456"
    )
    small = Size(cells=18, filters=32)
    large = Size(cells=12, filters=44)


class NASNetALarge(NASNetA):
    """NASNet-A, 6@4032 for ImageNet: top-1 82.7 %."""

    published_resolution = 331
    large = Size(cells=18, filters=168, stem=96, is_skipping=True)
