"""Metrics of a classification, beside scikit-learn's."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score
from sklearn.utils.class_weight import compute_class_weight

from paretonas.task.confusion import class_metrics, class_weights, confusions, largest_step, top_share

CLASSES = 4
pairs = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1, max_size=30)
examples = settings(max_examples=100, deadline=None, database=None, derandomize=True)


def arrays(drawn):
    labels, found = np.array(drawn, np.int64).T
    return labels, found


def test_metrics_are_those_of_a_hand_made_matrix():
    labels, found = np.array([0] * 8 + [1] * 2), np.array([0] * 7 + [1, 1, 0])
    # Class 0: 7 of 8 right, taken 8 times; class 1: 1 of 2 right, taken twice.
    expected = {"accuracy": 0.8, "balanced_accuracy": (7 / 8 + 1 / 2) / 2, "macro_f1": (14 / 16 + 2 / 4) / 2}
    assert class_metrics(labels, found, 2) == pytest.approx(expected)


@examples
@given(pairs)
def test_metrics_are_those_of_scikit_learn(drawn):
    labels, found = arrays(drawn)
    metrics = class_metrics(labels, found, CLASSES)
    assert metrics["macro_f1"] == pytest.approx(f1_score(labels, found, average="macro", zero_division=0))
    if np.isin(found, labels).all() and len(set(labels)) > 1:  # it warns of all else
        assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, found))


@examples
@given(pairs, st.sampled_from(["accuracy", "balanced_accuracy", "macro_f1"]))
def test_one_example_that_tips_over_changes_a_metric_by_a_step_at_most(drawn, quality):
    labels, found = arrays(drawn)
    before = class_metrics(labels, found, CLASSES)[quality]
    step, largest = largest_step(labels, quality), 0.0
    for i in range(len(labels)):
        for other in range(CLASSES):
            tipped = found.copy()
            tipped[i] = other
            largest = max(largest, abs(class_metrics(labels, tipped, CLASSES)[quality] - before))
    assert largest <= step + 1e-12
    if quality != "macro_f1" and (found == labels).any():
        assert largest > step / len(labels) / 2


def test_top_share_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((300, 12)).astype(np.float32), np.arange(300) % 12
    for top in (1, 5, 11):
        assert top_share(logits, labels, top) == pytest.approx(top_k_accuracy_score(labels, logits, k=top))
    assert top_share(logits, labels, 1) == (logits.argmax(1) == labels).mean()


def test_equal_outputs_are_no_answer_but_the_first():
    logits = np.zeros((10, 10), np.float32)
    assert top_share(logits, np.arange(10), 5) == 0.5
    assert top_share(logits, np.arange(10), 1) == (logits.argmax(1) == np.arange(10)).mean()


@examples
@given(pairs)
def test_confusions_are_all_pairs_that_happened(drawn):
    labels, found = arrays(drawn)
    listed = confusions(labels, found, CLASSES)
    assert listed == sorted((a, b, drawn.count((a, b))) for a, b in set(drawn))
    assert all(type(number) is int for row in listed for number in row)


@examples
@given(pairs)
def test_weights_of_classes_are_those_of_scikit_learn(drawn):
    labels, _ = arrays(drawn)
    assume(len(set(labels)) > 1)
    weights, there = class_weights(labels, CLASSES), np.unique(labels)
    assert weights[there] == pytest.approx(compute_class_weight("balanced", classes=there, y=labels), rel=1e-6)
    assert weights.sum() == pytest.approx(weights[there].sum())
    assert weights[labels].mean() == pytest.approx(1.0, rel=1e-6)
