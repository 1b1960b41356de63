from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from paretonas.errors import TrainingError
from paretonas.network import build
from paretonas.network.regions import region_anchors
from paretonas.network.shapes import without_numbers
from paretonas.network.sharing import Path, cut_out, fresh_weights
from paretonas.task.detecting import boxes_of
from paretonas.task.distilled import Recorder
from paretonas.task.found import MOST_DETECTIONS
from paretonas.task.recipe import Recipe
from paretonas.task.task import At
from paretonas.task.two_stage import REGIONS_LEARNED, Chooser, Regions, _stages
from paretonas.zoo import zoo_spec

REGIONS = Regions(128, 3)
BOXES = torch.tensor([[10.0, 20.0, 60.0, 80.0], [70.0, 70.0, 120.0, 126.0]])
LABELS = torch.tensor([2, 0])
SIZES = [3 * n * n for n in REGIONS.sides]
AT = At(3, 10, 0, Recipe())


class Saying(nn.Module):
    """Says of anchors and of the regions that are chosen what it was told to."""

    def __init__(self, said, moved, of_regions):
        super().__init__()
        self.said, self.moved, self.of_regions = nn.Parameter(said), moved, of_regions
        self.regions = None

    def forward(self, images, choose):
        levels = [x.split(SIZES, dim=1) for x in (self.said, self.moved)]
        self.regions = choose(*levels)
        return *self.of_regions(self.regions), self.said, self.moved


def nothing(regions):
    """The background, everywhere."""
    logits = torch.tensor([8.0, -8.0, -8.0, -8.0]).expand(len(regions), 4)
    return logits, torch.zeros(len(regions), 16)


def perfect(regions):
    """The class of the box that a region shows most of, and where it is."""
    from torchvision.ops import box_iou

    coder = _stages(REGIONS).second.box_coder
    overlaps, best = box_iou(regions[:, 1:], BOXES).max(1)
    labels = torch.where(overlaps >= 0.5, LABELS[best] + 1, 0)
    logits = 16 * nn.functional.one_hot(labels, 4).float() - 8
    offsets = coder.encode_single(BOXES[best], regions[:, 1:])
    return logits, offsets.repeat(1, 4)


def anchors_said(right=True):
    """Logits and offsets of one image's anchors, which are right where the boxes are."""
    stage, anchors = _stages(REGIONS).first, torch.cat(region_anchors(REGIONS.sides, 128))
    (labels,), (matched,) = stage.assign_targets_to_anchors([anchors], [{"boxes": BOXES}])
    said = torch.where((labels == 1) == right, 8.0, -8.0)[None]
    (offsets,) = stage.box_coder.encode([matched], [anchors])
    return said, torch.where(labels[:, None] == 1, offsets, 0.0)[None]


def loss(model, boxes=(BOXES,), labels=(LABELS,), at=AT):
    return float(REGIONS.learn(model, torch.zeros(len(boxes), 3, 128, 128), boxes, labels, at).detach())


def test_the_head_says_what_reads_its_outputs():
    assert boxes_of("faster-rcnn", 128, 3) == REGIONS


def test_the_loss_is_least_where_the_boxes_are():
    right = loss(Saying(*anchors_said(), perfect))
    blind = loss(Saying(*anchors_said(right=False), perfect))
    dumb = loss(Saying(*anchors_said(), nothing))
    assert right < 0.01 < min(blind, dumb)


def test_images_without_boxes_teach_that_there_is_nothing():
    said, moved = torch.full((2, sum(SIZES)), -8.0), torch.zeros(2, sum(SIZES), 4)
    nobody = [torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2
    assert loss(Saying(said, moved, nothing), *nobody) < 0.01
    assert loss(Saying(-said, moved, nothing), *nobody) > 1


def test_regions_that_are_learned_from_show_objects_in_a_quarter_and_the_boxes_themselves():
    torch.manual_seed(0)
    said = torch.randn(1, sum(SIZES))
    chooser = Chooser(REGIONS, [{"boxes": BOXES, "labels": LABELS + 1}], AT)
    regions = chooser(said.split(SIZES, 1), torch.zeros(1, sum(SIZES), 4).split(SIZES, 1))
    assert regions.shape == (REGIONS_LEARNED, 5)
    (labels,), (offsets,) = chooser.labels, chooser.offsets
    assert 2 <= int((labels > 0).sum()) <= REGIONS_LEARNED // 4
    for box, label in zip(BOXES, LABELS + 1, strict=True):
        (place,) = (regions[:, 1:] == box).all(1).nonzero()[0].tolist()
        assert (int(labels[place]), float(offsets[place].abs().max())) == (int(label), pytest.approx(0, abs=1e-6))


def test_who_asks_again_gets_the_same_regions():
    chooser = Chooser(REGIONS, [{"boxes": BOXES, "labels": LABELS + 1}], AT)
    said, moved = anchors_said()
    first = chooser(said.split(SIZES, 1), moved.split(SIZES, 1))
    assert torch.equal(chooser((-said).split(SIZES, 1), moved.split(SIZES, 1)), first)


def test_what_is_drawn_follows_from_the_seed_and_the_step():
    torch.manual_seed(0)
    said, moved = torch.randn(1, sum(SIZES)), 0.1 * torch.randn(1, sum(SIZES), 4)

    def drawn(at, everything):
        torch.manual_seed(everything)
        before = torch.get_rng_state()
        model = Saying(said, moved, nothing)
        found = loss(model, at=at)
        assert torch.equal(torch.get_rng_state(), before)
        return found, model.regions

    (first, regions), (again, same) = drawn(AT, 1), drawn(AT, 2)
    assert first == again
    assert torch.equal(regions, same)
    for other in (replace(AT, step=4), replace(AT, seed=1)):
        found, another = drawn(other, 1)
        assert found != first
        assert not torch.equal(another, regions)


SPEC = zoo_spec("faster-rcnn:width=0.25,filters=8,box_filters=16,proposals=20")


def make(spec):
    return build(spec, spec.usual_interface(3, 128, 3))


def test_networks_learn_on_shared_weights_and_others_are_asked_about_the_same_regions():
    torch.manual_seed(0)
    shared, images = fresh_weights([SPEC], make, True), torch.rand(2, 3, 128, 128)
    with without_numbers():
        paths = [Path(shared, make(SPEC)) for _ in range(2)]
    teacher, student = map(Recorder, paths)
    learned = REGIONS.learn(teacher, images, [BOXES, BOXES[:1]], [LABELS, LABELS[:1]], AT)
    learned.backward()
    assert all(tensor.grad is not None for tensor in shared.tensors().values())
    student(*teacher.inputs)
    assert teacher.outputs[0].shape == (2 * REGIONS_LEARNED, 4)
    assert torch.equal(student.outputs[0], teacher.outputs[0])

    network = make(SPEC).train()
    cut_out(shared, network)
    alone = REGIONS.learn(network, images, [BOXES, BOXES[:1]], [LABELS, LABELS[:1]], AT)
    torch.testing.assert_close(alone, learned, rtol=1e-5, atol=1e-5)


def outputs(regions, n=1):
    """What a network says that has proposals where objects are."""
    logits, offsets = perfect(torch.cat((torch.zeros(len(regions), 1), regions), dim=1))
    return tuple(x.expand(n, *x.shape).numpy() for x in (logits, offsets, regions))


def test_boxes_are_found_where_proposals_and_offsets_say():
    proposals = torch.tensor([[12.0, 22, 64, 78], [0, 0, 128, 128], [72, 66, 118, 126], [0, 0, 2, 2]])
    one, two = REGIONS.found(*outputs(proposals, 2))
    assert sorted(one.labels.tolist()) == sorted(two.labels.tolist()) == [0, 2]
    by_label = dict(zip(one.labels.tolist(), one.boxes, strict=True))
    np.testing.assert_allclose([by_label[2], by_label[0]], BOXES, atol=0.01)
    assert (np.diff(one.scores) <= 0).all()


def test_of_many_boxes_a_hundred_are_kept_within_the_image():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((1, 200, 4), np.float32) * 3
    proposals = rng.uniform(-20, 100, (1, 200, 4)).astype(np.float32)
    proposals[..., 2:] = proposals[..., :2] + 20
    (found,) = REGIONS.found(logits, np.zeros((1, 200, 16), np.float32), proposals)
    assert len(found.boxes) == MOST_DETECTIONS
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 128


@pytest.mark.parametrize("place", range(3))
def test_outputs_that_are_not_finite_are_an_error(place):
    bad = [x.copy() for x in outputs(BOXES)]
    bad[place][0, 0, 0] = np.nan
    with pytest.raises(TrainingError, match="finite outputs"):
        REGIONS.found(*bad)
