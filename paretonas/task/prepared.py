"""Tasks whose examples are prepared once on the disk, and opened there by every worker."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from paretonas.errors import DataError
from paretonas.files import Folder
from paretonas.task.task import Counting, Part, Task

CACHE = "PARETONAS_CACHE"
"""Environment variable: folder for prepared images where no other was said, such as on another machine."""


class PreparedData(Protocol):
    """What is prepared: the parts by their names, and where they lie."""

    @property
    def folder(self) -> Path:
        """That it can be opened from."""
        ...

    @property
    def digest(self) -> str:
        """Of its contents."""
        ...


D = TypeVar("D", bound=PreparedData)


class PreparedTask(Task, Generic[D]):
    """Pickled as its options and the place of the prepared images: a worker opens them, or prepares them anew.

    Attributes:
        data: What the user named.
    """

    data: str

    @abstractmethod
    def _prepare(self, cache: Path, progress: Counting | None) -> D:
        """Prepare the images, or open them where they are prepared."""

    @abstractmethod
    def _open(self, folder: Path) -> D:
        """Open prepared images."""

    def __getstate__(self) -> dict[str, Any]:
        state = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        if "images" in vars(self):
            state["_prepared"] = Folder(self.images.folder), self.images.digest
        elif "_prepared" in vars(self):  # sent on before it was used
            state["_prepared"] = vars(self)["_prepared"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    @cached_property
    def images(self) -> D:
        """Prepared images, split."""
        folder, digest = vars(self).get("_prepared", (None, None))
        if folder is not None and folder.path.exists():
            return self._open(folder.path)
        images = self._prepare(Path(os.environ.get(CACHE, "paretonas-runs/cache")), None)
        if digest not in (None, images.digest):
            raise DataError(f"The images of {self.data} are to be the same everywhere, but here they are others.")
        return images

    def prepare(self, cache: Path, progress: Counting | None = None) -> None:
        vars(self)["images"] = self._prepare(cache, progress)

    @property
    def examples(self) -> Mapping[Part, int]:
        parts: tuple[Part, ...] = ("train", "val", "test", "full_train")
        return {part: len(getattr(self.images, part)) for part in parts}
