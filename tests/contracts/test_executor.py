from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from paretonas.executor import Executor, executors
from paretonas.testing.executor import ExecutorContract

SLOW = {"ray"}
"""They start a cluster for each test."""


class TestExecutors(ExecutorContract):
    @pytest.fixture(params=[pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in executors])
    def executor(self, request: pytest.FixtureRequest) -> Iterator[Executor]:
        if request.param == "ray" and find_spec("ray") is None:
            pytest.skip("Ray is not installed: pip install paretonas[ray]")
        with executors.create(request.param, defaults={"workers": 2}).start() as executor:
            yield executor
