"""Images that are tested on and were learned from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def hash_images(images: Iterable[np.ndarray]) -> np.ndarray:
    """(n,) uint64: equal for equal pixels, and for others but by chance."""
    digests = (hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest() for image in images)
    return np.frombuffer(b"".join(digests), np.uint64)


def count_repeats(hashes: np.ndarray, tested: int) -> int:
    """How many of the last images are among those before them.

    Args:
        hashes: (n,) of all images, those that are tested on last.
        tested: How many these are.

    >>> count_repeats(np.array([1, 2, 3, 2, 2, 5]), tested=3)
    2
    """
    learned, last = np.split(hashes, [len(hashes) - tested])
    return int(np.isin(last, learned).sum())


def describe_repeats(repeats: int, tested: int) -> tuple[str, ...]:
    """A line that says so, or none."""
    if not repeats:
        return ()
    return (
        f"{repeats:,} of {tested:,} test images are among the others too, to the pixel: "
        "what is scored on them was learned by heart; remove them from one of the two",
    )
