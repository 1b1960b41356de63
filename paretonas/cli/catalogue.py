"""Commands that list plugins: spaces, strategies, devices, recipes, executors and others."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from paretonas.cli import console
from paretonas.cli.app import AsJson, app
from paretonas.errors import ParetonasError
from paretonas.registry import Registry, describe_options
from paretonas.space import spaces
from paretonas.strategy import strategies


@app.command("spaces")
def list_spaces(as_json: AsJson = False) -> None:
    """List the search spaces and their options."""
    _print_registry(spaces, as_json, lambda plugin: {"size": plugin().build().size})


@app.command("strategies")
def list_strategies(as_json: AsJson = False) -> None:
    """List the search strategies and their options."""
    _print_registry(strategies, as_json)


@app.command("tasks")
def list_tasks(as_json: AsJson = False) -> None:
    """List the tasks that can be learned, and their options."""
    from paretonas.task import tasks

    def quality(task: Any) -> dict[str, Any]:  # a wrapper has it of what it wraps
        return {"quality": task.quality if isinstance(task.quality, str) else None}

    _print_registry(tasks, as_json, quality)


@app.command("metrics")
def list_metrics(as_json: AsJson = False) -> None:
    """List the metrics that limits, goals and columns may name."""
    from paretonas.objective import metric, metrics

    if as_json:
        console.print_json([asdict(metric(name)) for name in metrics])
        return
    rows = [[one.name, one.axis, "rises" if one.is_rising else "falls", one.known] for one in map(metric, metrics)]
    console.table(["metric", "title", "better where it", "known from"], rows)


@app.command("rewards")
def list_rewards(as_json: AsJson = False) -> None:
    """List the rewards that score a trial, and their options."""
    from paretonas.objective import rewards

    _print_registry(rewards, as_json)


@app.command("devices")
def list_devices(as_json: AsJson = False) -> None:
    """List the runtimes and transports that a device is made of, and which runtimes are installed here."""
    from paretonas.device import runtimes, transports

    if as_json:
        engines = _registry_rows(runtimes, _installed)
        console.print_json({"runtimes": engines, "transports": _registry_rows(transports)})
        return
    _print_registry(runtimes, as_json, _installed)
    _print_registry(transports, as_json)
    form = "[name=]runtime[:options][@transport[:address]], as in phone=onnxruntime:threads=4"
    console.out.print()
    console.out.print(f"A device is written {form}")


@app.command("recipes")
def list_recipes(as_json: AsJson = False) -> None:
    """List the training recipes and their options."""
    from paretonas.task import recipes

    if as_json:
        console.print_json([{"name": name, **asdict(recipes.load(name))} for name in recipes])
        return
    for name in recipes:
        recipe = recipes.load(name)
        console.out.print(console.styled(name, "bold"), f" {recipe.about}")
        console.out.print("  " + " ".join(f"{k}={v}" for k, v in asdict(recipe).items() if k != "about"))


@app.command("executors")
def list_executors(as_json: AsJson = False) -> None:
    """List where trainings can run, and the options of each."""
    from paretonas.executor import executors

    _print_registry(executors, as_json)


def _installed(runtime: Any) -> dict[str, Any]:
    """The version of a runtime on this machine, or None and what to do about it."""
    try:
        return {"installed": runtime().version(), "remedy": None}
    except ParetonasError as error:
        return {"installed": None, "remedy": str(error)}


def _registry_rows(registry: Registry, more: Any = lambda plugin: {}) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "about": registry.summary(name),
            "options": describe_options(registry.load(name)),
            **more(registry.load(name)),
        }
        for name in registry
    ]


def _print_registry(registry: Registry, as_json: bool, more: Any = lambda plugin: {}) -> None:
    rows = _registry_rows(registry, more)
    if as_json:
        console.print_json(rows)
        return
    for row in rows:
        size = f" ({console.size_words(row['size'])} architectures)" if "size" in row else ""
        console.out.print(registry.kind, console.styled(row["name"], "bold"), f"{size} {row['about']}".lstrip())
        if "installed" in row:
            console.out.print(f"  installed: {row['installed']}" if row["installed"] else f"  {row['remedy']}")
        if row["options"]:
            console.out.print("  options: " + " ".join(row["options"]))
