"""YOLO's format, as Ultralytics and Roboflow write it: a `data.yaml`, and a text file for each image.

A line of a text file is `class cx cy width height`, in fractions of the upright image; of a polygon the box around it
is taken. The text files of `images/` lie in `labels/` beside it, or with the images where no folder is called so.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from paretonas.data.box_yaml import Description, read_description
from paretonas.data.boxes import Annotated, Row, join, short, to_table
from paretonas.data.contents import (
    Contents,
    Parts,
    count,
    describe_unused,
    image_suffixes,
    list_contents,
    suffix_of,
)
from paretonas.data.yolo_places import find_place, list_place
from paretonas.errors import DataError
from paretonas.files import is_refusal, open_regular

SUFFIXES = (".yaml", ".yml")
USUAL = {"data", "dataset"}
"""Names of the description, without suffix."""
LABELS = ".txt"
IMAGE_FOLDER, LABEL_FOLDER = "images", "labels"
NO_LABELS = ("classes.txt", "labels.txt", "readme")
"""How the names of text files beside labels begin that are none, in lower case."""
NUMBERS, POINTS = 5, 3
"""Of a line with a box; fewest of a polygon."""
NUMBERING = "{file} line {number}"


@dataclass(frozen=True, eq=False)
class Lines:
    """What a label file says.

    Args:
        boxes: Class as numbered in the description, and x1, y1, x2, y2, by the number of the line.
        faults: Why a line cannot be used, by its number.
        polygons: How many of the boxes are those around a polygon.
        is_absent: There is no such file.
        why: It cannot be read; empty where it can.
    """

    boxes: Mapping[int, tuple[int, float, float, float, float]]
    faults: Mapping[int, str]
    polygons: int = 0
    is_absent: bool = False
    why: str = ""


def find_descriptions(contents: Contents) -> list[Parts]:
    """The YAML files of the usual names in a folder itself."""
    found = [file for file in contents.files if len(file) == 1 and suffix_of(file) in SUFFIXES]
    return [file for file in found if os.path.splitext(file[0])[0].lower() in USUAL]


def list_yolo(file: Path) -> Annotated:
    """Read the annotations.

    Args:
        file: `data.yaml`, whatever it is called.

    Raises:
        DataError: The files are not laid out so; lines that cannot be used are told of in what is returned.
    """
    description = read_description(file)
    images, others, notes = dict[str, list[Path]](), {file}, list[str]()
    for split, given in description.splits.items():
        images[split] = []
        for said in given:
            place, note = find_place(said, split, description)
            found, lists = list_place(place, description)
            images[split] += found
            others |= lists
            notes += [note] if note else []
        if not images[split]:
            raise DataError(
                f"A split must hold images, but {file} names {', '.join(given)} for {split}, where none lies. Correct "
                f"it, or remove {split} from the file."
            )
    annotated = annotate_images(images, description, others)
    return replace(annotated, notes=(*notes, *annotated.notes))


def annotate_images(images: Mapping[str, Sequence[Path]], description: Description, others: set[Path]) -> Annotated:
    """Read the labels of images.

    Args:
        images: By split.
        description: What numbers of classes mean.
        others: Files that are used, and are neither images nor labels.

    Raises:
        DataError: A split has no labels at all.
    """
    annotated = join([_annotate(split, listed, description) for split, listed in images.items()])
    used = {image for listed in images.values() for image in listed}
    used |= {label_file(image, description.root) for image in used}
    found = _find_orphans(annotated, description.root)
    orphans = {_name(label, description): why for label, why in found if label not in others}
    rest = _describe_rest(description, used | others)
    return replace(annotated, faults=dict(annotated.faults) | orphans, notes=(*annotated.notes, *rest))


def label_file(image: Path, root: Path) -> Path:
    """The text file with the labels of an image: in `labels` for the last `images` in its path from the root.

    >>> label_file(Path("images/set/images/train/1.jpg"), Path("images/set")).as_posix()
    'images/set/labels/train/1.txt'
    >>> label_file(Path("images/set/1.jpg"), Path("images/set")).as_posix()
    'images/set/1.txt'
    """
    parts = list(image.parts)
    outside = len(root.parts) if image.is_relative_to(root) else 0
    for index in range(len(parts) - 2, outside - 1, -1):
        if parts[index] == IMAGE_FOLDER:
            parts[index] = LABEL_FOLDER
            break
    return Path(*parts).with_suffix(LABELS)


def parse_line(line: str, classes: Container[float], *, has_key_points: bool) -> tuple[int, float, float, float, float]:
    """Class and x1, y1, x2, y2 of a line.

    Args:
        line: Of a label file.
        classes: Numbers that a class may have.
        has_key_points: Whether what stands after a box are points of it; else they are a polygon.

    Raises:
        ValueError: It is no such line.

    >>> parse_line("0 0.5 0.5 0.25 0.5", [0], has_key_points=False)
    (0, 0.375, 0.25, 0.625, 0.75)
    >>> parse_line("0 0.1 0.2 0.5 0.2 0.3 0.6", [0], has_key_points=False)
    (0, 0.1, 0.2, 0.5, 0.6)
    """
    try:
        label, *numbers = map(float, line.split())
    except ValueError:
        raise ValueError(f"it must be made of numbers, but is {short(line)}") from None
    if label not in classes:
        raise ValueError(f"its class must be a number that has a name, but is {label:g}")
    if len(numbers) == NUMBERS - 1 or (has_key_points and len(numbers) > NUMBERS - 1):
        x, y, width, height = numbers[:4]
        return int(label), x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(numbers) % 2 or len(numbers) < 2 * POINTS:
        hint = " (a sixth, the confidence of a detector, is no truth)" if len(numbers) == NUMBERS else ""
        raise ValueError(
            f"it must be `class cx cy width height`, or a class and the points of a polygon, but has "
            f"{count(len(numbers) + 1, 'number')}{hint}: {short(line)}"
        )
    across, down = numbers[::2], numbers[1::2]
    return int(label), min(across), min(down), max(across), max(down)


def _annotate(split: str, listed: Sequence[Path], description: Description) -> Annotated:
    images = list(dict.fromkeys(listed))
    labels = {number: label for label, number in enumerate(description.names)}
    files = [label_file(image, description.root) for image in images]
    names = [_name(file, description) for file in files]
    read = [_read_lines(file, description) for file in files]
    absent = sum(lines.is_absent for lines in read)
    if absent == len(images):
        raise DataError(
            f"Images must have label files, but none of the {count(absent, 'image')} of {split} has one, such as "
            f"{files[0]} for {images[0]}. Put them there: in `{LABEL_FOLDER}` beside `{IMAGE_FOLDER}`."
        )
    rows = [
        Row(index, number, labels[label], x1, y1, x2, y2, False)
        for index, lines in enumerate(read)
        for number, (label, x1, y1, x2, y2) in lines.boxes.items()
    ]
    return Annotated(
        names=[_name(image, description) for image in images],
        places=images,
        files=names,
        splits=np.full(len(images), split),
        stated=np.full((len(images), 2), np.nan),
        rows=to_table(rows),
        classes=tuple(description.names.values()),
        numbering=NUMBERING,
        is_relative=True,
        lost={i: f"its labels {names[i]} cannot be read: {lines.why}" for i, lines in enumerate(read) if lines.why},
        faults={
            NUMBERING.format(file=name, number=number): why
            for name, lines in zip(names, read, strict=True)
            for number, why in lines.faults.items()
        },
        notes=_describe(split, read, len(listed) - len(images)),
    )


def _describe(split: str, read: Sequence[Lines], repeated: int) -> tuple[str, ...]:
    """Lines on what is odd about the label files of a split."""
    absent, polygons = sum(lines.is_absent for lines in read), sum(lines.polygons for lines in read)
    without = f"{absent:,} of {count(len(read), 'image')} of {split} without a label file: nothing is shown there"
    around = f"{count(polygons, 'polygon')} in the labels of {split}, of which the box around it is taken"
    twice = f"{count(repeated, 'image')} of {split} listed once more and used once"
    return tuple(line for number, line in ((repeated, twice), (absent, without), (polygons, around)) if number)


def _read_lines(file: Path, description: Description) -> Lines:
    try:
        with open_regular(file) as opened:
            text = opened.read().decode("utf-8-sig")
    except FileNotFoundError:
        return Lines({}, {}, is_absent=True)
    except UnicodeDecodeError:
        return Lines({}, {}, why="it is no text in UTF-8")
    except (OSError, ValueError) as error:
        if is_refusal(error):
            raise
        return Lines({}, {}, why=str(getattr(error, "strerror", None) or error))
    boxes, faults, polygons = {}, {}, 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            boxes[number] = parse_line(line, description.names, has_key_points=description.has_key_points)
        except ValueError as error:
            faults[number] = str(error)
        else:
            polygons += not description.has_key_points and len(line.split()) > NUMBERS
    return Lines(boxes, faults, polygons)


def _find_orphans(annotated: Annotated, root: Path) -> Iterator[tuple[Path, str]]:
    """Label files that have no image, and why that is said."""
    images = [place for place in annotated.places if isinstance(place, Path)]
    labels = [label_file(image, root) for image in images]
    known = set(labels)
    folders = {label.parent: image.parent for label, image in zip(labels, images, strict=True)}
    for folder, beside in folders.items():
        if not folder.is_dir() or not beside.is_dir():
            continue
        shown = {label_file(file, root) for file in beside.iterdir() if suffix_of((file.name,)) in image_suffixes()}
        for file in sorted(folder.iterdir()):
            is_label = file.suffix.lower() == LABELS and not file.name.lower().startswith((*NO_LABELS, "."))
            if is_label and file not in known and file not in shown:
                yield file, f"there is no image of it in {beside}"


def _describe_rest(description: Description, used: set[Path]) -> tuple[str, ...]:
    """A line on what lies beside, where all lies in the description's folder."""
    home = description.home
    if not all(file.is_relative_to(home) for file in used):
        return ()
    return describe_unused(list_contents(home), [file.relative_to(home).parts for file in used])


def _name(file: Path, description: Description) -> str:
    home = description.home
    return file.relative_to(home).as_posix() if file.is_relative_to(home) else str(file)
