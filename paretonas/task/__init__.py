"""What is learned, and how."""

from paretonas.registry import Registry

recipes = Registry(
    "recipe",
    {
        "mnasnet": "paretonas.task.recipe:MNASNET",
        "search": "paretonas.task.recipe:SEARCH",
        "small-image": "paretonas.task.recipe:SMALL_IMAGE",
    },
)

__all__ = ["recipes"]
