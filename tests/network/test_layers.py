import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from paretonas.network import build
from paretonas.network.layers import ConvLayer, MBConv, PoolSkip, SqueezeExcite, skip_connection
from paretonas.space import Interface
from paretonas.space.mnasnet import BlockSpec
from paretonas.zoo.zoo import zoo_spec


def layers(model, kind):
    return [m for m in model.modules() if isinstance(m, kind)]


def make_transparent(model):
    """Batch normalizations that change nothing: variance plus epsilon is one."""
    for norm in layers(model, nn.BatchNorm2d):
        norm.running_var.fill_(0.999)
    return model.eval()


@pytest.mark.parametrize("skip", ["none", "identity", "pool"])
@pytest.mark.parametrize(("side", "stride", "out"), [(7, 1, 7), (7, 2, 4), (8, 1, 8), (8, 2, 4), (1, 2, 1)])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("c_out", [4, 6, 9])
def test_layers_map_sides_by_their_stride(c_out, kernel, side, stride, out, skip):
    x = torch.randn(2, 6, side, side)
    block = BlockSpec("conv", kernel, c_out, se_ratio=0.25, skip=skip)
    conv = ConvLayer(6, stride, block, "relu").eval()
    mbconv = MBConv(6, stride, replace(block, op="mbconv", expansion=3), "relu").eval()
    assert conv(x).shape == mbconv(x).shape == (2, c_out, out, out)


def test_pool_skip_averages_what_lies_inside_the_image():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    # (0+1+4+5)/4, (1+2+3+5+6+7)/6, (4+5+8+9+12+13)/6, (5+6+7+9+10+11+13+14+15)/9
    assert PoolSkip(1, 1, 2)(x).tolist() == [[[[2.5, 4.0], [8.5, 10.0]]]]
    assert PoolSkip(1, 1, 1)(x)[0, 0, 1].tolist() == [4.5, 5.0, 6.0, 6.5]


def test_pool_skip_pads_missing_channels_with_zeros():
    x = torch.stack([torch.full((2, 2), 1.0), torch.full((2, 2), 2.0)])[None]
    y = PoolSkip(2, 5, 1)(x)
    assert y.shape == (1, 5, 2, 2)
    assert y.mean(dim=(0, 2, 3)).tolist() == [1.0, 2.0, 0.0, 0.0, 0.0]


def test_pool_skip_cuts_channels_that_are_too_many():
    x = torch.arange(1.0, 5.0).reshape(1, 4, 1, 1).expand(1, 4, 4, 4)
    y = PoolSkip(4, 3, 2)(x)
    assert y.shape == (1, 3, 2, 2)
    assert y.mean(dim=(0, 2, 3)).tolist() == [1.0, 2.0, 3.0]


def test_pool_skip_has_no_weights():
    assert list(PoolSkip(4, 8, 2).parameters()) == []


@pytest.mark.parametrize(
    ("skip", "c_in", "c_out", "stride", "kind"),
    [
        ("none", 8, 8, 1, type(None)),
        ("identity", 8, 8, 1, nn.Identity),
        ("identity", 8, 8, 2, type(None)),
        ("identity", 8, 16, 1, type(None)),
        ("pool", 8, 16, 2, PoolSkip),
        ("pool", 8, 8, 1, PoolSkip),
    ],
)
def test_skip_connection_where_shapes_allow(skip, c_in, c_out, stride, kind):
    assert type(skip_connection(skip, c_in, c_out, stride)) is kind


def squeeze_excite(bias, activation="relu"):
    module = SqueezeExcite(2, 1, activation)
    with torch.no_grad():
        module.reduce.weight.fill_(1.0)
        module.reduce.bias.fill_(bias)
        module.expand.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
        module.expand.bias.copy_(torch.tensor([0.0, 1.0]))
    return module


@pytest.mark.parametrize(
    ("bias", "activation", "gates"),
    [
        # means 1 and 3; reduced 4 + bias; gates sigmoid(reduced), sigmoid(1 - reduced)
        (-2.0, "relu", (0.8807970780, 0.2689414214)),
        (-9.0, "relu", (0.5, 0.7310585786)),  # below zero: nothing is left of the means
        (6.0, "relu", (0.9999546021, 0.0001233946)),
        (6.0, "relu6", (0.9975273768, 0.0066928509)),  # 10 is cut to 6
    ],
)
def test_squeeze_excite_scales_channels_by_their_means(bias, activation, gates):
    x = torch.tensor([[0.0, 2.0], [3.0, 3.0]]).reshape(1, 2, 1, 2)
    with torch.no_grad():
        y = squeeze_excite(bias, activation)(x)
    expected = torch.tensor([0.0, 2 * gates[0], 3 * gates[1], 3 * gates[1]]).reshape(1, 2, 1, 2)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("c_in", "expansion", "ratio", "reduced", "hidden"),
    [
        (16, 6, 0.25, 4, 96),  # of the input's 16 channels, not of the 96 inside
        (18, 3, 0.25, 4, 54),  # 4.5
        (3, 6, 0.25, 1, 18),  # never none
        (16, 1, 0.5, 8, 16),
    ],
)
def test_squeeze_excite_is_reduced_from_the_input_width(c_in, expansion, ratio, reduced, hidden):
    (se,) = layers(
        MBConv(c_in, 1, BlockSpec("mbconv", 3, 8, expansion=expansion, se_ratio=ratio), "relu"), SqueezeExcite
    )
    assert se.reduce.weight.shape == (reduced, hidden, 1, 1)
    assert se.expand.weight.shape == (hidden, reduced, 1, 1)
    assert se.reduce.bias is not None
    assert se.expand.bias is not None


def test_squeeze_excite_of_a_convolution_is_reduced_from_the_input_width_too():
    (se,) = layers(ConvLayer(16, 1, BlockSpec("conv", 3, 40, se_ratio=0.25), "relu"), SqueezeExcite)
    assert se.reduce.weight.shape == (4, 40, 1, 1)


def mbconv(depthwise, projection, skip):
    layer = make_transparent(MBConv(1, 1, BlockSpec("mbconv", 1, 1, skip=skip), "relu"))
    with torch.no_grad():
        for conv, value in zip(layers(layer, nn.Conv2d), (depthwise, projection), strict=True):
            conv.weight.fill_(value)
        return layer(torch.tensor([-1.0, 2.0]).reshape(1, 1, 1, 2)).flatten()


@pytest.mark.parametrize(
    ("skip", "projection", "values"),
    [
        ("none", 3.0, [6.0, 0.0]),  # -2 x is 2 and -4; the second is cut
        ("none", -3.0, [-6.0, 0.0]),  # the projection is linear
        ("identity", 3.0, [5.0, 2.0]),
        ("pool", 3.0, [6.5, 0.5]),  # both pixels have the mean 0.5
    ],
)
def test_mbconv_is_linear_after_its_projection(skip, projection, values):
    torch.testing.assert_close(mbconv(-2.0, projection, skip), torch.tensor(values), rtol=0, atol=1e-6)


def test_conv_layer_adds_the_skip_after_its_activation():
    layer = make_transparent(ConvLayer(1, 1, BlockSpec("conv", 1, 1, skip="identity"), "relu"))
    with torch.no_grad():
        layers(layer, nn.Conv2d)[0].weight.fill_(-2.0)
        y = layer(torch.tensor([-1.0, 2.0]).reshape(1, 1, 1, 2)).flatten()
    torch.testing.assert_close(y, torch.tensor([1.0, 2.0]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("expansion", "shapes"),
    [
        (1, [(8, 1, 5, 5), (12, 8, 1, 1)]),  # no expanding convolution
        (6, [(48, 8, 1, 1), (48, 1, 5, 5), (12, 48, 1, 1)]),
    ],
)
def test_mbconv_has_the_published_convolutions(expansion, shapes):
    layer = MBConv(8, 2, BlockSpec("mbconv", 5, 12, expansion=expansion), "relu")
    convs = layers(layer, nn.Conv2d)
    assert [tuple(conv.weight.shape) for conv in convs] == shapes
    assert all(conv.bias is None for conv in convs)
    assert [conv.stride for conv in convs if conv.groups > 1] == [(2, 2)]
    assert len(layers(layer, nn.ReLU)) == len(shapes) - 1


@pytest.mark.parametrize(("activation", "kind"), [("relu", nn.ReLU), ("relu6", nn.ReLU6)])
def test_activation_is_the_one_asked_for(activation, kind):
    block = BlockSpec("mbconv", 3, 4, expansion=3, se_ratio=0.5)
    for layer in (ConvLayer(4, 1, block, activation), MBConv(4, 1, block, activation)):
        found = layers(layer, (nn.ReLU, nn.ReLU6))
        assert found
        assert {type(module) for module in found} == {kind}


def test_batch_normalization_has_mnasnets_settings():
    norms = layers(build(zoo_spec("mnasnet-a1"), Interface.of_images(3, 224, 10)), nn.BatchNorm2d)
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


def test_dropout_and_channels_are_as_asked():
    model = build(zoo_spec("mnasnet-a1"), Interface.of_images(1, 224, 10), dropout=0.2)
    assert model.dropout.p == 0.2
    assert model.stem[0].weight.shape == (32, 1, 3, 3)


def test_first_weights_have_the_variance_of_the_fan_out():
    torch.manual_seed(0)
    model = build(zoo_spec("mnasnet-a1"), Interface.of_images(3, 224, 1000))
    convs = {tuple(conv.weight.shape): conv.weight.detach() for conv in layers(model, nn.Conv2d)}
    assert float(convs[1280, 320, 1, 1].std()) == pytest.approx(math.sqrt(2 / 1280), rel=0.02)
    assert float(convs[672, 1, 5, 5].std()) == pytest.approx(math.sqrt(2 / 25), rel=0.02)
    assert all(not conv.bias.any() for conv in layers(model, nn.Conv2d) if conv.bias is not None)
    weight = model.classifier.weight.detach()
    assert float(weight.abs().max()) == pytest.approx(1 / math.sqrt(1280), rel=1e-3)
    assert float(weight.std()) == pytest.approx(1 / math.sqrt(3 * 1280), rel=0.02)
    assert not model.classifier.bias.any()
