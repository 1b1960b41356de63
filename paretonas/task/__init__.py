"""What is learned, from which data, by which recipe."""

from paretonas.registry import Registry

tasks = Registry(
    "task",
    {
        "classification": "paretonas.task.classification:Classification",
        "detection": "paretonas.task.detection:Detection",
        "language": "paretonas.task.language:Language",
    },
)

recipes = Registry(
    "recipe",
    {
        "amoebanet": "paretonas.task.recipe_book:AMOEBANET",
        "cell-search": "paretonas.task.recipe_book:CELL_SEARCH",
        "detection": "paretonas.task.recipe_book:DETECTION",
        "detection-search": "paretonas.task.recipe_book:DETECTION_SEARCH",
        "language": "paretonas.task.recipe_book:LANGUAGE",
        "language-search": "paretonas.task.recipe_book:LANGUAGE_SEARCH",
        "mnasnet": "paretonas.task.recipe_book:MNASNET",
        "morph": "paretonas.task.recipe_book:MORPH",
        "nas-rl": "paretonas.task.recipe_book:NAS_RL",
        "nasnet": "paretonas.task.recipe_book:NASNET",
        "search": "paretonas.task.recipe_book:SEARCH",
        "pretrain": "paretonas.task.recipe_book:PRETRAIN",
        "small-image": "paretonas.task.recipe_book:SMALL_IMAGE",
        "supernet": "paretonas.task.recipe_book:SUPERNET",
    },
)

__all__ = ["recipes", "tasks"]
