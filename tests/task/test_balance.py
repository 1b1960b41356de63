"""Thresholds of boxes that are counted by hand, and matches that give the reference's average precision."""

import json

import numpy as np
import pytest
from test_precision import one, seen

from paretonas.task.balance import Balance, ClassBalance, _verdicts, balances, best_balance
from paretonas.task.precision import average_precision

A, B, C = (0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)
FAR = (80, 80, 90, 90)


def best(scores, right, wanted):
    return best_balance(np.array(scores, np.float32), np.array(right, bool), wanted)


@pytest.mark.parametrize(
    ("scores", "right", "wanted", "expected"),
    [
        # F1 of the first one, two, three: 2/3, 1/2, 4/5; but three are more than are to be found
        ([0.75, 0.5, 0.25], [True, False, True], 2, Balance(0.75, 1.0, 0.5)),
        # 2/4, 2/5, 4/6: as many as are to be found
        ([0.75, 0.5, 0.25], [True, False, True], 3, Balance(0.25, 2 / 3, 2 / 3)),
        # a flood of wrong ones after the second: recall stays below precision
        ([0.75, 0.5, *[0.125] * 50], [True, True, *[False] * 50], 8, Balance(0.5, 1.0, 0.25)),
        # boxes of one score are told of together: 2/3 for two of them, as one of the two alone cannot be had
        ([0.5, 0.5], [True, False], 1, Balance(0.5, 0.5, 1.0)),
        # nothing right among as many as are to be found: the best of all
        ([0.75, 0.5, 0.25], [False, True, False], 1, Balance(0.5, 0.5, 1.0)),
        # equally good ones: 2/4 and 4/8
        ([0.75, 0.5, 0.5, 0.5, 0.5], [True, True, False, False, False], 3, Balance(0.75, 1.0, 1 / 3)),
        ([0.75], [False], 1, None),
        ([], [], 3, None),
    ],
)
def test_the_threshold_is_where_f1_is_best_and_precision_no_less_than_recall(scores, right, wanted, expected):
    assert best(scores, right, wanted) == expected
    order = np.random.default_rng(0).permutation(len(scores))
    assert best(np.array(scores)[order], np.array(right, bool)[order], wanted) == expected


def test_each_class_has_its_threshold_and_all_have_one_together():
    truths = [one([A, B], [0, 1]), one([A, B, C], [0, 0, 0])]
    found = [
        seen([A, B, FAR], [0, 1, 1], [0.9, 0.5, 0.75]),
        seen([A, B, FAR], [0, 0, 0], [0.8, 0.6, 0.2]),
    ]
    by_class, together = balances(truths, found, 3)
    half, six = 0.5, float(np.float32(0.6))
    # of class 0 the first three are right; of class 1 the first is wrong, so that one of one is not enough
    assert by_class == (
        ClassBalance(4, Balance(six, 1.0, 0.75)),
        ClassBalance(1, Balance(half, 0.5, 1.0)),
        ClassBalance(0, None),
    )
    # 0.9 0.8 right, 0.75 wrong, 0.6 0.5 right, 0.2 wrong: F1 of five boxes of five is 4/5
    assert together == Balance(half, 0.8, 0.8)


@pytest.mark.parametrize(
    ("truth", "found", "verdicts"),
    [
        (one([A], [0]), seen([A, A], [0, 0], [0.9, 0.8]), [1, 0]),  # a second one for the same box
        (one([A], [0]), seen([A, A], [0, 0], [0.8, 0.9]), [0, 1]),  # the higher score is first
        (one([A], [1]), seen([A], [0], [0.9]), [0]),  # of another class
        (one([A], [0]), seen([(0, 0, 10, 5)], [0], [0.9]), [1]),  # an overlap of .50
        (one([A], [0]), seen([(0, 0, 10, 4.9)], [0], [0.9]), [0]),
        (one([A, (0, 0, 10, 7)], [0, 0]), seen([(0, 0, 10, 7), A], [0, 0], [0.9, 0.8]), [1, 1]),  # the nearest
        (one([FAR], [0], [True]), seen([FAR, FAR, A], [0, 0, 0], [0.9, 0.8, 0.7]), [-1, -1, 0]),  # ignored ones
        (one([(0, 0, 40, 40)], [0], [True]), seen([A], [0], [0.9]), [-1]),  # a part of a crowd is as good
        (one([A, (0, 0, 12, 12)], [0, 0], [False, True]), seen([A, A], [0, 0], [0.9, 0.8]), [1, -1]),
        (one(), seen([A], [0], [0.9]), [0]),
        (one([A], [0]), seen(), []),
    ],
)
def test_boxes_are_matched_as_coco_does(truth, found, verdicts):
    assert _verdicts(truth, found).tolist() == verdicts


def test_matches_give_the_average_precision_of_the_reference(real_data):
    """At an overlap of .50, on real detections, by COCO's hundred and one recalls."""
    data = json.loads((real_data / "voc2012_100/gt.json").read_text())
    results = json.loads((real_data / "voc2012_100/detections.json").read_text())
    place = {category["id"]: i for i, category in enumerate(data["categories"])}

    def own(entries, image):
        mine = [e for e in entries if e["image_id"] == image]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (e["bbox"] for e in mine)]
        return mine, boxes, [place[e["category_id"]] for e in mine]

    truths, found = [], []
    for image in sorted(entry["id"] for entry in data["images"]):
        mine, boxes, labels = own(data["annotations"], image)
        truths.append(one(boxes, labels, [bool(a["iscrowd"]) for a in mine]))
        mine, boxes, labels = own(results, image)
        found.append(seen(boxes, labels, [d["score"] for d in mine]))
    labels = np.concatenate([f.labels for f in found])
    scores = np.concatenate([f.scores for f in found])
    verdicts = np.concatenate([_verdicts(t, f) for t, f in zip(truths, found, strict=True)])
    expected = average_precision(truths, found, len(place)).ap50_by_class
    for k, ap50 in enumerate(expected):
        wanted = sum(int(((t.labels == k) & ~t.is_ignored).sum()) for t in truths)
        mine = (labels == k) & (verdicts != -1)
        right = np.cumsum(verdicts[mine][np.argsort(-scores[mine], kind="stable")])
        if ap50 is None:
            assert wanted == 0
            continue
        recalls, precisions = right / wanted, right / np.arange(1, len(right) + 1)
        envelope = [max(precisions[recalls >= r - 1e-9], default=0.0) for r in np.linspace(0, 1, 101)]
        assert np.mean(envelope) == pytest.approx(ap50, abs=1e-6)
