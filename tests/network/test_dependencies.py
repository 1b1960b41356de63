"""Which channels belong together, of networks where it can be said by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.network.dependencies import find_layout
from paretonas.network.layout import Layout
from paretonas.space import Interface

FED = Interface.of_images(3, 8, 5)


class Branches(nn.Module):
    """Additions to what is passed on and to what is joined, a depthwise convolution, a flattened image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.inner, self.back = nn.Conv2d(4, 6, 1), nn.Conv2d(6, 4, 1)
        self.left, self.right = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 5, 1)
        self.added, self.depthwise = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.joined = nn.Conv2d(8, 2, 1)
        self.head = nn.Linear(2 * 8 * 8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_bn(self.stem(x))
        x = x + self.back(self.inner(x).relu())
        x = torch.cat([self.left(x), self.right(x)], 1) + self.depthwise(self.added(x))
        return self.head(self.joined(x).flatten(1))


@pytest.fixture(scope="module")
def layout() -> Layout:
    return find_layout(Branches(), FED)


def test_groups_are_the_channels_that_go_together(layout: Layout) -> None:
    assert [(group.name, group.width) for group in layout.groups] == [
        ("stem", 4), ("inner", 6), ("left", 3), ("right", 5), ("joined", 2),
    ]  # fmt: skip


def test_what_the_network_gives_stays(layout: Layout) -> None:
    assert dict(layout.fixed) == {"head": "the network gives what it makes"}


def test_layers_read_and_make_runs_of_channels(layout: Layout) -> None:
    layers = {layer.name: layer for layer in layout.layers}
    assert [(run.group, run.count) for run in layers["stem"].ins] == [(None, 3)]
    assert [(run.group, run.count) for run in layers["depthwise"].outs] == [(2, 3), (3, 5)]
    assert layers["depthwise"].ins == ()
    assert [(run.group, run.count) for run in layers["joined"].ins] == [(2, 3), (3, 5)]
    assert [(run.group, run.count, run.copies) for run in layers["head"].ins] == [(4, 128, 64)]


def test_a_layout_of_other_widths_counts_them(layout: Layout) -> None:
    other = layout.resized((4, 6, 3, 5, 3))
    assert {layer.name: layer for layer in other.layers}["head"].ins[0].count == 192
    assert other.widths == (4, 6, 3, 5, 3)


def test_convolutions_in_groups_keep_multiples() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 1, groups=4), nn.Flatten(), nn.Linear(12 * 64, 5))
    assert [(group.width, group.multiple) for group in find_layout(model, FED).groups] == [(8, 4), (12, 4)]


def test_channels_that_cannot_be_followed_stay() -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.side = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 1)
            self.joined, self.head = nn.Conv2d(8, 2, 1), nn.Linear(2 * 64, 5)

        def forward(self, x: Tensor) -> Tensor:
            left, right = self.side(self.stem(x)).chunk(2, 1)
            return self.head(self.joined(torch.cat([left, right], 1)).flatten(1))

    layout = find_layout(Halves(), FED)
    assert [group.name for group in layout.groups] == ["stem", "joined"]
    assert "cannot be followed" in layout.fixed["side"]


def test_a_network_that_cannot_be_traced_is_refused() -> None:
    class Numbers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), 5) + float(x.mean())

    with pytest.raises(SpecError, match="is traced"):
        find_layout(Numbers(), FED)
