"""JSON behind a flatbuffer, in a zip that is appended to it.

Engines read a flatbuffer from its beginning and stop where it ends, and a zip is read from its end: a file can be both,
as TensorFlow Lite's own metadata does it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paretonas.errors import ExportError
from paretonas.files import open_regular

FOLDER, LONGEST = "paretonas", 2**24
"""Where entries lie in the zip, and how many bytes one may have: a million names of classes."""


def append_json(path: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Add entries to a file that has none; one that says nothing is nothing to write.

    Args:
        path: Of a file that is no zip yet.
        entries: JSON data by its name; the same data gives the same bytes.
    """
    written = {name: json.dumps(dict(value)) for name, value in entries.items() if value}
    if not written:
        return
    with zipfile.ZipFile(path, "a") as appended:
        for name, text in written.items():
            appended.writestr(zipfile.ZipInfo(f"{FOLDER}/{name}.json"), text)


def read_appended(path: Path, identifier: bytes, name: str) -> dict[str, Any]:
    """An entry of a file, whoever wrote it; {} if there is none.

    Args:
        path: The file.
        identifier: The four bytes that flatbuffers of its format bear.
        name: Of the entry.

    Raises:
        ExportError: It is no file of that format, or the entry is damaged, too long or no JSON object.
    """
    member = f"{FOLDER}/{name}.json"
    try:
        with open_regular(path) as file:
            if file.read(8)[4:] != identifier:
                raise ValueError(f"it does not begin as a flatbuffer of this kind ({identifier.decode()})")
            if not zipfile.is_zipfile(file):
                return {}
            with zipfile.ZipFile(file) as appended:
                if member not in appended.namelist():
                    return {}
                if (size := appended.getinfo(member).file_size) > LONGEST:
                    raise ValueError(f"it says at most {LONGEST} bytes of itself, but {member} has {size}")
                found = json.loads(appended.read(member))
        if not isinstance(found, dict):
            raise ValueError(f"{member} is an object, but got a {type(found).__name__}")
    except Exception as error:  # zipfile lets through those of whatever a damaged archive trips over
        raise ExportError(f"{path} cannot be read: {error}") from error
    return found
