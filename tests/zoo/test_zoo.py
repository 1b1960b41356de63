from dataclasses import replace

import pytest

from paretonas.errors import SpecError, UnknownNameError, UsageError
from paretonas.export.export import example_inputs, outputs_of
from paretonas.network import build
from paretonas.space import ForeignSpec, spec_from_json, spec_to_json
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.zoo import zoo, zoo_network, zoo_spec
from paretonas.zoo.mnasnet import read_block, read_network


@pytest.mark.parametrize("name", list(zoo))
def test_every_network_takes_and_gives_what_it_says(name):
    spec = zoo_spec(name, resolution=32)
    side = 128 if spec.kind == "detector" else 32  # a pyramid's coarsest level has this stride
    interface = spec.usual_interface(channels=1, resolution=side, classes=7)
    model = build(spec, interface)
    outputs = outputs_of(model.eval(), example_inputs(interface))
    assert [output.shape for output in outputs] == [port.shape for port in interface.outputs]
    assert interface.outputs[0].shape[-1] == 7 + (name in ("faster-rcnn", "ssdlite"))  # and the background


@pytest.mark.parametrize("name", list(zoo))
def test_every_network_presents_itself_and_is_what_was_published(name):
    assert len(zoo.summary(name)) > 10
    others = {"mnasnet-d1-320": 320, "nasnet-a-large": 331, "pnasnet-5-large": 331, "amoebanet-d": 299}
    others |= {"retinanet": 640, "nas-fpn": 640, "ssdlite": 320, "faster-rcnn": 320}
    assert zoo_network(name).published_resolution == others.get(name, 224)
    spec = zoo_spec(name)
    assert spec == zoo_spec(f"{name}:width=1") == zoo_spec(name, 1.0, 224)
    assert spec_from_json(spec_to_json(spec)) == spec


@pytest.mark.parametrize("name", list(zoo))
def test_every_network_is_another_one(name):
    assert [other for other in zoo if zoo_spec(other) == zoo_spec(name)] == [name]


@pytest.mark.parametrize(
    ("text", "name", "width", "resolution"),
    [
        ("mnasnet-a1:width=0.5,resolution=32", "mnasnet-a1", 0.5, 32),
        ("mnasnet-a1:resolution=none", "mnasnet-a1", 1.0, None),
        ("mobilenet-v2:width=1.4", "mobilenet-v2", 1.4, None),
        ("mobilenet-v3-small:width=0.75,resolution=64", "mobilenet-v3-small", 0.75, 64),
        ("mnasnet-a1-mbconv3-k5:width=0.35", "mnasnet-a1-mbconv3-k5", 0.35, None),
    ],
)
def test_options_stand_behind_the_name(text, name, width, resolution):
    assert zoo_spec(text) == zoo_spec(name, width, resolution)
    assert zoo_network(text) == zoo_network(name, width, resolution)


def test_options_behind_the_name_win():
    assert zoo_spec("mnasnet-a1:width=0.5", 1.4, 32) == zoo_spec("mnasnet-a1", 0.5, 32)
    assert zoo_spec("mnasnet-a1:resolution=none", 1.4, 32) == zoo_spec("mnasnet-a1", 1.4)


def test_small_images_keep_their_pixels():
    spec = zoo_spec("mnasnet-a1", resolution=32)
    assert spec.stem_stride == 1
    assert [block.stride for block in spec.blocks] == [1, 1, 2, 2, 1, 2, 1]
    assert spec.scaled(resolution=32) == spec
    assert zoo_spec("mnasnet-a1", resolution=128) == zoo_spec("mnasnet-a1", resolution=320) == zoo_spec("mnasnet-a1")


def test_width_multiplies_stem_and_blocks():
    spec = zoo_spec("mnasnet-a1:width=0.5")
    assert spec == zoo_spec("mnasnet-a1").scaled(0.5)
    assert (spec.stem_filters, [block.filters for block in spec.blocks]) == (16, [8, 16, 24, 40, 56, 80, 160])


def test_foreign_networks_come_in_the_widths_that_exist():
    assert zoo_spec("mobilenet-v3-small", 0.75) == ForeignSpec("timm:mobilenetv3_small_075")
    assert zoo_spec("efficientnet-b0", resolution=32) == ForeignSpec("timm:efficientnet_b0", strides_dropped=2)
    with pytest.raises(SpecError, match=r"widths 0\.75, 1\.0, but got 0\.5"):
        zoo_spec("mobilenet-v3-large", 0.5)


@pytest.mark.parametrize("width", [0.0, -1.0, 10.5, float("nan")])
@pytest.mark.parametrize("name", ["mnasnet-a1", "mobilenet-v2"])
def test_width_out_of_range_is_refused(name, width):
    with pytest.raises(SpecError, match="above 0 and at most 10"):
        zoo_spec(name, width)


@pytest.mark.parametrize("function", [zoo_spec, zoo_network])
def test_unknown_network_is_refused_with_a_suggestion(function):
    with pytest.raises(
        UnknownNameError, match=r"No network of the zoo is called 'mnasnet_a1'\. Did you mean 'mnasnet-a1'"
    ):
        function("mnasnet_a1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mnasnet-a1:depth=2", "takes options as name=value; got 'depth'. Options: width=1.0, resolution=None"),
        ("mnasnet-a1:width=wide", "option 'width' of network of the zoo 'mnasnet-a1' is of type float"),
        ("mnasnet-a1:resolution=32.5", "is of type int, but got '32.5'"),
    ],
)
def test_option_that_a_network_does_not_take_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        zoo_spec(text)


# The notation of the released code


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("r1_k3_s11_e1_o16_noskip", BlockSpec("mbconv", 3, 16)),
        ("r3_k5_s22_e3_o40_se0.25", BlockSpec("mbconv", 5, 40, 3, 2, 3, 0.25, "identity")),
        ("r5_k7_s11_e9_o96", BlockSpec("mbconv", 7, 96, 5, 1, 9, 0.0, "identity")),
        ("r1_k3_s11_e6_o144_se0.25_noskip", BlockSpec("mbconv", 3, 144, 1, 1, 6, 0.25)),
    ],
)
def test_block_is_read_as_by_hand(text, block):
    assert read_block(text) == block


@pytest.mark.parametrize(
    "text", ["", "r3", "r3_k5_s22_e3_i24_o40", "r3_k5_s12_e3_o40", "r3_k5_s22_e3_o40_se", "r3_k5_s22_e3_o40 ", "R3_k5"]
)
def test_what_is_no_block_is_refused(text):
    with pytest.raises(SpecError, match="block string looks like"):
        read_block(text)


def test_block_that_cannot_be_is_refused():
    with pytest.raises(SpecError, match="but got kernel=4"):
        read_block("r3_k4_s22_e3_o40")


def test_network_is_read_block_by_block():
    network = read_network("r1_k3_s11_e1_o16 r2_k5_s22_e6_o24", stem_filters=8, activation="relu6")
    blocks = (BlockSpec("mbconv", 3, 16, skip="identity"), BlockSpec("mbconv", 5, 24, 2, 2, 6, skip="identity"))
    assert network == MnasNetSpec(blocks, 8, activation="relu6")


def test_networks_of_one_op_keep_the_first_block():
    a1 = zoo_spec("mnasnet-a1")
    for name, expansion, kernel in (("mnasnet-a1-mbconv3-k5", 3, 5), ("mnasnet-a1-mbconv6-k3", 6, 3)):
        spec = zoo_spec(name)
        assert {(b.expansion, b.kernel, b.se_ratio) for b in spec.blocks[1:]} == {(expansion, kernel, 0.0)}
        assert replace(spec, blocks=a1.blocks) == a1
        assert spec.blocks[0] == a1.blocks[0]
