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
        "amoebanet": "paretonas.task.recipe:AMOEBANET",
        "cell-search": "paretonas.task.recipe:CELL_SEARCH",
        "detection": "paretonas.task.recipe:DETECTION",
        "detection-search": "paretonas.task.recipe:DETECTION_SEARCH",
        "language": "paretonas.task.recipe:LANGUAGE",
        "language-search": "paretonas.task.recipe:LANGUAGE_SEARCH",
        "mnasnet": "paretonas.task.recipe:MNASNET",
        "nas-rl": "paretonas.task.recipe:NAS_RL",
        "nasnet": "paretonas.task.recipe:NASNET",
        "search": "paretonas.task.recipe:SEARCH",
        "small-image": "paretonas.task.recipe:SMALL_IMAGE",
        "supernet": "paretonas.task.recipe:SUPERNET",
    },
)

__all__ = ["recipes", "tasks"]
