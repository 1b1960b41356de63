"""How well classes are told apart: the metrics of a classification, and which class is taken for which."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

TOP = 5
"""Of how many of the likeliest classes one is to be right."""


def class_metrics(labels: Numbers, found: Numbers, classes: int) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro-F1, as scikit-learn has them, without a matrix of all pairs of classes.

    Args:
        labels: (n,) the class of each example.
        found: (n,) the class that it was taken for.
        classes: How many there are. One without examples is left out of balanced accuracy, and of macro-F1 if nothing
            was taken for it either.

    >>> class_metrics(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)["balanced_accuracy"]  # 2/3 and 1
    0.8333333333333333
    """
    support, taken = np.bincount(labels, minlength=classes), np.bincount(found, minlength=classes)
    right = np.bincount(labels[labels == found], minlength=classes)
    is_there, is_used = support > 0, support + taken > 0
    return {
        "accuracy": float((found == labels).mean()),
        "balanced_accuracy": float((right[is_there] / support[is_there]).mean()),
        "macro_f1": float((2 * right[is_used] / (support + taken)[is_used]).mean()),
    }


def top_share(logits: NDArray[np.float32], labels: Numbers, top: int = TOP) -> float:
    """The share of examples whose class is among the `top` likeliest; of equal outputs the first is the likelier.

    Args:
        logits: (n, classes).
        labels: (n,).
        top: How many.

    >>> top_share(np.float32([[3, 2, 1], [3, 2, 1]]), np.array([1, 2]), top=2)
    0.5
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    is_first = np.arange(logits.shape[1]) < labels[:, None]
    before = (logits > own) | ((logits == own) & is_first)
    return float((before.sum(1) < top).mean())


def confusions(labels: Numbers, found: Numbers, classes: int) -> list[tuple[int, int, int]]:
    """Class, the class that it was taken for, and how often, as far as it happened; in order.

    Args:
        labels: (n,) the class of each example.
        found: (n,) the class that it was taken for.
        classes: How many there are.

    >>> confusions(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    [(0, 0, 1), (0, 1, 1), (1, 1, 1)]
    """
    pairs, counts = np.unique(labels * classes + found, return_counts=True)
    return [(int(pair // classes), int(pair % classes), int(n)) for pair, n in zip(pairs, counts, strict=True)]


def class_weights(labels: Numbers, classes: int) -> NDArray[np.float32]:
    """For each class a weight that makes all count alike: inverse to its examples, 1 on average over the examples.

    Args:
        labels: (n,).
        classes: How many there are; one without examples has the weight 0.

    >>> class_weights(np.array([0, 0, 0, 1]), 2).round(3).tolist()
    [0.667, 2.0]
    """
    support = np.bincount(labels, minlength=classes)
    is_there = support > 0
    weights = np.zeros(classes, np.float32)
    weights[is_there] = len(labels) / (is_there.sum() * support[is_there])
    return weights


def largest_step(labels: Numbers, quality: str) -> float:
    """The most by which a metric of `class_metrics` changes if one example is taken for another class."""
    support = np.bincount(labels)
    support = support[support > 0]
    if quality == "accuracy":
        return 1 / len(labels)
    # The classes that it leaves and joins: 2 / (n + 1) of the F1 of one and 1 / (n + 1) of that of the other at most.
    return (1 if quality == "balanced_accuracy" else 3) / (len(support) * int(support.min()))
