"""Names of plugins and how they are loaded.

A registry maps a short name to `"module:attribute"` and imports the module on first use, so that listing the
strategies does not import torch. Other packages add theirs as entry points (`paretonas.strategy`). A plugin's options
are the fields of its frozen dataclass; users write them after the name, `regularized-evolution:population=50`, or as a
section of a file, `{"name": "regularized-evolution", "population": 50}`. Both are a `Selection`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from importlib.metadata import entry_points
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from paretonas.errors import ParetonasError, UnknownNameError, UsageError
from paretonas.files import is_refusal


@dataclass(frozen=True)
class Selection:
    """A plugin by its name, and options of it.

    Args:
        name: Of the plugin.
        options: By the names of its dataclass's fields: numbers, strings, truth values, None, or lists of strings.

    >>> str(Selection("ppo", {"batch": 10, "standardize": False}))
    'ppo:batch=10,standardize=false'
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a section of a file; `none` stands for None, which TOML does not know."""
        plain = {k: list(v) if isinstance(v, tuple) else "none" if v is None else v for k, v in self.options.items()}
        return {"name": self.name, **plain}

    def __str__(self) -> str:
        shown = {key: value for key, value in self.options.items() if value not in (None, "", ())}
        return self.name + (":" + ",".join(f"{k}={_text(v)}" for k, v in shown.items()) if shown else "")


@contextmanager
def blamed(what: str, to: type[ParetonasError] = UsageError) -> Iterator[None]:
    """Whatever the code of others raises meanwhile is an error that says what it was about.

    Args:
        what: Went wrong; begins the sentence.
        to: The error's class.

    Raises:
        ParetonasError: What came up, if it is one.
        Exception: It is the machine's fault, not that of the code.
    """
    try:
        yield
    except ParetonasError:
        raise
    except Exception as error:
        if is_refusal(error):
            raise
        raise to(f"{what}: {type(error).__name__}: {error}") from error


class Registry:
    """Plugins of one kind by name.

    Args:
        kind: What the plugins are, singular, for messages ("strategy").
        entries: Name to "module:attribute".
    """

    def __init__(self, kind: str, entries: Mapping[str, str] | None = None):
        self.kind = kind
        self._entries: dict[str, str] = {}
        self._knows_packages = False
        for name, target in (entries or {}).items():
            self.register(name, target)

    def register(self, name: str, target: str) -> None:
        """Add a plugin.

        Raises:
            UsageError: The name is taken, or `target` is not "module:attribute".
        """
        if name in self._entries:
            raise UsageError(f"A {self.kind} has one name of its own, but {name!r} is already {self._entries[name]!r}.")
        if target.count(":") != 1:
            raise UsageError(f"A {self.kind} is registered as 'module:attribute', but got {target!r}.")
        self._entries[name] = target

    def __iter__(self) -> Iterator[str]:
        self._look_for_packages()
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        self._look_for_packages()
        return name in self._entries

    def _look_for_packages(self) -> None:
        """Add what installed packages declare as entry points of the group `paretonas.KIND`; ours go first."""
        if not self._knows_packages:
            self._knows_packages = True
            for entry in entry_points(group=f"paretonas.{self.kind.replace(' ', '_')}"):
                self._entries.setdefault(entry.name, entry.value)

    def load(self, name: str) -> Any:
        """The plugin called `name`.

        Raises:
            UnknownNameError: No such name; the message suggests the nearest.
            UsageError: It cannot be imported.
        """
        if name not in self:
            near = difflib.get_close_matches(name, self._entries, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(self) or "none"
            raise UnknownNameError(f"No {self.kind} is called {name!r}.{hint} Known: {known}.")
        module, _, attribute = self._entries[name].partition(":")
        with blamed(f"A package has the {self.kind} {name!r} as {module}:{attribute}, but it cannot be imported"):
            return getattr(importlib.import_module(module), attribute)

    def read(self, data: object) -> Selection:
        """What a user chose, checked: `"name:option=value,option=value"`, or an object with a `name` and options.

        Raises:
            UnknownNameError: No such plugin.
            UsageError: Neither of the two, an option that does not exist, or a value of the wrong type.
        """
        if isinstance(data, Selection):
            data = {"name": data.name, **data.options}
        if isinstance(data, str):
            name, _, written = data.partition(":")
            parts = [part.strip() for part in written.split(",") if part.strip()]
            pairs = [part.partition("=") for part in parts]
            bad = next((part for part, (_, equals, _) in zip(parts, pairs, strict=True) if not equals), None)
            given: dict[str, object] = {key.strip().replace("-", "_"): _Written(text.strip()) for key, _, text in pairs}
        elif isinstance(data, Mapping) and isinstance(data.get("name"), str):
            name, bad = data["name"], None
            given = {str(key).replace("-", "_"): value for key, value in data.items() if key != "name"}
        else:
            raise UsageError(f"A {self.kind} is written name:option=value or has a `name`, but got {short(data)}.")
        name = name.strip()
        types = self._types(name)
        bad = bad or next((key for key in given if key not in types), None)
        if bad is not None:
            known = ", ".join(describe_options(self.load(name))) or "none"
            raise UsageError(f"{self.kind} {name!r} takes options as name=value; got {bad!r}. Options: {known}.")
        what = "option {!r} of " + f"{self.kind} {name!r}"
        return Selection(name, {key: _convert(value, types[key], what.format(key)) for key, value in given.items()})

    def create(self, data: object, defaults: Mapping[str, object] | None = None) -> Any:
        """Build a plugin with the options that a user gave.

        Args:
            data: See `read`.
            defaults: Values for options of that name which `data` does not give; ones the plugin lacks are ignored.

        Raises:
            UnknownNameError: No such plugin.
            UsageError: An option that does not exist, is missing, or a value that it cannot have.

        Returns:
            The plugin's dataclass, filled and checked by its own `__post_init__`. Where a filled dataclass is
            registered (a recipe), a copy with the options replaced; a function as it is.
        """
        selection = self.read(data)
        plugin, types = self.load(selection.name), self._types(selection.name)
        values = {key: value for key, value in (defaults or {}).items() if key in types} | dict(selection.options)
        if not isinstance(plugin, type):
            return self._made(selection.name, lambda: replace(plugin, **values)) if types else plugin
        needed = [f.name for f in (fields(plugin) if types else ()) if f.default is f.default_factory is MISSING]
        missing = [key for key in needed if key not in values]
        if missing:
            raise UsageError(f"{self.kind} {selection.name!r} needs the options {', '.join(missing)}.")
        return self._made(selection.name, lambda: plugin(**values))

    def _made(self, name: str, make: Callable[[], Any]) -> Any:
        with blamed(f"{self.kind} {name!r} refuses its options"):
            return make()

    def record(self, data: object, plugin: Any = None) -> Selection:
        """What a user chose with every option written out, so that a change of defaults changes nothing.

        Args:
            data: See `read`.
            plugin: What the options are to be, if not those of `data`.
        """
        plugin, name = plugin if plugin is not None else self.create(data), self.read(data).name
        values = {key: getattr(plugin, key) for key in self._types(name)}
        return Selection(name, {key: value for key, value in values.items() if _is_plain(value)})

    def _types(self, name: str) -> dict[str, Any]:
        """The types of a plugin's options."""
        plugin = self.load(name)
        if not is_dataclass(plugin):
            return {}
        hints = get_type_hints(plugin if isinstance(plugin, type) else type(plugin))
        return {f.name: hints[f.name] for f in fields(plugin) if f.init}

    def summary(self, name: str) -> str:
        """First line of the plugin's docstring."""
        return (inspect.getdoc(self.load(name)) or "").partition("\n")[0]


def describe_options(plugin: Any) -> list[str]:
    """The options of a plugin's dataclass as `name=default`."""
    return [f.name + _default(plugin, f) for f in fields(plugin) if f.init] if is_dataclass(plugin) else []


def _default(plugin: Any, option: Field[Any]) -> str:
    default = option.default if isinstance(plugin, type) else getattr(plugin, option.name)
    if default is MISSING:
        return ""
    return f"={_text(default)}"


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return "+".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Written(str):
    """A value as it was written on one line, still to be read as what it is meant to be."""


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _convert(value: object, to: Any, what: str) -> object:
    """`value`, written on one line or read from JSON or TOML, as the type `to`."""
    is_written = isinstance(value, _Written)
    if get_origin(to) in (Union, UnionType):
        is_none = value is None or (isinstance(value, str) and value.lower() in ("none", "" if is_written else "none"))
        if is_none and type(None) in get_args(to):
            return None
        to = next(t for t in get_args(to) if t is not type(None))
    choices = get_args(to) if get_origin(to) is Literal else ()
    if choices:
        to = type(choices[0])
    if get_origin(to) is tuple and get_args(to)[0] is str:
        items = [item for item in str(value).split("+") if item] if is_written else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(items)
        raise UsageError(f"{what} is a list of strings, but got {short(value)}.")
    if to not in (bool, int, float, str):
        raise UsageError(f"{what} cannot be written on one line: it is of type {to}.")
    read = _from_text(str(value), to, what) if is_written else _from_json(value, to, what)
    if isinstance(read, float) and not math.isfinite(read):
        raise UsageError(f"{what} is a finite number, but got {read}.")
    if isinstance(read, int) and read.bit_length() > 63:
        raise UsageError(f"{what} is a whole number of 64 bits, but got {short(read)}.")
    if choices and read not in choices:
        raise UsageError(f"{what} is one of {', '.join(map(str, choices))}, but got {read!r}.")
    return read


def _from_text(text: str, to: Any, what: str) -> object:
    if to is bool:
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in truth:
            raise UsageError(f"{what} is true or false, but got {text!r}.")
        return truth[text.lower()]
    try:
        return to(text)
    except ValueError:
        raise UsageError(f"{what} is of type {to.__name__}, but got {text!r}.") from None


def _from_json(value: object, to: Any, what: str) -> object:
    if to is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    if not isinstance(value, to) or (isinstance(value, bool) and to is not bool):
        raise UsageError(f"{what} is of type {to.__name__}, but got {short(value)}.")
    return value


def short(value: object) -> str:
    """A value for a message: its beginning, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits or levels than Python prints
        text = f"a {type(value).__name__} too long to print"
    return text if len(text) <= 80 else text[:77] + "..."
