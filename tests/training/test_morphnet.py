"""MorphNet's regularizer: the numbers of its release, and slopes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from paretonas.errors import UsageError
from paretonas.network.cost import cost
from paretonas.network.dependencies import find_layout
from paretonas.network.layout import Layout
from paretonas.space import Interface, Port
from paretonas.space.widths import WidthGroup
from paretonas.task.recipe import Recipe
from paretonas.task.task import At
from paretonas.training import resources
from paretonas.training.morphnet import (
    Penalty,
    Sparsity,
    alive,
    first_strength,
    kept_channels,
    lasso,
    regularizer,
    scale_down,
    strengths,
)
from paretonas.training.resource import Estimated, Resource
from paretonas.training.spending import MACs, Parameters, Subject

FED = Interface((Port("image", (1, 3, 17, 19)),), (Port("logits", (1, 2)),))


class Published(nn.Module):
    """The network of the release's tests, and a layer behind each of its ends, as ends keep their widths."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 13, (7, 5), padding=(3, 2), bias=False), nn.Conv2d(3, 23, 1, bias=False)
        self.conv3, self.conv4 = nn.Conv2d(36, 29, 3, 2, padding=1, bias=False), nn.Conv2d(36, 31, 1, bias=False)
        self.bn1, self.bn2, self.bn3, self.bn4 = (nn.BatchNorm2d(n) for n in (13, 23, 29, 31))
        self.end3, self.end4 = nn.Conv2d(29, 2, 1, bias=False), nn.Conv2d(31, 2, 1, bias=False)
        scales = {"1": [0.8] * 7 + [0.2] * 6, "2": [-0.7] * 11 + [0.1] * 12, "3": [0.6] * 10 + [-0.3] * 19}
        for name, scale in (scales | {"4": [-0.5] * 17 + [-0.4] * 14}).items():
            self.get_parameter(f"bn{name}.weight").data = torch.tensor(scale)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.bn1(self.conv1(x)), self.bn2(self.conv2(x))], 1)
        ends = self.end3(self.bn3(self.conv3(x))), self.end4(self.bn4(self.conv4(x)))
        return ends[0].mean((2, 3)) + ends[1].mean((2, 3))


@pytest.fixture(scope="module")
def subject() -> Subject:
    model = Published()
    return Subject(model, find_layout(model, FED), FED)


def test_the_regularizer_is_that_of_the_release(subject: Subject) -> None:
    """Source: google-research/morph-net, flop_regularizer_test.py."""
    vectors = strengths(subject.model, subject.layout, Sparsity(threshold=0.45))
    widths = [len(channels) for channels in alive(vectors, Sparsity(0.45))]
    assert widths == [7, 11, 10, 17]
    macs = MACs().of(subject)
    assert (2 * macs.of_layers(subject.layout.widths))[:2].tolist() == [22_610 * 3 * 13, 646 * 3 * 23]
    assert (2 * macs.of_layers(widths))[:4].tolist() == pytest.approx([474_810, 21_318, 291_600, 197_676])
    terms = [2 * regularizer(vectors, torch.as_tensor(row)).item() for row in macs.pressures(widths)[:4]]
    assert terms == pytest.approx([461_244, 17_248.2, 595_512, 336_372.2], rel=1e-6)
    assert sum(terms) == pytest.approx(1_410_376.4, rel=1e-6)


def test_what_widths_cost_is_what_is_counted(subject: Subject) -> None:
    counted, widths = cost(subject.model, FED), subject.layout.widths
    assert MACs().of(subject).cost(widths) == counted.macs
    assert Parameters().of(subject).cost(widths) == counted.params
    assert resources.create("activations").of(subject).cost(widths) == 13 + 23 + 29 + 31 + 2 + 2


def test_a_roofline_is_the_longer_of_computing_and_moving(subject: Subject) -> None:
    widths = subject.layout.widths
    computing = resources.create("roofline:gflops=1,gbytes=1000000").of(subject).cost(widths)
    assert computing == pytest.approx(2 * MACs().of(subject).cost(widths), rel=1e-6)
    moving = resources.create("roofline:gflops=1000000,gbytes=1").of(subject)
    numbers = 17 * 19 * (3 + 13 + 3 + 23 + 36 + 36 + 31 + 31 + 2) + 90 * (29 + 29 + 2)
    weights = 35 * 3 * 13 + 3 * 23 + 9 * 36 * 29 + 36 * 31 + 2 * (29 + 31)
    assert moving.cost(widths) == 4 * (numbers + weights)


@pytest.mark.parametrize("text", ["macs", "params", "activations", "roofline:machine=v100", "roofline:machine=t4"])
def test_pressure_is_the_slope_of_the_cost(subject: Subject, text: str) -> None:
    resource: Resource = resources.create(text).of(subject)
    widths = [float(width) for width in subject.layout.widths]
    for group, slope in enumerate(resource.pressure(widths)):
        above, below = list(widths), list(widths)
        above[group], below[group] = above[group] + 1e-4, below[group] - 1e-4
        assert slope == pytest.approx((resource.cost(above) - resource.cost(below)) / 2e-4, rel=1e-4)


def test_a_depthwise_convolution_counts_twice() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 2, 1), nn.Flatten())
    fed = Interface((Port("image", (1, 3, 8, 8)),), (Port("logits", (1, 128)),))
    macs = MACs().of(Subject(model, find_layout(model, fed), fed))
    assert macs.pressures([4])[1].tolist() == [2 * 9 * 64]


def test_estimates_have_slopes_by_differences() -> None:
    resource = Estimated(lambda widths: 3.0 * widths[0] + widths[0] * widths[1] / 10, (1, 2), (1, 2))
    assert resource.pressure([20, 40]).tolist() == pytest.approx([7.0, 2.0])
    assert resource.pressure([0, 40])[0] == pytest.approx(7.0)  # a group of which nothing lives


def test_a_group_without_normalization_has_the_root_mean_square_of_its_weights() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.Flatten())
    fed = Interface((Port("image", (1, 3, 8, 8)),), (Port("logits", (1, 128)),))
    (vector,) = strengths(model, find_layout(model, fed), Sparsity())
    torch.testing.assert_close(vector, model[0].weight.flatten(1).square().mean(1).sqrt())


def test_of_several_layers_the_strongest_or_all_count() -> None:
    class Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.end = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)
            self.bn_a, self.bn_b = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
            self.bn_a.weight.data, self.bn_b.weight.data = torch.tensor([3.0, 0.0]), torch.tensor([-4.0, 0.5])

        def forward(self, x: Tensor) -> Tensor:
            return self.end(self.bn_a(self.a(x)) + self.bn_b(self.b(x))).flatten(1)

    model, fed = Added(), Interface((Port("image", (1, 3, 8, 8)),), (Port("logits", (1, 128)),))
    layout = find_layout(model, fed)
    assert strengths(model, layout, Sparsity())[0].tolist() == [4.0, 0.5]
    assert strengths(model, layout, Sparsity(grouping="l2"))[0].tolist() == [5.0, 0.5]


def test_slopes_are_those_of_finite_differences() -> None:
    weights = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: lasso(w, 0.5), weights)
    scales = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: regularizer([s.abs(), s[:2].abs()], torch.tensor([3.0, 0.5])), scales)


def test_the_strength_that_is_found_begins_where_scales_would_reach_zero() -> None:
    at = At(0, 1000, 0, Recipe(lr=0.1, batch_size=64, momentum=0.9))
    assert first_strength(at, 700) == pytest.approx(0.1 * 700 / (2 * 0.25 * 0.7 * 1000))


@pytest.mark.parametrize("wrong", [{"threshold": 1.0}, {"threshold": -0.1}, {"l1": 2.0}])
def test_numbers_out_of_range_are_refused(subject: Subject, wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="threshold"):
        Sparsity(**wrong)
    with pytest.raises(UsageError, match="shrink"):
        Penalty(subject.layout, MACs().of(subject), Sparsity(), shrink=1.0)


@pytest.mark.parametrize("text", ["roofline", "roofline:machine=abacus", "roofline:machine=t4,gflops=1,gbytes=1"])
def test_a_roofline_is_of_one_machine(text: str) -> None:
    with pytest.raises(UsageError, match="roofline is of a machine"):
        resources.create(text)


def test_latency_needs_an_estimate(subject: Subject) -> None:
    with pytest.raises(UsageError, match="nobody has measured"):
        resources.create("latency").of(subject)


def test_the_strongest_that_live_are_kept_and_as_many_of_each_group() -> None:
    layout = Layout((WidthGroup("a", 6, multiple=2), WidthGroup("b", 3), WidthGroup("c", 2, is_removable=True)), (), {})
    vectors = [torch.tensor([0.5, 0.0, 0.4, 0.0, 0.3, 0.0]), torch.tensor([0.0, 0.005, 0.0]), torch.zeros(2)]
    assert kept_channels(vectors, layout, Sparsity(0.01)) == [[0, 2, 3, 4], [1], []]
    assert kept_channels([*vectors[:2], torch.zeros(0)], layout, Sparsity(0.01))[2] == [
        0,
        1,
    ]  # gone with a branch around it
    assert kept_channels(vectors, layout, Sparsity(0.01), (True, False, True)) == [[0, 1, 2, 3, 4, 5], [1], [0, 1]]


def test_scales_begin_small_and_nothing_else_changes() -> None:
    model = Published()
    layout, before = find_layout(model, FED), {name: x.clone() for name, x in model.named_parameters()}
    scale_down(model, layout, 0.1)
    changed = {name for name, x in model.named_parameters() if not torch.equal(x, before[name])}
    assert changed == {"bn1.weight", "bn2.weight", "bn3.weight", "bn4.weight"}
    torch.testing.assert_close(model.bn1.weight, 0.1 * before["bn1.weight"])
