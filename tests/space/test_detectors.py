from random import Random

import pytest

from paretonas.errors import SpecError
from paretonas.space import spaces
from paretonas.space.detectors import BACKBONES, PUBLISHED, FasterRCNNSpace, RetinaNetSpace, SSDLiteSpace
from paretonas.zoo import zoo_spec

SPACES = {"faster-rcnn": FasterRCNNSpace, "retinanet": RetinaNetSpace, "ssdlite": SSDLiteSpace}


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", SPACES)
def test_a_space_of_detectors_is_that_of_its_backbones(name, backbone):
    space = SPACES[name](backbone=backbone, width=0.5).build()
    inner = spaces.create({"name": backbone, "resolution": PUBLISHED, "width": 0.5}).build()
    assert (space.decisions, space.width) == (inner.decisions, 0.5)
    drawn = space.sample(Random(0))
    spec = space.decode(drawn)
    assert (spec.kind, spec.head) == ("detector", name)
    assert spec.backbone == inner.decode(inner.architecture(drawn.choices))


def test_its_head_is_that_of_the_zoo():
    specs = {
        "faster-rcnn:backbone=detnasnet,filters=32,proposals=50": FasterRCNNSpace(filters=32, proposals=50),
        "retinanet:backbone=detnasnet,filters=32,separable=true": RetinaNetSpace(filters=32),
        "ssdlite:backbone=detnasnet,last_filters=320": SSDLiteSpace(backbone="detnas", last_filters=320),
    }
    for text, space in specs.items():
        spec, found = zoo_spec(text), space.build()
        choices = [("shuffle3", "shuffle5", "shuffle7", "xception3").index(block) for block in spec.backbone.blocks]
        assert found.decode(found.architecture(choices)) == spec


@pytest.mark.parametrize(
    ("space", "wrong"),
    [
        (SSDLiteSpace, {"backbone": "nasnet"}),
        (SSDLiteSpace, {"last_filters": 0}),
        (RetinaNetSpace, {"resolution": 320}),
        (RetinaNetSpace, {"head_layers": 17}),
        (FasterRCNNSpace, {"resolution": 96}),
        (FasterRCNNSpace, {"proposals": 0}),
        (FasterRCNNSpace, {"candidates": 5}),
        (FasterRCNNSpace, {"width": 0}),
    ],
)
def test_options_that_no_detector_can_have_are_refused(space, wrong):
    with pytest.raises(SpecError, match="but got"):
        space(**wrong)
