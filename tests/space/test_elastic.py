"""The elastic space."""

import pytest

from paretonas.space.elastic import ElasticSpace
from paretonas.space.mnasnet import MnasNetSpec


def spec_of(space: ElasticSpace, **changed: object) -> MnasNetSpec:
    """The first choice everywhere, but for what is changed; `.` is `_`."""
    built = space.build()
    values = {d.name: d.choices[0] for d in built.decisions} | {k.replace("_", ".", 1): v for k, v in changed.items()}
    choices = [d.choices.index(values[d.name]) for d in built.decisions]
    spec = built.decode(built.architecture(choices))
    assert isinstance(spec, MnasNetSpec)
    return spec


def strides(spec: MnasNetSpec) -> tuple[int, ...]:
    return spec.stem_stride, *(block.stride for block in spec.blocks)


@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
def test_an_early_stride_leaves_as_many_pixels_to_the_head(resolution: int) -> None:
    space = ElasticSpace(resolution=resolution)
    late, early = (strides(spec_of(space, stem_stride=stride)) for stride in (1, 2))
    assert (late[0], early[0]) == (1, 2)
    assert sorted(late) == sorted(early)


def test_images_of_128_pixels_have_the_published_strides() -> None:
    assert "stem.stride" not in [d.name for d in ElasticSpace(resolution=128).build().decisions]
    assert strides(spec_of(ElasticSpace(resolution=128))) == (2, 1, 2, 2, 2, 1, 2, 1)


def test_plain_blocks_have_kernels_of_3_and_no_expansion() -> None:
    spec = spec_of(ElasticSpace(resolution=32), block3_op="conv", block3_kernel=5, block3_expansion=6)
    assert (spec.blocks[2].op, spec.blocks[2].kernel, spec.blocks[2].expansion) == ("conv", 3, 1)
    assert spec.blocks[2] == spec_of(ElasticSpace(resolution=32), block3_op="conv").blocks[2]
