import pytest
import torch
from timm.layers import create_conv2d, create_pool2d
from torch import nn

from paretonas.network.padding import SamePadded, pad_same


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("kernel", [3, 5])
def test_convolutions_are_padded_as_timm_pads_them(side, kernel):
    theirs = create_conv2d(2, 3, kernel, stride=2, padding="same")
    ours = SamePadded(nn.Conv2d(2, 3, kernel, 2, kernel // 2, bias=False))
    ours.layer.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 2, side, side + 1)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("kind", "layer", "options"),
    [
        ("max", nn.MaxPool2d(3, 2, 1), {}),
        ("avg", nn.AvgPool2d(3, 2, 1, count_include_pad=False), {"count_include_pad": False}),
    ],
)
def test_pools_are_padded_as_timm_pads_them(kind, layer, options):
    theirs, x = create_pool2d(kind, 3, 2, padding="same", **options), torch.randn(1, 2, 8, 9)
    assert torch.equal(SamePadded(layer)(x), theirs(x))


def test_only_what_pads_and_strides_is_changed():
    network = nn.Sequential(nn.Conv2d(1, 1, 3, 1, 1), nn.Conv2d(1, 1, 1, 2), nn.Conv2d(1, 1, (1, 7), (1, 2), (0, 3)))
    pad_same(network)
    assert [isinstance(layer, SamePadded) for layer in network] == [False, False, True]
    assert network(torch.zeros(1, 1, 8, 8)).shape == (1, 1, 4, 2)


def test_weights_are_stored_as_without_it():
    plain, padded = (nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.MaxPool2d(3, 2, 1)) for _ in range(2))
    pad_same(padded)
    assert list(padded.state_dict()) == list(plain.state_dict())
    padded.load_state_dict(plain.state_dict())
    assert torch.equal(padded[0].layer.weight, plain[0].weight)
    with pytest.raises(RuntimeError, match="Missing key"):
        padded.load_state_dict({"0.weight": plain[0].weight})
