"""Statistics of batch normalization from the data."""

import torch
from image_tasks import visible
from torch import nn

from paretonas.data.augment import to_input
from paretonas.task.recipe import Recipe
from paretonas.training.recalibrate import recalibrate
from paretonas.zoo import zoo_spec

RECIPE = Recipe(batch_size=16, crop=0.0, is_flipped=False, mixup=0.2, dropout=0.5, layout="contiguous")


def test_statistics_are_averages_of_whole_batches():
    task = visible()
    torch.manual_seed(0)
    model = task.network(zoo_spec("mobilenet-v2", 0.25, 8), RECIPE)
    before = {name: p.clone() for name, p in model.named_parameters()}
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(9)
    recalibrate(model, task, RECIPE, seed=3, examples=33)
    fed = [to_input(images) for images, _ in task.batches("train", RECIPE, 3, range(3))]  # 48: whole batches
    means = torch.stack([model.stem[0](x).mean((0, 2, 3)) for x in fed]).mean(0)
    torch.testing.assert_close(model.stem[1].running_mean, means, rtol=1e-4, atol=1e-5)
    assert not model.training
    assert model.stem[1].momentum == 0.01
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_no_image_is_seen_twice():
    task = visible()
    torch.manual_seed(0)
    model = task.network(zoo_spec("mobilenet-v2", 0.25, 8), RECIPE)
    there = task.examples["train"]
    recalibrate(model, task, RECIPE, seed=3, examples=there)
    once = model.stem[1].running_var.clone()
    recalibrate(model, task, RECIPE, seed=3, examples=10 * there)
    assert torch.equal(model.stem[1].running_var, once)
