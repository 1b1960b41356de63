"""Classifiers as the backbones of detectors."""

import pytest
import torch

from paretonas.network import build
from paretonas.network.backbone import make_backbone
from paretonas.space import ForeignSpec, Interface
from paretonas.zoo import zoo_spec

OURS = {
    "mnasnet-a1:width=0.25": (2, 4, 8, 16, 32),
    "detnasnet:width=0.25": (2, 4, 8, 16, 32),
    "nasnet-a:skeleton=imagenet,cells=3,filters=8": (2, 4, 8, 16, 32),
    "amoebanet-a:skeleton=imagenet,cells=3,filters=16": (2, 4, 8, 16, 32),
    "nasnet-a:skeleton=cifar,cells=3,filters=8": (1, 2, 4),
}


@pytest.mark.parametrize("text", OURS)
def test_features_are_of_the_ends_of_stages(text):
    backbone = make_backbone(zoo_spec(text), 3)
    assert backbone.strides[-len(OURS[text]) :] == OURS[text][-len(backbone.strides) :]
    features = backbone.eval()(torch.zeros(1, 3, 128, 128))
    for feature, stride, filters in zip(features, backbone.strides, backbone.filters, strict=True):
        assert feature.shape[1] == filters
        if stride > 2:  # of cells, the stem has no padding
            assert feature.shape[2:] == (-(-128 // stride),) * 2


@pytest.mark.parametrize("text", OURS)
def test_features_are_what_the_classifier_computes_on_its_way(text):
    spec = zoo_spec(text)
    classifier, backbone = build(spec, Interface.of_images(3, 128, 5)).eval(), make_backbone(spec, 3).eval()
    given = {backbone.in_classifier(name): name for name in backbone.state_dict()}
    backbone.load_state_dict({own: classifier.state_dict()[name] for name, own in given.items()})
    seen = []
    last = classifier.cells[-1] if hasattr(classifier, "cells") else classifier.blocks[-1]
    last.register_forward_hook(lambda module, inputs, output: seen.append(output))
    x = torch.randn(1, 3, 128, 128)
    classifier(x)
    assert torch.equal(backbone(x)[-1], seen[0])


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "convnext_atto", "densenet121"])
def test_names_of_timm_s_features_are_those_of_its_classifiers(name):
    spec = ForeignSpec(f"timm:{name}")
    with torch.device("meta"):
        backbone, classifier = make_backbone(spec, 3), build(spec, Interface.of_images(3, 64, 5))
    assert {backbone.in_classifier(one) for one in backbone.state_dict()} <= set(classifier.state_dict())
