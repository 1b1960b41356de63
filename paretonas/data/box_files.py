"""Where the images of a data set with boxes lie: in folders, and in zip archives that are read without being unpacked.

Archives come from elsewhere: nothing of them is written to the disk, names that lead out of them are refused, and what
an entry unpacks to is limited before it is read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import TracebackType
from zipfile import BadZipFile, ZipFile, ZipInfo

from paretonas.data.contents import LITTER, Contents, Parts, count, describe_unused, name_some, suffix_of
from paretonas.data.pixels import Encoded, check_bytes, is_machine_fault, machine_fault
from paretonas.data.shards import split_of
from paretonas.errors import DataError

ARCHIVE = ".zip"
MOST_RATIO, RATIO_FROM = 200, 2**25
"""An entry of more bytes than the second may not unpack to more than so many times its packed size."""
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Entry:
    """A file inside of an archive.

    Args:
        archive: Which.
        name: In the archive.
        size: Bytes that it unpacks to, as the archive states.
        checksum: CRC-32 of these.
    """

    archive: Path
    name: str
    size: int
    checksum: int


Place = Path | Entry
"""Where an image lies."""


@dataclass(frozen=True)
class Found:
    """A file by its path from the root of the data set; an archive is a folder in it."""

    parts: Parts
    place: Place

    @property
    def name(self) -> str:
        """For messages."""
        return "/".join(self.parts)

    @cached_property
    def key(self) -> Parts:
        """In Unicode's composed form, as systems write names in either."""
        return _composed(self.parts)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The files of a folder, and those in its archives, found by how their paths end.

    Args:
        contents: Of the folder. An archive is opened only if a file is not found outside of archives.
    """

    contents: Contents

    def find(self, wanted: Parts, split: str) -> Found:
        """The file whose path ends so; of several, the one in a folder that is called like the split.

        Raises:
            ValueError: There is none, or there are several.
            DataError: An archive cannot be read.
        """
        found = _ending(self._loose, wanted) or _ending(self._packed, wanted)
        if len(found) > 1:
            found = [file for file in found if _is_within(file.parts, split)] or found
        if not found:
            raise ValueError(f"no file of that name was found in {self.contents.root} or an archive there")
        if len(found) > 1:
            raise ValueError(f"it is there {len(found)} times: {name_some([file.parts for file in found])}")
        return found[0]

    def describe_rest(self, found: Sequence[Found], others: Sequence[Parts]) -> tuple[str, ...]:
        """Lines that count what was found beside the data, or none.

        Args:
            found: Images that are used.
            others: Other files that are used.
        """
        loose = [file.parts for file in found if isinstance(file.place, Path)]
        packed = Counter(file.place.archive for file in found if isinstance(file.place, Entry))
        archives = [archive for archive in self._archives if self.contents.path(archive) in packed]
        left = {archive: len(list_archive(archive)) - used for archive, used in packed.items()}
        return (
            *describe_unused(self.contents, [*loose, *others, *archives]),
            *(f"not used of {archive}: {count(number, 'file')}" for archive, number in left.items() if number > 0),
        )

    @cached_property
    def _archives(self) -> Sequence[Parts]:
        return [file for file in self.contents.files if suffix_of(file) == ARCHIVE]

    @cached_property
    def _loose(self) -> Mapping[str, Sequence[Found]]:
        return _by_name(Found(file, self.contents.path(file)) for file in self.contents.files)

    @cached_property
    def _packed(self) -> Mapping[str, Sequence[Found]]:
        return _by_name(
            Found((*archive, *inner_parts(_as_meant(entry.name))), entry)
            for archive in self._archives
            for entry in list_archive(self.contents.path(archive))
        )


def list_archive(file: Path) -> list[Entry]:
    """The files in an archive, but for litter.

    Raises:
        DataError: It cannot be read, or a name leads out of it.
    """
    try:
        with ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
        for info in infos:
            inner_parts(info.filename)
    except (BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"An archive of images must be a whole zip file whose entries lie inside of it, but {file} is not: "
            f"{error}. Get it anew, or move it away."
        ) from error
    return [Entry(file, info.filename, info.file_size, info.CRC) for info in infos if not _is_litter(info.filename)]


def inner_parts(name: str) -> Parts:
    r"""A path that annotations or an archive state, by its parts.

    Raises:
        ValueError: It is absolute, leads out of its folder, or is empty.

    >>> inner_parts(".\\train\\1.jpg")
    ('train', '1.jpg')
    """
    given = name.replace("\\", "/")
    parts = tuple(part for part in given.split("/") if part not in ("", "."))
    if given.startswith("/") or _DRIVE.match(given) or ".." in parts or not parts or "\0" in given:
        raise ValueError(f"{name[:100]!r} is no path within a folder")
    return parts


class Archives:
    """Archives that are opened once each, and read by several threads."""

    def __init__(self) -> None:
        self._opened: dict[Path, ZipFile] = {}
        self._lock = Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Archives:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, entry: Entry, most: int = -1) -> bytes:
        """The bytes of an entry, or the first `most` of them.

        Raises:
            ValueError: It cannot be read, or unpacks to more than is safe.
            MachineError: The machine refuses.
        """
        try:
            archive = self._open(entry.archive)
            _check_entry(archive.getinfo(entry.name))
            with archive.open(entry.name) as file:
                return file.read(most)
        except ValueError:
            raise
        except Exception as error:  # unpackers raise whatever they stumbled over
            if is_machine_fault(error):
                raise machine_fault(f"{entry.name} of {entry.archive}", error) from error
            raise ValueError(f"{entry.archive.name} does not give it: {error}") from error

    def _open(self, file: Path) -> ZipFile:
        with self._lock:
            if file not in self._opened:
                self._opened[file] = self._stack.enter_context(ZipFile(file))
            return self._opened[file]


def stream_places(places: Sequence[Place]) -> Iterator[Encoded]:
    """A pass over images, wherever they lie."""
    with Archives() as archives:
        for place in places:
            if isinstance(place, Path):
                yield place
                continue
            try:
                content: Encoded = archives.read(place)
            except ValueError as error:
                content = error
            yield content


def stamp(place: Place) -> tuple[int, int]:
    """What changes when an image does: its size, and its time or its checksum."""
    if isinstance(place, Entry):
        return place.size, place.checksum
    status = place.stat()
    return status.st_size, status.st_mtime_ns


def _check_entry(info: ZipInfo) -> None:
    check_bytes(info.file_size)
    if info.file_size > max(RATIO_FROM, MOST_RATIO * info.compress_size):
        raise ValueError(f"its {info.compress_size} bytes unpack to {info.file_size}, which no picture's do")
    if info.flag_bits & 1:
        raise ValueError("it is encrypted")


def _as_meant(name: str) -> str:
    """The name of an entry; some systems write UTF-8 and do not say so, and it is read as the code of old.

    >>> _as_meant("K├ñse.jpg")
    'Käse.jpg'
    """
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def _is_litter(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in LITTER for part in inner_parts(name))


def _ending(files: Mapping[str, Sequence[Found]], wanted: Parts) -> list[Found]:
    """Those whose path ends so, or the one whose whole path is so."""
    end = _composed(wanted)
    alike = [file for file in files.get(end[-1], ()) if file.key[-len(end) :] == end]
    return [file for file in alike if file.key == end] or alike


def _is_within(file: Parts, split: str) -> bool:
    return any(split_of((folder,)) == split for folder in file[:-1])


def _composed(parts: Parts) -> Parts:
    return tuple(unicodedata.normalize("NFC", part) for part in parts)


def _by_name(files: Iterator[Found]) -> dict[str, list[Found]]:
    named: dict[str, list[Found]] = {}
    for file in files:
        named.setdefault(file.key[-1], []).append(file)
    return named
