import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou, clip_boxes_to_image, nms

from paretonas.network.regions import LAST, OVERLAP, Proposals, RegionHead, are_covered, best, decoded, region_anchors
from paretonas.space.detector import REGION_LEVELS, DetectorSpec, NeckSpec, RegionSpec
from paretonas.zoo import zoo_spec

SIDE = 64
SPEC = DetectorSpec(
    zoo_spec("mobilenet-v2", 0.25), "faster-rcnn", NeckSpec(8, REGION_LEVELS), regions=RegionSpec(40, 30, 16)
)
SIZES = [3 * n * n for n in (16, 8, 4, 2, 1)]


def test_anchors_stand_at_places_of_their_level_in_three_aspects():
    anchors = region_anchors(SPEC.sides(SIDE), SIDE)
    assert [len(level) for level in anchors] == SIZES
    assert anchors[0][3:6].tolist() == [
        [-19, -11, 27, 11],
        [-12, -16, 20, 16],
        [-7, -23, 15, 23],
    ]  # 32 / sqrt(2) = 22.6
    sides = anchors[2][:, 2:] - anchors[2][:, :2]
    torch.testing.assert_close(sides.prod(1).sqrt(), torch.full((len(sides),), 128.0), rtol=0.01, atol=0)


def test_offsets_are_coded_as_in_torchvision():
    torch.manual_seed(0)
    anchors = torch.rand(50, 4) * 20
    anchors[:, 2:] += anchors[:, :2] + 1
    offsets = torch.randn(50, 4) * torch.tensor([1.0, 1.0, 3.0, 3.0])  # some beyond what a side may grow by
    expected = BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(offsets, anchors)
    torch.testing.assert_close(decoded(offsets, anchors), expected, rtol=1e-5, atol=1e-4)


def test_a_box_is_covered_by_any_better_one_be_it_covered_itself():
    """Overlaps by hand: 90 / 110 = .82 of neighbours, 80 / 120 = .67 of the first and the third."""
    boxes = torch.tensor([[[0.0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [50, 50, 60, 60], [50, 50, 60, 57]]])
    assert are_covered(boxes).tolist() == [[False, True, True, False, False]]  # 70 / 100 is not more than .7
    assert are_covered(boxes.flip(1)).tolist() == [[False, False, False, True, True]]


def test_nothing_covers_boxes_of_no_area():
    assert not are_covered(torch.zeros(1, 3, 4)).any()


def test_the_best_are_in_order_and_equal_ones_by_place():
    values, places = best(torch.tensor([[1.0, 3.0, 1.0, 2.0, 3.0]]), 4)
    assert (values.tolist(), places.tolist()) == ([[3, 3, 2, 1]], [[1, 4, 3, 0]])


def by_hand(logits, offsets):
    """The proposals of one image, level by level, with torchvision's operations."""
    anchors, boxes, scores = region_anchors(SPEC.sides(SIDE), SIDE), [], []
    for level, (said, moved) in enumerate(zip(logits, offsets, strict=True)):
        order = said.argsort(descending=True)[: SPEC.regions.candidates]
        found = BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(moved[order], anchors[level][order])
        found = clip_boxes_to_image(found, (SIDE, SIDE))
        overlaps = box_iou(found, found)
        covered = [bool((overlaps[:i, i] > OVERLAP).any()) for i in range(len(found))]
        boxes.append(found)
        scores.append(said[order] - LAST * torch.tensor(covered))
    order = torch.cat(scores).argsort(descending=True)[: SPEC.regions.proposals]
    return torch.cat(boxes)[order]


def test_proposals_are_the_best_of_each_level_that_no_better_one_covers():
    torch.manual_seed(0)
    logits, offsets = [torch.randn(2, n) for n in SIZES], [0.5 * torch.randn(2, n, 4) for n in SIZES]
    found = Proposals(SPEC, SIDE)(logits, offsets)
    assert found.shape == (2, 30, 4)
    for image in range(2):
        expected = by_hand([level[image] for level in logits], [level[image] for level in offsets])
        torch.testing.assert_close(found[image], expected, rtol=1e-5, atol=1e-4)


def test_what_is_left_is_left_by_the_usual_suppression_too():
    """Suppression at once drops more, never less."""
    torch.manual_seed(0)
    boxes = torch.rand(60, 4) * 10
    boxes[:, 2:] += boxes[:, :2] + 10
    left = (~are_covered(boxes[None])[0]).nonzero().flatten().tolist()
    usual = nms(boxes, torch.arange(60, 0, -1.0), OVERLAP).tolist()
    assert 1 < len(left) < len(usual) < 60
    assert set(left) < set(usual)


def test_where_all_overlap_the_covered_ones_fill_up():
    logits = [torch.arange(n, 0, -1.0)[None] for n in SIZES]
    offsets = [torch.zeros(1, n, 4) for n in SIZES]
    for level in offsets:
        level[..., 2:] = 10.0  # as large as can be: each is the whole image
    found = Proposals(SPEC, SIDE)(logits, offsets)
    assert torch.equal(found, torch.tensor([0.0, 0.0, SIDE, SIDE]).expand(1, 30, 4))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_proposals_lie_in_the_image_whatever_is_said(number):
    found = Proposals(SPEC, SIDE)(
        [torch.full((1, n), number) for n in SIZES], [torch.full((1, n, 4), number) for n in SIZES]
    )
    assert torch.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= SIDE


def test_one_head_looks_at_every_level_and_one_more():
    torch.manual_seed(0)
    head = RegionHead(SPEC).eval()
    levels = [torch.randn(2, 8, n, n) for n in (16, 8, 4, 2)]
    logits, offsets = head(levels)
    assert [tuple(x.shape) for x in logits] == [(2, n) for n in SIZES]
    assert [tuple(x.shape) for x in offsets] == [(2, n, 4) for n in SIZES]
    every_second = head.logits(head.conv(levels[3][:, :, ::2, ::2]))
    torch.testing.assert_close(every_second.flatten(1), logits[4])
