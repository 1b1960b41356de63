"""Weights of an ONNX file that lie in files of their own: in its folder, or nowhere.

Not every engine looks where they are, and a stranger's file could name any file of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from paretonas.errors import ExportError
from paretonas.files import open_regular

KEY = "location"
"""Under which a tensor tells its file; what never has the word has no such tensor."""


def check_external_data(path: Path) -> None:
    """Refuse what reaches out of its folder, by its words or by links.

    Raises:
        ExportError: A tensor does, or the file cannot be parsed.
        OSError: The file cannot be read.
        ValueError: It is no regular file.
    """
    with open_regular(path) as file:
        content = file.read()
    if KEY.encode() not in content:
        return
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own among them
        raise ExportError(f"An ONNX file is one that can be parsed, but {path}: {error}") from error
    folder = path.parent.resolve()
    for place in _places(model):
        if not (folder / place).resolve().is_relative_to(folder):
            raise ExportError(f"The weights of {path} lie in its folder, but it names {place!r}.")


def _places(message: Any) -> Iterator[str]:
    """What all tensors of a message name, wherever in it they are."""
    if isinstance(message, onnx.TensorProto):
        yield from (entry.value for entry in message.external_data if entry.key == KEY)
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if isinstance(value, list) or hasattr(value, "add") else [value]:
                yield from _places(one)
