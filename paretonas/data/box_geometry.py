"""Where boxes lie once their image is turned, scaled or cut off: pure functions.

A box is x1, y1, x2, y2 in pixels from the upper left corner; a size is width, height.
"""

from __future__ import annotations

import numpy as np

SIDEWAYS = 5
"""From this orientation of EXIF data on, width and height are exchanged."""


def turn_boxes(boxes: np.ndarray, sizes: np.ndarray, orientations: np.ndarray) -> np.ndarray:
    """Boxes of images as they are stored, in the upright images.

    Args:
        boxes: (k, 4) float64.
        sizes: (k, 2): of the upright image of each box.
        orientations: (k,) int64, 1 to 8, as EXIF data tell; 1 is upright.

    Returns:
        (k, 4) float64.

    >>> turn_boxes(np.array([[0.0, 0.0, 3.0, 1.0]]), np.array([[20, 30]]), np.array([6])).tolist()
    [[19.0, 0.0, 20.0, 3.0]]
    """
    turned = np.where(orientations[:, None] >= SIDEWAYS, boxes[:, [1, 0, 3, 2]], boxes)
    x, y = turned[:, [0, 2]], turned[:, [1, 3]]
    x = np.where(np.isin(orientations, (2, 3, 6, 7))[:, None], sizes[:, :1] - x[:, ::-1], x)
    y = np.where(np.isin(orientations, (3, 4, 7, 8))[:, None], sizes[:, 1:] - y[:, ::-1], y)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)


def clip_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """What of boxes lies inside of their images.

    Args:
        boxes: (k, 4).
        sizes: (k, 2).

    >>> clip_boxes(np.array([[-2.0, 1.0, 9.0, 30.0]]), np.array([[8, 20]])).tolist()
    [[0.0, 1.0, 8.0, 20.0]]
    """
    return np.asarray(np.clip(boxes, 0, np.tile(sizes, 2)))


def fit_sizes(sizes: np.ndarray, resolution: int) -> np.ndarray:
    """Sizes of images once their longer side is scaled to `resolution`; no side is shorter than a pixel.

    Args:
        sizes: (n, 2) int64.
        resolution: R, in pixels.

    Returns:
        (n, 2) int64.

    >>> fit_sizes(np.array([[640, 480], [10, 20]]), 320).tolist()
    [[320, 240], [160, 320]]
    """
    exact = sizes * (resolution / sizes.max(axis=1, keepdims=True))
    return np.asarray(np.maximum(1, np.floor(exact + 0.5)), np.int64)


def scales_of(sizes: np.ndarray, resolution: int) -> np.ndarray:
    """Pixels of the scaled image for each of the original, across and down; they differ by rounding alone.

    Args:
        sizes: (n, 2) int64.
        resolution: R, in pixels.

    Returns:
        (n, 2) float64.
    """
    return np.asarray(fit_sizes(sizes, resolution) / sizes)


def to_original(boxes: np.ndarray, size: np.ndarray, resolution: int) -> np.ndarray:
    """Boxes in a scaled and padded image, in the original one, and what lies in the padding cut off.

    Args:
        boxes: (k, 4).
        size: (2,) int64: of the original image.
        resolution: R, in pixels.

    Returns:
        (k, 4) float64.

    >>> to_original(np.array([[0, 0, 160, 320]]), np.array([640, 480]), 320).tolist()
    [[0.0, 0.0, 320.0, 480.0]]
    """
    return clip_boxes(boxes / np.tile(scales_of(size[None], resolution), 2), size[None])
