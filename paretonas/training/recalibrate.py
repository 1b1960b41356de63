"""Statistics of batch normalization for weights that were trained in other company.

Source: Guo et al., Single Path One-Shot Neural Architecture Search with Uniform Sampling, ECCV 2020, section 3.4.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from paretonas.task.recipe import Recipe
from paretonas.task.task import At, Task


def recalibrate(model: nn.Module, task: Task, recipe: Recipe, seed: int, examples: int) -> None:
    """Set the statistics to the average over training batches, which are forgotten otherwise.

    Args:
        model: Changed in these statistics alone; in evaluation mode afterwards.
        task: Gives the batches, and feeds them to the model.
        recipe: Of the training; examples are not mixed here.
        seed: Of the batches.
        examples: At least so many, in whole batches, but no more than one pass over the data.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept, device = [norm.momentum for norm in norms], next(model.parameters()).device
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average
    recipe = replace(recipe, mixup=0.0, cutmix=0.0, dropout=0.0, drop_path=0.0)
    there = task.examples["train"]
    batches = -(-min(examples, there) // recipe.batch_of(there))
    model.train()
    with torch.no_grad():
        for step, batch in enumerate(task.batches("train", recipe, seed, range(batches))):
            here = tree_map(lambda x: x.to(device) if isinstance(x, Tensor) else x, batch)
            task.loss(model, here, At(step, batches, seed, recipe))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    model.eval()
