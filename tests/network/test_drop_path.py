import pytest
import torch

from paretonas.network.drop_path import DropPath, drop_paths


def test_nothing_is_dropped_where_nothing_is_learned_or_asked_for():
    drop, x = DropPath(1.0), torch.ones(4, 2, 3, 3)
    assert drop(x) is x
    drop_paths(drop, 0.5)
    assert drop.eval()(x) is x


def test_whole_examples_are_dropped_and_the_mean_is_kept():
    torch.manual_seed(0)
    drop = DropPath(1.0)
    drop_paths(drop, 0.4)
    kept = drop(torch.ones(5000, 2, 3, 3)).flatten(1)
    assert (kept == kept[:, :1]).all()  # each example as a whole
    assert sorted(set(kept[:, 0].tolist())) == pytest.approx([0, 1 / 0.6])
    assert float(kept.mean()) == pytest.approx(1, abs=0.05)


def test_deeper_cells_drop_more():
    network = torch.nn.Sequential(DropPath(0.5), DropPath(1.0))
    drop_paths(network, 0.3)
    assert [layer.probability for layer in network] == [0.15, 0.3]
