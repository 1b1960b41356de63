"""The contracts that the package keeps; run by a Python where it is installed."""

import pytest
from paretonas_vectors import PerceptronSpace, Regression

from paretonas.space import spaces
from paretonas.task import tasks
from paretonas.testing.space import SpaceContract
from paretonas.testing.task import TaskContract


class TestRegression(TaskContract):
    @pytest.fixture
    def task(self):
        return Regression(points=200)


class TestPerceptrons(SpaceContract):
    @pytest.fixture
    def space(self):
        return PerceptronSpace().build()

    @pytest.fixture
    def interface(self):
        return Regression().interface


def test_the_package_is_listed_with_its_summaries():
    assert "regression" in tasks
    assert tasks.summary("regression") == "A smooth function of six numbers."
    assert "perceptrons" in spaces
