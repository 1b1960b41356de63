"""Headers of images that were read before, and hold for as long as a file has the same size and time.

Of a PNG file all bytes are read for its header, and of the others so many files are opened: with tens of thousands of
images that takes longer than all else of opening prepared data. What is kept here may be deleted at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from paretonas.data.box_files import Entry, Place
from paretonas.errors import MachineError
from paretonas.files import written_aside

COLUMNS = 5
"""Two of the stamp, width, height and orientation; all 0 where nothing is known."""
FORMAT = 1


def known_file(folder: Path, places: Sequence[Place | None], max_pixels: int | None) -> Path:
    """Where headers of these images are kept.

    Args:
        folder: For caches.
        places: Of the images.
        max_pixels: That an image may have: one that had too many was refused when its header was read.
    """
    digest = hashlib.sha256(f"{FORMAT} {max_pixels}".encode())
    for place in places:
        name = f"{place.archive}\0{place.name}" if isinstance(place, Entry) else str(place and place.absolute())
        digest.update(name.encode(errors="surrogateescape") + b"\n")
    return folder / f"headers-{digest.hexdigest()[:20]}.npy"


def read_known(file: Path, images: int) -> np.ndarray:
    """(n, 5) int64; zeros if there is no such file, or it is damaged."""
    with suppress(OSError, ValueError, EOFError):
        found = np.load(file, allow_pickle=False)
        if found.shape == (images, COLUMNS) and found.dtype == np.int64:
            return np.asarray(found)
    return np.zeros((images, COLUMNS), np.int64)


def keep_known(file: Path, known: np.ndarray) -> None:
    """Keep them, if the machine lets us."""
    with suppress(OSError, MachineError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(file) as draft, draft.open("wb") as opened:
            np.save(opened, known)
