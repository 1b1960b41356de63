"""Messages between this machine and a device: JSON, then arrays and a file as raw bytes. Nothing is unpickled.

    paretonas-1 <bytes of the header, and a line's end>
    {..., "arrays": [[dtype, shape], ...], "body": bytes of the file}
    <the arrays, one after the other, little-endian><the file>

What comes before the first such line, a login's greeting say, is passed over. Either side may be anybody: whatever does
not check is a WireError, and nothing is read that a message may not hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

MARK = b"paretonas-1 "
DTYPES = ("float32", "float16", "float64", "uint8", "int8", "int32", "int64", "bool")
MOST_NOISE, MOST_HEADER, MOST_BYTES = 1 << 16, 1 << 22, 1 << 30
MOST_ARRAYS, MOST_SIDES = 1000, 16


class WireError(Exception):
    """Bytes that are no message, or the end of them."""


@dataclass(frozen=True)
class Message:
    """One message.

    Args:
        head: JSON data.
        arrays: Beside it.
        body: A file's contents.
    """

    head: Mapping[str, Any]
    arrays: tuple[Any, ...] = ()
    body: bytes = b""


def write_message(stream: IO[bytes], message: Message) -> None:
    """Send a message.

    Raises:
        OSError: The other side is gone.
    """
    stream.write(to_bytes(message))
    stream.flush()


def to_bytes(message: Message) -> bytes:
    """A message as it is sent."""
    arrays = [np.ascontiguousarray(array) for array in message.arrays]
    described = [[array.dtype.name, list(np.shape(given))] for array, given in zip(arrays, message.arrays)]  # noqa: B905
    head = {**message.head, "arrays": described, "body": len(message.body)}
    header = json.dumps(head).encode()
    raw = [array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays]
    return b"".join([b"\n", MARK, str(len(header)).encode(), b"\n", header, *raw, message.body])


def read_message(stream: IO[bytes]) -> Message:
    """Read the next message.

    Raises:
        WireError: The bytes end, or are none.
    """
    header = _exactly(stream, _header_bytes(stream))
    try:
        head = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a header that is no JSON: {error}") from None
    if not isinstance(head, dict):
        raise WireError("a header that is no object")
    described, body = head.pop("arrays", None), head.pop("body", None)
    sizes = [_checked(one) for one in described] if isinstance(described, list) else None
    if sizes is None or len(sizes) > MOST_ARRAYS or not _is_count(body):
        raise WireError("a header that does not say what follows it")
    total = body + sum(math.prod(shape) * dtype.itemsize for dtype, shape in sizes)
    if total > MOST_BYTES:
        raise WireError(f"a message of {total} bytes, of {MOST_BYTES} at most")
    arrays = tuple(_array(stream, dtype, shape) for dtype, shape in sizes)
    return Message(head, arrays, _exactly(stream, body))


def _header_bytes(stream: IO[bytes]) -> int:
    noise = b""
    while len(noise) <= MOST_NOISE:
        line = stream.readline(MOST_NOISE)
        if not line:
            raise WireError(f"the end{_quoted(noise)}")
        if line.startswith(MARK):
            count = line[len(MARK) :].strip()
            if not (count.isdigit() and len(count) < 10 and int(count) <= MOST_HEADER):
                raise WireError("a header of no length that a header has")
            return int(count)
        noise += line
    raise WireError(f"no message{_quoted(noise)}")


def _quoted(noise: bytes) -> str:
    text = noise.decode(errors="replace").strip()
    return f", after {text[-300:]!r}" if text else ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_BYTES


def _checked(described: object) -> tuple[Any, tuple[int, ...]]:
    """Type and shape of an array."""
    if not (isinstance(described, list) and len(described) == 2 and described[0] in DTYPES):
        raise WireError("an array of no known type")
    shape = described[1]
    if not (isinstance(shape, list) and len(shape) <= MOST_SIDES and all(map(_is_count, shape))):
        raise WireError("an array of no shape")
    return np.dtype(described[0]).newbyteorder("<"), tuple(shape)


def _array(stream: IO[bytes], dtype: Any, shape: tuple[int, ...]) -> Any:
    data = _exactly(stream, math.prod(shape) * dtype.itemsize)
    return np.frombuffer(bytearray(data), dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    parts, missing = [], count
    while missing:
        part = stream.read(missing)
        if not part:
            raise WireError("the end in the middle of a message")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
