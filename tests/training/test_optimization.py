import math

import pytest
import torch
from torch import nn

from paretonas.errors import UsageError
from paretonas.network import build
from paretonas.space import Interface
from paretonas.task.recipe import Recipe
from paretonas.task.recipe_book import MNASNET
from paretonas.training.optimization import MovingAverage, check_recipe, make_optimizer, make_schedule, take_step
from paretonas.zoo import zoo_spec


def _rates(recipe, steps, per_epoch, batch_size=256):
    optimizer = make_optimizer(nn.Linear(2, 2), recipe, batch_size)
    schedule = make_schedule(optimizer, recipe, steps, per_epoch)
    rates = []
    for step in range(steps):
        schedule.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def test_published_schedule_has_the_released_rates():
    per_epoch = 10  # of 1024 images: peak 0.016 * 4 = 0.064
    rates = _rates(MNASNET, 350 * per_epoch, per_epoch, batch_size=1024)
    assert rates[0] == 0.0
    assert rates[25] == pytest.approx(0.064 / 2)  # half of the five epochs of warm-up
    assert rates[50] == pytest.approx(0.064 * 0.97**2)  # 5 epochs hold two drops: the warm-up does not shift them
    assert rates[71] == pytest.approx(0.064 * 0.97**2)
    assert rates[72] == pytest.approx(0.064 * 0.97**3)
    assert rates[-1] == pytest.approx(0.064 * 0.97 ** (3499 // 24))


def test_published_rate_is_256_thousandths_at_the_papers_batch():
    optimizer = make_optimizer(nn.Linear(2, 2), MNASNET, 4096)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.256)


def test_cosine_falls_from_the_peak_to_nothing():
    rates = _rates(Recipe(lr=0.4, warmup=0.0), 100, 10)
    assert rates[0] == pytest.approx(0.4)
    assert rates[50] == pytest.approx(0.2)
    assert rates[99] == pytest.approx(0.2 * (1 + math.cos(math.pi * 0.99)))


def test_published_optimizer_steps_as_tensorflows_does():
    weight = nn.Parameter(torch.tensor([2.0, -1.0]))
    holder = nn.Module()
    holder.weight = weight
    optimizer = make_optimizer(holder, MNASNET, 256)
    lr, decay, momentum, eps, weight_decay = 0.016, 0.9, 0.9, 1e-3, 1e-5
    expected, accumulator, velocity = [2.0, -1.0], [1.0, 1.0], [0.0, 0.0]
    for gradients in ([0.3, -0.2], [0.1, 0.5], [-0.7, 0.0]):
        weight.grad = torch.tensor(gradients)
        optimizer.step()
        for i, gradient in enumerate(gradients):
            g = gradient + weight_decay * expected[i]
            accumulator[i] = decay * accumulator[i] + (1 - decay) * g * g
            velocity[i] = momentum * velocity[i] + lr * g / math.sqrt(accumulator[i] + eps)
            expected[i] -= velocity[i]
    assert weight.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("decay_biases", [False, True])
def test_weight_decay_spares_normalization_and_on_request_biases(decay_biases):
    model = build(zoo_spec("mnasnet-a1", 0.25, 32), Interface.of_images(3, 32, 10))
    optimizer = make_optimizer(model, Recipe(decay_biases=decay_biases), 256)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    listed = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(listed) == len({id(p) for p in listed}) == len(list(model.parameters()))
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_norm = isinstance(module, nn.BatchNorm2d)
            assert (id(parameter) in decayed) == (not is_norm and (decay_biases or name != "bias"))


def test_a_step_on_a_cpu_is_all_in_float32():
    seen = []

    class Rounding(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    seen.append(p.to(dtype=torch.bfloat16, copy=True).dtype)

    take_step(Rounding(nn.Linear(2, 2).parameters()), torch.device("cpu"))
    take_step(Rounding(nn.Linear(2, 2).parameters()), torch.device("meta"))
    assert seen == [torch.float32, torch.float32, torch.bfloat16, torch.bfloat16]


def test_optimizers_that_keep_bfloat16_step_too():
    check_recipe(Recipe(optimizer="adafactorbv"))


def test_muon_moves_a_matrix_by_an_orthogonal_one():
    torch.manual_seed(0)
    layer = nn.Linear(32, 16, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn(16, 32)
    take_step(make_optimizer(layer, Recipe(optimizer="muon", weight_decay=0.0), 256), torch.device("cpu"))
    moved = torch.linalg.svdvals(before - layer.weight.detach())
    assert float(moved.max() / moved.min()) < 2, "of the gradient's own, 4 and more"
    spread = torch.linalg.svdvals(layer.weight.grad)
    assert float(spread.max() / spread.min()) > 4


def test_moving_average_ramps_up_as_tensorflows_does_and_covers_statistics():
    model = nn.BatchNorm1d(1)
    average = MovingAverage(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(2.0)
        model.running_mean.fill_(10.0)
    average.update(model, 0)  # decay 1/10
    assert average.model.weight.item() == pytest.approx(0.1 * 1 + 0.9 * 2)
    assert average.model.running_mean.item() == pytest.approx(9.0)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average.update(model, 1000)  # the ramp has passed .5
    assert average.model.weight.item() == pytest.approx(0.95)


def test_optimizer_that_timm_does_not_know_is_refused():
    with pytest.raises(UsageError, match="optimizer is one of timm's"):
        check_recipe(Recipe(optimizer="magic"))
    with pytest.raises(UsageError, match="Did you mean 'muon'"):
        check_recipe(Recipe(optimizer="muom"))
    with pytest.raises(UsageError, match="no more than gradients, but 'adahessian'"):
        check_recipe(Recipe(optimizer="adahessian"))


def test_tied_weights_are_one_parameter():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    groups = make_optimizer(nn.Sequential(first, second), Recipe(), 1).param_groups
    assert [len(group["params"]) for group in groups] == [1, 2]
