"""Where the images of YOLO's format lie, which its `data.yaml` says as they lay on another machine as often as not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from paretonas.data.box_yaml import Description
from paretonas.data.contents import SPLITS, image_suffixes, list_contents, suffix_of
from paretonas.data.text import read_text
from paretonas.errors import DataError

LIST = ".txt"


def find_place(given: str, split: str, description: Description) -> tuple[Path, str]:
    """A folder of images or a list of them, and a line where it does not lie where it was said to.

    Roboflow writes it relative to a folder that nobody has, or as it lay where it was downloaded: then it is what the
    place ends in, below the folder of the description.

    Raises:
        DataError: There is none.
    """
    place = given.replace("\\", "/")
    looked = [description.root / place]
    if place.startswith("../"):
        looked.append(description.root / place.removeprefix("../"))
    found = next((path for path in looked if path.exists()), None)
    if found is not None:
        return found, ""
    ends = (description.root / end for end in _ends(place))
    found = next((path for path in ends if path.exists()), None)
    if found is None:
        raise DataError(
            f"Images must lie where {description.file} says, but for {given!r} of {split} there is no "
            f"{' and no '.join(map(str, looked))}. Correct it there, or remove {split}."
        )
    return found, f"{given!r} of {split} is not there: {found} is taken for it"


def list_place(place: Path, description: Description) -> tuple[list[Path], set[Path]]:
    """The images of a folder or of a list, and the list.

    Raises:
        DataError: It is neither.
    """
    if place.is_dir():
        contents = list_contents(place)
        return [contents.path(file) for file in contents.files if suffix_of(file) in image_suffixes()], set()
    if place.suffix.lower() != LIST:
        raise DataError(
            f"A place of images must be a folder or a {LIST} file with the path of an image in each line, but "
            f"{description.file} names {place}. Correct it."
        )
    lines = (line.strip().replace("\\", "/") for line in read_text(place).splitlines())
    return [_find_listed(line, (place.parent, description.root)) for line in lines if line], {place}


def _find_listed(line: str, homes: Sequence[Path]) -> Path:
    """The image of a line; CVAT begins each with a folder that nobody has."""
    ends = (line, line.partition("/")[2], *_ends(line))
    paths = [home / path for path in ends if path for home in homes]
    return next((path for path in paths if path.exists()), paths[0])


def _ends(place: str) -> Iterator[str]:
    """What a path ends in, the longest first: two names at least, or that of a split.

    >>> list(_ends("../cells/train/images"))
    ['cells/train/images', 'train/images']
    >>> list(_ends("/cells/train"))
    ['cells/train', 'train']
    """
    parts = [part for part in place.split("/") if part not in ("", ".", "..")]
    for first in range(len(parts)):
        rest = parts[first:]
        if len(rest) > 1 or Path(rest[0]).stem.lower() in SPLITS:
            yield "/".join(rest)
