"""Networks of every kind: what they are fed and give, and the parts that their specs say they have."""

from itertools import product
from random import Random

import pytest
import torch
from torch import nn

from paretonas.errors import UnknownNameError
from paretonas.network import build, builders
from paretonas.network.cost import spec_cost
from paretonas.network.shapes import Shapes, without_numbers
from paretonas.space import Interface, Spec, spaces
from paretonas.space.mnasnet import VARIANTS, BlockSpec, MnasNetSpec
from paretonas.space.nasbench import CELL_OPS, Cell201Spec
from paretonas.space.spec import spec_kinds
from paretonas.zoo import zoo, zoo_spec

CIFAR = Interface.of_images(3, 32, 10)
SPACES = [
    *(f"mnasnet:resolution=32,variant={variant}" for variant in VARIANTS),
    "nasbench-macro",
    "nasbench201",
    "nasbench201:channels=4,cells=1",
    "nas-rl-chain:layers=6,width=0.25",
    "elastic:resolution=32,width=0.25,se=true",
    "widths:network=mnasnet-small,width=0.25,resolution=32,most=1",
]
NETWORKS = {f"{name}/{seed}": (name, seed) for name, seed in product(SPACES, range(2))}


def drawn(name):
    text, seed = NETWORKS[name]
    space = spaces.create(text).build()
    return space.decode(space.sample(Random(seed)))


UNTIED = {"lstm": "lstm:hidden=20,tied=false", "nascell": "nascell:hidden=20,tied=false"}
"""So that no two parts share their parameters."""
OF_THE_ZOO = {n: zoo_spec(UNTIED.get(n, n), resolution=32) for n in zoo if not n.endswith(("-large", "-b", "-c"))}
"""Large ones are of the same cells as the others, AmoebaNet-B and C of the same ops."""
SPECS = {name: drawn(name) for name in NETWORKS} | OF_THE_ZOO
WITH_PARTS = {name: spec for name, spec in SPECS.items() if spec.parts()}


def fed(interface, batch=1):
    """Zeros for each input, where `torch.device` says."""
    return [torch.zeros(batch, *port.shape[1:], dtype=getattr(torch, port.dtype)) for port in interface.inputs]


def side_of(spec):
    """Of images that it can be fed: a pyramid's coarsest level has a stride of 128."""
    return 128 if spec.kind == "detector" else 32


def shape_of(output):
    """Of a tensor, or of the first of several."""
    return (output[0] if isinstance(output, tuple | list) else output).shape


def test_every_kind_that_can_be_built_is_drawn():
    assert {spec.kind for spec in SPECS.values()} == set(builders)
    assert {spec.kind for spec in WITH_PARTS.values()} == set(builders) - {"foreign"}
    assert set(builders) <= set(spec_kinds)


@pytest.mark.parametrize("kind", list(builders))
def test_network_maps_batches_of_its_inputs_to_its_outputs(kind):
    spec = next(spec for spec in SPECS.values() if spec.kind == kind)
    interface = spec.usual_interface(channels=1, resolution=side_of(spec), classes=7)
    model = build(spec, interface).eval()
    for batch in (1, 5):
        with torch.inference_mode():
            outputs = model(*fed(interface, batch))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        assert [x.shape for x in outputs] == [(batch, *port.shape[1:]) for port in interface.outputs]


@pytest.mark.parametrize("kind", [kind for kind in builders if kind != "detector"])
def test_dropout_is_where_the_network_has_a_place_for_it(kind):
    spec = next(spec for spec in SPECS.values() if spec.kind == kind)
    model = build(spec, spec.usual_interface(3, side_of(spec), 10), dropout=0.25)
    probabilities = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    assert probabilities == [0.25] or 0.25 in (getattr(model, "drop_rate", 0), getattr(model, "dropout", 0))


def test_weights_come_from_the_global_generator():
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(build(zoo_spec("mnasnet-a1", 0.25, 32), CIFAR).stem[0].weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_spec_that_is_no_network_is_refused():
    class Riddle(Spec):
        kind = "riddle"

    with pytest.raises(UnknownNameError, match="No network builder is called 'riddle'"):
        build(Riddle(), CIFAR)


@pytest.mark.parametrize("name", WITH_PARTS)
def test_parts_have_names_and_take_what_earlier_ones_give(name):
    parts = WITH_PARTS[name].parts()
    names = [part.name for part in parts]
    assert len(set(names)) == len(names)
    assert parts[0].inputs == ()
    for i, part in enumerate(parts[1:], 1):
        assert part.inputs
        assert set(part.inputs) <= set(names[:i])
    taken = {name for part in parts for name in part.inputs}
    assert taken == set(names[:-1])  # the last one gives the network's output
    assert all(part.words and part.layers >= 1 for part in parts)


@pytest.mark.parametrize("name", WITH_PARTS)
def test_parts_are_modules_of_the_network_whose_costs_add_up_to_the_whole(name):
    spec = WITH_PARTS[name]
    cost, parts = spec_cost(spec, spec.usual_interface(3, side_of(spec), 10)), spec.parts()
    modules = [module for part in parts for module in part.modules]
    assert len(set(modules)) == len(modules)
    assert not any(a != b and a.startswith(f"{b}.") for a, b in product(modules, modules))
    counts = [cost.by_module[module] for module in modules]
    assert (sum(params for params, _ in counts), sum(macs for _, macs in counts)) == (cost.params, cost.macs)


@pytest.mark.parametrize("name", WITH_PARTS)
def test_parts_have_the_filters_and_the_strides_that_they_say(name):
    spec = WITH_PARTS[name]
    interface = spec.usual_interface(3, side_of(spec), 10)
    with without_numbers():
        model = build(spec, interface).to("meta").eval()
        inputs = fed(interface)
    given, found = {}, {}
    for part in spec.parts():
        first, last = model.get_submodule(part.modules[0]), model.get_submodule(part.modules[-1])
        first.register_forward_pre_hook(lambda _, x, name=part.name: given.update({name: shape_of(x[0])}))
        last.register_forward_hook(lambda _, x, y, name=part.name: found.update({name: shape_of(y)}))
    with torch.no_grad(), Shapes():
        model(*inputs)
    for part in spec.parts():
        before = [found[name] for name in part.inputs] or [inputs[0].shape]
        if len(before) == 1 and part.name in given:  # several may be joined
            assert given[part.name] == before[0]
        if part.filters is not None and part.stride:
            sides = (-(-side // part.stride) for side in before[0][2:])
            assert found[part.name] == (1, part.filters, *sides)


@pytest.mark.parametrize(
    "spec",
    [SPECS["mnasnet:resolution=32,variant=google/0"], SPECS["mnasnet-small"], Cell201Spec((*CELL_OPS, "none"), 4, 1)],
)
def test_scaled_networks_can_be_built_and_have_more_parameters(spec):
    params = spec_cost(spec, CIFAR).params
    assert spec_cost(spec.scaled(width=2.0), CIFAR).params > params < spec_cost(spec.scaled(depth=2.0), CIFAR).params
    assert spec_cost(spec.scaled(resolution=32), CIFAR).params == params


def test_scaled_cell_networks_have_so_many_more_of_the_same():
    spec = Cell201Spec((*CELL_OPS, "nor_conv_1x1"), 4, 1)
    one, three = spec_cost(spec, CIFAR), spec_cost(spec.scaled(depth=3.0), CIFAR)
    cells = [one.by_module[f"layers.{i}"] for i in (0, 2, 4)]
    assert three.params - one.params == 2 * sum(params for params, _ in cells)
    assert three.macs - one.macs == 2 * sum(macs for _, macs in cells)


def test_a_fused_block_has_the_convolutions_of_its_paper():
    block = BlockSpec("fused", 3, 24, layers=2, stride=2, expansion=4, skip="identity")
    spec, interface = MnasNetSpec((block,), stem_filters=16, head_filters=32), Interface.of_images(3, 16, 10)
    by_module = spec_cost(spec, interface).by_module
    # 3x3 convolution to four times the width, its normalization, 1x1 convolution, its normalization; 4 x 4 pixels.
    first = (9 * 16 * 64, 2 * 64, 64 * 24, 2 * 24)
    second = (9 * 24 * 96, 2 * 96, 96 * 24, 2 * 24)
    assert by_module["blocks.0.0"] == (sum(first), 16 * (first[0] + first[2]))
    assert by_module["blocks.0.1"] == (sum(second), 16 * (second[0] + second[2]))
    assert block.words() == "2 x fused4 3x3, stride 2, skip identity"
