"""What every executor must do, as a suite of tests to subclass with a fixture."""

from __future__ import annotations

import operator
import os
import sys
import time
from typing import Any

import pytest

from paretonas.errors import MeasureError, MissingPackageError, UsageError, WorkerError
from paretonas.executor import Executor, Job


def fail(error: type[BaseException], *args: object) -> None:
    """A job that raises `error(*args)`."""
    raise error(*args)


def drain(executor: Executor) -> list[Job[Any]]:
    """All jobs that are pending, in the order in which they were done."""
    jobs: list[Job[Any]] = []
    while done := executor.wait():
        jobs.extend(done)
    return jobs


class ExecutorContract:
    """Tests of an executor that has few workers and was just started.

    ```python
    class TestMyExecutor(ExecutorContract):
        @pytest.fixture
        def executor(self):
            with MyOptions(workers=2).start() as executor:
                yield executor
    ```
    """

    def test_submit_returns_the_job_under_its_key(self, executor: Executor) -> None:
        job = executor.submit("trial-7", operator.add, 40, 2)
        assert job.key == "trial-7"
        assert executor.wait() == [job]
        assert job.is_done
        assert job.result() == 42
        assert job.seconds >= 0
        assert job.traceback == ""

    def test_wait_without_jobs_returns_at_once(self, executor: Executor) -> None:
        assert executor.wait() == []

    def test_wait_returns_each_job_once_with_its_own_result(self, executor: Executor) -> None:
        jobs = [executor.submit(str(n), operator.mul, n, n) for n in range(executor.workers + 3)]
        done = drain(executor)
        assert sorted(job.key for job in done) == sorted(job.key for job in jobs)
        assert [job.result() for job in jobs] == [n * n for n in range(len(jobs))]
        assert executor.wait() == []

    def test_wait_with_timeout_loses_nothing(self, executor: Executor) -> None:
        jobs = [executor.submit(str(n), time.sleep, 0.05) for n in range(3)]
        done: list[Job[Any]] = []
        while len(done) < len(jobs):
            done += executor.wait(timeout=0)
        assert {job.key for job in done} == {"0", "1", "2"}

    def test_submit_between_waits_keeps_workers_in_use(self, executor: Executor) -> None:
        executor.submit("first", operator.neg, 1)
        executor.wait()
        job = executor.submit("second", operator.neg, 2)
        assert executor.wait() == [job]
        assert job.result() == -2

    def test_result_before_the_end_is_refused(self, executor: Executor) -> None:
        job = executor.submit("early", operator.neg, 1)
        assert not job.is_done
        assert job.seconds == 0
        with pytest.raises(UsageError, match="'early' is not done"):
            job.result()

    def test_idle_counts_free_workers(self, executor: Executor) -> None:
        assert executor.idle == executor.workers >= 1
        for n in range(executor.workers + 1):
            assert executor.idle == executor.workers - n
            executor.submit(str(n), operator.neg, n)
        assert executor.idle == 0
        drain(executor)
        assert executor.idle == executor.workers

    @pytest.mark.parametrize(
        ("error", "args", "message"),
        [
            (UsageError, ("the rule, but got 3",), "the rule, but got 3"),
            (MeasureError, ("too noisy",), "too noisy"),
            (MissingPackageError, ("ray", "the executor 'ray'"), "pip install ray"),
        ],
    )
    def test_errors_of_ours_keep_their_class(
        self, executor: Executor, error: type[Exception], args: tuple[str, ...], message: str
    ) -> None:
        job = executor.submit("a", fail, error, *args)
        executor.wait()
        with pytest.raises(error, match=message) as caught:
            job.result()
        assert type(caught.value) is error
        assert "in fail" in job.traceback

    @pytest.mark.parametrize(
        ("error", "message"),
        [(ValueError, "ValueError: bad"), (SystemExit, "SystemExit: bad"), (MemoryError, "out of memory")],
    )
    def test_foreign_errors_become_worker_errors(
        self, executor: Executor, error: type[BaseException], message: str
    ) -> None:
        job = executor.submit("a", fail, error, "bad")
        executor.wait()
        with pytest.raises(WorkerError, match=message) as caught:
            job.result()
        assert "in fail" in job.traceback
        assert job.traceback in caught.value.__notes__[0]

    def test_a_failed_job_fails_alone(self, executor: Executor) -> None:
        bad = executor.submit("bad", fail, ValueError)
        exit_ = executor.submit("exit", sys.exit, 3)
        good = executor.submit("good", os.getcwd)
        drain(executor)
        assert good.result() == os.getcwd()
        for job in (bad, exit_):
            with pytest.raises(WorkerError):
                job.result()

    def test_close_fails_what_is_not_done(self, executor: Executor) -> None:
        jobs = [executor.submit(str(n), time.sleep, 1000) for n in range(executor.workers + 1)]
        executor.close()
        executor.close()
        for job in jobs:
            with pytest.raises(WorkerError, match="closed"):
                job.result()
        assert {job.key for job in executor.wait()} == {job.key for job in jobs}
        with pytest.raises(UsageError, match="closed"):
            executor.submit("late", operator.neg, 1)

    def test_close_keeps_what_is_done(self, executor: Executor) -> None:
        job = executor.submit("a", operator.neg, 1)
        executor.wait()
        executor.close()
        assert job.result() == -1
        assert executor.wait() == []
