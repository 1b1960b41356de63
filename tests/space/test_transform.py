import pytest

from paretonas.errors import SpecError, UsageError
from paretonas.space import ForeignSpec, spec_hash
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.transform import Transform
from paretonas.zoo import zoo_spec

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 16, 2), BlockSpec("mbconv", 5, 24, 3, stride=2)))


def test_transform_of_nothing_gives_the_spec_itself():
    assert Transform().apply(SPEC) is SPEC
    assert Transform().apply(ForeignSpec("timm:resnet18")) == ForeignSpec("timm:resnet18")


@pytest.mark.parametrize(
    ("transform", "filters", "layers"),
    [
        (Transform(width=2.0), (32, 48), (2, 3)),
        (Transform(depth=1.5), (16, 24), (3, 5)),
        (Transform(width=0.5, depth=0.5), (8, 16), (1, 2)),
    ],
)
def test_transform_scales_widths_and_depths(transform, filters, layers):
    changed = transform.apply(SPEC)
    assert tuple(block.filters for block in changed.blocks) == filters
    assert tuple(block.layers for block in changed.blocks) == layers
    assert spec_hash(changed) != spec_hash(SPEC)


def test_transform_of_the_resolution_is_that_of_the_spec():
    spec = ForeignSpec("timm:resnet18")
    assert Transform(resolution=32).apply(spec) == spec.scaled(resolution=32) != spec


def test_transform_that_a_spec_does_not_know_is_refused():
    with pytest.raises(SpecError, match=r"comes in its own width and depth, but got width=1\.4"):
        Transform(width=1.4).apply(ForeignSpec("timm:resnet18"))


CELLS = zoo_spec("nasnet-a:cells=3,filters=8,skeleton=cifar")


@pytest.mark.parametrize(
    ("transform", "sizes"),
    [
        (Transform(cells=6), ("cifar", 6, 8, 24)),
        (Transform(filters=16), ("cifar", 3, 16, 48)),
        (Transform(skeleton="imagenet", cells=12, filters=44), ("imagenet", 12, 44, 32)),
        (Transform(skeleton="cifar"), ("cifar", 3, 8, 24)),
        (Transform(resolution=224, filters=16), ("imagenet", 3, 16, 32)),
    ],
)
def test_cells_are_put_into_another_skeleton(transform, sizes):
    found = transform.apply(CELLS)
    assert (found.skeleton, found.cells, found.filters, found.stem) == sizes
    assert (found.normal, found.reduction) == (CELLS.normal, CELLS.reduction)
    assert transform.is_transfer


def test_what_has_no_cells_is_put_into_no_skeleton():
    with pytest.raises(SpecError, match="but not one of kind 'mnasnet'"):
        Transform(cells=6).apply(SPEC)
    with pytest.raises(SpecError, match="A skeleton is one of cifar, imagenet, but got 'moon'"):
        Transform(skeleton="moon").apply(CELLS)


@pytest.mark.parametrize(
    ("transform", "text"),
    [
        (Transform(), ""),
        (Transform(width=1.4), "width-1.4"),
        (Transform(depth=2), "depth-2"),
        (Transform(resolution=96), "resolution-96"),
        (Transform(0.75, 1.2, 128), "width-0.75.depth-1.2.resolution-128"),
        (Transform(skeleton="imagenet", cells=12, filters=44), "skeleton-imagenet.cells-12.filters-44"),
    ],
)
def test_transform_is_written_as_part_of_a_file_name(transform, text):
    assert str(transform) == text
    assert not set(text) & set("/\\: ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0.0},
        {"width": -1.0},
        {"width": 10.5},
        {"width": float("nan")},
        {"depth": 0.0},
        {"depth": float("inf")},
        {"resolution": 0},
        {"resolution": -32},
    ],
)
def test_transform_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match="0 < width, depth <= 10"):
        Transform(**wrong)


def test_transforms_with_the_same_text_are_the_same():
    assert Transform(width=1.0) == Transform()
    assert {Transform(depth=2.0): 1}[Transform(depth=2)] == 1
