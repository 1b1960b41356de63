import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paretonas.data.augment import Augmentation
from paretonas.data.box_augment import augment_boxes, is_kept, moved_boxes

SIDE = 32


def square(left, top, right, bottom):
    """A white box on black, and where it is."""
    image = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    image[..., top:bottom, left:right] = 255
    return image, torch.tensor([[left, top, right, bottom]]).float()


def extent(image):
    rows, columns = (torch.where((image[0] > 127).any(dim))[0] for dim in (1, 0))
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize("augmentation", [Augmentation(flip=True), Augmentation(0.2, 0.3, True), Augmentation(0.2)])
def test_boxes_follow_what_they_are_around(augmentation):
    image, box = square(9, 12, 20, 19)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        moved, (boxes,), (labels,) = augment_boxes(image, [box], [torch.tensor([1])], augmentation, generator)
        assert labels.tolist() == [1]
        assert np.abs(np.array(extent(moved[0])) - boxes[0].numpy()).max() <= 1.0


def test_a_part_becomes_the_whole():
    box = torch.tensor([[10.0, 10.0, 20.0, 30.0]])
    corner = torch.tensor(8.0), torch.tensor(4.0)
    assert moved_boxes(box, 32, corner, torch.tensor(0.5), False).tolist() == [[4.0, 12.0, 24.0, 52.0]]
    assert moved_boxes(box, 32, corner, torch.tensor(0.5), True).tolist() == [[8.0, 12.0, 28.0, 52.0]]


def test_boxes_of_which_little_is_left_are_not_learned():
    boxes = torch.tensor([[-7.5, 0.0, 3.0, 9.0], [-6.9, 0.0, 3.0, 9.0], [31.5, 0.0, 33.0, 9.0], [40.0, 0.0, 50.0, 9.0]])
    assert is_kept(boxes, SIDE).tolist() == [False, True, False, False]
    assert is_kept(torch.zeros(0, 4), SIDE).tolist() == []


@given(st.integers(0, 2**31), st.floats(0.05, 1.0), st.floats(0.0, 0.5))
def test_boxes_stay_inside_and_keep_their_order(seed, min_area, crop):
    rng = torch.Generator().manual_seed(seed)
    corners = torch.rand(5, 2, 2, generator=rng).mul(SIDE).sort(1).values.reshape(5, 4)
    images = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    labels = [torch.arange(5)]
    _, (boxes,), _ = augment_boxes(images, [corners], labels, Augmentation(crop, min_area, True), rng)
    assert ((boxes >= 0) & (boxes <= SIDE)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
