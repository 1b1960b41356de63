import numpy as np
import pytest
import torch

from paretonas.errors import TrainingError, UsageError
from paretonas.task.detecting import Anchors, _model, read_boxes
from paretonas.task.found import MOST_DETECTIONS

KINDS = [Anchors("retinanet", 128, 3), Anchors("ssdlite", 128, 3)]
BOXES = torch.tensor([[10.0, 20.0, 60.0, 80.0], [70.0, 70.0, 120.0, 126.0]])
LABELS = torch.tensor([2, 0])


def silent(anchors, n=1):
    """What says that there is nothing."""
    _, boxes = _model(anchors)
    logits = torch.full((n, len(boxes), anchors.classes + (anchors.head == "ssdlite")), -8.0)
    if anchors.head == "ssdlite":
        logits[..., 0] = 8.0
    return logits, torch.zeros(n, len(boxes), 4)


def perfect(anchors):
    """What says where `BOXES` are, at all anchors that learn them."""
    model, boxes = _model(anchors)
    logits, offsets = silent(anchors)
    is_ssd = anchors.head == "ssdlite"
    from torchvision.ops import box_iou

    matched = model.proposal_matcher(box_iou(BOXES, boxes))
    learned = matched >= 0
    coded = model.box_coder.encode_single(BOXES[matched[learned]], boxes[learned])
    offsets[0, learned] = coded
    logits[0, learned] = -8.0
    logits[0, torch.where(learned)[0], LABELS[matched[learned]] + is_ssd] = 8.0
    return logits, offsets


@pytest.mark.parametrize("anchors", KINDS, ids=lambda one: one.head)
def test_boxes_are_found_where_they_are_learned(anchors):
    logits, offsets = perfect(anchors)
    (found,) = anchors.found(logits.numpy(), offsets.numpy())
    best = {int(label): box for box, label in reversed(list(zip(found.boxes, found.labels, strict=True)))}
    assert set(best) == {0, 2}
    np.testing.assert_allclose([best[2], best[0]], BOXES, atol=0.05)
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("anchors", KINDS, ids=lambda one: one.head)
def test_the_loss_is_least_where_the_boxes_are(anchors):
    right = float(anchors.loss(*perfect(anchors), [BOXES], [LABELS]))
    wrong = float(anchors.loss(*perfect(anchors), [BOXES], [LABELS.flip(0)]))
    blind = float(anchors.loss(*silent(anchors), [BOXES], [LABELS]))
    assert right < 0.05 < min(wrong, blind)


@pytest.mark.parametrize("anchors", KINDS, ids=lambda one: one.head)
def test_images_without_boxes_teach_that_there_is_nothing(anchors):
    logits, offsets = silent(anchors, 2)
    nothing = [torch.zeros(0, 4), torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.int64)] * 2
    loss = anchors.loss(logits.requires_grad_(), offsets.requires_grad_(), *nothing)
    assert 0 <= loss.item() < 100
    assert [len(one.boxes) for one in anchors.found(logits.detach().numpy(), offsets.detach().numpy())] == [0, 0]


@pytest.mark.parametrize("anchors", KINDS, ids=lambda one: one.head)
def test_of_many_boxes_a_hundred_are_kept(anchors):
    logits, offsets = silent(anchors)
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(logits.shape, generator=rng) * 3
    (found,) = anchors.found(logits.numpy(), offsets.numpy())
    assert len(found.boxes) == MOST_DETECTIONS
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 128


@pytest.mark.parametrize("place", [0, 1])
def test_outputs_that_are_not_finite_are_an_error(place):
    outputs = [x.numpy() for x in silent(KINDS[0])]
    outputs[place][0, 0, 0] = np.nan
    with pytest.raises(TrainingError, match="finite outputs"):
        KINDS[0].found(*outputs)


@pytest.mark.parametrize(
    ("boxes", "labels", "scores", "error", "match"),
    [
        (2, [0, 3], [0.5, 0.4], UsageError, r"its 3 classes.*\[0, 3\]"),
        (1, [-1], [0.5], UsageError, "its 3 classes"),
        (2, [0], [0.5, 0.4], UsageError, "2 boxes, 2 scores"),
        (1, [0], [np.nan], TrainingError, "finite outputs"),
    ],
)
def test_what_a_file_gives_as_boxes_is_checked(boxes, labels, scores, error, match):
    outputs = np.zeros((boxes, 4), np.float32), np.array(labels, np.int64), np.array(scores, np.float32)
    with pytest.raises(error, match=match):
        read_boxes(outputs, 3)
