"""Names of plugins and how they are loaded.

A registry maps a short name to `"module:attribute"` and imports the module on first use, so that listing the
strategies does not import torch. Other packages add theirs as entry points (`paretonas.strategy`). A plugin's options
are the fields of its frozen dataclass; users write them after the name: `regularized-evolution:population=50`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from importlib.metadata import entry_points
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from paretonas.errors import UnknownNameError, UsageError


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
            for entry in entry_points(group=f"paretonas.{self.kind.replace(' ', '-')}"):
                self._entries.setdefault(entry.name, entry.value)

    def load(self, name: str) -> Any:
        """The plugin called `name`.

        Raises:
            UnknownNameError: No such name; the message suggests the nearest.
        """
        if name not in self:
            near = difflib.get_close_matches(name, self._entries, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(self) or "none"
            raise UnknownNameError(f"No {self.kind} is called {name!r}.{hint} Known: {known}.")
        module, attribute = self._entries[name].split(":")
        return getattr(importlib.import_module(module), attribute)

    def create(self, text: str, defaults: Mapping[str, object] | None = None) -> Any:
        """Build a plugin's options from `"name"` or `"name:option=value,option=value"`.

        Args:
            text: As users write it.
            defaults: Values for options of that name which `text` does not give; ones the plugin lacks are ignored.

        Raises:
            UnknownNameError: No such plugin.
            UsageError: An option that does not exist, or a value of the wrong type.

        Returns:
            The plugin's dataclass, filled and checked by its own `__post_init__`. Where a filled dataclass is
            registered (a recipe), a copy with the options replaced; a function (an exporter) as it is.
        """
        name, _, written = text.partition(":")
        plugin = self.load(name.strip())
        known = {f.name for f in fields(plugin)} if is_dataclass(plugin) else set()
        types = get_type_hints(plugin if isinstance(plugin, type) else type(plugin)) if known else {}
        values = {key: value for key, value in (defaults or {}).items() if key in known}
        for part in filter(None, (p.strip() for p in written.split(","))):
            key, equals, value = part.partition("=")
            key = key.strip().replace("-", "_")
            if not equals or key not in known:
                options = ", ".join(describe_options(plugin)) or "none"
                raise UsageError(f"{self.kind} {name!r} takes options as name=value; got {part!r}. Options: {options}.")
            values[key] = _convert(value.strip(), types[key], f"option {key!r} of {self.kind} {name!r}")
        if not isinstance(plugin, type):
            return replace(plugin, **values) if known else plugin
        needed = [f.name for f in (fields(plugin) if known else ()) if f.default is f.default_factory is MISSING]
        missing = [key for key in needed if key not in values]
        if missing:
            raise UsageError(f"{self.kind} {name!r} needs the options {', '.join(missing)}.")
        return plugin(**values)

    def written_out(self, text: str, plugin: Any = None) -> str:
        """`text` with every option that can be written on one line, so that a change of defaults changes nothing.

        Args:
            text: As users write it.
            plugin: What the options are to be, if not those of `text`.
        """
        plugin = plugin or self.create(text)
        values = {f.name: getattr(plugin, f.name) for f in fields(plugin)} if is_dataclass(plugin) else {}
        parts = [f"{k}={_text(v)}" for k, v in values.items() if isinstance(v, int | float)]
        parts += [f"{k}={v}" for k, v in values.items() if isinstance(v, str) and re.fullmatch(r"[\w.+*<=:-]+", v)]
        return text.partition(":")[0] + (":" + ",".join(parts) if parts else "")

    def summary(self, name: str) -> str:
        """First line of the plugin's docstring."""
        return (inspect.getdoc(self.load(name)) or "").partition("\n")[0]


def describe_options(plugin: Any) -> list[str]:
    """The options of a plugin's dataclass as `name=default`."""
    return [f.name + _default(plugin, f) for f in fields(plugin) if f.init] if is_dataclass(plugin) else []


def _default(plugin: Any, field: Field[Any]) -> str:
    default = field.default if isinstance(plugin, type) else getattr(plugin, field.name)
    if default is MISSING:
        return ""
    return f"={_text(default)}"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _convert(text: str, to: Any, what: str) -> object:
    if get_origin(to) in (Union, UnionType):
        if text.lower() in ("none", "") and type(None) in get_args(to):
            return None
        to = next(t for t in get_args(to) if t is not type(None))
    if to is bool:
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in truth:
            raise UsageError(f"{what} is true or false, but got {text!r}.")
        return truth[text.lower()]
    if to in (int, float, str):
        try:
            return to(text)
        except ValueError:
            raise UsageError(f"{what} is of type {to.__name__}, but got {text!r}.") from None
    raise UsageError(f"{what} cannot be written on one line: it is of type {to}.")
