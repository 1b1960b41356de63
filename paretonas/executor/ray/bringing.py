"""Files of the search's machine on a node: as they are where the node sees them, else as copies that are sent back."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from paretonas.executor.ray.courier import Stamps, stamps_below, stamps_of
from paretonas.executor.ray.library import ask, get
from paretonas.files import rename_folder, scratch_folder, sweep, written_aside

CACHE = "PARETONAS_CACHE"
"""Environment variable: the folder of a node for what can be had again."""
EVERY = 5.0
"""Seconds between two looks for what a job has written."""
_seen: dict[str, bool] = {}
"""Folders of the search's machine that this process has asked for, and whether it sees them."""


class Bringer:
    """Brings the files of one job, and takes back what it writes: now and then, and in the end.

    Args:
        courier: On the search's machine.
    """

    def __init__(self, courier: Any):
        self._courier = courier
        cache = os.environ.get(CACHE)
        self._root = (Path(cache) if cache else Path.home() / ".cache" / "paretonas") / "carried"
        self._known: dict[str, Stamps] = {}
        self._place: Path | None = None
        self._leaving = ExitStack()
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._keep_sending, daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with self._leaving:
            if self._known:
                self._thread.join()
                self._send()

    def file(self, path: str) -> Path:
        """A file of the search's machine with those beside it of its stem, or a folder for files."""
        if self._sees(path):
            return Path(path)
        local = self._local(path)
        if path not in self._known:
            local.parent.mkdir(parents=True, exist_ok=True)
            there: Stamps = ask(self._courier, "look", path)
            for name, stamp in there.items():
                self._fetch(str(Path(path).with_name(name)), local.with_name(name), stamp[1])
            with self._turn:
                self._known[path] = there
            if not self._thread.is_alive():
                self._thread.start()
        return local

    def folder(self, path: str) -> Path:
        """A folder of the search's machine with its contents, fetched once a node."""
        if self._sees(path):
            return Path(path)
        contents: tuple[Stamps, str, dict[str, Any]] = ask(self._courier, "contents", path)
        stamps, digest, references = contents
        if stamps_below(Path(path)) == stamps:  # shared, but no place to write to
            return Path(path)
        local = self._root / digest
        if not local.is_dir():
            with scratch_folder(self._root) as draft:
                whole = draft / "whole"
                for name, reference in references.items():
                    file = whole / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(get(reference))
                with suppress(OSError):  # another job was faster
                    rename_folder(whole, local)
        return local

    def _sees(self, path: str) -> bool:
        """Whether this node sees the folder of a path."""
        folder = str(Path(path).parent)
        if folder not in _seen:
            file, word = ask(self._courier, "probe", path)
            try:
                _seen[folder] = bool(file) and Path(file).read_text() == word
            except OSError:
                _seen[folder] = False
        return _seen[folder]

    def _local(self, path: str) -> Path:
        """Where the copy of a file is: in a folder of this job's own, as others may be at the same file."""
        if self._place is None:
            if self._root.is_dir():
                sweep(self._root)
            self._place = self._leaving.enter_context(scratch_folder(self._root))
        return self._place / Path(path).relative_to(Path(path).anchor)

    def _fetch(self, path: str, local: Path, written: int) -> None:
        with written_aside(local) as draft:
            draft.write_bytes(ask(self._courier, "read", path))
        os.utime(local, ns=(written, written))

    def _keep_sending(self) -> None:
        while not self._ended.wait(EVERY):
            with suppress(Exception):  # in the end it is sent again, and then an error is one
                self._send()

    def _send(self) -> None:
        """Send what is new, and say what is gone."""
        with self._turn:
            for path, known in self._known.items():
                have = stamps_of(self._local(path))
                for name, stamp in have.items():
                    if known.get(name) != stamp:
                        content = self._local(path).with_name(name).read_bytes()
                        ask(self._courier, "leave", str(Path(path).with_name(name)), content, stamp[1])
                for name in known.keys() - have.keys():
                    ask(self._courier, "remove", str(Path(path).with_name(name)))
                self._known[path] = have
