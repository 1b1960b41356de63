"""A configuration as the sections of a file, read and written; see `config.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from paretonas.errors import ParetonasError, SpecError, StoreError
from paretonas.evaluation.table import TableSource
from paretonas.executor import executors
from paretonas.loop.gates import schedulers, screens
from paretonas.loop.plan import Budget
from paretonas.objective import rewards
from paretonas.registry import Registry, Selection, short
from paretonas.search.config import DeviceConfig, PretrainConfig, Recorded, SearchConfig, SupernetConfig
from paretonas.search.morph_config import MorphConfig
from paretonas.space import read_json, spaces
from paretonas.store import Store
from paretonas.strategy import strategies
from paretonas.task import recipes, tasks
from paretonas.training import resources, samplings

if TYPE_CHECKING:
    from paretonas.task.recipe import Recipe
    from paretonas.task.task import Task

SECTIONS: Mapping[str, Registry] = {
    "space": spaces, "strategy": strategies, "recipe": recipes, "executor": executors, "fidelity": schedulers,
    "screen": screens, "reward": rewards,
}  # fmt: skip
"""Fields of a configuration that select a plugin."""

WITHIN = {"strategy": ("goals", "prior"), "objective": ("reward", "limits"), "budget": ("fidelity", "screen")}
"""Section of the file -> fields of the configuration that stand in it, beside the section's own."""

NOT_OF_TABLES = ("torch_device", "frozen", "space", "recipe", "executor", "fidelity")
"""What is said of building and training means nothing where others have done it."""


def config_to_json(config: SearchConfig) -> dict[str, Any]:
    """Plain data, in the sections of a file.

    What is at its default is written too, so that a later version with other defaults reads the same.
    """
    means_nothing = () if config.table is None else NOT_OF_TABLES
    plain: dict[str, Any] = {"name": config.name}
    for name in ("seed", "torch_device", "weights", "frozen", "baselines", "models"):
        plain[name] = _plain(getattr(config, name))
    if config.task is not None:
        plain["task"] = config.task.to_json()
    if config.table is not None:
        plain["table"] = _plain(vars_of(config.table))
    plain["space"] = config.space.to_json()
    plain["strategy"] = {**config.strategy.to_json(), **_some(config, WITHIN["strategy"])}
    plain["objective"] = _some(config, WITHIN["objective"])
    plain["device"] = _plain(config.devices)
    plain["recipe"] = config.recipe.to_json()
    for name, section in (("pretrain", config.pretrain), ("supernet", config.supernet), ("morph", config.morph)):
        if section is not None:
            plain[name] = _plain(vars_of(section))
    plain["executor"] = config.executor.to_json()
    within = tuple(name for name in WITHIN["budget"] if name not in means_nothing)
    plain["budget"] = {**_plain(vars_of(config.budget)), **_some(config, within)}
    plain["recorded"] = _filled(config.recorded)
    return {name: part for name, part in plain.items() if part not in ({}, [], "") and name not in means_nothing}


def written_out(config: SearchConfig, task: Task | None, recipe: Recipe, space: Any) -> SearchConfig:
    """A configuration with all options of its plugins, as they are now.

    Args:
        config: Some of them.
        task: None for a table, of which there is neither recipe nor space to record.
        recipe: Of the trainings.
        space: Its options.
    """
    plain = replace(config, strategy=strategies.record(config.strategy), fidelity=schedulers.record(config.fidelity))
    if task is None:
        return plain
    recorded = recipes.record(config.recipe, recipe)
    return replace(
        plain,
        supernet=None if config.supernet is None else _supernet_written_out(config.supernet),
        pretrain=None if config.pretrain is None else _pretrain_written_out(config.pretrain, config.seed),
        morph=None if config.morph is None else _morph_written_out(config.morph),
        task=tasks.record(config.task, task),
        space=spaces.record(config.space, space),
        recipe=_without_about(recorded),
    )


def _supernet_written_out(supernet: SupernetConfig) -> SupernetConfig:
    return replace(
        supernet,
        sampling=samplings.record(supernet.sampling),
        recipe=_without_about(recipes.record(supernet.recipe)),
        fallback=strategies.record(supernet.fallback),
    )


def _pretrain_written_out(pretrain: PretrainConfig, seed: int) -> PretrainConfig:
    return replace(
        pretrain,
        task=tasks.record(pretrain.task, pretrain.learned(seed)),
        recipe=_without_about(recipes.record(pretrain.recipe)),
        sampling=None if pretrain.sampling is None else samplings.record(pretrain.sampling),
    )


def _morph_written_out(morph: MorphConfig) -> MorphConfig:
    return replace(
        morph,
        recipe=_without_about(recipes.record(morph.recipe)),
        resource=morph.resource and resources.record(morph.resource),
    )


def _without_about(recipe: Selection) -> Selection:
    return Selection(recipe.name, {key: value for key, value in recipe.options.items() if key != "about"})


def vars_of(record: Any) -> dict[str, Any]:
    """The fields of a dataclass, and nothing that it has computed."""
    return {f.name: getattr(record, f.name) for f in fields(record)}


def _filled(record: Any) -> dict[str, Any]:
    """The fields of a dataclass of which something is known."""
    return {name: value for name, value in vars_of(record).items() if value not in (None, "", 0)}


def _some(config: SearchConfig, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(value) for name in names if (value := getattr(config, name)) not in (None, ())}


def _plain(value: Any) -> Any:
    if isinstance(value, Selection):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, DeviceConfig):
        return _filled(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def config_from_json(data: object) -> SearchConfig:
    """A configuration from the sections of a file, checked.

    Raises:
        SpecError: An unknown section or field, or a value that cannot be.
    """
    if not isinstance(data, Mapping):
        raise SpecError(f"A configuration is an object, but got {short(data)}.")
    try:
        return _read(dict(data))
    except SpecError:
        raise
    except ParetonasError as error:
        raise SpecError(f"In the configuration: {error}") from None


def read_config(name: str, store: Store) -> SearchConfig:
    """The configuration of a recorded search, checked.

    Raises:
        StoreError: No such search, or a configuration that does not check.
    """
    try:
        config = config_from_json(store.config(name))
    except SpecError as error:
        raise StoreError(f"A recorded configuration is one that could be given, but of {name!r}: {error}") from None
    if config.name != name:
        raise StoreError(f"A recorded configuration has its search's name, but that of {name!r} has {config.name!r}.")
    return config


def _read(data: dict[str, Any]) -> SearchConfig:
    flat: dict[str, Any] = {}
    for section, names in WITHIN.items():
        inner = data.get(section)
        if isinstance(inner, Mapping):
            flat |= {name: inner[name] for name in names if name in inner}
            rest = {key: value for key, value in inner.items() if key not in names}
            data[section] = rest if rest or section == "budget" else None
    flat |= {key: value for key, value in data.items() if value is not None and key != "objective"}
    if data.get("objective"):
        raise SpecError(f"[objective] has reward and limits, but got {short(data['objective'])}.")
    values: dict[str, Any] = {}
    for key, value in flat.items():
        values |= _field(key, value)
    known = {f.name for f in fields(SearchConfig)}
    unknown = [key for key in values if key not in known]
    if unknown:
        raise SpecError(f"A configuration has the fields {', '.join(sorted(known))}, but got {unknown[0]!r}.")
    if "name" not in values:
        raise SpecError("A configuration lacks 'name'.")
    return SearchConfig(**values)


def _field(key: str, value: Any) -> dict[str, Any]:
    """A section, or a value outside of all sections, as fields of the configuration."""
    if key in SECTIONS:
        return {key: SECTIONS[key].read(value)}
    if key == "task":
        return {key: _task(value)}
    if key in ("table", "budget", "recorded"):
        kind = {"table": TableSource, "budget": Budget, "recorded": Recorded}[key]
        return {key: read_json(kind, value, key)}
    if key == "supernet":
        return {key: _supernet(value)}
    if key == "pretrain":
        return {key: _pretrain(value)}
    if key == "morph":
        return {key: _morph(value)}
    if key == "device":
        written = value if isinstance(value, list | tuple) else [value]
        return {"devices": tuple(_device(one, f"device[{i}]") for i, one in enumerate(written))}
    if key in ("limits", "models", "goals", "prior"):
        return {key: read_json(tuple[str, ...], [value] if isinstance(value, str) else value, key)}
    kinds = {"name": str, "torch_device": str, "weights": str, "seed": int, "baselines": bool, "frozen": bool}
    if key == "torch_device" and value == "":
        raise SpecError("`torch_device` is auto, cpu, cuda or mps, but it is empty. Leave it out.")
    return {key: read_json(kinds[key], value, key)} if key in kinds else {key: value}


def _task(value: Any) -> Selection:
    return tasks.read({"name": "classification", **value} if isinstance(value, Mapping) else value)


def _pretrain(value: Any) -> PretrainConfig:
    plugins = {"task": _task, "recipe": recipes.read, "sampling": samplings.read}
    if not isinstance(value, Mapping) or "task" not in value or set(value) - set(plugins):
        raise SpecError(f"[pretrain] has a task, and maybe recipe and sampling, but got {short(value)}.")
    return PretrainConfig(**{name: plugins[name](part) for name, part in value.items()})


def _supernet(value: Any) -> SupernetConfig:
    """A section, or the sampling alone."""
    given = dict(value) if isinstance(value, Mapping) else {"sampling": value}
    plugins = {"sampling": samplings, "recipe": recipes, "fallback": strategies}
    read: dict[str, Any] = {name: registry.read(given.pop(name)) for name, registry in plugins.items() if name in given}
    numbers: SupernetConfig = read_json(SupernetConfig, given, "supernet")
    return replace(numbers, **read)


def _morph(value: Any) -> MorphConfig:
    given = dict(value) if isinstance(value, Mapping) else {"budget": value}
    plugins = {"resource": resources.read, "recipe": recipes.read}
    read: dict[str, Any] = {name: plugin(given.pop(name)) for name, plugin in plugins.items() if name in given}
    plain: MorphConfig = read_json(MorphConfig, given, "morph")
    return replace(plain, **read)


def _device(value: Any, where: str) -> DeviceConfig:
    if isinstance(value, str):
        return DeviceConfig.parse(value)
    device: DeviceConfig = read_json(DeviceConfig, value, where)
    return device
