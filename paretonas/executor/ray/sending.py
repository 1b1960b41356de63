"""How a job travels to a node: its paths become what they are there.

What is pickled is a call of `here` or `contents` in the place of each path; on a node these ask whoever brings files.
"""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from paretonas.files import Folder


class Bringing(Protocol):
    """Who knows where files of the search's machine are on a node."""

    def file(self, path: str) -> Path:
        """A file or a folder for files."""
        ...

    def folder(self, path: str) -> Path:
        """A folder with its contents."""
        ...


class _Now:
    """Of this process: one job at a time."""

    bringing: Bringing | None = None


def bring(bringing: Bringing | None) -> None:
    """From now on, paths of jobs are what this makes of them; None: what they were."""
    _Now.bringing = bringing


def here(path: str) -> Path:
    """A path of the search's machine, on this one."""
    return Path(path) if _Now.bringing is None else _Now.bringing.file(path)


def contents(path: str) -> Folder:
    """A folder of the search's machine, on this one."""
    return Folder(Path(path) if _Now.bringing is None else _Now.bringing.folder(path))


def pickled(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[bytes, bool]:
    """A call as bytes, and whether there are paths in it.

    Raises:
        Exception: Whatever pickling raises.
    """
    paths: list[str] = []

    def whole(path: Path) -> str:
        paths.append(str(path.absolute()))
        return paths[-1]

    buffer = BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.dispatch_table = copyreg.dispatch_table.copy()
    pickler.dispatch_table[type(Path())] = lambda path: (here, (whole(path),))
    pickler.dispatch_table[Folder] = lambda folder: (contents, (whole(folder.path),))
    pickler.dump((function, args))
    return buffer.getvalue(), bool(paths)
