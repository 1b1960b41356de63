"""What explains the score of a detector: each class with its score threshold, and a few images with what was seen."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paretonas.data.box_geometry import fit_sizes
from paretonas.data.box_images import BoxSplit
from paretonas.task.balance import Balance, balances
from paretonas.task.decode import LEAST_SCORE
from paretonas.task.found import Found
from paretonas.task.precision import Precision, Truth

IMAGES, LONGEST_SIDE = 4, 256
"""How many are shown, and their longer side in pixels at most."""
MOST_BYTES = 36_000
"""Of a file of an image: four take less than 200 kB as text."""
QUALITIES = (85, 75, 60, 45, 30, 15)
"""Of JPEG, the first that is small enough."""


def truths_of(split: BoxSplit) -> list[Truth]:
    """What is to be found in each image."""
    return [Truth(*one) for one in zip(split.boxes, split.labels, split.is_ignored, strict=True)]


def explain(
    split: BoxSplit, found: Sequence[Found], precision: Precision, classes: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """For the report, and what files are to say.

    Args:
        split: The images.
        found: What was seen in each.
        precision: Of that.
        classes: Names.

    Returns:
        `classes`, each with `name`, `boxes`, `ap`, `ap50`, `threshold`, `precision`, `recall`; `all`, the last three of
        all classes together; `images`. And the metadata `threshold`. None and nothing where there is none.
    """
    by_class, together = balances(truths_of(split), found, len(classes))
    rows = [
        {"name": name, "boxes": one.boxes, "ap": ap, "ap50": ap50, **_numbers(one.best)}
        for name, one, ap, ap50 in zip(classes, by_class, precision.by_class, precision.ap50_by_class, strict=True)
    ]
    least = LEAST_SCORE if together is None else together.threshold
    images = [_image(split, i, found[i], least, classes) for i in choose_images(split)]
    details = {"classes": rows, "all": _numbers(together), "images": images}
    return details, {} if together is None else {"threshold": together.threshold}


def choose_images(split: BoxSplit, most: int = IMAGES) -> list[int]:
    """Numbers of images with boxes to be found, spread evenly over all of them; always the same ones."""
    full = [i for i, is_ignored in enumerate(split.is_ignored) if not is_ignored.all()]
    places = {(2 * i + 1) * len(full) // (2 * most) for i in range(most)} if full else set()
    return [full[place] for place in sorted(places)]


def _numbers(balance: Balance | None) -> Mapping[str, float | None]:
    nothing = dict.fromkeys(("threshold", "precision", "recall"))
    return nothing if balance is None else asdict(balance)


def _image(split: BoxSplit, i: int, found: Found, least: float, classes: Sequence[str]) -> dict[str, Any]:
    """A test image without its padding, small, with truth and prediction in its pixels."""
    side = split.images.shape[-1]
    width, height = fit_sizes(split.sizes[i : i + 1], side)[0].tolist()
    picture = Image.fromarray(np.moveaxis(split.images[i], 0, -1)[:height, :width])
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    picture = picture.resize([max(1, round(scale * n)) for n in (width, height)], Image.Resampling.BOX)
    is_counted, is_shown = ~split.is_ignored[i], found.scores >= np.float32(least)
    return {
        "name": split.names[i],
        "width": picture.width,
        "height": picture.height,
        "jpeg": base64.b64encode(_jpeg(picture)).decode(),
        "truth": _marks(split.boxes[i][is_counted] * scale, split.labels[i][is_counted], classes),
        "found": [
            {**mark, "score": round(float(score), 4)}
            for mark, score in zip(
                _marks(found.boxes[is_shown] * scale, found.labels[is_shown], classes),
                found.scores[is_shown],
                strict=True,
            )
        ],
    }


def _marks(boxes: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"name": classes[label], "box": [round(x, 1) for x in box.tolist()]}
        for box, label in zip(boxes, labels, strict=True)
    ]


def _jpeg(picture: Image.Image) -> bytes:
    """As good a file as is small enough; of the least quality where none is."""
    for quality in QUALITIES:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        if file.tell() <= MOST_BYTES:
            break
    return file.getvalue()
