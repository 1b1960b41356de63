import pytest

from paretonas.errors import UsageError
from paretonas.space.scaling import Scaling, grid
from paretonas.space.transform import Transform


def test_one_number_scales_depth_width_and_resolution():
    assert Scaling().transform(0, 224) == Transform(resolution=224)
    assert Scaling().transform(2, 224) == Transform(width=1.21, depth=1.44, resolution=296)
    assert Scaling(1.0, 2.0, 1.0).transform(1, 32) == Transform(width=2.0, resolution=32)


def test_grid_about_doubles_the_macs_and_holds_efficientnets():
    found = list(grid())
    assert Scaling() in found
    assert len(found) == len(set(found)) > 20
    assert all(1.9 <= scaling.growth <= 2.1 for scaling in found)


@pytest.mark.parametrize("wrong", [{"depth": 0.9}, {"width": 2.1}, {"resolution": float("nan")}])
def test_factors_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="`1 <= alpha, beta, gamma <= 2` must hold"):
        Scaling(**wrong)


@pytest.mark.parametrize("phi", [50, 1e9, -50])
def test_scale_too_large_or_small_is_refused(phi):
    with pytest.raises(UsageError, match=r"0 < width, depth <= 10|ten times"):
        Scaling().transform(phi, 224)
