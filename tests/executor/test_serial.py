import operator
import socket

import pytest

from paretonas.executor.serial import SerialOptions
from paretonas.testing.executor import drain, fail


def test_jobs_run_in_wait_one_at_a_time_in_order():
    ran = []
    with SerialOptions().start() as executor:
        for n in range(3):
            executor.submit(str(n), ran.append, n)
        assert ran == []
        assert [job.key for job in executor.wait()] == ["0"]
        assert ran == [0]
        drain(executor)
    assert ran == [0, 1, 2]


def test_keyboard_interrupt_passes_through_and_keeps_the_job():
    with SerialOptions().start() as executor:
        job = executor.submit("a", fail, KeyboardInterrupt)
        later = executor.submit("b", operator.neg, 1)
        with pytest.raises(KeyboardInterrupt):
            executor.wait()
        assert not job.is_done
        assert not later.is_done
        assert executor.idle == 0


def test_a_job_says_where_it_runs_once_it_has_begun():
    with SerialOptions().start() as executor:
        job = executor.submit("a", operator.neg, 1)
        assert job.node == ""
        executor.wait()
        assert job.node == socket.gethostname()
