from random import Random

import pytest

from paretonas.space import Decision, Interface, SearchSpace, spaces
from paretonas.space.mnasnet import VARIANTS, BlockSpec, MnasNetSpec
from paretonas.testing.space import SpaceContract

FOR_SMALL_IMAGES = {
    "amoebanet": "amoebanet:cells=3,filters=8",
    "nasnet": "nasnet:cells=3,filters=8",
    "pnasnet": "pnasnet:cells=3,filters=8",
    "widths": "widths:network=mnasnet-small,width=0.1,resolution=32,most=1",
    "zoo": "zoo:width=0.25,resolution=32,networks=mobilenet-v2+mnasnet-a1,also=timm:test_efficientnet",
    "faster-rcnn": "faster-rcnn:width=0.25,filters=8,proposals=20,box_filters=16",
    "nas-fpn": "nas-fpn:width=0.25,filters=8,stacks=2,head_layers=1",
    "retinanet": "retinanet:width=0.25,filters=8,head_layers=1",
    "ssdlite": "ssdlite:width=0.25,last_filters=32",
}
"""Options with which the networks of a space are small."""
OF_DETECTORS = {"faster-rcnn", "nas-fpn", "retinanet", "ssdlite"}
"""Spaces whose networks give numbers for every anchor or proposal."""
OF_WORDS = {"nas-rl-recurrent"}
"""Spaces whose networks are fed words."""
REGISTERED = [
    *(FOR_SMALL_IMAGES.get(name, name) for name in spaces),
    *(f"mnasnet:variant={variant},width=0.5" for variant in VARIANTS),
    "mnasnet:variant=paper,resolution=32,width=0.5,se=false,head-filters=256",
    "mnasnet:variant=google,reference=mnasnet-a1",
    "nas-rl-chain:layers=8,strides=true,width=0.5",
    "ssdlite:backbone=detnas,width=0.25,last_filters=32",
]


class TestSpaces(SpaceContract):
    @pytest.fixture(params=REGISTERED)
    def space(self, request):
        return spaces.create(request.param).build()

    @pytest.fixture
    def interface(self, space):
        if space.name.partition(":")[0] in OF_DETECTORS:
            return space.decode(space.sample(Random(0))).usual_interface(3, 128, 5)
        return Interface.of_words(100) if space.name in OF_WORDS else Interface.of_images(3, 32, 10)

    def test_name_builds_the_space_again(self, space):
        again = spaces.create(space.name).build()
        assert (again.name, again.decisions) == (space.name, space.decisions)


def _network(values):
    block = BlockSpec("mbconv", 3, values["filters"], values["layers"], 2, 3, 0.0, "identity")
    return MnasNetSpec((block,), stem_filters=8, head_filters=16)


class TestOneArchitecture(SpaceContract):
    @pytest.fixture
    def space(self):
        return SearchSpace("one", (Decision("layers", (2,)), Decision("filters", (8,))), _network)

    def test_its_only_architecture_is_all_there_is(self, space):
        only = space.architecture([0, 0])
        assert space.size == 1
        assert list(space.neighbours(only)) == []
        assert space.decode(only).blocks[0].layers == 2


class TestOneOpenDecision(SpaceContract):
    @pytest.fixture
    def space(self):
        return SearchSpace("small", (Decision("filters", (8,)), Decision("layers", (1, 2, 3))), _network)
