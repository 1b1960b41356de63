import pytest
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.network.chain import Join, make_layer
from paretonas.network.cost import spec_cost
from paretonas.space import Interface
from paretonas.space.chain import ChainLayer, ChainSpec
from paretonas.space.interface import Port

IMAGES = Interface.of_images(3, 32, 10)


@pytest.mark.parametrize("side", [1, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_a_layer_divides_the_sides_and_rounds_up(kernel, stride, side):
    layer = make_layer(ChainLayer(kernel, 1, 4, (), stride, 1), 2)
    assert layer(torch.randn(2, 2, side, 9)).shape == (2, 4, -(-side // stride), 9)


def test_smaller_inputs_have_zeros_around_them():
    joined = Join([(3, 2), (1, 1), (2, 2)])([torch.ones(1, 1, 3, 2), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 2, 2)])
    assert joined.shape == (1, 3, 3, 2)
    assert joined[0, 1].tolist() == [[0, 0], [1, 0], [0, 0]]
    assert joined[0, 2].tolist() == [[1, 1], [1, 1], [0, 0]]


def test_counts_are_those_done_by_hand():
    """Two layers on the image, one on both of them and one on the last; what nobody takes goes to the classifier."""
    layers = (
        ChainLayer(3, 5, 24),
        ChainLayer(1, 1, 36),
        ChainLayer(7, 3, 48, (0, 1)),
        ChainLayer(1, 7, 64, (0,), 2, 2),
    )
    convolutions = [15 * 3 * 24, 3 * 36, 21 * (24 + 36) * 48, 7 * 24 * 64]
    norms, classifier = 2 * (24 + 36 + 48 + 64), (48 + 64) * 10
    cost = spec_cost(ChainSpec(layers), IMAGES)
    assert cost.params == sum(convolutions) + norms + classifier + 10
    assert cost.macs == sum(n * s * s for n, s in zip(convolutions, (32, 32, 32, 16), strict=True)) + classifier
    assert cost.by_module["layers.2"] == (convolutions[2] + 96, convolutions[2] * 32 * 32)


def test_output_is_what_the_rules_of_the_paper_say():
    """One input is taken as it is, several are concatenated, none is the image; the rest goes to the classifier."""
    layers = (
        ChainLayer(3, 3, 4, (), 2, 2),
        ChainLayer(3, 3, 5),
        ChainLayer(3, 3, 6, (0, 1)),
        ChainLayer(3, 3, 7, (0,)),
    )
    torch.manual_seed(0)
    model, x = build(ChainSpec(layers), IMAGES).eval(), torch.randn(2, 3, 32, 32)
    halved, whole = model.layers[0](x), model.layers[1](x)
    padded = nn.ZeroPad2d(8)(halved)
    both = model.layers[2](torch.cat([padded, whole], 1))
    last = torch.cat([both, nn.ZeroPad2d(8)(model.layers[3](halved))], 1)
    with torch.inference_mode():
        assert torch.allclose(model(x), model.classifier(last.mean((2, 3))), atol=1e-6)


def test_sides_of_one_pixel_stay():
    layers = tuple(ChainLayer(7, 7, 4, (i - 1,) if i else (), 3, 3) for i in range(6))
    assert build(ChainSpec(layers), IMAGES)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_what_is_no_image_is_refused():
    interface = Interface((Port("words", (1, 8)),), (Port("logits", (1, 2)),))
    with pytest.raises(SpecError, match="fed images"):
        build(ChainSpec((ChainLayer(3, 3, 4),)), interface)
