import pytest

from paretonas.space import Decision, ForeignSpec, SearchSpace, spaces
from paretonas.space.mnasnet import VARIANTS
from paretonas.testing.space import SpaceContract

REGISTERED = [
    *spaces,
    *(f"mnasnet:variant={variant}" for variant in VARIANTS),
    "mnasnet:variant=paper,resolution=32,width=0.5,se=false,head-filters=256",
    "mnasnet:variant=google,reference=mnasnet-a1",
]


class TestSpaces(SpaceContract):
    @pytest.fixture(params=REGISTERED)
    def space(self, request):
        return spaces.create(request.param).build()

    def test_name_builds_the_space_again(self, space):
        again = spaces.create(space.name).build()
        assert (again.name, again.decisions) == (space.name, space.decisions)


class TestOneArchitecture(SpaceContract):
    @pytest.fixture
    def space(self):
        decisions = (Decision("depth", (18,)), Decision("family", ("resnet",)))
        return SearchSpace("one", decisions, lambda v: ForeignSpec(f"timm:{v['family']}{v['depth']}"))

    def test_its_only_architecture_is_all_there_is(self, space):
        only = space.architecture([0, 0])
        assert space.size == 1
        assert list(space.neighbours(only)) == []
        assert space.decode(only) == ForeignSpec("timm:resnet18")


class TestOneOpenDecision(SpaceContract):
    @pytest.fixture
    def space(self):
        decisions = (Decision("family", ("resnet",)), Decision("depth", (18, 34, 50)))
        return SearchSpace("small", decisions, lambda v: ForeignSpec(f"timm:{v['family']}{v['depth']}"))
