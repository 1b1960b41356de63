import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from paretonas.data.box_geometry import clip_boxes, fit_sizes, scales_of, to_original, turn_boxes
from paretonas.data.pixels import TURNS

sides = st.integers(1, 5000)
resolutions = st.integers(2, 64).map(lambda number: 32 * number)


@st.composite
def boxes_in(draw, width, height):
    """A box whose corners lie in an image of that size, or up to as far outside again."""
    x = sorted(draw(st.floats(-width, 2 * width)) for _ in range(2))
    y = sorted(draw(st.floats(-height, 2 * height)) for _ in range(2))
    return np.array([[x[0], y[0], x[1], y[1]]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_turned_as_pixels_are(orientation):
    stored = np.zeros((30, 40), np.uint8)
    stored[5:17, 4:14] = 255
    image = Image.fromarray(stored)
    upright = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    rows, columns = np.nonzero(np.asarray(upright))
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    turned = turn_boxes(np.array([[4.0, 5.0, 14.0, 17.0]]), np.array([upright.size]), np.array([orientation]))
    assert turned.tolist() == [expected]


def test_orientations_6_and_8_by_hand():
    """Of an image stored 40 x 30: 6 is turned clockwise to be upright, 8 counterclockwise."""
    box, size = np.array([[4.0, 5.0, 14.0, 17.0]] * 2), np.array([[30, 40]] * 2)
    assert turn_boxes(box, size, np.array([6, 8])).tolist() == [[13, 4, 25, 14], [5, 26, 17, 36]]


@pytest.mark.parametrize(
    ("size", "resolution", "fitted"),
    [
        ((640, 480), 320, (320, 240)),
        ((480, 640), 320, (240, 320)),
        ((100, 100), 64, (64, 64)),
        ((10, 20), 64, (32, 64)),
        ((500, 375), 64, (64, 48)),
        ((333, 500), 320, (213, 320)),
        ((5000, 1), 64, (64, 1)),
    ],
)
def test_the_longer_side_becomes_the_resolution(size, resolution, fitted):
    assert fit_sizes(np.array([size]), resolution).tolist() == [list(fitted)]


def test_scales_by_hand():
    assert scales_of(np.array([[640, 480], [333, 500]]), 320).tolist() == [[0.5, 0.5], [213 / 333, 0.64]]


@given(st.data(), sides, sides, resolutions)
def test_clipped_and_scaled_boxes_stay_inside(data, width, height, resolution):
    size = np.array([[width, height]])
    inside = clip_boxes(data.draw(boxes_in(width, height)), size)
    assert ((inside >= 0) & (inside <= np.tile(size, 2))).all()
    scaled = clip_boxes(inside * np.tile(scales_of(size, resolution), 2), fit_sizes(size, resolution))
    assert ((scaled.astype(np.float32) >= 0) & (scaled.astype(np.float32) <= resolution)).all()
    assert (fit_sizes(size, resolution).max(), fit_sizes(size, resolution).min() >= 1) == (resolution, True)


@given(st.data(), sides, sides, resolutions)
def test_boxes_come_back_to_the_original(data, width, height, resolution):
    size = np.array([width, height])
    inside = clip_boxes(data.draw(boxes_in(width, height)), size[None])
    scaled = (inside * np.tile(scales_of(size[None], resolution), 2)).astype(np.float32)
    np.testing.assert_allclose(to_original(scaled, size, resolution), inside, atol=1e-6 * 5000)


@given(st.data(), st.integers(1, 8), sides, sides)
def test_turned_boxes_keep_their_sides(data, orientation, width, height):
    inside = clip_boxes(data.draw(boxes_in(width, height)), np.array([[width, height]]))
    upright = np.array([[height, width]] if orientation >= 5 else [[width, height]])
    turned = turn_boxes(inside, upright, np.array([orientation]))
    lengths = [(box[0, 2:] - box[0, :2]).tolist() for box in (inside, turned)]
    expected = lengths[0][::-1] if orientation >= 5 else lengths[0]
    np.testing.assert_allclose(lengths[1], expected, atol=1e-9)
    assert ((turned >= -1e-9) & (turned <= np.tile(upright, 2) + 1e-9)).all()
