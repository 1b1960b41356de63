"""What the command line says of a search, put into the sections of a configuration file."""

from __future__ import annotations

from typing import Any

from paretonas.cli.reading import TABLE, with_plugin
from paretonas.errors import UsageError

_IMAGES = ("data", "resolution", "train_images", "val_images", "skip_corrupt", "stream")


def set_data(
    settings: dict[str, Any], data: str | None, task: str | None, of_images: dict[str, Any], of_table: dict[str, Any]
) -> None:
    """What is learned, or the table that is looked up in; options of the other one are errors."""
    from paretonas.task import tasks

    is_table = data.startswith(TABLE) if data is not None else "table" in settings
    of_images, of_table = ({k: v for k, v in given.items() if v is not None} for given in (of_images, of_table))
    if is_table:
        misplaced, needed = [*of_images, *(["task"] if task else [])], "images: leave it out"
        file = {} if data is None else {"file": data.removeprefix(TABLE)}
        settings["table"] = {**settings.get("table", {}), **file, **of_table}
        settings.pop("task", None)
        for key in ("executor", "torch_device"):
            if key in settings:
                raise UsageError(f"What a table has was trained by others: {key}={settings[key]} would have no effect.")
        if "metric" not in settings["table"]:
            raise UsageError(f"A search of a table names the column of its quality: --data {data} --metric COLUMN.")
    else:
        given = {"data": data, **of_images, "quality": of_table.pop("quality", None)}
        misplaced, needed = list(of_table), f"a table: write --data {TABLE}FILE.parquet"
        section = with_plugin(settings.get("task"), task, tasks, {key: None for key in _IMAGES} | given)
        if section is None:
            raise UsageError("A search needs data: paretonas search NAME --data DATA.")
        settings["task"] = section
        settings.pop("table", None)
    if misplaced:
        raise UsageError(f"--{misplaced[0].replace('_', '-')} is of {needed}.")


def set_supernet(settings: dict[str, Any], given: dict[str, Any], strategy: str | None) -> None:
    """The section of the supernet; without one its options are errors.

    A strategy that was asked for serves scores and trainings; else the former, of which there are thousands, have a
    cheap one.
    """
    section = settings.get("supernet")
    given = _given(given)
    if section is None and "sampling" not in given:
        if given:
            raise UsageError(f"--{_OF_SUPERNET[min(given)]} is of a supernet: ask for one, --supernet sandwich.")
        return
    kept = {"sampling": section} if isinstance(section, str) else dict(section or {})
    settings["supernet"] = kept | given
    chosen = strategy or settings.setdefault("strategy", SCORING)
    if chosen != SCORING:
        of_plugin = chosen if isinstance(chosen, str) else {k: v for k, v in chosen.items() if k not in _OF_STRATEGY}
        settings["supernet"].setdefault("fallback", of_plugin)


def set_pretrain(settings: dict[str, Any], data: str | None, recipe: str | None) -> None:
    """The section of what backbones learn first; without data its options are errors."""
    section = dict(settings.get("pretrain", {}))
    if data is not None:
        task = section.get("task", {})
        section["task"] = {**(task if isinstance(task, dict) else {"name": task}), "data": data}
    if recipe is not None:
        section["recipe"] = recipe
    if section and "task" not in section:
        raise UsageError("--pretrain-recipe is of images that backbones learn to classify: give --pretrain-data DATA.")
    if section:
        settings["pretrain"] = section


SCORING = "nsga2"
"""The strategy that proposes what a supernet scores, unless another is asked for."""
_OF_STRATEGY = ("goals", "prior")
"""Of its section, and not its own options."""
_OF_SUPERNET = {"recipe": "supernet-recipe", "checked": "checked"}


def set_plugins(
    settings: dict[str, Any],
    plugins: dict[str, str | None],
    of_space: dict[str, Any],
    of_strategy: dict[str, Any],
    objective: dict[str, Any],
    budget: dict[str, Any],
) -> None:
    """The sections of plugins, each with what the command line says of it."""
    from paretonas.space import spaces
    from paretonas.strategy import strategies

    usual = _usual(settings)
    sections = {
        "space": with_plugin(settings.get("space"), plugins["space"], spaces, of_space),
        "strategy": with_plugin(settings.get("strategy"), plugins["strategy"], strategies, of_strategy),
        "recipe": plugins["recipe"] or settings.get("recipe") or (usual and usual.search),
        "objective": {**settings.get("objective", {}), **_given(objective)},
        "budget": {
            **settings.get("budget", {}),
            **_given({**budget, **{k: plugins[k] for k in ("fidelity", "screen")}}),
        },
    }
    for name, plugin in (("space", usual.space if usual else ""), ("strategy", "surrogate")):
        if isinstance(sections[name], dict):
            sections[name] = {"name": plugin, **sections[name]}
    if usual is not None:
        sections["space"] = sections["space"] or usual.space
    settings |= {key: section for key, section in sections.items() if section}


def _usual(settings: dict[str, Any]) -> Any:
    """What suits the task; None for a table."""
    from paretonas.task import tasks

    section = settings.get("task")
    if section is None:
        return None
    named = section if isinstance(section, str) else {"name": "classification", **section}
    return tasks.create(tasks.read(named)).usual


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
