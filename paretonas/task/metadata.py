"""What an exported network says of how it is used, and whether what a file says can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal

from paretonas.errors import SpecError, UsageError
from paretonas.space import Interface, read_json
from paretonas.space.detector import HeadKind, has_background


def _check_normalization(classes: tuple[str, ...], mean: float, std: float) -> None:
    if not classes or not 0 <= mean <= 1 or not (isfinite(std) and std > 0):
        raise SpecError(
            f"`0 <= mean <= 1`, `std > 0` and one class or more must hold, but got (mean={mean}, std={std}) and "
            f"{len(classes)} classes."
        )


@dataclass(frozen=True)
class ImageClasses:
    """From an image to what a network is fed, and from its outputs to names.

    Args:
        kind: Of what the outputs say.
        classes: Names, in the order of the outputs.
        colours: In this order; `grey` is the luminance.
        layout: Of the input: batch, channels, height, width.
        resize: The shorter side to the network's.
        crop: What is left of the longer side: the middle.
        interpolation: A triangle as wide as the pixels that become one, as Pillow has it.
        mean: In [0, 1]; of every channel.
        std: Above 0; a network is fed `(pixel / 255 - mean) / std`.
        max_pixels: Of an image; None: as many as Pillow takes for safe.

    Raises:
        SpecError: A number out of its range, or no classes.
    """

    kind: Literal["classes"]
    classes: tuple[str, ...]
    colours: Literal["RGB", "grey"]
    layout: Literal["NCHW"]
    resize: Literal["shorter-side"]
    crop: Literal["center"]
    interpolation: Literal["bilinear-antialiased"]
    mean: float
    std: float
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        _check_normalization(self.classes, self.mean, self.std)
        if self.max_pixels is not None and self.max_pixels < 1:
            raise SpecError(f"`max_pixels > 0` must hold, but got (max_pixels={self.max_pixels}).")

    @classmethod
    def of(cls, classes: tuple[str, ...], channels: int, normalization: tuple[float, float]) -> ImageClasses:
        """Of what is read by `paretonas.data.pixels`; `normalization` is mean and std."""
        colours: Literal["RGB", "grey"] = "grey" if channels == 1 else "RGB"
        resized: Literal["bilinear-antialiased"] = "bilinear-antialiased"
        return cls("classes", classes, colours, "NCHW", "shorter-side", "center", resized, *normalization)

    def to_json(self) -> dict[str, Any]:
        """As JSON data, without what was not said."""
        return {name: value for name, value in json.loads(json.dumps(asdict(self))).items() if value is not None}


@dataclass(frozen=True)
class Words:
    """From a text to what a network is fed, word by word, and from its outputs to the word that comes next.

    Args:
        kind: Of what the outputs say.
        words: In the order of the outputs; a word is fed as its place here.
        unknown: Stands for words that are not among them.
        end: Of a line.

    Raises:
        SpecError: `unknown` or `end` is not among the words.
    """

    kind: Literal["words"]
    words: tuple[str, ...]
    unknown: str
    end: str

    def __post_init__(self) -> None:
        if not {self.unknown, self.end} <= set(self.words):
            raise SpecError(f"Among the words are those for unknown ones and ends, but not {self.unknown}, {self.end}.")

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "words": list(self.words)}


@dataclass(frozen=True)
class Suppression:
    """What a file does itself after its network; its outputs are boxes, labels and scores then.

    Args:
        least_score: A box has more, in [0, 1).
        most_overlap: Of two boxes of a class that overlap by more, the one of the lower score goes; in [0, 1].
        candidates: That go on at most before: of each level for `retinanet`, of each class for `ssdlite`.
        most_boxes: That it gives for an image.

    Raises:
        SpecError: A number out of its range.
    """

    least_score: float
    most_overlap: float
    candidates: int
    most_boxes: int

    def __post_init__(self) -> None:
        are_shares = 0 <= self.least_score < 1 and 0 <= self.most_overlap <= 1
        if not are_shares or min(self.candidates, self.most_boxes) < 1:
            raise SpecError(
                "`0 <= least_score < 1`, `0 <= most_overlap <= 1`, `candidates > 0` and `most_boxes > 0` must hold, "
                f"but got {self}."
            )


@dataclass(frozen=True)
class ImageBoxes:
    """From an image to what a detector is fed, and from its outputs to boxes with names.

    Args:
        kind: Of what the outputs say.
        classes: Names, in the order of the logits.
        detector: Which anchors the outputs are of.
        colours: In this order.
        layout: Of the input: batch, channels, height, width.
        resize: The longer side to the network's.
        padding: Value of the pixels right of the image and below.
        interpolation: A triangle as wide as the pixels that become one, as Pillow has it.
        mean: In [0, 1]; of every channel.
        std: Above 0; a network is fed `(pixel / 255 - mean) / std`.
        max_pixels: Of an image; None: as many as Pillow takes for safe.
        threshold: Score from which on a box is worth telling of, in [0, 1]; None: nobody found out.
        suppression: What the file does itself after its network; None: its outputs are those of all anchors.

    Raises:
        SpecError: A number out of its range, or no classes.
    """

    kind: Literal["boxes"]
    classes: tuple[str, ...]
    detector: HeadKind
    colours: Literal["RGB"]
    layout: Literal["NCHW"]
    resize: Literal["longer-side"]
    padding: int
    interpolation: Literal["bilinear-antialiased"]
    mean: float
    std: float
    max_pixels: int | None = None
    threshold: float | None = None
    suppression: Suppression | None = None

    def __post_init__(self) -> None:
        _check_normalization(self.classes, self.mean, self.std)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SpecError(f"`0 <= threshold <= 1` must hold, but got (threshold={self.threshold}).")
        if not 0 <= self.padding <= 255 or (self.max_pixels is not None and self.max_pixels < 1):
            raise SpecError(
                f"`0 <= padding <= 255` and `max_pixels > 0` must hold, but got (padding={self.padding}, "
                f"max_pixels={self.max_pixels})."
            )

    def to_json(self) -> dict[str, Any]:
        """As JSON data, without what was not said."""
        return {name: value for name, value in json.loads(json.dumps(asdict(self))).items() if value is not None}


KINDS: Mapping[str, type[ImageClasses | ImageBoxes | Words]] = {
    "boxes": ImageBoxes,
    "classes": ImageClasses,
    "words": Words,
}


def check_metadata(metadata: Mapping[str, Any], interface: Interface) -> None:
    """Refuse what `encode` and `decode` could not follow, whoever wrote the file.

    Args:
        metadata: Of a file.
        interface: Of its network.

    Raises:
        UsageError: Nothing is said, or of another kind, or something that cannot be, or does not fit the network.
    """
    kind = metadata.get("kind", "classes")
    if kind not in tuple(KINDS):
        raise UsageError(f"In a file's metadata, kind is one of {', '.join(map(repr, KINDS))}, but got {kind!r}.")
    said = {field.name: metadata[field.name] for field in fields(KINDS[kind]) if field.name in metadata}
    try:
        told = read_json(KINDS[kind], said, "metadata")
    except SpecError as error:
        raise UsageError(f"{error} An exported file says how it is used: `paretonas export` writes one.") from None
    checks: Mapping[str, Callable[[Any, Interface], None]] = {
        "boxes": _check_boxes,
        "classes": _check_images,
        "words": _check_words,
    }
    checks[kind](told, interface)


def _check_boxes(told: ImageBoxes, interface: Interface) -> None:
    shape = interface.image_shape or (0, 0, 0)
    outputs = [port.shape for port in interface.outputs]
    logits = len(told.classes) + has_background(told.detector)
    rows = outputs[0][1] if len(outputs[0]) == 3 else 0
    wanted: list[tuple[int, ...]] = [(1, rows, logits), (1, rows, 4)]
    if told.detector == "faster-rcnn":
        wanted = [(1, rows, logits), (1, rows, 4 * logits), (1, rows, 4)]
    if told.suppression is not None:
        wanted = [(1, 4), (1,), (1,)]  # of one box
    if shape[0] != 3 or shape[1] != shape[2] or outputs != wanted:
        raise UsageError(
            f"A file's network is fed what the file says, but square RGB images and {len(told.classes)} classes of "
            f"{told.detector} do not fit inputs of {interface.inputs[0].shape} and outputs of {outputs}."
        )


def _check_words(told: Words, interface: Interface) -> None:
    fed, outputs = interface.inputs[0], interface.outputs
    states = [(port.name, port.shape, port.dtype) for port in interface.inputs[1:]]
    given = [(port.name.removesuffix("_out"), port.shape, port.dtype) for port in outputs[1:]]
    if (fed.shape, fed.dtype) != ((1,), "int64") or outputs[0].shape != (1, len(told.words)) or states != given:
        raise UsageError(
            f"A file's network is fed what the file says, but {len(told.words)} words do not fit inputs of "
            f"{interface.inputs} and outputs of {outputs}."
        )


def _check_images(told: ImageClasses, interface: Interface) -> None:
    shape, outputs = interface.image_shape or (0,), interface.outputs[0].shape
    if shape[0] != (1 if told.colours == "grey" else 3) or outputs != (1, len(told.classes)):
        raise UsageError(
            f"A file's network is fed what the file says, but {told.colours} images and {len(told.classes)} classes "
            f"do not fit inputs of {interface.inputs[0].shape} and outputs of {outputs}."
        )
