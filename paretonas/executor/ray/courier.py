"""Files of the search's machine, for nodes that do not see them: an actor of Ray on that machine."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from paretonas.files import written_aside

PROBE = ".paretonas-sees."
"""Begins the names of files that tell whether a folder is shared."""
DAY = 86400.0
Stamps = dict[str, tuple[int, int]]
"""Names of files, their sizes and when they were written, in nanoseconds."""


class Courier:
    """Gives nodes what they ask for, and writes what they leave."""

    def __init__(self) -> None:
        self._probes: dict[Path, str] = {}
        self._contents: dict[str, tuple[Stamps, str, dict[str, Any]]] = {}

    def probe(self, path: str) -> tuple[str, str]:
        """A file beside `path` or above it, and what it says: who reads that sees the folder. Empty: none can be."""
        folder = Path(path).parent
        while not folder.is_dir():
            folder = folder.parent
        file = folder / f"{PROBE}{socket.gethostname()}.{os.getpid()}.part"
        try:
            if file not in self._probes:
                _forget_old(folder)
                word = secrets.token_hex(16)
                file.write_text(word)
                self._probes[file] = word
        except OSError:
            return "", ""
        return str(file), self._probes[file]

    def look(self, path: str) -> Stamps:
        """The files of a path's stem in its folder."""
        return stamps_of(Path(path))

    def read(self, path: str) -> bytes:
        """A file."""
        return Path(path).read_bytes()

    def contents(self, path: str) -> tuple[Stamps, str, dict[str, Any]]:
        """The files below a folder with their stamps, a digest of it all, and where the object store has each.

        Read once, unless they change.
        """
        from paretonas.executor.ray.library import put

        stamps = stamps_below(Path(path))
        known = self._contents.get(path)
        if known is None or known[0] != stamps:
            digest, references = hashlib.sha256(), {}
            for name in sorted(stamps):
                content = (Path(path) / name).read_bytes()
                digest.update(f"{name}\0{len(content)}\0".encode() + content)
                references[name] = put(content)
            known = self._contents[path] = stamps, digest.hexdigest()[:32], references
        return known

    def leave(self, path: str, content: bytes, written: int) -> None:
        """A file that a job has written."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(file) as draft:
            draft.write_bytes(content)
        os.utime(file, ns=(written, written))

    def remove(self, path: str) -> None:
        """A file that a job has removed."""
        Path(path).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what was written to be seen."""
        for file in self._probes:
            with suppress(OSError):
                file.unlink(missing_ok=True)


def stamps_of(path: Path) -> Stamps:
    """The finished files of a path's stem in its folder."""
    if not path.parent.is_dir():
        return {}
    return _stamps({one.name: one for one in path.parent.iterdir() if one.stem == path.stem or one == path})


def stamps_below(folder: Path) -> Stamps:
    """All finished files below a folder, by their names from there."""
    return _stamps({one.relative_to(folder).as_posix(): one for one in folder.rglob("*")})


def _stamps(files: dict[str, Path]) -> Stamps:
    stamps: Stamps = {}
    for name, file in files.items():
        with suppress(FileNotFoundError):  # renamed meanwhile
            if file.is_file() and not name.endswith(".part"):
                stamps[name] = file.stat().st_size, file.stat().st_mtime_ns
    return stamps


def _forget_old(folder: Path) -> None:
    for file in folder.glob(f"{PROBE}*.part"):
        with suppress(OSError):
            if file.stat().st_mtime < time.time() - DAY:
                file.unlink()
