from collections.abc import Iterator

import pytest

from paretonas.executor import Executor, executors
from paretonas.testing.executor import ExecutorContract


class TestExecutors(ExecutorContract):
    @pytest.fixture(params=list(executors))
    def executor(self, request: pytest.FixtureRequest) -> Iterator[Executor]:
        with executors.create(request.param, defaults={"workers": 2}).start() as executor:
            yield executor
