from dataclasses import replace
from random import Random

import pytest

from paretonas.errors import SpecError
from paretonas.space import Architecture
from paretonas.space.mnasnet import BlockSpec, MnasNetSpace, MnasNetSpec, round_filters, strides_for

POINT = (
    (1, 0, 0, 2, 1, 0),  # dconv 3 - none x1 one layer
    (3, 1, 1, 1, 0, 1),  # mbconv6 5 se identity x0.75 one more
    (0, 0, 0, 0, 2, 2),  # conv 3 - pool x1.25 one fewer
    (2, 1, 0, 2, 1, 0),  # mbconv3 5 - none x1
    (3, 0, 1, 1, 0, 1),  # mbconv6 3 se identity x0.75 one more
    (3, 1, 0, 0, 2, 2),  # mbconv6 5 - pool x1.25 one fewer
    (2, 0, 0, 1, 1, 0),  # mbconv3 3 - identity x1 one layer: a residual that 200 -> 320 channels cannot use
)
DECODED = (
    BlockSpec("mbconv", 3, 16, 1, 1, 1, 0.0, "none"),
    BlockSpec("mbconv", 5, 18, 3, 2, 6, 0.25, "identity"),
    BlockSpec("conv", 3, 40, 2, 2, 1, 0.0, "pool"),
    BlockSpec("mbconv", 5, 64, 4, 2, 3, 0.0, "none"),
    BlockSpec("mbconv", 3, 72, 4, 1, 6, 0.25, "identity"),
    BlockSpec("mbconv", 5, 200, 2, 2, 6, 0.0, "pool"),
    BlockSpec("mbconv", 3, 320, 1, 1, 3, 0.0, "none"),
)


def decode(choices, **options):
    space = MnasNetSpace(**options).build()
    return space.decode(space.architecture([c for block in choices for c in block]))


@pytest.mark.parametrize(
    ("options", "size", "decisions"),
    [
        ({}, 1_247_968_747_541_495_808, 42),  # 432 ** 5 * 288 ** 2
        ({"reference": "mnasnet-a1"}, 432**5 * 288**2, 42),
        ({"se": False}, 9_749_755_840_167_936, 35),  # 216 ** 5 * 144 ** 2
        ({"variant": "google"}, 9_749_755_840_167_936, 42),
        ({"variant": "google", "reference": "mnasnet-a1"}, 9_749_755_840_167_936, 42),
        ({"variant": "flat"}, 144**17, 85),
        ({"variant": "flat", "reference": "mnasnet-a1"}, 144**16, 80),
        ({"variant": "flat", "se": False}, 72**17, 68),
        ({"variant": "cell"}, 432, 6),
        ({"variant": "cell", "se": False}, 216, 5),
    ],
)
def test_size_and_number_of_decisions(options, size, decisions):
    space = MnasNetSpace(**options).build()
    assert space.size == size
    assert len(space.decisions) == decisions


def test_five_blocks_of_the_paper_make_its_published_size():
    space = MnasNetSpace().build()
    blocks = [[d for d in space.decisions if d.name.startswith(f"block{i}.")] for i in range(2, 7)]
    size = 1
    for block in blocks:
        choices = 1
        for decision in block:
            choices *= len(decision.choices)
        assert choices == 432
        size *= choices
    assert size == 15_045_919_506_432  # "about 10^13"


def test_decisions_of_a_paper_block_stand_in_the_papers_order():
    decisions = MnasNetSpace().build().decisions
    assert [(d.name, d.choices) for d in decisions[18:24]] == [
        ("block4.op", ("conv", "dconv", "mbconv3", "mbconv6")),
        ("block4.kernel", (3, 5)),
        ("block4.se", (0.0, 0.25)),
        ("block4.skip", ("pool", "identity", "none")),
        ("block4.filters", (0.75, 1.0, 1.25)),
        ("block4.layers", (4, 5, 3)),
    ]
    assert decisions[5].choices == (1, 2)  # never a block without layers


def test_decisions_of_a_google_block_stand_in_the_released_order():
    decisions = MnasNetSpace(variant="google").build().decisions
    assert [(d.name, d.choices) for d in decisions[12:18]] == [
        ("block3.layers", (3, 2, 4)),
        ("block3.op", ("conv", "mbconv")),
        ("block3.expansion", (1, 3, 6)),
        ("block3.kernel", (3, 5)),
        ("block3.se", (0.0, 0.25)),
        ("block3.filters", (24, 32, 40)),
    ]
    assert decisions[0].choices == (1, 2)


def test_paper_point_decodes_as_by_hand():
    assert decode(POINT) == MnasNetSpec(DECODED, stem_filters=32, stem_stride=2, head_filters=1280)


def test_paper_point_without_se_has_none():
    spec = decode([(op, k, skip, f, n) for op, k, _, skip, f, n in POINT], se=False)
    assert [block.se_ratio for block in spec.blocks] == [0.0] * 7
    assert [block.filters for block in spec.blocks] == [16, 18, 40, 64, 72, 200, 320]


def test_paper_point_for_small_images_loses_its_first_strides():
    spec = decode(POINT, resolution=32, head_filters=256)
    assert spec.stem_stride == 1
    assert spec.head_filters == 256
    assert [block.stride for block in spec.blocks] == [1, 1, 2, 2, 1, 2, 1]


def test_paper_point_at_half_width():
    spec = decode(POINT, width=0.5)
    assert spec.stem_filters == 16
    # 18 / 2 = 9 would become 8, which is more than 10 % down; 72 / 2 = 36 is rounded up; 200 / 2 = 100 to 104.
    assert [block.filters for block in spec.blocks] == [8, 16, 24, 32, 40, 104, 160]
    assert spec.head_filters == 1280


def test_google_point_decodes_as_by_hand():
    choices = [
        (0, 1, 0, 0, 0, 1),  # 1 layer, mbconv, 1, 3, -, 16
        (1, 1, 2, 1, 1, 0),  # 1 layer, mbconv, 6, 5, se, 18
        (2, 0, 2, 0, 1, 2),  # 4 layers, conv: 6 and se do not count, 3, 40
        (0, 1, 1, 0, 0, 1),  # 4 layers, mbconv, 3, 3, -, 64
        (0, 1, 1, 0, 1, 2),  # 3 layers, mbconv, 3, 3, se, 120
        (0, 1, 2, 1, 0, 0),  # 3 layers, mbconv, 6, 5, -, 120
        (1, 0, 0, 1, 0, 1),  # 2 layers, conv, 5, 320
    ]
    assert decode(choices, variant="google").blocks == (
        BlockSpec("mbconv", 3, 16, 1, 1, 1, 0.0, "none"),  # 32 -> 16 channels cannot use the residual
        BlockSpec("mbconv", 5, 18, 1, 2, 6, 0.25, "none"),
        BlockSpec("conv", 3, 40, 4, 2, 1, 0.0, "none"),
        BlockSpec("mbconv", 3, 64, 4, 2, 3, 0.0, "identity"),
        BlockSpec("mbconv", 3, 120, 3, 1, 3, 0.25, "identity"),
        BlockSpec("mbconv", 5, 120, 3, 2, 6, 0.0, "identity"),
        BlockSpec("conv", 5, 320, 2, 1, 1, 0.0, "none"),
    )


def test_flat_point_decides_for_every_layer():
    plain = (0, 0, 0, 2, 1)  # conv 3 - none x1
    choices = [plain] * 17
    choices[3] = (3, 1, 1, 0, 2)  # mbconv6 5 se pool x1.25
    blocks = decode(choices, variant="flat").blocks
    assert len(blocks) == 17
    assert [b.stride for b in blocks] == [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert [b.filters for b in blocks] == [16, 24, 24, 40, 32, 32, *[64] * 4, *[96] * 3, *[160] * 3, 320]
    assert blocks[3] == BlockSpec("mbconv", 5, 40, 1, 2, 6, 0.25, "pool")
    assert blocks[4] == BlockSpec("conv", 3, 32, 1, 1, 1, 0.0, "none")


def test_cell_point_is_the_same_in_every_block():
    blocks = decode([(3, 1, 0, 0, 1, 2)], variant="cell").blocks
    assert [b.layers for b in blocks] == [1, 1, 2, 3, 2, 2, 1]  # one fewer, but never none
    assert [b.filters for b in blocks] == [16, 24, 32, 64, 96, 160, 320]
    assert {(b.op, b.kernel, b.expansion, b.skip) for b in blocks} == {("mbconv", 5, 6, "pool")}


@pytest.mark.parametrize(
    ("filters", "width", "rounded"),
    [
        (32, 0.5, 16),
        (24, 0.5, 16),  # 12 -> 16
        (40, 0.5, 24),  # 20 -> 24
        (112, 0.5, 56),
        (16, 0.75, 16),  # 12 -> 16
        (24, 0.75, 24),  # 18 -> 16 would be 11 % down
        (40, 0.75, 32),  # 30 -> 32
        (112, 0.75, 88),  # 84 -> 88
        (16, 0.35, 8),  # 5.6
        (24, 0.35, 8),  # 8.4 -> 8 is 5 % down
        (96, 1.3, 128),  # 124.8
        (16, 1.3, 24),  # 20.8
        (24, 1.3, 32),  # 31.2
        (88, 0.1, 8),  # 8.8 -> 8 is 9 % down
        (90, 0.1, 16),  # 9 -> 8 would be 11 % down
        (1, 0.1, 8),
    ],
)
def test_round_filters_follows_the_released_rule(filters, width, rounded):
    assert round_filters(filters, width) == rounded


@pytest.mark.parametrize(
    ("resolution", "stem", "blocks"),
    [
        (4, 1, (1, 1, 1, 1, 1, 1, 1)),
        (8, 1, (1, 1, 1, 1, 1, 2, 1)),
        (16, 1, (1, 1, 1, 2, 1, 2, 1)),
        (32, 1, (1, 1, 2, 2, 1, 2, 1)),
        (63, 1, (1, 1, 2, 2, 1, 2, 1)),
        (64, 1, (1, 2, 2, 2, 1, 2, 1)),
        (96, 1, (1, 2, 2, 2, 1, 2, 1)),
        (127, 1, (1, 2, 2, 2, 1, 2, 1)),
        (128, 2, (1, 2, 2, 2, 1, 2, 1)),
        (224, 2, (1, 2, 2, 2, 1, 2, 1)),
    ],
)
def test_strides_leave_four_pixels(resolution, stem, blocks):
    assert strides_for(resolution) == (stem, blocks)


def test_strides_of_too_small_images_are_refused():
    with pytest.raises(SpecError, match="4 to 4096 pixels a side, but got 3"):
        strides_for(3)


@pytest.mark.parametrize(
    ("block", "skip"),
    [
        (BlockSpec("mbconv", 3, 32, skip="identity"), "identity"),  # 32 -> 32
        (BlockSpec("mbconv", 3, 16, skip="identity"), "none"),  # 32 -> 16
        (BlockSpec("mbconv", 3, 32, stride=2, skip="identity"), "none"),
        (BlockSpec("mbconv", 3, 16, layers=2, stride=2, skip="identity"), "identity"),  # in the second layer
        (BlockSpec("mbconv", 3, 16, stride=2, skip="pool"), "pool"),
        (BlockSpec("mbconv", 3, 32, skip="none"), "none"),
    ],
)
def test_canonical_drops_residuals_that_no_layer_can_use(block, skip):
    spec = MnasNetSpec((block,)).canonical()
    assert spec.blocks[0].skip == skip
    assert spec.canonical() == spec


def test_canonical_looks_at_the_block_before():
    wide, same = BlockSpec("conv", 3, 48), BlockSpec("conv", 3, 48, skip="identity")
    assert [b.skip for b in MnasNetSpec((wide, same)).canonical().blocks] == ["none", "identity"]


def test_canonical_is_about_the_scaled_network():
    spec = MnasNetSpec((BlockSpec("mbconv", 3, 16, skip="identity"),))
    assert spec.canonical().blocks[0].skip == "none"  # 32 -> 16
    assert spec.scaled(0.25).canonical().blocks[0].skip == "identity"  # 8 -> 8


@pytest.mark.parametrize(
    ("depth", "layers"),
    [
        (1.0, [1, 3, 2, 4, 4, 2, 1]),
        (2.0, [2, 6, 4, 8, 8, 4, 2]),
        (1.2, [2, 4, 3, 5, 5, 3, 2]),  # rounded up, as EfficientNet's are: 1.2, 3.6, 2.4, 4.8
        (0.5, [1, 2, 1, 2, 2, 1, 1]),
        (0.01, [1] * 7),
    ],
)
def test_scaled_depth_rounds_layers_up(depth, layers):
    spec = MnasNetSpec(DECODED).scaled(depth=depth)
    assert [block.layers for block in spec.blocks] == layers
    assert replace(spec, blocks=DECODED) == MnasNetSpec(DECODED)  # nothing else
    assert [replace(b, layers=a.layers) for a, b in zip(DECODED, spec.blocks, strict=True)] == list(DECODED)


def test_scaled_width_and_depth_and_resolution_together():
    spec = MnasNetSpec(DECODED).scaled(0.5, 2.0, 32)
    assert spec == MnasNetSpec(DECODED).scaled(0.5).scaled(depth=2.0).scaled(resolution=32)
    assert [b.filters for b in spec.blocks] == [8, 16, 24, 32, 40, 104, 160]
    assert (spec.stem_filters, spec.stem_stride, spec.head_filters) == (16, 1, 1280)
    assert [b.stride for b in spec.blocks] == [1, 1, 2, 2, 1, 2, 1]


def test_scaled_resolution_only_drops_strides():
    spec = MnasNetSpec(DECODED)
    assert spec.scaled(resolution=224) == spec.scaled(resolution=128) == spec.scaled() == spec
    small = spec.scaled(resolution=32)
    assert (small.stem_stride, tuple(b.stride for b in small.blocks)) == strides_for(32)
    assert small.scaled(resolution=224) == small  # what was dropped is not known any more


def test_scaled_resolution_of_another_number_of_blocks_changes_nothing():
    spec = MnasNetSpec(DECODED[:3])
    assert spec.scaled(resolution=32) == spec


@pytest.mark.parametrize("depth", [0, -1, 10.5, float("nan"), float("inf")])
def test_scaled_refuses_depths_out_of_range(depth):
    with pytest.raises(SpecError, match="above 0 and at most 10"):
        MnasNetSpec(DECODED).scaled(depth=depth)


def test_scaled_beyond_64_layers_is_refused():
    with pytest.raises(SpecError, match="but got layers=70"):
        MnasNetSpec((BlockSpec("conv", 3, 8, layers=7),)).scaled(depth=10)


def test_parts_are_stem_blocks_head_and_classifier():
    parts = MnasNetSpec(DECODED).parts()
    assert [part.name for part in parts] == ["stem", *(f"block{i}" for i in range(1, 8)), "head", "classifier"]
    assert [part.inputs for part in parts] == [(), *((part.name,) for part in parts[:-1])]
    assert [part.modules for part in parts[:2]] == [("stem",), ("blocks.0",)]
    assert [part.words for part in parts[:4]] == [
        "conv 3x3, stride 2",
        "1 x dconv 3x3",
        "3 x mbconv6 5x5, se 0.25, stride 2, skip identity",
        "2 x conv 3x3, stride 2, skip pool",
    ]
    assert [(part.filters, part.stride, part.op, part.layers) for part in parts] == [
        (32, 2, "other", 1),
        (16, 1, "dconv", 1),
        (18, 2, "mbconv", 3),
        (40, 2, "conv", 2),
        (64, 2, "mbconv", 4),
        (72, 1, "mbconv", 4),
        (200, 2, "mbconv", 2),
        (320, 1, "mbconv", 1),
        (1280, 1, "other", 1),
        (None, 1, "other", 1),
    ]


def test_parts_of_a_small_network_say_its_own_strides_and_filters():
    parts = MnasNetSpec(DECODED[:1], stem_filters=8, stem_stride=1, head_filters=64).parts()
    assert [(part.name, part.filters, part.stride) for part in parts[:3]] == [
        ("stem", 8, 1),
        ("block1", 16, 1),
        ("head", 64, 1),
    ]
    assert parts[0].words == "conv 3x3"


@pytest.mark.parametrize("width", [0, -1, 10.5, float("nan"), float("inf")])
def test_scaled_refuses_widths_out_of_range(width):
    with pytest.raises(SpecError, match="above 0 and at most 10"):
        MnasNetSpec(DECODED).scaled(width)


@pytest.mark.parametrize(
    "wrong",
    [
        {"op": "dconv"},
        {"kernel": 4},
        {"kernel": 13},
        {"filters": 0},
        {"filters": 65537},
        {"layers": 0},
        {"layers": 65},
        {"stride": 3},
        {"expansion": 0},
        {"expansion": 33},
        {"op": "conv", "expansion": 6},
        {"se_ratio": -0.1},
        {"se_ratio": 1.1},
        {"se_ratio": float("nan")},
        {"skip": "residual"},
    ],
)
def test_block_refuses_values_out_of_range(wrong):
    name = list(wrong)[-1]
    with pytest.raises(SpecError, match=f"but got {name}="):
        BlockSpec(**({"op": "mbconv", "kernel": 3, "filters": 16} | wrong))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blocks": ()}, "1 to 64 blocks, but got 0"),
        ({"blocks": DECODED * 10}, "1 to 64 blocks, but got 70"),
        ({"stem_stride": 4}, "stride is 1 or 2, but got 4"),
        ({"stem_filters": 0}, "1 to 65536 filters, but got 0"),
        ({"head_filters": 65537}, "1 to 65536 filters, but got 32, 65537"),
        ({"activation": "swish"}, "swish"),
    ],
)
def test_spec_refuses_values_out_of_range(wrong, message):
    with pytest.raises(SpecError, match=message):
        MnasNetSpec(**({"blocks": DECODED} | wrong))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"variant": "paper2"}, "'paper2'"),
        ({"reference": "mnasnet-b1"}, "'mnasnet-b1'"),
        ({"width": 0.0}, "width"),
        ({"width": float("nan")}, "width"),
        ({"head_filters": 0}, "65536 filters"),
        ({"resolution": 3}, "4 to 4096 pixels"),
    ],
)
def test_space_refuses_values_out_of_range_at_once(wrong, message):
    with pytest.raises(SpecError, match=message):
        MnasNetSpace(**wrong)


@pytest.mark.parametrize("variant", ["paper", "google", "flat", "cell"])
def test_decoded_specs_are_canonical(variant):
    space = MnasNetSpace(variant=variant, resolution=32, width=0.5).build()
    rng = Random(0)
    for _ in range(50):
        spec = space.decode(space.sample(rng))
        assert spec.canonical() == spec


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_a_space_says_how_wide_its_networks_are(width):
    assert MnasNetSpace(width=width).build().restricted(lambda spec: True).width == width


def test_architectures_of_another_variant_are_refused():
    paper, google = MnasNetSpace().build(), MnasNetSpace(variant="google").build()
    with pytest.raises(SpecError, match="belongs to its space"):
        paper.decode(google.sample(Random(0)))
    with pytest.raises(SpecError, match=r"block1\.op.*from 0 to 3.*but got 4"):
        paper.decode(Architecture("mnasnet", (4, *[0] * 41)))
