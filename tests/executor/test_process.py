import gc
import operator
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import process_jobs
import pytest

from paretonas.errors import UsageError, WorkerError
from paretonas.executor import executors
from paretonas.executor.process import ProcessOptions
from paretonas.testing.executor import drain

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
needs_affinity = pytest.mark.skipif(not CORES, reason="this system cannot pin processes")


@pytest.fixture
def executor():
    with ProcessOptions(workers=1).start() as executor:
        yield executor


def run(executor, function, *args, timeout=None):
    job = executor.submit("job", function, *args, timeout=timeout)
    drain(executor)
    return job.result()


def test_worker_is_another_process_and_stays_warm(executor):
    first, second = run(executor, os.getpid), run(executor, os.getpid)
    assert first == second != os.getpid()


def test_idle_workers_leave_by_themselves_and_clean_up(tmp_path):
    executor = ProcessOptions(workers=1).start()
    run(executor, process_jobs.leave_a_note, tmp_path / "left")
    executor.close()
    assert (tmp_path / "left").exists()


def test_worker_never_hears_a_ctrl_c_of_the_terminal(executor):
    assert signal.SIGINT in run(executor, signal.pthread_sigmask, signal.SIG_BLOCK, [])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_jobs_start_in_order_of_submission(executor):
    jobs = [executor.submit(str(n), time.monotonic) for n in range(5)]
    assert [job.key for job in drain(executor)] == list("01234")
    starts = [job.result() for job in jobs]
    assert starts == sorted(starts)


def test_more_jobs_than_workers_share_the_workers():
    with ProcessOptions(workers=2).start() as executor:
        jobs = [executor.submit(str(n), os.getpid) for n in range(8)]
        drain(executor)
        assert 1 <= len({job.result() for job in jobs}) <= 2


def test_wait_returns_the_first_to_end():
    with ProcessOptions(workers=2).start() as executor:
        executor.submit("slow", time.sleep, 1000)
        executor.submit("fast", operator.neg, 1)
        assert [job.key for job in executor.wait()] == ["fast"]
        assert executor.wait(timeout=0.01) == []


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        (signal.raise_signal, (signal.SIGKILL,), "killed by SIGKILL .* ran out of memory"),
        (signal.raise_signal, (signal.SIGTERM,), "killed by SIGTERM"),
        (os._exit, (3,), "exit code 3"),
        (os._exit, (1,), "exit code 1 .* `if __name__"),
        (process_jobs.fork_and_die, (), "killed by SIGKILL"),
    ],
)
def test_death_of_a_worker_fails_only_its_job(executor, function, args, message):
    before = executor.submit("before", os.getpid)
    dead = executor.submit("dead", function, *args)
    after = executor.submit("after", os.getpid)
    assert [job.key for job in drain(executor)] == ["before", "dead", "after"]
    with pytest.raises(WorkerError, match=message):
        dead.result()
    assert dead.seconds > 0
    assert after.result() != before.result()


def test_worker_that_died_idle_is_replaced(executor):
    pid = run(executor, os.getpid)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert run(executor, os.getpid) != pid


def test_error_of_a_class_that_cannot_travel_keeps_its_traceback(executor):
    job = executor.submit("a", process_jobs.fail_with_local_class)
    executor.wait()
    with pytest.raises(WorkerError, match="cannot be sent back"):
        job.result()
    assert "LocalError: the reason" in job.traceback


def test_timeout_kills_only_its_job():
    with ProcessOptions(workers=2).start() as executor:
        late = executor.submit("late", time.sleep, 1000, timeout=0.2)
        good = executor.submit("good", operator.neg, 1)
        drain(executor)
        with pytest.raises(WorkerError, match=r"time limit of 0\.2 s"):
            late.result()
        assert late.seconds >= 0.2
        assert good.result() == -1
        assert run(executor, operator.neg, 2, timeout=1000) == -2


def test_time_limit_may_be_longer_than_the_system_waits_at_once(executor):
    assert run(executor, operator.neg, 2, timeout=1e9) == -2
    executor.submit("again", operator.neg, 2)
    assert len(executor.wait(1e9)) == 1


def test_interrupt_does_not_reach_the_job(executor):
    assert run(executor, signal.raise_signal, signal.SIGINT) is None


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        (lambda: 1, (), "found by name"),
        (operator.not_, (lambda: 1,), "can be pickled"),
        (threading.Lock, (), "cannot be sent back"),
        (process_jobs.return_unreadable, (), "cannot be read"),
    ],
)
def test_what_cannot_be_pickled_fails_its_job(executor, function, args, message):
    with pytest.raises(WorkerError, match=message):
        run(executor, function, *args)
    assert run(executor, operator.neg, 1) == -1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds RLIMIT_DATA")
@pytest.mark.parametrize(("function", "args"), [(process_jobs.fill_memory, ()), (bytearray, (2**30,))])
def test_memory_limit_fails_the_job(function, args):
    with ProcessOptions(workers=1, memory_gb=0.25).start() as executor:
        pid = run(executor, os.getpid)
        with pytest.raises(WorkerError, match="ran out of memory"):
            run(executor, function, *args)
        assert run(executor, os.getpid) == pid


@needs_affinity
def test_workers_that_take_all_cores_are_pinned_in_turn():
    with ProcessOptions(workers=max(2, len(CORES))).start() as executor:
        jobs = [executor.submit(str(n), process_jobs.environment) for n in range(2)]
        drain(executor)
        assert {tuple(job.result().values()) for job in jobs} == {("1", "1", "1")}
        executor.submit("holds the first worker", time.sleep, 1000)
        assert executor.wait(timeout=0) == []
        job = executor.submit("second worker", os.sched_getaffinity, 0)
        executor.wait()
        assert job.result() == {CORES[1 % len(CORES)]}


@needs_affinity
@pytest.mark.parametrize("options", [{"threads": len(CORES), "pin": False}, {"threads": max(1, len(CORES) - 1)}])
def test_pinning_can_be_declined_and_leaves_a_machine_alone_that_has_cores_to_spare(options):
    with ProcessOptions(workers=1, **options).start() as executor:
        assert run(executor, os.sched_getaffinity, 0) == set(CORES)


@needs_affinity
def test_one_worker_can_be_pinned():
    with ProcessOptions(workers=1, pin=True).start() as executor:
        assert run(executor, os.sched_getaffinity, 0) == {CORES[0]}


def test_threads_reach_the_worker_and_leave_this_process_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with ProcessOptions(workers=1, threads=3).start() as executor:
        assert set(run(executor, process_jobs.environment).values()) == {"3"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


@needs_affinity
@pytest.mark.parametrize("threads", [1, 2, 1000])
def test_default_workers_fill_the_cores(threads):
    with ProcessOptions(threads=threads).start() as executor:
        assert executor.workers == max(1, len(CORES) // threads)


@pytest.mark.parametrize("text", ["workers=0", "threads=-1", "memory_gb=0"])
def test_options_are_checked(text):
    with pytest.raises(UsageError, match=f"`0 < {text.split('=')[0]} <= .*` must hold"):
        executors.create(f"process:{text}")


def end_by_close(executor):
    executor.close()


def end_by_timeout(executor):
    executor.wait()


@pytest.mark.parametrize(("end", "timeout"), [(end_by_close, None), (end_by_timeout, 0.01)])
def test_killed_job_takes_along_what_it_started(executor, tmp_path, end, timeout):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    executor.submit("holds", process_jobs.hold, str(path), timeout=timeout)
    with path.open("rb") as fifo:
        assert fifo.read(1) == b"x"
        end(executor)
        assert fifo.read() == b""  # ends when nobody holds the other side


def test_forgotten_executor_kills_its_workers(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    executor = ProcessOptions(workers=1).start()
    executor.submit("holds", process_jobs.hold, str(path))
    with path.open("rb") as fifo:
        assert fifo.read(1) == b"x"
        del executor
        gc.collect()
        assert fifo.read() == b""


def start_script(body):
    script = f"""
import sys
sys.path.insert(0, {os.path.dirname(process_jobs.__file__)!r})
import process_jobs
from paretonas.executor.process import ProcessOptions
{body}
"""
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_no_worker_outlives_a_killed_parent():
    body = "executor = ProcessOptions(workers=2).start()\nexecutor.submit('a', process_jobs.announce_and_sleep)\n"
    with start_script(body + "executor.submit('b', process_jobs.announce_and_sleep)\nexecutor.wait()") as parent:
        assert [parent.stdout.readline() for _ in range(2)] == ["running\n"] * 2
        parent.kill()
        assert parent.stdout.read() == ""  # ends when the last worker is gone


def test_exit_without_close_does_not_hang_and_loses_no_output():
    body = "executor = ProcessOptions(workers=1).start()\nexecutor.submit('a', process_jobs.print_unflushed)\n"
    with start_script(body + "executor.wait()\nexecutor.submit('b', process_jobs.announce_and_sleep)") as parent:
        assert parent.stdout.read().startswith("said by a job")
    assert parent.returncode == 0


def test_a_job_says_where_it_runs(executor):
    job = executor.submit("a", operator.neg, 1)
    assert job.node == socket.gethostname()
    drain(executor)
