"""What an ONNX file says of itself: one property an entry, its value as JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from paretonas.errors import ExportError
from paretonas.files import open_regular

LONGEST = 2**24
"""Characters that all properties of a file may have: a million names of classes."""


def write_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """Add to a file what it is to say; nothing is nothing to write."""
    if not metadata:
        return
    model = onnx.load(path, load_external_data=False)
    helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.save(model, path)


def read_metadata(path: Path) -> dict[str, Any]:
    """What a file says, whoever wrote it; what is no JSON is a string.

    Raises:
        ExportError: It is no ONNX file, or says more than any file has to.
    """
    try:
        with open_regular(path) as file:
            properties = onnx.load_model_from_string(file.read()).metadata_props
    except Exception as error:  # protobuf's own among them
        raise ExportError(f"An ONNX file is one that can be parsed, but {path} cannot be read: {error}") from error
    length = sum(len(entry.value) for entry in properties)
    if length > LONGEST:
        raise ExportError(f"A file says of itself at most {LONGEST} characters, but {path} says {length}.")
    return {entry.key: _value(entry.value) for entry in properties}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
