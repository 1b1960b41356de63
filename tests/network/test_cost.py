from copy import deepcopy
from random import Random

import pytest
import torch
from torch import nn

from paretonas.network import build
from paretonas.network.cost import cost, spec_cost
from paretonas.network.layers import MBConv, SqueezeExcite
from paretonas.space import Interface, Port
from paretonas.space.mnasnet import BlockSpec, MnasNetSpace
from paretonas.zoo.zoo import zoo_spec


class Residual(nn.Module):
    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return x + self.body(x)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return self.conv(self.conv(x))


class Products(nn.Module):
    def forward(self, x):  # (1, 2, 3, 5) to (1, 2, 3, 3)
        return x @ x.transpose(2, 3)


class Step(nn.Module):
    """One step of a recurrent network: (1, 1) words and (1, 8) state to (1, 50) scores and the next state."""

    def __init__(self):
        super().__init__()
        self.words, self.cell, self.out = nn.Embedding(50, 4), nn.Linear(12, 8, bias=False), nn.Linear(8, 50)

    def forward(self, words, state):
        state = self.cell(torch.cat([self.words(words[:, 0]), state], 1))
        return self.out(state), state


class EarlyExit(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(8, 8, 1, bias=False)
        self.rest = nn.Sequential(nn.Conv2d(8, 32, 1, bias=False), nn.Conv2d(32, 8, 1, bias=False))

    def forward(self, x):
        early = self.first(x)
        return early, self.rest(early)


def interface_of(*shape):
    return Interface((Port("x", shape),), (Port("y", (1, 1)),))


# Float32 activations on 4 x 4 pixels: 64 bytes a channel.
HAND = {
    # 8 * 3 * 9 weights on 16 pixels; 3 and 8 channels alive
    "convolution": (nn.Conv2d(3, 8, 3, padding=1, bias=False), (1, 3, 4, 4), 216, 3456, 704),
    "bias": (nn.Conv2d(3, 8, 3, padding=1), (1, 3, 4, 4), 224, 3456, 704),
    "depthwise": (nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), (1, 8, 4, 4), 72, 1152, 1024),
    "grouped": (nn.Conv2d(8, 4, 1, groups=2, bias=False), (1, 8, 4, 4), 16, 256, 768),
    # 2 x 2 pixels out, 16 bytes a channel
    "stride": (nn.Conv2d(8, 8, 3, 2, padding=1, bias=False), (1, 8, 4, 4), 576, 2304, 640),
    "linear": (nn.Linear(10, 5), (1, 10), 55, 50, 60),
    "linear of three places": (nn.Linear(10, 5, bias=False), (1, 3, 10), 50, 150, 180),
    "products": (Products(), (1, 2, 3, 5), 0, 90, 4 * (30 + 18)),
    # Normalization and activation work in place; the convolution's input is gone by then.
    "in place": (
        nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        (1, 3, 4, 4),
        40,
        384,
        704,
    ),
    # The input stays until the sum, which overwrites one of its terms.
    "residual": (Residual(nn.Conv2d(8, 8, 1, bias=False)), (1, 8, 4, 4), 64, 1024, 1024),
    # Input 512 bytes, inner 2048, output 512: all three are alive in the second convolution.
    "wide residual": (
        Residual(nn.Conv2d(8, 32, 1, bias=False), nn.Conv2d(32, 8, 1, bias=False)),
        (1, 8, 4, 4),
        512,
        8192,
        3072,
    ),
    "no residual": (
        nn.Sequential(nn.Conv2d(8, 32, 1, bias=False), nn.Conv2d(32, 8, 1, bias=False)),
        (1, 8, 4, 4),
        512,
        8192,
        2560,
    ),
    "shared weights": (Twice(), (1, 8, 4, 4), 72, 2048, 1024),
    # 8 * 2 + 2 and 2 * 8 + 8 parameters on one pixel; input, 8 means and 2 reduced in the first convolution
    "squeeze": (SqueezeExcite(8, 2, "relu"), (1, 8, 4, 4), 42, 32, 512 + 8 * 4 + 2 * 4),
    "pooling": (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), (1, 8, 4, 4), 0, 0, 512 + 32),
    # Expansion 4 * 8 and BN 16; depthwise 72 and 16; SE 8 + 1 + 8 + 8; projection 8 * 4 and 8.
    # Input 4 channels, two of 8 in the depthwise convolution.
    "mbconv": (
        MBConv(4, 1, BlockSpec("mbconv", 3, 4, expansion=2, se_ratio=0.25, skip="identity"), "relu"),
        (1, 4, 4, 4),
        201,
        2192,
        64 * (4 + 8 + 8),
    ),
}


@pytest.mark.parametrize("name", HAND)
def test_params_macs_and_memory_as_by_hand(name):
    model, shape, params, macs, peak = HAND[name]
    found = cost(model, interface_of(*shape))
    assert (found.params, found.macs, found.weight_bytes) == (params, macs, 4 * params)
    assert found.peak_memory_bytes == peak


def test_several_inputs_and_outputs_of_other_types_as_by_hand():
    interface = Interface(
        (Port("words", (1, 1), "int64"), Port("state", (1, 8))), (Port("scores", (1, 50)), Port("next", (1, 8)))
    )
    found = cost(Step(), interface)
    assert (found.params, found.macs) == (50 * 4 + 12 * 8 + 8 * 50 + 50, 12 * 8 + 8 * 50)
    assert found.peak_memory_bytes == 4 * (8 + 50)  # at the end: the next state and the scores


def test_an_output_that_was_ready_early_is_kept_to_the_end():
    # 512, 2048 and 512 bytes; as an output of its own, the first is still there when the last is made
    assert cost(EarlyExit(), interface_of(1, 8, 4, 4)).peak_memory_bytes == 512 + 2048 + 512
    assert cost(EarlyExit().rest, interface_of(1, 8, 4, 4)).peak_memory_bytes == 2048 + 512


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("mnasnet-a1", 96 + 96 / 4),  # a depthwise convolution with stride 2 on the expanded first block
        ("mnasnet-b1", 16 + 48),  # the expansion itself
        ("mnasnet-small", 8 + 24),
        ("mobilenet-v2", 96 + 96 / 4),
    ],
)
def test_peak_memory_of_published_networks_lies_at_112_pixels(name, channels):
    peak = spec_cost(zoo_spec(name), Interface.of_images(3, 224, 1000)).peak_memory_bytes
    assert peak == channels * 112 * 112 * 4


def test_by_module_includes_the_children():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.ReLU()), nn.Conv2d(8, 2, 1))
    found = cost(model, interface_of(1, 3, 4, 4))
    assert found.by_module == {"0": (24, 384), "0.0": (24, 384), "0.1": (0, 0), "1": (18, 256)}


def test_metrics_carry_their_units():
    assert cost(nn.Linear(10, 5), interface_of(1, 10)).metrics() == {
        "params": 55.0,
        "macs": 50.0,
        "weight_bytes": 220.0,
        "peak_memory_bytes": 60.0,
    }


@pytest.mark.parametrize("training", [True, False])
def test_cost_leaves_the_model_as_it_was(training):
    interface = Interface.of_images(3, 32, 10)
    model = build(zoo_spec("mnasnet-a1", 0.5, 32), interface).train(training)
    model.blocks[0].train(not training)
    modes = [m.training for m in model.modules()]
    weights, state = [id(p) for p in model.parameters()], deepcopy(model.state_dict())
    generator = torch.get_rng_state()
    first = cost(model, interface)
    assert [m.training for m in model.modules()] == modes
    assert [id(p) for p in model.parameters()] == weights
    assert all(p.device.type == "cpu" and p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())
    assert torch.equal(torch.get_rng_state(), generator)
    assert cost(model, interface) == first


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-d1-320", "mobilenet-v2", "mobilenet-v3-small"])
def test_spec_cost_is_that_of_the_real_model(name):
    spec, interface = zoo_spec(name, resolution=32), Interface.of_images(3, 32, 10)
    assert spec_cost(spec, interface) == cost(build(spec, interface), interface)


def test_spec_cost_counts_channels_and_classes():
    spec = zoo_spec("mnasnet-a1")
    grey, coloured = (spec_cost(spec, Interface.of_images(*sizes)) for sizes in ((1, 224, 10), (3, 224, 1000)))
    assert coloured.params - grey.params == 990 * 1281 + 2 * 9 * 32
    assert coloured.macs - grey.macs == 990 * 1280 + 2 * 9 * 32 * 112 * 112


def counted(spec, side):
    """Parameters and MACs of a spec, summed layer by layer."""
    params = macs = 0

    def conv(c_in, c_out, kernel, pixels, groups=1, bias=False, norm=True):
        nonlocal params, macs
        weights = c_in // groups * c_out * kernel**2
        params += weights + (c_out if bias else 0) + (2 * c_out if norm else 0)
        macs += weights * pixels**2

    def squeeze(channels, width):
        conv(channels, width, 1, 1, bias=True, norm=False)
        conv(width, channels, 1, 1, bias=True, norm=False)

    side = -(-side // spec.stem_stride)
    conv(3, spec.stem_filters, 3, side)
    width = spec.stem_filters
    for block in spec.blocks:
        for layer in range(block.layers):
            out = -(-side // block.stride) if layer == 0 else side
            reduced = max(1, int(width * block.se_ratio))
            if block.op == "conv":
                conv(width, block.filters, block.kernel, out)
                if block.se_ratio:
                    squeeze(block.filters, reduced)
            else:
                hidden = width * block.expansion
                if block.expansion > 1:
                    conv(width, hidden, 1, side)
                conv(hidden, hidden, block.kernel, out, groups=hidden)
                if block.se_ratio:
                    squeeze(hidden, reduced)
                conv(hidden, block.filters, 1, out)
            side, width = out, block.filters
    conv(width, spec.head_filters, 1, side)
    conv(spec.head_filters, 10, 1, 1, bias=True, norm=False)
    return params, macs


@pytest.mark.parametrize(
    ("variant", "side", "width"), [("paper", 224, 1.0), ("google", 32, 0.5), ("flat", 32, 1.0), ("cell", 96, 0.75)]
)
def test_points_of_the_space_cost_the_sum_of_their_layers(variant, side, width):
    space = MnasNetSpace(variant=variant, resolution=side, width=width).build()
    rng = Random(0)
    for _ in range(3):
        spec = space.decode(space.sample(rng))
        found = spec_cost(spec, Interface.of_images(3, side, 10))
        assert (found.params, found.macs) == counted(spec, side)
