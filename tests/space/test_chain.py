import math
from random import Random

import pytest

from paretonas.errors import SpecError
from paretonas.space import Architecture, spaces, spec_from_json, spec_hash, spec_to_json
from paretonas.space.chain import ChainLayer, ChainSpace, ChainSpec

PLAIN = ChainLayer(3, 3, 24)


def decode(space, **values):
    """The spec with the first choice of every decision but these; `3_takes_1` stands for `layer3.takes1`."""
    named = {f"layer{name}": value for name, value in values.items()}
    choices = [d.choices.index(named.get(d.name.replace(".", "_"), d.choices[0])) for d in space.decisions]
    return space.decode(space.architecture(choices))


def test_size_is_that_of_the_choices_of_the_paper():
    """Of 20 layers with 4 heights, 4 widths and 4 numbers of filters each, and of 190 skip connections."""
    assert ChainSpace().build().size == 64**20 * 2 ** math.comb(20, 2)
    assert ChainSpace(strides=True).build().size == 576**20 * 2 ** math.comb(20, 2)


def test_decisions_are_in_the_order_of_the_paper():
    names = [decision.name for decision in ChainSpace(layers=3, strides=True).build().decisions]
    own = ["height", "width", "stride_height", "stride_width", "filters"]
    assert names[:5] == [f"layer0.{name}" for name in own]
    assert names[-7:] == [f"layer2.{name}" for name in (*own, "takes0", "takes1")]


def test_lengths_are_those_at_which_the_paper_grows():
    """From 6 layers by 2 to 20: eight lengths of 1,600 samples are its 12,800."""
    space, rng = ChainSpace().build(), Random(0)
    specs = [space.decode(space.sample(rng, length)) for length in space.lengths]
    assert [len(spec.layers) for spec in specs] == [6, 8, 10, 12, 14, 16, 18, 20]


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({"layers": 9}, [6, 8, 9]),
        ({"layers": 4}, [4]),
        ({"layers": 3, "first": 1, "step": 1}, [1, 2, 3]),
    ],
)
def test_the_longest_is_always_among_the_lengths(options, layers):
    space = ChainSpace(**options).build()
    assert [3 * count + math.comb(count, 2) for count in layers] == list(space.lengths)


def test_a_prefix_is_the_chain_of_its_layers():
    space = ChainSpace(layers=4, first=2).build()
    whole = space.sample(Random(0))
    short = space.decode(Architecture(space.name, whole.choices[: space.lengths[0]]))
    assert len(short.layers) == 2
    assert sorted(layer.filters for layer in short.layers) == sorted(
        space.values(whole)[f"layer{i}.filters"] for i in range(2)
    )


def test_a_layer_takes_what_its_decisions_say_and_the_image_if_that_is_nothing():
    space = ChainSpace(layers=3).build()
    spec = decode(space, **{"1_filters": 36, "2_filters": 48, "1_takes0": "yes", "2_takes0": "yes", "2_takes1": "yes"})
    assert [(layer.filters, layer.inputs) for layer in spec.layers] == [(24, ()), (36, (0,)), (48, (0, 1))]
    assert spec.outputs == (2,)
    assert [layer.inputs for layer in decode(space).layers] == [(), (), ()]
    assert decode(space).outputs == (0, 1, 2)


def test_chains_that_differ_in_the_order_of_layers_are_one():
    space = ChainSpace(layers=3).build()
    one = decode(space, **{"1_filters": 64, "2_takes1": "yes"})  # the third takes the 64 filters of the second
    two = decode(space, **{"0_filters": 64, "1_takes0": "yes"})  # the second takes the 64 filters of the first
    assert spec_hash(one) == spec_hash(two)
    assert one.canonical() == one


def test_sides_are_those_of_the_largest_input():
    layers = (
        ChainLayer(3, 3, 8, stride_height=2, stride_width=2),
        ChainLayer(3, 3, 8, stride_height=3),
        ChainLayer(1, 1, 8, (0, 1)),
        ChainLayer(1, 1, 8, (0,), stride_height=2, stride_width=2),
    )
    assert ChainSpec(layers).divisors() == ((2, 2), (3, 1), (2, 1), (4, 4))


def test_parts_tell_sides_where_they_are_square():
    layers = (
        ChainLayer(3, 3, 8, stride_height=2, stride_width=2),
        ChainLayer(5, 1, 8, (0,), stride_height=3),
        ChainLayer(3, 3, 8),
        ChainLayer(3, 3, 8, (0, 2), stride_height=2, stride_width=2),
    )
    parts = ChainSpec(layers).parts()
    assert [(part.name, part.stride, part.inputs) for part in parts] == [
        ("layer0", 2, ()),
        ("layer1", 0, ("layer0",)),
        ("layer2", 1, ()),
        ("layer3", 2, ("layer2", "layer0")),  # the largest first
        ("classifier", 1, ("layer1", "layer3")),
    ]
    assert parts[1].words == "conv 5x1, stride 3x1"


def test_scaled_chains_have_more_filters_and_no_other_depth():
    assert ChainSpec((PLAIN,)).scaled(1.5, resolution=224) == ChainSpec((ChainLayer(3, 3, 36),))
    with pytest.raises(SpecError, match="its own width and depth"):
        ChainSpec((PLAIN,)).scaled(depth=2)


def test_width_is_part_of_the_space():
    space = spaces.create("nas-rl-chain:layers=2,width=0.25").build()
    assert {layer.filters for layer in space.decode(space.sample(Random(0))).layers} <= {6, 9, 12, 16}
    assert (space.name, space.width) == ("nas-rl-chain:layers=2,width=0.25", 0.25)


def test_spec_is_read_as_it_was_written():
    spec = ChainSpec((PLAIN, ChainLayer(1, 7, 64, (0,), 2, 3)))
    assert spec_from_json(spec_to_json(spec)) == spec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ChainLayer(2, 3, 24), "odd sides"),
        (lambda: ChainLayer(3, 13, 24), "odd sides"),
        (lambda: ChainLayer(3, 3, 0), "1 to 4096 filters"),
        (lambda: ChainLayer(3, 3, 8, (), 4), "strides from 1 to 3"),
        (lambda: ChainSpec(()), "1 <= layers"),
        (lambda: ChainSpec((PLAIN,) * 51), "1 <= layers"),
        (lambda: ChainSpec((PLAIN, ChainLayer(3, 3, 24, (1,)))), "Layer 1 of a chain takes layers before it"),
        (lambda: ChainSpec((PLAIN, ChainLayer(3, 3, 24, (0, 0)))), "rising"),
        (lambda: ChainSpace(layers=51), "1 <= layers, first, step <= 50"),
        (lambda: ChainSpace(step=0), "1 <= layers, first, step <= 50"),
        (lambda: ChainSpace(width=0.0), "multiplier"),
    ],
)
def test_what_cannot_be_built_is_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_layers_are_drawn_as_a_graph():
    layers = (PLAIN, ChainLayer(1, 7, 36), ChainLayer(3, 3, 48, (0,), 2, 2))
    (graph,) = ChainSpec(layers).graphs()
    assert [(node.words, node.inputs) for node in graph.nodes] == [
        ("image", ()),
        ("conv 3x3, 24", ("image",)),
        ("conv 1x7, 36", ("image",)),
        ("conv 3x3, stride 2x2, 48", ("layer0",)),
        ("classifier", ("layer1", "layer2")),
    ]
