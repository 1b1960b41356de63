"""Plain JSON data as dataclasses, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from paretonas.errors import ParetonasError, SpecError
from paretonas.registry import short


class Readable:
    """What reads itself, where a field may be of several kinds."""

    @classmethod
    def from_json(cls, data: object) -> Any:
        """What plain JSON data stand for.

        Raises:
            SpecError: Nothing.
        """
        raise NotImplementedError


def read_json(to: Any, data: Any, where: str) -> Any:
    """Plain JSON data as the type `to`, strictly.

    Args:
        to: A dataclass, a `Readable`, a number, `str`, `bool`, `Literal`, optional type, mapping, or tuple of one of
            these.
        data: What was read.
        where: Path to it, for messages.

    Raises:
        SpecError: Unknown or missing fields, a wrong type, or a value that the dataclass refuses.
    """
    origin = get_origin(to)
    if is_dataclass(to) and isinstance(to, type):
        return _read_dataclass(to, data, where)
    if isinstance(to, type) and issubclass(to, Readable):
        return to.from_json(data)
    if origin is Literal:
        if not any(type(data) is type(value) and data == value for value in get_args(to)):
            raise SpecError(f"{where} is one of {', '.join(map(repr, get_args(to)))}, but got {short(data)}.")
        return data
    if origin is tuple:
        if not isinstance(data, list | tuple):
            raise SpecError(f"{where} is a list, but got {short(data)}.")
        return tuple(read_json(get_args(to)[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if origin in (Union, UnionType):
        if data is None and NoneType in get_args(to):
            return None
        return read_json(next(t for t in get_args(to) if t is not NoneType), data, where)
    if origin is Mapping:
        if not isinstance(data, Mapping):
            raise SpecError(f"{where} is an object, but got {short(data)}.")
        return dict(data)
    return _read_plain(to, data, where)


def _read_plain(to: type, data: Any, where: str) -> Any:
    """A number, a string or a truth value."""
    if to is float and isinstance(data, int) and not isinstance(data, bool):
        return _float(data, where)
    if not isinstance(data, to) or (isinstance(data, bool) and to is not bool):
        raise SpecError(f"{where} is of type {to.__name__}, but got {short(data)}.")
    if isinstance(data, int) and abs(data) >= 10**100:
        raise SpecError(f"{where} is a whole number of 100 digits at most, but got {short(data)}.")
    return data


def _float(whole: int, where: str) -> float:
    try:
        return float(whole)
    except OverflowError:
        raise SpecError(f"{where} is of type float, but got {short(whole)}.") from None


def _read_dataclass(to: type, data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise SpecError(f"{where} is an object, but got {short(data)}.")
    known = {f.name: f for f in fields(to)}
    unknown = [key for key in data if key not in known]
    if unknown:
        raise SpecError(f"{where} has the fields {', '.join(known)}, but got {short(unknown[0])}.")
    missing = [n for n, f in known.items() if n not in data and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise SpecError(f"{where} lacks {', '.join(map(repr, missing))}.")
    types = get_type_hints(to)
    values = {key: read_json(types[key], value, f"{where}.{key}") for key, value in data.items()}
    try:
        return to(**values)
    except ParetonasError as error:
        raise SpecError(f"{where}: {error}") from None
