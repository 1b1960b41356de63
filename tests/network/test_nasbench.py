from random import Random

import pytest
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.space import Interface
from paretonas.space.nasbench import CELL_OPS, MACRO_OPS, Cell201Spec, MacroSpec, NASBench201Space, NASBenchMacroSpace
from paretonas.space.table import read_table

CIFAR = Interface.of_images(3, 32, 10)


def macro(digits):
    return MacroSpec(tuple(MACRO_OPS[int(d)] for d in digits))


def _check_macro(table, rows):
    space = NASBenchMacroSpace().build()
    assert [len(d.choices) for d in space.decisions] == [len(d.choices) for d in table.decisions]
    for choices, row in rows:
        cost = spec_cost(space.decode(space.architecture(choices)), CIFAR)
        assert (cost.params, cost.macs) == (table.column("params")[row], table.column("flops")[row]), choices


def test_macro_networks_have_the_costs_of_the_table(real_data):
    table = read_table(real_data / "nas_tables/nas_bench_macro.parquet")
    _check_macro(table, list(table.rows.items())[::300])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_macro_networks_have_the_costs_of_the_table(real_data):
    table = read_table(real_data / "nas_tables/nas_bench_macro.parquet")
    assert len(table.rows) == 6561
    _check_macro(table, table.rows.items())


def test_costs_of_a_cell_of_convolutions():
    # By hand, per cell of width c: six 3x3 convolutions of 9 c * c and BN of 2 c. Five cells at 16, 32, 64, two
    # residual blocks (9 a b + 9 b b + 2 * 2 b + a b), stem 27 * 16 + 32, last BN 128, classifier 650.
    cells = sum(5 * 6 * (9 * c * c + 2 * c) for c in (16, 32, 64))
    blocks = sum(9 * a * b + 9 * b * b + 4 * b + a * b for a, b in ((16, 32), (32, 64)))
    cost = spec_cost(Cell201Spec(("nor_conv_3x3",) * 6), CIFAR)
    assert cost.params == cells + blocks + 27 * 16 + 32 + 128 + 650 == 1_531_546
    assert cost.macs == 220_119_680


def test_identity_layers_without_change_of_shape_cost_nothing():
    assert spec_cost(macro("00000000"), CIFAR).params == sum(
        (27 * 32 + 64, 32 * 64 + 128, 64 * 128 + 256, 128 * 256 + 512, 256 * 1280 + 2560, 1280 * 10 + 10)
    )


def test_edges_feed_the_nodes_that_the_table_names():
    x = torch.randn(2, 3, 8, 8)
    torch.manual_seed(0)
    # 0 -> 1 by skip, 1 -> 3 by skip, nothing else: the cell is the identity, as is 0 -> 3 by skip alone
    paths = Cell201Spec(("skip_connect", "none", "none", "none", "skip_connect", "none"), 4, 1)
    short = Cell201Spec(("none", "none", "none", "skip_connect", "none", "none"), 4, 1)
    a, b = build(paths, CIFAR).eval(), build(short, CIFAR).eval()
    b.load_state_dict(a.state_dict())
    assert torch.equal(a(x), b(x))
    zero = build(Cell201Spec(("none",) * 6, 4, 1), CIFAR).eval()
    assert torch.equal(zero(x)[0], zero(torch.zeros_like(x))[0])


@pytest.mark.parametrize("spec", [macro("01201201"), Cell201Spec((*CELL_OPS, "nor_conv_1x1"), 8, 1)])
def test_networks_learn(spec):
    model = build(spec, Interface.of_images(1, 32, 7), dropout=0.1)
    loss = model(torch.randn(2, 1, 32, 32)).logsumexp(1).sum()
    loss.backward()
    assert all(p.grad is not None for p in model.classifier.parameters())


def test_specs_that_cannot_be_are_refused():
    with pytest.raises(SpecError, match="8 layers, but got 2"):
        MacroSpec(("identity", "identity"))
    with pytest.raises(SpecError, match="6 edges, but got 1"):
        Cell201Spec(("none",))
    with pytest.raises(SpecError, match="1 <= cells"):
        NASBench201Space(cells=0).build()


def test_a_cell_computes_the_same_as_the_one_that_stands_for_it():
    space = NASBench201Space(4, 1).build()
    draw, changed = Random(0), 0
    images = torch.randn(2, 3, 32, 32)
    while changed < 8:
        architecture = space.sample(draw)
        canonical = space.architecture(space.canonical(architecture.choices))
        models = [build(space.decode(a), CIFAR).eval() for a in (architecture, canonical)]
        if canonical == architecture or "nor_conv" not in str(space.values(canonical)):
            continue
        for model in models:  # every convolution of a kind is the same, so that it does not matter which edge has it
            for module in model.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    torch.manual_seed(module.weight.numel())
                    nn.init.normal_(module.weight, std=0.1)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        with torch.inference_mode():
            assert torch.allclose(models[0](images), models[1](images), atol=1e-5)
        changed += 1
