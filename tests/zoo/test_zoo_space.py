import pytest
import torch

from paretonas.errors import SpecError, UnknownNameError
from paretonas.network import build
from paretonas.space import ForeignSpec, Interface, spaces
from paretonas.zoo import zoo_spec

CIFAR = Interface.of_images(3, 32, 10)


def test_zoo_space_offers_the_published_networks_at_the_searchs_width():
    space = spaces.create("zoo", {"width": 0.5, "resolution": 32}).build()
    names = space.decisions[0].choices
    assert {"mobilenet-v2 x0.25", "mobilenet-v2 x0.5", "mobilenet-v2 x0.7", "mnasnet-a1 x0.5"} <= set(names)
    assert space.size == len(names) == 15
    specs = {name: space.decode(space.architecture([i])) for i, name in enumerate(names)}
    assert specs["mobilenet-v2 x0.5"] == zoo_spec("mobilenet-v2", 0.5, 32)
    assert specs["efficientnet-b0 x1"] == ForeignSpec("timm:efficientnet_b0", strides_dropped=2)


def test_zoo_space_is_found_again_by_its_name():
    space = spaces.create("zoo:also=timm:resnet18,networks=mobilenet-v2*0.35+mnasnet-small", {"resolution": 32}).build()
    assert space.decisions[0].choices == ("mobilenet-v2 x0.35", "mnasnet-small x1", "timm:resnet18")
    again = spaces.create(space.name).build()
    assert again.name == space.name
    assert [again.decode(again.architecture([i])) for i in range(3)] == [
        space.decode(space.architecture([i])) for i in range(3)
    ]


def test_strides_are_dropped_for_small_images_only():
    space = spaces.create("zoo:networks=efficientnet-b0", {"resolution": 224}).build()
    assert space.decode(space.architecture([0])) == ForeignSpec("timm:efficientnet_b0")


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "mobilenetv3_large_075", "efficientnet_b0"])
def test_dropped_strides_leave_four_pixels_of_32(name):
    model = build(ForeignSpec(f"timm:{name}", strides_dropped=2), CIFAR).eval()
    plain = build(ForeignSpec(f"timm:{name}"), CIFAR).eval()
    with torch.inference_mode():
        assert model.forward_features(torch.zeros(1, 3, 32, 32)).shape[-2:] == (4, 4)
        assert plain.forward_features(torch.zeros(1, 3, 32, 32)).shape[-2:] == (1, 1)
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(p.numel() for p in plain.parameters())


def test_more_strides_than_there_are_cannot_be_dropped():
    with pytest.raises(SpecError, match="has 5 and 9 are to be dropped"):
        build(ForeignSpec("timm:mobilenetv3_small_050", strides_dropped=9), CIFAR)


@pytest.mark.parametrize(
    ("options", "error"), [("networks=vgg", UnknownNameError), ("networks=mnasnet-a1*wide", SpecError)]
)
def test_zoo_space_of_what_is_not_there_is_refused(options, error):
    with pytest.raises(error):
        spaces.create(f"zoo:{options}")
