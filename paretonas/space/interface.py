"""What a network is fed and what it gives: the names, shapes and types of its tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from paretonas.errors import SpecError

DType = Literal["float32", "int64", "float16", "float64", "uint8", "int8", "int32", "bool"]
"""Networks of ours have the first two; files from elsewhere have any."""

LARGEST_SIDE, MOST_CHANNELS, MOST_CLASSES = 4096, 1024, 1_000_000
"""Of an image classifier: more is a slip of the pen, and would take all memory there is."""
MOST_NUMBERS = 2**28
"""In one tensor."""


@dataclass(frozen=True)
class Port:
    """One tensor that goes into a network or comes out of it.

    Args:
        name: Of its own among the inputs, or among the outputs.
        shape: Of one example; the batch comes first and is 1.
        dtype: Of its numbers.

    Raises:
        SpecError: No name, a batch that is not 1, a side that is not positive, too many numbers, or an unknown type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType = "float32"

    def __post_init__(self) -> None:
        if not self.name or not self.shape or self.shape[0] != 1 or min(self.shape) < 1:
            raise SpecError(
                f"A port has a name and the shape of one example, (1, …) and positive, but got {self.name!r} "
                f"{self.shape}."
            )
        if math.prod(self.shape) > MOST_NUMBERS:
            raise SpecError(f"A tensor has {MOST_NUMBERS} numbers at most, but got {self.name!r} {self.shape}.")
        if self.dtype not in get_args(DType):
            raise SpecError(f"A port's type is one of {', '.join(get_args(DType))}, but got {self.dtype!r}.")


@dataclass(frozen=True)
class Interface:
    """All tensors of a network, in the order in which its `forward` takes and returns them.

    Args:
        inputs: At least one.
        outputs: At least one; their shapes depend on the inputs' shapes alone.

    Raises:
        SpecError: Nothing goes in or comes out, or two ports of one name.

    >>> Interface.of_images(channels=3, resolution=32, classes=10).outputs[0].shape
    (1, 10)
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __post_init__(self) -> None:
        for what, ports in (("input", self.inputs), ("output", self.outputs)):
            names = [port.name for port in ports]
            if not names or len(set(names)) < len(names):
                raise SpecError(f"A network has {what}s with names of their own, but got {names}.")

    @classmethod
    def of_images(cls, channels: int, resolution: int, classes: int) -> Interface:
        """That of an image classifier: square `images` go in, `logits` come out.

        Raises:
            SpecError: A size out of its range.
        """
        sizes = {"channels": (channels, MOST_CHANNELS), "resolution": (resolution, LARGEST_SIDE)}
        for name, (size, most) in (sizes | {"classes": (classes, MOST_CLASSES)}).items():
            if not 1 <= size <= most:
                raise SpecError(f"`1 <= {name} <= {most}` must hold, but got ({name}={size}).")
        return cls((Port("images", (1, channels, resolution, resolution)),), (Port("logits", (1, classes)),))

    @classmethod
    def of_words(cls, words: int) -> Interface:
        """That of a language model: the number of one word, `tokens`, goes in, `logits` of the next come out.

        Raises:
            SpecError: A number of words out of its range.
        """
        if not 1 <= words <= MOST_CLASSES:
            raise SpecError(f"`1 <= words <= {MOST_CLASSES}` must hold, but got (words={words}).")
        return cls((Port("tokens", (1,), "int64"),), (Port("logits", (1, words)),))

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of the images that go in; None if it is not fed images alone."""
        shape = self.inputs[0].shape
        return (shape[1], shape[2], shape[3]) if len(self.inputs) == 1 and len(shape) == 4 else None

    @property
    def channels(self) -> int:
        """Of the first input: the side after the batch.

        Raises:
            SpecError: It has none.
        """
        if len(self.inputs[0].shape) == 1:
            raise SpecError(
                f"Networks of images are fed channels, but this task feeds {self.inputs[0]}: choose another space."
            )
        return self.inputs[0].shape[1]

    @property
    def classes(self) -> int:
        """Of the first output: the side after the batch."""
        return self.outputs[0].shape[1]
