"""Metrics of untrained networks: known values, determinism, networks of every kind."""

import math

import pytest
import torch
from torch import nn

from paretonas.errors import TrainingError
from paretonas.loop.screen import ZERO_COST
from paretonas.network import build
from paretonas.space import spaces
from paretonas.training.zerocost import gradient_norm, jacobian_covariance, synflow, zero_cost
from paretonas.zoo.zoo import zoo_spec


def _batch(n=8, channels=3, side=16):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, channels, side, side, generator=generator), torch.arange(n) % 3


def test_synflow_of_two_layers_by_hand():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.LayerNorm(2), nn.ReLU6(), nn.Linear(2, 1))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 100.0]]))
        model[4].weight.copy_(torch.tensor([[5.0, -7.0]]))
    paths = 5 * (1 + 2) + 7 * (3 + 100)  # every path's product; biases, normalization and ReLU6's bound are left out
    assert synflow(model, torch.Size((1, 1, 1, 2))) == pytest.approx(math.log(2 * paths))  # once for each layer


def test_gradient_norm_of_one_layer_by_hand():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.zero_()
    images = torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2)
    assert gradient_norm(model, images, torch.tensor([0])) == pytest.approx(math.sqrt(2 * 0.25 * 25))


def test_jacobian_covariance_is_lower_where_images_are_treated_alike():
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))  # its gradient is the same for all images
    bent = nn.Sequential(nn.Flatten(), nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 3))
    images, _ = _batch(side=4)
    assert jacobian_covariance(linear, images) < jacobian_covariance(bent, images) < 0


@pytest.mark.parametrize(
    "spec",
    [
        zoo_spec("mnasnet-a1", 0.25, 16),
        zoo_spec("mobilenet-v2", 0.25, 16),
        zoo_spec("efficientnet-b0", 1.0, 32),
        *(
            space.decode(space.architecture([len(d.choices) - 1 for d in space.decisions]))
            for space in (spaces.create(name).build() for name in ("nasbench-macro", "nasbench201"))
        ),
    ],
)
def test_networks_of_every_kind_have_finite_metrics_and_stay_as_they_are(spec):
    torch.manual_seed(1)
    model, (images, labels) = build(spec, 3), _batch(n=4, side=32)
    before, random = {n: t.clone() for n, t in model.state_dict().items()}, torch.get_rng_state()
    first = zero_cost(model, images, labels)
    assert zero_cost(model, images, labels) == first
    assert first.keys() == set(ZERO_COST)
    assert all(map(math.isfinite, first.values()))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_that_passes_nothing_on_is_the_worst_of_all():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    images, labels = torch.randn(2, 1, 2, 2), torch.tensor([0, 1])
    sound = zero_cost(model, images, labels)
    nn.init.zeros_(model[1].weight)
    dead = zero_cost(model, images, labels)
    assert dead["synflow"] < -700 < sound["synflow"]
    assert dead["jacobian_covariance"] <= sound["jacobian_covariance"]


def test_a_metric_that_is_no_number_is_an_error():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    nn.init.constant_(model[1].weight, math.nan)
    with pytest.raises(TrainingError, match="synflow is nan"):
        zero_cost(model, torch.randn(2, 1, 2, 2), torch.tensor([0, 1]))
