"""What is learned, from which data, by which recipe."""

from paretonas.registry import Registry

tasks = Registry("task", {"classification": "paretonas.task.classification:Classification"})

recipes = Registry(
    "recipe",
    {
        "mnasnet": "paretonas.task.recipe:MNASNET",
        "search": "paretonas.task.recipe:SEARCH",
        "small-image": "paretonas.task.recipe:SMALL_IMAGE",
    },
)

__all__ = ["recipes", "tasks"]
