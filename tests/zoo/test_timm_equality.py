from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from paretonas.network import build
from paretonas.space import Interface
from paretonas.testing.runtime import randomize_statistics
from paretonas.zoo import zoo_spec

IMAGENET = Interface.of_images(3, 224, 1000)


def transplant(source, target):
    """Give `target` the weights of `source`, by their order within each kind of layer."""
    for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Linear):
        layers = ([m for m in model.modules() if isinstance(m, kind)] for model in (source, target))
        for theirs, ours in zip(*layers, strict=True):
            ours.load_state_dict(theirs.state_dict())
    return target


def pair(theirs, spec, seed=0):
    torch.manual_seed(seed)
    source = randomize_statistics(timm.create_model(theirs, pretrained=False, bn_eps=1e-3), seed).eval()
    return source, transplant(source, build(spec, IMAGENET)).eval()


def largest_difference(source, target, side):
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = source(x), target(x)
    assert expected.std(dim=1).min() > 1e-2  # outputs that say something
    return float((expected - found).abs().max() / expected.abs().max())


def small_of_timm():
    """timm adds a residual in the first block, where the released code does not."""
    spec = zoo_spec("mnasnet-small")
    first, *others = spec.blocks
    return replace(spec, blocks=(replace(first, skip="identity"), *others))


@pytest.mark.parametrize(
    ("theirs", "spec", "side"),
    [
        ("semnasnet_100", zoo_spec("mnasnet-a1"), 96),
        ("semnasnet_075", zoo_spec("mnasnet-a1", 0.75), 64),
        ("mnasnet_100", zoo_spec("mnasnet-b1"), 96),
        ("mnasnet_050", zoo_spec("mnasnet-b1", 0.5), 65),
        ("mnasnet_small", small_of_timm(), 96),
        ("mobilenetv2_100", zoo_spec("mobilenet-v2"), 96),
        ("mobilenetv2_140", zoo_spec("mobilenet-v2", 1.4), 64),
        ("mobilenetv2_050", zoo_spec("mobilenet-v2", 0.5), 64),
    ],
)
def test_outputs_equal_timms(theirs, spec, side):
    assert largest_difference(*pair(theirs, spec), side) < 1e-5


def test_outputs_equal_timms_at_full_resolution():
    assert largest_difference(*pair("semnasnet_100", zoo_spec("mnasnet-a1")), 224) < 1e-5


def test_small_of_the_released_code_is_not_timms():
    assert largest_difference(*pair("mnasnet_small", zoo_spec("mnasnet-small")), 64) > 1e-3


@pytest.mark.parametrize(
    ("theirs", "name", "width"),
    [
        ("mnasnet_140", "mnasnet-b1", 1.4),
        ("semnasnet_050", "mnasnet-a1", 0.5),
        ("mobilenetv2_035", "mobilenet-v2", 0.35),
    ],
)
def test_number_of_parameters_equals_timms(theirs, name, width):
    models = timm.create_model(theirs), build(zoo_spec(name, width), IMAGENET)
    their_count, our_count = (sum(p.numel() for p in model.parameters()) for model in models)
    assert their_count == our_count
