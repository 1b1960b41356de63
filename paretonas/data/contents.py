"""What lies in a folder that a user names as data, and what is said of that which is not used.

Nothing is opened here but where a name says nothing of what a file is.
"""

from __future__ import annotations

import mimetypes
import os
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageFile

from paretonas.errors import DataError

Parts = tuple[str, ...]
"""A path by its parts, relative to the folder named."""

LITTER = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "lost+found", "@eadir", "icon\r"}
"""What systems leave in folders, in lower case, beside all whose names begin with a dot."""

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Split by the name of its folder, in lower case."""

SHOWN, LOOKED_INTO = 5, 10


@dataclass(frozen=True, eq=False)
class Contents:
    """Files and folders below a folder, each sorted.

    Args:
        root: The folder.
        files: All that are no folders, whether or not they can be read.
        folders: At any depth.
    """

    root: Path
    files: Sequence[Parts]
    folders: Sequence[Parts]

    def path(self, parts: Parts) -> Path:
        """Where it is."""
        return self.root.joinpath(*parts)

    def dangles(self, parts: Parts) -> bool:
        """Whether it is a link that leads nowhere."""
        path = self.path(parts)
        return path.is_symlink() and not path.exists()


def list_contents(root: Path) -> Contents:
    """All that lies below a folder, but for litter; links are followed, but for those that lead back.

    Raises:
        OSError: A folder cannot be read.
    """
    files: list[Parts] = []
    folders: list[Parts] = []
    waiting: list[tuple[Parts, frozenset[tuple[int, int]]]] = [((), frozenset(map(_identity, root.resolve().parents)))]
    while waiting:
        folder, trail = waiting.pop()
        trail |= {_identity(root.joinpath(*folder))}
        with os.scandir(root.joinpath(*folder)) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in LITTER:
                    continue
                parts = (*folder, entry.name)
                if not entry.is_dir():
                    files.append(parts)
                elif _identity(entry) not in trail:
                    folders.append(parts)
                    waiting.append((parts, trail))
    return Contents(root, sorted(files), sorted(folders))


def _identity(place: Path | os.DirEntry[str]) -> tuple[int, int]:
    status = os.stat(place)
    return status.st_dev, status.st_ino


def suffix_of(file: Parts) -> str:
    """In lower case.

    >>> suffix_of(("cat", "1.JPEG"))
    '.jpeg'
    """
    return os.path.splitext(file[-1])[1].lower()


@cache
def image_suffixes() -> frozenset[str]:
    """Of all formats whose pixels Pillow itself reads here, in lower case."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if _is_read(kind))


def _is_read(kind: str) -> bool:
    """Not of what Pillow only writes, names without reading, or gives to another program."""
    if Image.MIME.get(kind, "image/").partition("/")[0] != "image":
        return False
    if kind == "MPO":  # read as the JPEG that it begins with
        return True
    reader = Image.OPEN.get(kind, (None,))[0]
    return reader is not None and not (isinstance(reader, type) and issubclass(reader, ImageFile.StubImageFile))


def find_unread_pictures(contents: Contents, files: Iterable[Parts]) -> list[Parts]:
    """Those of the files that show something, though not in a format or under a name that is read.

    Some files of each suffix are looked into, as there may be millions.
    """
    by_suffix: dict[str, list[Parts]] = {}
    for file in files:
        by_suffix.setdefault(suffix_of(file), []).append(file)
    alike = (group for group in by_suffix.values() if any(map(_shows_something, _some_of(contents, group))))
    return [file for group in alike for file in group]


def _some_of(contents: Contents, files: Sequence[Parts]) -> Iterator[Path]:
    """As many as `LOOKED_INTO` to twice that, evenly spaced."""
    return map(contents.path, files[:: max(1, len(files) // LOOKED_INTO)])


def _shows_something(path: Path) -> bool:
    if (mimetypes.guess_type(path.name)[0] or "").startswith("image/"):
        return True
    if not path.is_file():
        return False
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path):
            return True
    except Image.DecompressionBombError:  # it has a size
        return True
    except Exception:  # Pillow's readers raise whatever their parsers stumbled over
        return False


def describe_unused(contents: Contents, used: Sequence[Parts], outside: Sequence[Parts] = ()) -> tuple[str, ...]:
    """A line that counts what was found beside the data, or none; see `list_unused`."""
    listed = list_unused(contents, used, outside)
    return (f"not used of {contents.root}: {listed}",) if listed else ()


def list_unused(contents: Contents, used: Sequence[Parts], outside: Sequence[Parts] = ()) -> str:
    """What was found beside the data, counted.

    Args:
        contents: All.
        used: Files that are read.
        outside: Images that bear no label where they lie.
    """
    beside = set(contents.files) - set(used) - set(outside)
    dangling = {file for file in beside if contents.dangles(file)}
    others = beside - dangling
    kinds = Counter(suffix_of(file) or "without suffix" for file in sorted(others)).most_common(SHOWN)
    places = {file[:-1] for file in used}
    folders = set(contents.folders) - {place[:depth] for place in places for depth in range(len(place) + 1)}
    said = [
        f"{count(len(outside), 'image')} outside class folders ({name_some(outside)})" if outside else "",
        f"{count(len(others), 'other file')} ({', '.join(f'{kind} {n:,}' for kind, n in kinds)})" if others else "",
        f"{count(len(dangling), 'dangling link')} ({name_some(sorted(dangling))})" if dangling else "",
        f"{count(len(folders), 'folder')} ({name_some(sorted(folders))})" if folders else "",
    ]
    return ", ".join(part for part in said if part)


def count(number: int, noun: str) -> str:
    """How many, in words.

    >>> count(1, "image"), count(2000, "image"), count(2, "box")
    ('1 image', '2,000 images', '2 boxes')
    """
    plural = "es" if noun.endswith("x") else "s"
    return f"{number:,} {noun}" + (plural if number != 1 else "")


def name_some(files: Sequence[Parts]) -> str:
    """The first few.

    >>> name_some([("cat", "1.heic"), ("cat", "2.heic"), ("cat", "3.heic"), ("cat", "4.heic")])
    'cat/1.heic, cat/2.heic, cat/3.heic, …'
    """
    return ", ".join("/".join(file) for file in files[:3]) + (", …" if len(files) > 3 else "")


def check_has_train(root: Path, splits: Collection[str]) -> None:
    """Without images to learn from, nothing is learned.

    Raises:
        DataError: No split is called train.
    """
    if "train" not in splits:
        raise DataError(f"Named splits must include train, but {root} has only {', '.join(sorted(set(splits)))}.")


def empty_split(place: Path, loose: int = 0) -> DataError:
    """A split is named and has no image with a label; so many without one."""
    without = f": {count(loose, 'image')} in it, but in no folder of a class" if loose else ""
    remedy = "Put them into folders <class>/<image>, or move them away" if loose else "Fill it or remove it"
    return DataError(
        f"A split must hold images with labels (in folders, those of their classes), but {place} holds none{without}. "
        f"{remedy}."
    )


def unknown_layout(root: Path, found: str = "") -> DataError:
    """What is named is no data set that is known.

    Args:
        root: Named.
        found: What it holds.
    """
    return DataError(
        "The data must be 'digits', a Parquet file, a folder of Parquet files, or folders <class>/<image> or "
        "<split>/<class>/<image> with images of a format that Pillow reads, but "
        f"{root} is none of these" + (f": it holds {found}." if found else ".") + _hint(found)
    )


def _hint(found: str) -> str:
    """What else it may be."""
    has_boxes = any(suffix in found for suffix in (".json", ".xml", ".yaml"))
    return " If it has boxes, say --task detection." if has_boxes else ""
