"""What a recorded configuration holds, as far as it can be told without the plugins that it names.

Whoever opens a search checks more; who only shows it has this much to go by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paretonas.errors import StoreError
from paretonas.registry import short
from paretonas.store.rows import LARGEST

Kind = tuple[str, Callable[[Any], bool]]
"""In words, and whether a value is of it."""


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _is_plugin(value: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(value.get("name", ""), str):
        return False
    options = (option for name, option in value.items() if name != "name")
    return all(isinstance(one, str | bool) or _is_number(one) or _is_texts(one) for one in options)


TEXT: Kind = ("a text", lambda value: isinstance(value, str))
TEXTS: Kind = ("a list of texts", _is_texts)
WHOLE: Kind = ("a whole number, 0 or more", lambda value: _is_number(value) and isinstance(value, int) and value >= 0)
POSITIVE: Kind = ("a positive number", lambda value: _is_number(value) and value > 0)
NUMBER: Kind = ("a number", _is_number)
TRUTH: Kind = ("true or false", lambda value: isinstance(value, bool))
PLUGIN: Kind = ("an object with the name of a plugin and its options", _is_plugin)
DEVICE: Mapping[str, Kind] = {"device": TEXT, "name": TEXT, "target_ms": POSITIVE, "estimate": WHOLE}

SECTIONS: Mapping[str, Kind | Mapping[str, Kind]] = {
    "name": TEXT, "seed": WHOLE, "torch_device": TEXT, "weights": TEXT, "baselines": TRUTH, "models": TEXTS,
    "task": PLUGIN, "space": PLUGIN, "strategy": PLUGIN, "recipe": PLUGIN, "executor": PLUGIN,
    "table": {"file": TEXT, "metric": TEXT, "quality": TEXT, "latency": TEXTS, "decisions": TEXTS},
    "supernet": {"sampling": PLUGIN, "recipe": PLUGIN, "examples": WHOLE, "checked": WHOLE, "fallback": PLUGIN},
    "morph": {
        "budget": TEXT, "resource": PLUGIN, "recipe": PLUGIN, "steps": WHOLE, "strength": POSITIVE,
        "threshold": NUMBER, "grouping": TEXT, "samples": WHOLE, "multiple": WHOLE, "keep": TEXTS, "only": TEXTS,
    },
    "objective": {"reward": PLUGIN, "limits": TEXTS},
    "budget": {"trials": WHOLE, "seconds": POSITIVE, "trial_seconds": POSITIVE, "fidelity": PLUGIN, "screen": PLUGIN},
    "recorded": {
        "quality": TEXT, "digest": TEXT, "measured_on": TEXT, "validation": WHOLE, "baseline_of": TEXT, "home": TEXT,
    },
}  # fmt: skip
"""Fields and sections that are known; what else is there is for whoever opens the search."""


def check_configuration(config: Mapping[str, Any], name: str) -> None:
    """Whether all that is known of a configuration is of its kind.

    Args:
        config: As it was stored.
        name: Of its search.

    Raises:
        StoreError: It is not; the message says what.
    """
    for section, kind in SECTIONS.items():
        if section in config:
            _check(config[section], kind, section, name)
    devices = config.get("device", [])
    if not isinstance(devices, list):
        _refuse(devices, "a list", "device", name)
    for i, device in enumerate(devices):
        _check(device, DEVICE, f"device[{i}]", name)


def _check(value: Any, kind: Kind | Mapping[str, Kind], where: str, name: str) -> None:
    if isinstance(kind, tuple):
        words, is_one = kind
        if not is_one(value):
            _refuse(value, words, where, name)
    elif not isinstance(value, Mapping):
        _refuse(value, "an object", where, name)
    else:
        for field in kind.keys() & value.keys():
            _check(value[field], kind[field], f"{where}.{field}", name)


def _refuse(value: Any, words: str, where: str, name: str) -> None:
    raise StoreError(f"In a recorded configuration, {where} is {words}, but in that of {name!r} it is {short(value)}.")
