import pytest

from paretonas.device import runtimes
from paretonas.testing.runtime import RuntimeContract

CONVERTED_SLOWLY = {"litert", "executorch"}
"""A file takes ten seconds and more; their packages come with `make slow`."""
each_runtime = [
    pytest.param(name, marks=[pytest.mark.slow] if name in CONVERTED_SLOWLY else []) for name in sorted(runtimes)
]


class TestRuntimes(RuntimeContract):
    @pytest.fixture(params=each_runtime)
    def runtime(self, request):
        return runtimes.create(request.param)


class TestTwoThreads:
    @pytest.mark.parametrize("name", list(runtimes))
    def test_clock_of_two_threads_is_the_wall(self, name):
        runtime = runtimes.create(f"{name}:threads=2")
        assert runtime.conditions()["threads"] == 2
        assert runtime.clock == "wall"
