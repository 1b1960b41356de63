import pytest
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network.pyramid import MergingModule, MergingStack, Neck, TopDown
from paretonas.space.detector import LEVELS, MergingCell, NeckSpec
from paretonas.zoo.nasfpn import FOUND

SIDES = [16, 8, 4, 2, 1]


def levels(filters=4):
    return [torch.rand(2, filters, side, side) for side in SIDES]


def without_body(cell):
    cell.body = nn.Identity()
    return cell


@pytest.mark.parametrize("cells", [(), FOUND])
@pytest.mark.parametrize("is_separable", [True, False])
def test_a_neck_gives_all_levels_from_the_stages_that_it_begins_with(cells, is_separable):
    spec = NeckSpec(8, LEVELS, cells, 2 if cells else 1, is_separable)
    neck = Neck(spec, (2, 4, 8, 16, 32), (3, 4, 5, 6, 7))
    features = [torch.rand(2, n, 256 // s, 256 // s) for n, s in zip((3, 4, 5, 6, 7), (2, 4, 8, 16, 32), strict=True)]
    assert [tuple(level.shape) for level in neck(features)] == [(2, 8, 256 // 2**n, 256 // 2**n) for n in LEVELS]
    assert len(neck.laterals) == 3


def test_a_backbone_without_the_stages_of_the_finest_levels_is_refused():
    with pytest.raises(SpecError, match="strides 8, 16"):
        Neck(NeckSpec(), (2, 4, 16, 32), (8, 8, 8, 8))


def test_coarser_levels_are_the_largest_of_the_last_stage():
    neck = Neck(NeckSpec(1), (8, 16, 32), (1, 1, 1)).eval()
    neck.laterals, neck.stacks = nn.ModuleList(nn.Identity() for _ in range(3)), nn.ModuleList()
    last = torch.arange(64.0).reshape(1, 1, 8, 8)
    *_, six, seven = neck([torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 16, 16), last])
    assert six.flatten().tolist() == [9.0 + 16 * i + 2 * j for i in range(4) for j in range(4)]
    assert seven.flatten().tolist() == [27.0, 31.0, 59.0, 63.0]


def test_the_top_down_path_adds_what_is_coarser():
    path = TopDown(NeckSpec(4, LEVELS))
    path.convs = nn.ModuleList(nn.Identity() for _ in LEVELS)
    given = [torch.full((1, 4, side, side), 10.0**i) for i, side in enumerate(SIDES)]
    assert [float(level.mean()) for level in path(given)] == [11111.0, 11110.0, 11100.0, 11000.0, 10000.0]


def test_a_sum_brings_both_to_its_level():
    cell = without_body(MergingModule(MergingCell(4, "sum", (0, 2)), (3, 5), NeckSpec(1)))
    fine = torch.arange(16.0).reshape(1, 1, 4, 4)
    merged = cell(fine, torch.tensor([[[[100.0]]]]))
    assert merged.flatten().tolist() == [105.0, 107.0, 113.0, 115.0]  # the largest of each four, and 100


@pytest.mark.parametrize("is_swapped", [False, True])
def test_attention_gates_the_finer_by_the_coarser_source(is_swapped):
    sources, inputs = (3, 4), [torch.full((1, 1, 4, 4), 2.0), torch.tensor([[[[0.0, 1.0], [-1.0, 3.0]]]])]
    if is_swapped:
        sources, inputs = sources[::-1], inputs[::-1]
    cell = without_body(MergingModule(MergingCell(4, "attention", (0, 1)), sources, NeckSpec(1)))
    gate = 2.0 / (1 + torch.exp(torch.tensor(-3.0)))
    torch.testing.assert_close(cell(*inputs), torch.tensor([[[[0.0, 1.0], [-1.0, 3.0]]]]) + gate)


def test_a_feature_that_nobody_takes_is_added_to_the_output_of_its_level():
    stack = MergingStack(NeckSpec(4, LEVELS, FOUND))
    assert stack.dangling == [[], [], [], [], [2], [4], []]  # P5 into the cell 9, P7 into the cell 10
    for cell in stack.cells:
        without_body(cell)
    given = levels()
    before = stack(given)
    given[4] = given[4] + 1
    after = stack(given)
    changed = [not torch.equal(a, b) for a, b in zip(after, before, strict=True)]
    assert changed == [False, False, False, True, True]  # what the level 7 went into
    torch.testing.assert_close(after[4], before[4] + 1)
