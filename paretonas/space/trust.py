"""Which modules of users are imported, and where they are looked for.

A spec may name a `module:factory`, and to import a module is to run it. So one is imported only if it is trusted: the
command line named it, the home has recorded that it did, an installed package brings it as a plugin, or somebody said
so of the whole file. What is trusted stands in the environment, which the processes that this one starts inherit.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from paretonas.errors import SpecError, UsageError
from paretonas.files import write_text

VARIABLE = "PARETONAS_TRUSTED"
"""Environment variable: a JSON object, from each trusted source to the folder of its module; empty: installed."""
FILE = "trusted.json"
"""In a home: what its own command lines have named."""
TIMM, TORCHVISION = "timm", "torchvision"
LIBRARIES = (TIMM, TORCHVISION)
"""They stand for modules whose models are known, none of which runs code of a file's choice."""
EVERYTHING = "*"


def trust(*written: str) -> tuple[str, ...]:
    """Let what is named be imported, here and in the processes that are started from now on.

    Args:
        written: Each as `module:factory`, looked for in the current folder first, or as `path/to/module.py:factory`.

    Returns:
        Each as `module:factory`.

    Raises:
        UsageError: A module of that name is trusted already, and lies in another folder.
    """
    importlib.invalidate_caches()
    known, sources = trusted(), []
    for text in written:
        module, colon, factory = text.rpartition(":")
        path = Path(module)
        is_file = path.suffix == ".py"
        source = f"{path.stem if is_file else module}{colon}{factory}"
        folder = (path.parent if is_file else Path()).expanduser().resolve()
        sources.append(source)
        if is_file or _holds(folder, source):
            known = _with_folder(known, source, folder)
        elif module not in LIBRARIES:
            known.setdefault(source, "")
    os.environ[VARIABLE] = json.dumps(known)
    return tuple(sources)


def trust_everything() -> None:
    """Let whatever is named be imported, looked for in the current folder first."""
    os.environ[VARIABLE] = json.dumps({**trusted(), EVERYTHING: str(Path.cwd())})


def trusted() -> dict[str, str]:
    """The folder of each trusted source; empty where its module is installed."""
    return _read(os.environ.get(VARIABLE, "{}"))


def remember(home: Path) -> None:
    """Record in a home what is trusted by its name, if anything is.

    The record names the home by its number on the disk, so that one that was copied or unpacked brings no trust along.

    Raises:
        MachineError: It cannot be written.
    """
    recall(home)  # what another process has named meanwhile
    named = {source: folder for source, folder in trusted().items() if source != EVERYTHING}
    if named:
        home.mkdir(parents=True, exist_ok=True)
        write_text(home / FILE, json.dumps({"home": home.stat().st_ino, "sources": named}, indent=1))


def recall(home: Path) -> None:
    """Trust what the home has recorded; nothing where the record is another home's, or damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError, UsageError):
        record = json.loads((home / FILE).read_text(encoding="utf-8"))
        if record["home"] == home.stat().st_ino:
            os.environ[VARIABLE] = json.dumps({**_read(json.dumps(record["sources"])), **trusted()})


def load_source(source: str) -> Any:
    """The factory that a trusted source names.

    Raises:
        SpecError: It is not trusted, or cannot be imported.
    """
    folder = _folder_of(source)
    module, _, name = source.partition(":")
    try:
        with _first_on_path(folder):
            return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # whatever a module does when it is run
        where = f"in {folder} and among installed packages" if folder else "among installed packages"
        moved = " If it has moved, say --trust in the folder of its module." if isinstance(error, ImportError) else ""
        raise SpecError(
            f"A foreign model is an importable 'module:factory', but {source!r}, looked for {where}, is none: "
            f"{type(error).__name__}: {error}.{moved}"
        ) from error


def _folder_of(source: str) -> str:
    known = trusted()
    if source in known or EVERYTHING in known:
        return known.get(source, known.get(EVERYTHING, ""))
    if _package(source) in _plugin_packages():
        return ""
    raise SpecError(
        f"What a file names is imported only if it is trusted, as to import a module is to run it, but nobody here has "
        f"named {source!r}. If you know it, say --trust; in Python, `paretonas.space.trust.trust({source!r})`."
    )


@cache
def _plugin_packages() -> frozenset[str]:
    """Packages that bring plugins of ours: whoever installed them trusts them."""
    groups = [group for group in entry_points().groups if group.startswith("paretonas.")]
    return frozenset(_package(entry.value) for group in groups for entry in entry_points(group=group)) - {"paretonas"}


@contextmanager
def _first_on_path(folder: str) -> Iterator[None]:
    """A module's neighbours go before installed packages while it is imported, and behind them from then on."""
    if not folder:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def _with_folder(known: Mapping[str, str], source: str, folder: Path) -> dict[str, str]:
    """What is trusted with one more source; all of a package lie where that does."""
    alike = {one: place for one, place in known.items() if place and _package(one) == _package(source)}
    for one, place in alike.items():
        if place != str(folder) and _holds(Path(place), one):
            raise UsageError(
                f"A home knows one module of a name, but {_package(source)!r} lies in {place} and in {folder}. Rename "
                "one of them, or choose another --home."
            )
    return {**known, **dict.fromkeys((*alike, source), str(folder))}


def _holds(folder: Path, source: str) -> bool:
    """Whether the module of a source lies in a folder."""
    return PathFinder.find_spec(_package(source), [str(folder)]) is not None


def _package(source: str) -> str:
    return source.partition(":")[0].partition(".")[0]


def _read(text: str) -> dict[str, str]:
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise UsageError(f"{VARIABLE} is a JSON object from sources to folders, but got {text!r}.")
    return data
