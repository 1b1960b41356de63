"""A head of Ray and nodes of this machine, which die and come back."""

import operator
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import ray_jobs
from PIL import Image

from paretonas.errors import CrashError, MachineError, UsageError, WorkerError
from paretonas.evaluation.job import TrainingJob, known_metrics, run_training
from paretonas.executor.ray.options import RayOptions
from paretonas.files import Folder
from paretonas.space import spec_to_json
from paretonas.task import recipes
from paretonas.task.classification import Classification
from paretonas.testing.executor import drain
from paretonas.zoo import zoo_spec

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install paretonas[ray]"),
]


@pytest.fixture(scope="module")
def nodes():
    with ray_jobs.running_nodes() as nodes:
        yield nodes


@pytest.fixture
def executor(nodes):
    with RayOptions(nodes.address).start() as executor:
        yield executor


def run(executor, function, *args, timeout=None):
    job = executor.submit("job", function, *args, timeout=timeout)
    drain(executor)
    return job.result()


def wait_for(claim, seconds=60):
    until = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_cluster_has_room_for_as_many_jobs_as_its_nodes_have_cores(executor, nodes):
    assert executor.workers == 6
    assert executor.is_here
    assert RayOptions(nodes.address).count() == 6
    assert RayOptions(nodes.address, threads=2).count() == 3


def test_jobs_are_spread_over_nodes(executor):
    jobs = [executor.submit(str(n), ray_jobs.where) for n in range(12)]
    drain(executor)
    assert len({job.result() for job in jobs}) == 3


def test_a_job_says_where_it_runs(executor):
    job = executor.submit("a", operator.neg, 1)
    executor.wait()
    assert job.node == socket.gethostname()


def test_job_has_the_surroundings_of_the_search(executor):
    assert run(executor, ray_jobs.surroundings) == ("0", "1", os.getcwd())


def test_time_limit_counts_from_when_a_worker_has_the_job(nodes):
    with RayOptions(nodes.address, workers=8).start() as executor:  # two more than there is room for
        jobs = [executor.submit(str(n), time.sleep, 2.0, timeout=3.5) for n in range(8)]
        late = executor.submit("late", time.sleep, 1000, timeout=1.0)
        drain(executor)
        assert [job.result() for job in jobs] == [None] * 8
        with pytest.raises(WorkerError, match=r"time limit of 1 s"):
            late.result()


def test_killed_worker_is_replaced_and_counted(executor, tmp_path):
    job = executor.submit("job", ray_jobs.die_once, tmp_path / "mark")
    drain(executor)
    assert job.result() == "lived"
    assert job.attempts == 2


def test_job_that_always_kills_its_worker_is_given_up(nodes):
    with RayOptions(nodes.address, retries=1).start() as executor:
        job = executor.submit("job", os._exit, 3)
        drain(executor)
        assert job.attempts == 2
        with pytest.raises(CrashError, match="lost 2 workers"):
            job.result()
        assert run(executor, operator.neg, 1) == -1


def test_memory_limit_fails_its_job_only(nodes):
    with RayOptions(nodes.address, memory_gb=0.25).start() as executor:
        jobs = [executor.submit(str(gib), ray_jobs.fill_memory, gib) for gib in (0.1, 1.0, 0.1)]
        drain(executor)
        assert jobs[0].result() == jobs[2].result() > 0
        with pytest.raises(WorkerError, match="out of memory"):
            jobs[1].result()
        assert jobs[1].attempts == 1


@pytest.mark.parametrize(
    ("options", "there"),
    [({"threads": 3}, "3 CPU"), ({"gpus": 1.0}, "1 GPU"), ({"memory_gb": 5000.0}, "4.88e\\+03 GiB|5e\\+03 GiB")],
)
def test_demands_that_no_node_can_meet_are_said(nodes, options, there):
    with pytest.raises(UsageError, match=f"({there}).*but there is"):
        RayOptions(nodes.address, **options).start()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:99999"])
def test_address_without_a_cluster_is_said(address):
    with pytest.raises(UsageError, match="does not answer"):
        RayOptions(address).start()


def test_module_that_a_node_lacks_is_the_machines_fault(executor, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def job():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    job = executor.submit("job", only_here.job)  # the steward was started before
    drain(executor)
    with pytest.raises(MachineError, match="cannot import only_here"):
        job.result()


def test_other_version_on_a_node_is_said(executor, monkeypatch):
    from paretonas.executor.ray import node

    refusal = node._unlike({**node.versions(), "torch": "0.1"})
    with pytest.raises(MachineError, match=r"torch 0\.1"):
        raise refusal.error()


def test_standard_output_is_kept_clean(nodes):
    code = f"""
import ray_jobs
from paretonas.executor.ray.options import RayOptions
if __name__ == "__main__":
    with RayOptions({nodes.address!r}).start() as executor:
        executor.submit("a", ray_jobs.streams)
        executor.wait()
    with RayOptions(workers=1).start() as executor:
        executor.submit("a", ray_jobs.streams)
        executor.wait()
"""
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_killed_search_leaves_nothing_running(nodes, tmp_path):
    code = f"""
import sys
from pathlib import Path
import ray_jobs
from paretonas.executor.ray.options import RayOptions
if __name__ == "__main__":
    with RayOptions({nodes.address!r}).start() as executor:
        executor.submit("a", ray_jobs.count_up, Path("state"), Path("begun"), 10000, 0.1)
        executor.wait()
"""
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    search = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=surroundings)
    state = tmp_path / "state"
    wait_for(lambda: state.exists() and int(state.read_text()) > 3)
    search.send_signal(signal.SIGKILL)
    search.wait()
    (worker,) = map(int, (tmp_path / "begun").read_text().split())
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), 20)
    told = state.read_text()
    time.sleep(0.5)
    assert state.read_text() == told


def test_node_that_does_not_see_the_files_is_brought_them(nodes, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root, to hide a folder from a node")
    home, hidden = tmp_path / "home", tmp_path / "home/hidden"
    (hidden / "data").mkdir(parents=True)
    (hidden / "data/a").write_text("1")
    (hidden / "data/b").write_text("2")
    nodes.tell("hide", home)
    with RayOptions(nodes.address, workers=8).start() as executor:
        jobs = []
        for n in range(8):
            given, left = hidden / f"given{n}.txt", hidden / f"run/left{n}.txt"
            given.write_text("told ")
            jobs.append(executor.submit(str(n), ray_jobs.read_and_write, Folder(hidden / "data"), given, left))
        slow = executor.submit("slow", ray_jobs.count_up, hidden / "state", hidden / "begun", 3, 0.1)
        drain(executor)
        folders = {job.result()[1] for job in jobs}
        assert len(folders) == 2, folders  # as it is, and a copy
        for n, job in enumerate(jobs):
            assert job.result()[0] == "told ab" == (hidden / f"run/left{n}.txt").read_text()
            assert not (hidden / f"given{n}.txt").exists()
        assert slow.result() == (0, 3)
        assert (hidden / "state").read_text() == "3"
    assert not list(home.rglob("*.part"))


def test_files_that_cannot_be_sent_back_are_the_machines_fault_and_whoever_sends_them_may_die(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root, to hide a folder from a node")
    home, hidden = tmp_path / "home", tmp_path / "home/hidden"
    (hidden / "data").mkdir(parents=True)
    (hidden / "data/a").write_text("1")
    (hidden / "run/folder").mkdir(parents=True)
    given = hidden / "given.txt"

    def read_and_write(left):
        given.write_text("told ")
        return run(executor, ray_jobs.read_and_write, Folder(hidden / "data"), given, left)

    with ray_jobs.running_nodes(nodes=0) as nodes:
        nodes.tell("hide", home)
        with RayOptions(nodes.address).start() as executor:
            with pytest.raises(MachineError, match="folder cannot be written: it is a folder"):
                read_and_write(hidden / "run/folder")
            (courier,) = ray_jobs.processes("ray::Courier")
            os.kill(courier, signal.SIGKILL)
            (hidden / "data/b").write_text("2")
            assert read_and_write(hidden / "run/left.txt")[0] == "told ab"
            assert (hidden / "run/left.txt").read_text() == "told ab"


def test_lost_node_is_replaced_and_the_job_goes_on(tmp_path):
    with ray_jobs.running_nodes(nodes=2, cpus=1) as nodes, RayOptions(nodes.address).start() as executor:
        files = [(tmp_path / f"state{n}", tmp_path / f"begun{n}") for n in range(2)]
        jobs = [executor.submit(str(n), ray_jobs.count_up, *pair, 60, 0.2) for n, pair in enumerate(files)]
        wait_for(lambda: all(state.exists() for state, _ in files))
        nodes.tell("kill", 0)
        drain(executor)
        assert sorted(job.attempts for job in jobs) == [1, 2]
        (first,) = (job.result()[0] for job in jobs if job.attempts == 2)
        assert first > 0
        assert all(state.read_text() == "60" for state, _ in files)


def test_lost_head_is_waited_for(tmp_path):
    with ray_jobs.running_nodes(nodes=3, cpus=1) as nodes, RayOptions(nodes.address).start() as executor:
        jobs = [
            executor.submit(str(n), ray_jobs.count_up, tmp_path / f"state{n}", tmp_path / f"begun{n}", 100, 0.2)
            for n in range(3)
        ]
        wait_for(lambda: all((tmp_path / f"state{n}").exists() for n in range(3)))
        nodes.begin("restart")
        drain(executor)
        assert [job.result()[1] for job in jobs] == [100] * 3
        assert all(job.result()[0] > 0 and job.attempts == 2 for job in jobs)
        assert executor.submit("x", operator.neg, 1)
        assert [job.result() for job in drain(executor)] == [-1]


def test_training_on_a_node_that_sees_no_data_gives_what_it_gives_here(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root, to hide a folder from a node")
    rng = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "home/photos" / name).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(0, 128, (8, 8, 3), dtype=np.uint8) + 127 * (name == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "home/photos" / name / f"{i}.png")
    task = Classification(str(tmp_path / "home/photos"))
    task.prepare(tmp_path / "home/cache")
    recipe = recipes.create("search:epochs=2,batch_size=8,layout=channels-last,precision=float32")
    spec = spec_to_json(zoo_spec("mobilenet-v2:width=0.25", resolution=8))
    job = TrainingJob(spec, task, recipe, seed=0, torch_device="cpu", checkpoint=tmp_path / "home/here.safetensors")
    expected = run_training(job)
    away = replace(job, checkpoint=tmp_path / "home/run/away.safetensors", state=tmp_path / "home/run/away.state")
    with ray_jobs.running_nodes(nodes=0) as nodes:
        nodes.tell("hide", tmp_path / "home")
        with RayOptions(nodes.address).start() as executor:
            metrics = run(executor, run_training, away)
    assert {name: metrics[name] for name in ("accuracy", "train_loss")} == {
        name: expected[name] for name in ("accuracy", "train_loss")
    }
    assert known_metrics(away) == metrics
    assert not (tmp_path / "home/run/away.state").exists()
