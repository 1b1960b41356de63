import pytest
import torch

from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.network.pyramid import Neck
from paretonas.space import Interface
from paretonas.space.mnasnet import BlockSpec
from paretonas.zoo import zoo, zoo_network, zoo_spec
from paretonas.zoo.counts import COUNTS

IMAGENET = Interface.of_images(3, 224, 1000)

# The numbers of the MnasNets follow from tensorflow/tpu's block strings; timm and torchvision have the same.


@pytest.mark.parametrize(
    ("name", "width", "params", "macs"),
    [
        ("mnasnet-a1", 1.0, 3_887_038, 311_579_072),
        ("mnasnet-a1", 0.5, 2_082_006, 103_162_992),
        ("mnasnet-a1", 0.75, 2_912_278, 223_448_480),
        ("mnasnet-b1", 1.0, 4_383_312, 314_415_872),
        ("mnasnet-b1", 0.5, 2_218_512, 104_455_968),
        ("mnasnet-b1", 1.3, 6_282_256, 526_362_432),
        ("mnasnet-small", 1.0, 2_030_264, 68_339_184),
        ("mnasnet-d1", 1.0, 3_638_404, 967_705_824),
        ("mobilenet-v2", 1.0, 3_504_872, 300_774_272),
    ],
)
def test_params_and_macs_of_published_networks(name, width, params, macs):
    found = spec_cost(zoo_spec(name, width), IMAGENET)
    assert (found.params, found.macs) == (params, macs)


# Those of the cells follow from the released builders; timm has the same for the large ones. Where the filters of a
# cell of the stem are odd, the second path of its factorized reduction has one more, as in the released code.


@pytest.mark.parametrize(
    ("name", "resolution", "classes", "params", "macs"),
    [
        ("nasnet-a-large", 331, 1000, 88_753_150, 23_783_414_658),
        pytest.param("nasnet-a-large", 331, 1001, 88_757_183, 23_783_418_690, marks=pytest.mark.slow),
        ("nasnet-a", 224, 1000, 5_289_978, 563_638_816),
        pytest.param("nasnet-a", 224, 1001, 5_291_035, 563_639_872, marks=pytest.mark.slow),
        ("nasnet-a", 32, 10, 3_346_538, 544_333_312),
        ("pnasnet-5-large", 331, 1000, 86_057_668, 24_937_395_792),
        ("pnasnet-5", 224, 1000, 5_064_487, 587_293_200),
        ("pnasnet-5:cells=6,filters=24", 32, 10, 559_090, 112_046_784),
        pytest.param("amoebanet-a:cells=18,filters=190", 331, 1001, 86_721_838, 23_133_666_547, marks=pytest.mark.slow),
        pytest.param("amoebanet-a:cells=18,filters=204", 331, 1001, 99_628_547, 26_623_184_958, marks=pytest.mark.slow),
        pytest.param(
            "amoebanet-a:cells=18,filters=448", 299, 1001, 468_158_353, 103_887_701_136, marks=pytest.mark.slow
        ),
        ("amoebanet-a", 224, 1001, 5_087_731, 554_688_004),
        ("amoebanet-a", 32, 10, 2_567_754, 407_671_808),
        ("amoebanet-a:filters=36", 32, 10, 3_218_266, 509_668_992),
        ("amoebanet-a:cells=9,filters=24", 32, 10, 843_322, 139_349_760),
        ("amoebanet-b", 224, 1001, 5_259_693, 555_061_400),
        ("amoebanet-b", 32, 10, 2_839_186, 454_925_952),
        pytest.param(
            "amoebanet-c:cells=18,filters=228", 331, 1001, 155_277_228, 41_129_493_435, marks=pytest.mark.slow
        ),
        pytest.param("amoebanet-d", 299, 1001, 84_007_145, 18_876_452_192, marks=pytest.mark.slow),
        pytest.param("amoebanet-d:cells=18", 299, 1001, 121_915_113, 26_964_905_312, marks=pytest.mark.slow),
    ],
)
def test_params_and_macs_of_published_cells(name, resolution, classes, params, macs):
    found = spec_cost(zoo_spec(name, resolution=resolution), Interface.of_images(3, resolution, classes))
    assert (found.params, found.macs) == (params, macs)


# Those of DetNASNet follow from the released code, and are the README's; those of NAS-FPN within .4 % of the paper's
# 60.3 M and 281.3 G, which counts two for a multiply-add.


@pytest.mark.parametrize(
    ("name", "params", "macs", "backbone"),
    [
        ("detnasnet", 3_533_112, 321_219_008, (1_849_680, 288_082_368)),
        ("detnasnet:found=coco-retinanet", 3_725_320, 324_342_464, (2_041_888, 291_205_824)),
        ("detnasnet:found=voc-fpn", 3_651_128, 349_524_544, (1_967_696, 316_387_904)),
        ("detnasnet:size=large", 10_426_328, 1_318_374_496, (8_415_216, 1_269_181_536)),
        ("detnasnet:size=huge", 29_521_972, 4_025_560_992, (26_724_428, 3_937_832_864)),
        ("shufflenet-uniform:block=0", 3_156_920, 295_842_496, (1_473_488, 262_705_856)),
        ("shufflenet-uniform:block=1", 3_214_008, 313_654_976, (1_530_576, 280_518_336)),
        ("shufflenet-uniform:block=2", 3_299_640, 340_373_696, (1_616_208, 307_237_056)),
        ("shufflenet-uniform:block=3", 3_872_856, 358_825_920, (2_189_424, 325_689_280)),
    ],
)
def test_params_and_macs_of_detnas(name, params, macs, backbone):
    spec = zoo_spec(name)
    whole = spec_cost(spec, IMAGENET)
    assert (whole.params, whole.macs) == (params, macs)
    last = [whole.by_module[name] for name in ("head", "classifier")]
    assert (params - sum(p for p, _ in last), macs - sum(m for _, m in last)) == backbone


@pytest.mark.parametrize("name", list(zoo))
def test_networks_are_listed_with_what_they_cost(name):
    network, spec = zoo_network(name), zoo_spec(name)
    found = spec_cost(spec, spec.usual_interface(3, network.published_resolution, spec.usual_classes))
    assert COUNTS[name].metrics() == found.metrics()


@pytest.mark.parametrize(
    ("name", "resolution", "classes", "params", "macs"),
    [
        ("faster-rcnn", 320, 90, 2_853_654, 774_073_600),
        ("nas-fpn", 640, 90, 60_057_998, 140_084_979_200),
        ("nas-fpn", 640, 91, 60_078_743, 140_261_753_600),
        ("ssdlite", 320, 90, 4_772_466, 782_715_232),  # published: 4.9 M, 0.8 B
        ("retinanet", 640, 90, 34_071_950, 96_703_424_000),  # published: 34.0 M, 193.6 G / 2
        ("ssdlite:backbone=mobilenet-v2", 320, 90, 4_380_828, 757_165_504),  # published: 4.3 M, 0.8 B
    ],
)
def test_params_and_macs_of_detectors(name, resolution, classes, params, macs):
    spec = zoo_spec(name)
    found = spec_cost(spec, spec.usual_interface(3, resolution, classes))
    assert (found.params, found.macs) == (params, macs)


def test_params_and_macs_of_faster_r_cnn_are_torchvision_s():
    """Published: 41,755,286, without the 53,120 of frozen normalizations, and 134.38 G at 800 pixels."""
    spec = zoo_spec(
        "faster-rcnn:backbone=timm:resnet50,filters=256,separable=false,normalized=false,candidates=1000,"
        "proposals=1000,box_filters=1024"
    )
    found = spec_cost(spec, spec.usual_interface(3, 832, 90))
    assert found.params == 41_755_286 + 53_120
    boxes = found.by_module["boxes"][1]
    assert (found.macs - boxes) * (800 / 832) ** 2 + boxes == pytest.approx(134.38e9, rel=1e-4)


def test_params_and_macs_of_the_neck_that_nas_fpn_found():
    neck = Neck(zoo_spec("nas-fpn").neck, (2, 4, 8, 16, 32), (64, 256, 512, 1024, 2048))
    assert sum(p.numel() for p in neck.stacks.parameters()) == 7 * 4_134_144 == 28_939_008
    places = [14 * (640 // 2**level) ** 2 for level in (4, 4, 3, 4, 5, 7, 6)]
    assert 7 * sum(n // 14 * 9 * 256 * 256 for n in places) == 48_409_804_800  # of its convolutions


@pytest.mark.parametrize(
    ("name", "params"),
    [  # as torchvision and timm publish them
        ("mobilenet-v3-small", 2_542_856),
        ("mobilenet-v3-large", 5_483_032),
        ("efficientnet-b0", 5_288_548),
    ],
)
def test_params_of_foreign_networks(name, params):
    assert spec_cost(zoo_spec(name), Interface.of_images(3, 32, 1000)).params == params


@pytest.mark.parametrize(
    ("resolution", "macs"), [(192, 229_322_144), (160, 159_720_128), (128, 102_773_024), (96, 58_480_832)]
)
def test_a1_at_other_resolutions(resolution, macs):
    found = spec_cost(zoo_spec("mnasnet-a1"), Interface.of_images(3, resolution, 1000))
    assert (found.params, found.macs) == (3_887_038, macs)


def test_a1_with_background_class():
    found = spec_cost(zoo_spec("mnasnet-a1"), Interface.of_images(3, 224, 1001))
    assert (found.params, found.macs) == (3_888_319, 311_580_352)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("mnasnet-a1-mbconv3-k3", 2_654_240, 186_267_152),
        ("mnasnet-a1-mbconv3-k5", 2_712_224, 202_034_960),
        ("mnasnet-a1-mbconv6-k3", 3_610_472, 330_310_688),
        ("mnasnet-a1-mbconv6-k5", 3_726_440, 361_846_304),
    ],
)
def test_a1_of_a_single_op(name, params, macs):
    spec, a1 = zoo_spec(name), zoo_spec("mnasnet-a1")
    found = spec_cost(spec, IMAGENET)
    assert (found.params, found.macs) == (params, macs)
    assert spec.blocks[0] == a1.blocks[0]
    assert [(b.layers, b.filters, b.stride) for b in spec.blocks] == [
        (b.layers, b.filters, b.stride) for b in a1.blocks
    ]


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        (
            "mnasnet-a1",
            [
                (896, 10_035_200),
                (13_968, 54_942_720),
                (39_098, 28_850_592),
                (281_680, 59_411_520),
                (316_144, 49_655_808),
                (1_067_244, 53_492_256),
                (473_920, 23_002_560),
            ],
        ),
        (
            "mnasnet-b1",
            [
                (896, 10_035_200),
                (11_472, 40_341_504),
                (33_096, 28_844_928),
                (217_680, 47_275_200),
                (209_184, 40_096_896),
                (1_611_456, 86_224_320),
                (605_440, 29_409_408),
            ],
        ),
    ],
)
def test_params_and_macs_of_each_block(name, blocks):
    found = spec_cost(zoo_spec(name), IMAGENET)
    assert [found.by_module[f"blocks.{i}"] for i in range(7)] == blocks
    # Stem: 27 * 32 weights and 64 of BN, at 112 pixels. Head: 320 * 1280 and 2560 of BN, at 7. Classifier with bias.
    assert found.by_module["stem"] == (928, 10_838_016)
    assert found.by_module["head"] == (412_160, 20_070_400)
    assert found.by_module["classifier"] == (1_281_000, 1_280_000)


def test_sides_of_a1s_blocks():
    model = build(zoo_spec("mnasnet-a1"), Interface.of_images(3, 224, 10)).eval()
    sides = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, args, output: sides.append(output.shape[2:]))
    with torch.no_grad():
        model(torch.zeros(1, 3, 224, 224))
    assert sides == [(side, side) for side in (112, 56, 28, 14, 14, 7, 7)]


@pytest.mark.parametrize("name", ["mnasnet-a1", "mobilenet-v2"])
def test_published_networks_are_what_their_strings_say(name):
    blocks = {
        "mnasnet-a1": BlockSpec("mbconv", 5, 40, 3, 2, 3, 0.25, "identity"),
        "mobilenet-v2": BlockSpec("mbconv", 3, 32, 3, 2, 6, 0.0, "identity"),
    }
    assert zoo_spec(name).blocks[2] == blocks[name]
    assert zoo_spec(name).activation == {"mnasnet-a1": "relu", "mobilenet-v2": "relu6"}[name]


def test_small_has_no_residual_in_its_first_block():
    # The released string says 16 channels in, the stem gives 8: TensorFlow compares 16 with 8 and adds nothing.
    assert zoo_spec("mnasnet-small").blocks[0].skip == "none"
    assert zoo_spec("mnasnet-small").stem_filters == 8


@pytest.mark.parametrize(("width", "head"), [(0.5, 1280), (1.0, 1280), (1.3, 1664), (1.4, 1792)])
def test_head_of_mobilenet_v2_grows_and_never_shrinks(width, head):
    assert zoo_spec("mobilenet-v2", width).head_filters == head
    assert zoo_spec("mnasnet-a1", width).head_filters == 1280
