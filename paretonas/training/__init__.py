"""How accurate a network is."""

from paretonas.registry import Registry

recipes = Registry(
    "recipe",
    {
        "mnasnet": "paretonas.training.recipe:MNASNET",
        "search": "paretonas.training.recipe:SEARCH",
        "small-image": "paretonas.training.recipe:SMALL_IMAGE",
    },
)

__all__ = ["recipes"]
