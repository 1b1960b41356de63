from dataclasses import replace

import pytest
import torch
from timm.models.nasnet import NASNetALarge
from timm.models.pnasnet import PNASNet5Large

from paretonas.errors import ExportError
from paretonas.network import build
from paretonas.network.timm_cells import load_timm_weights
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

SMALL = "nasnet-a-large:cells=18,filters=8,stem=12"


@pytest.fixture(scope="module")
def nasnet():
    torch.manual_seed(0)
    return shaken(NASNetALarge(num_classes=7, stem_size=12, num_features=24 * 8))


def shaken(network):
    """With statistics as if it had been trained."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    return network.eval()


def ours(name, padding="same", classes=7):
    return build(replace(zoo_spec(name), padding=padding), Interface.of_images(3, 64, classes)).eval()


@torch.inference_mode()
def difference(a, b, side):
    x = torch.randn(1, 3, side, side)
    return float((a(x) - b(x)).abs().max() / a(x).abs().max())


@pytest.mark.parametrize("side", [64, 75])
def test_nasnet_with_timms_weights_gives_timms_outputs(nasnet, side):
    network = ours(SMALL)
    load_timm_weights(network, nasnet.state_dict())
    assert difference(nasnet, network, side) < 1e-5


def test_symmetric_padding_gives_others(nasnet):
    network = ours(SMALL, "symmetric")
    load_timm_weights(network, nasnet.state_dict())
    assert difference(nasnet, network, 64) > 1e-3


def test_pnasnet_with_timms_weights_gives_timms_outputs():
    theirs, network = shaken(PNASNet5Large(num_classes=7, pad_type="same")), ours("pnasnet-5-large")
    load_timm_weights(network, theirs.state_dict())
    assert difference(theirs, network, 64) < 1e-5


def test_weights_of_another_size_or_network_are_refused(nasnet):
    with pytest.raises(ExportError, match=r"have for conv0.conv.weight the shape \(96, 3, 3, 3\), but got \(12, 3"):
        load_timm_weights(ours("nasnet-a-large"), nasnet.state_dict())
    lacking = {name: tensor for name, tensor in nasnet.state_dict().items() if name != "cell_0.conv_1x1.conv.weight"}
    with pytest.raises(ExportError, match=r"for cell_0.conv_1x1.conv.weight the shape .* but got nothing"):
        load_timm_weights(ours(SMALL), lacking)
    with pytest.raises(ExportError, match="but extra belongs to another network"):
        load_timm_weights(ours(SMALL), {**nasnet.state_dict(), "extra": torch.zeros(1)})
