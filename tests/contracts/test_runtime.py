import pytest

from paretonas.device import runtimes
from paretonas.testing.runtime import RuntimeContract


class TestRuntimes(RuntimeContract):
    @pytest.fixture(params=list(runtimes))
    def runtime(self, request):
        return runtimes.create(request.param)


class TestTwoThreads:
    @pytest.mark.parametrize("name", list(runtimes))
    def test_clock_of_two_threads_is_the_wall(self, name):
        runtime = runtimes.create(f"{name}:threads=2")
        assert runtime.conditions()["threads"] == 2
        assert runtime.clock == "wall"
