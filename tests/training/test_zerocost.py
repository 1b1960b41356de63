"""Metrics of untrained networks: known values, determinism, networks of every kind."""

import math

import pytest
import torch
import torch.nn.functional as F
from image_tasks import noisy, visible
from torch import nn

from paretonas.errors import TrainingError
from paretonas.objective import metric
from paretonas.space import spaces
from paretonas.training.zerocost import PLAIN, gradient_norm, inputs_of, jacobian_covariance, synflow, zero_cost
from paretonas.zoo import zoo_spec

GIVEN = {"synflow", "jacobian_covariance", "gradient_norm"}


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

    def loss(of):
        return F.cross_entropy(of(images), torch.tensor([0]))

    assert gradient_norm(model, loss) == pytest.approx(math.sqrt(2 * 0.25 * 25))


def test_jacobian_covariance_is_lower_where_images_are_treated_alike():
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))  # its gradient is the same for all images
    bent = nn.Sequential(nn.Flatten(), nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 3))
    images = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
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
    task = noisy(n=4, side=32)
    model = task.network(spec, PLAIN)
    before, random = {n: t.clone() for n, t in model.state_dict().items()}, torch.get_rng_state()
    first = zero_cost(model, task, 0)
    assert zero_cost(model, task, 0) == first
    assert first.keys() == GIVEN
    assert all(map(math.isfinite, first.values()))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_that_passes_nothing_on_is_the_worst_of_all():
    torch.manual_seed(0)
    model, task = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), visible(n=4)
    sound = zero_cost(model, task, 0)
    nn.init.zeros_(model[1].weight)
    dead = zero_cost(model, task, 0)
    assert dead["synflow"] < -700 < sound["synflow"]
    assert dead["jacobian_covariance"] <= sound["jacobian_covariance"]


def test_a_metric_that_is_no_number_is_an_error():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    nn.init.constant_(model[1].weight, math.nan)
    with pytest.raises(TrainingError, match="synflow is nan"):
        zero_cost(model, visible(n=4), 0)


def test_metrics_are_of_the_first_batch_of_a_seed():
    task = visible(n=128)
    model = task.network(zoo_spec("mobilenet-v2", 0.25, 8), PLAIN)
    a, b, c = (zero_cost(model, task, seed) for seed in (3, 3, 4))
    assert a == b
    assert a["synflow"] == c["synflow"]  # is shown ones
    assert a["gradient_norm"] != c["gradient_norm"]
    assert a["jacobian_covariance"] != c["jacobian_covariance"]


def test_examples_are_shown_as_they_are():
    (batch,) = visible(n=128).batches("train", PLAIN, 0, range(1))
    assert (PLAIN.batch_size, PLAIN.crop, PLAIN.min_area, PLAIN.is_flipped) == (64, 0.0, 1.0, False)
    images = torch.from_numpy(visible(n=128).images.train.images)
    assert all((images == image).flatten(1).all(1).any() for image in batch[0])


def test_inputs_of_a_loss_are_what_the_network_is_fed_first():
    model, fed = nn.Linear(3, 2), torch.arange(6.0).reshape(2, 3)
    found = inputs_of(model, lambda of: of(fed).sum() + of(2 * fed).sum())
    assert torch.equal(found, fed)
    assert not found.requires_grad
    assert not model._forward_pre_hooks


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_metrics_are_declared_as_rising_and_known_before_training(name):
    assert metric(name).is_rising
    assert metric(name).known == "untrained"
