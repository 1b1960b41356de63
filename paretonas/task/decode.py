"""From a file to what a network is fed, and from raw outputs to their meaning, by an exported file's metadata alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretonas.data.box_geometry import to_original
from paretonas.data.box_writing import to_letterbox
from paretonas.data.pixels import guarded, is_machine_fault, machine_fault, reason, to_pixels, to_upright
from paretonas.data.text import read_text, words_of
from paretonas.errors import DataError, UsageError
from paretonas.space import Interface
from paretonas.task.finite import check_finite

BOXES, CLASSES, WORDS = "boxes", "classes", "words"
LEAST_SCORE = 0.3
"""Of a box that a person is told of where nothing says another: no threshold balances precision and recall."""

Arrays = tuple[NDArray[Any], ...]


def top_classes(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """The most likely class of each example.

    Args:
        logits: (n, classes).

    Raises:
        TrainingError: An output is not a finite number.
    """
    check_finite(logits)
    found: NDArray[np.int64] = logits.argmax(1)
    return found


def predict(
    run: Callable[[Arrays], Arrays],
    file: Path,
    metadata: Mapping[str, Any],
    interface: Interface,
    least_score: float | None = None,
) -> dict[str, Any]:
    """What a network says of one input file: the class of an image, its boxes, or the word that comes after a text.

    Args:
        run: Runs the network on one example.
        file: An image or a text.
        metadata: Beside the exported file; `kind` says which.
        interface: Of the network.
        least_score: Of a box that is told of; None: the file's `threshold`, or 0.3 where it says none.

    Returns:
        `class` or `next`, and `probability`; or `boxes`, each with `class`, `score` and `box`: left, top, right and
        bottom in pixels of the upright image, the likeliest first.

    Raises:
        DataError: It cannot be read.
        MachineError: The machine refuses.
        UsageError: Metadata of another kind, or a network that is not fed such a file.
        TrainingError: An output is not a finite number.
    """
    if metadata.get("kind") == BOXES:
        least = metadata.get("threshold", LEAST_SCORE) if least_score is None else least_score
        return {"boxes": _boxes(run, file, metadata, interface, least)}
    if metadata.get("kind") != WORDS:
        return decode(run(encode(file, metadata, interface)), metadata)[0]
    text, number = read_text(file), {word: i for i, word in enumerate(metadata["words"])}
    words = words_of(text)
    if not text.endswith("\n"):  # the line goes on
        words = words[:-1]
    if not words:
        raise DataError(f"A text has words, but {file} has none.")
    states: Arrays = tuple(np.zeros(port.shape, port.dtype) for port in interface.inputs[1:])
    for word in words:
        logits, *given = run((np.array([number.get(word, number[metadata["unknown"]])], np.int64), *states))
        states = tuple(given)
    (best,), (shares,) = top_classes(logits), _shares(logits)
    return {"next": metadata["words"][best], "probability": round(float(shares[best]), 6)}


def encode(file: Path, metadata: Mapping[str, Any], interface: Interface) -> tuple[NDArray[Any], ...]:
    """What a network is fed for one input file.

    Args:
        file: An image, of any size.
        metadata: Beside the exported file: how pixels become numbers.
        interface: Of the network.

    Returns:
        A batch of one.

    Raises:
        DataError: It cannot be read.
        MachineError: The machine refuses.
        UsageError: Metadata of another kind, or a network that is not fed an image.
    """
    _check_kind(metadata)
    channels, height, width = interface.image_shape or (0, 0, 0)
    if channels not in (1, 3) or height != width:
        raise UsageError(
            f"Images are fed to a network that takes one, square and grey or RGB, but this takes {interface.inputs}."
        )
    with _reading(file, metadata):
        pixels, _ = to_pixels(file, width, channels)
    return (_normalized(pixels, metadata),)


@contextmanager
def _reading(file: Path, metadata: Mapping[str, Any]) -> Iterator[None]:
    try:
        with guarded(metadata.get("max_pixels")):
            yield
    except Exception as error:  # Pillow's readers raise whatever their parsers stumbled over
        if is_machine_fault(error):
            raise machine_fault(str(file), error) from error
        raise DataError(f"An input is an image that can be read, but {file}: {reason(error)}.") from None


def _normalized(pixels: NDArray[np.uint8], metadata: Mapping[str, Any]) -> NDArray[np.float32]:
    """A batch of one."""
    scaled = (pixels[None].astype(np.float32) / 255 - metadata["mean"]) / metadata["std"]
    return scaled.astype(np.float32)


def _boxes(
    run: Callable[[Arrays], Arrays], file: Path, metadata: Mapping[str, Any], interface: Interface, least: float
) -> list[dict[str, Any]]:
    from paretonas.task.detecting import boxes_of, read_boxes  # loads torchvision

    side = interface.inputs[0].shape[-1]
    with _reading(file, metadata):
        size = to_upright(file)[0].size
        pixels = to_letterbox(file, size, side)
    outputs = run((_normalized(pixels, metadata),))
    if metadata.get("suppression") is not None:
        found = read_boxes(outputs, len(metadata["classes"]))
    else:
        (found,) = boxes_of(metadata["detector"], side, len(metadata["classes"])).found(*outputs)
    boxes = to_original(found.boxes, np.array(size), side)
    return [
        {
            "class": metadata["classes"][label],
            "score": round(float(score), 4),
            "box": [round(x, 1) for x in box.tolist()],
        }
        for box, label, score in zip(boxes, found.labels, found.scores, strict=True)
        if score >= least
    ]


def decode(outputs: tuple[NDArray[Any], ...], metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the outputs of a batch say, one entry an example.

    Args:
        outputs: Of the network.
        metadata: Beside the exported file; `kind` says what the outputs are.

    Returns:
        For `classes`: `class`, its name, and `probability`.

    Raises:
        UsageError: Metadata of another kind.
        TrainingError: An output is not a finite number.

    >>> decode((np.array([[0.0, np.log(3.0)]]),), {"kind": "classes", "classes": ["cat", "dog"]})
    [{'class': 'dog', 'probability': 0.75}]
    """
    _check_kind(metadata)
    classes, shares = top_classes(outputs[0]), _shares(outputs[0])
    return [
        {"class": metadata["classes"][best], "probability": round(float(row[best]), 6)}
        for row, best in zip(shares, classes, strict=True)
    ]


def _shares(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    weights = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    shares: NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return shares


def _check_kind(metadata: Mapping[str, Any]) -> None:
    if metadata.get("kind") != CLASSES:
        raise UsageError(
            f"What is read and told is of the kind {CLASSES!r}, but the file's is {metadata.get('kind')!r}."
        )
