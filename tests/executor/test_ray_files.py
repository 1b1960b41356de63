"""What of a job's files is told to a node, and what a node does with a job; without a cluster."""

import operator
import os
import pickle
import socket
import sys
from pathlib import Path

import pytest

from paretonas.errors import MachineError, WorkerError
from paretonas.executor.ray.courier import Courier
from paretonas.executor.ray.node import Ticket, run, versions
from paretonas.executor.ray.sending import bring, pickled
from paretonas.executor.sending import unpack
from paretonas.files import Folder
from paretonas.task.classification import Classification


class Elsewhere:
    """Has all files under another root."""

    def __init__(self, root):
        self._root = root

    def file(self, path):
        return self._root / Path(path).relative_to("/")

    def folder(self, path):
        return self._root / "whole"


@pytest.fixture
def elsewhere(tmp_path):
    bring(Elsewhere(tmp_path))
    yield tmp_path
    bring(None)


def test_paths_become_what_they_are_on_the_node(elsewhere):
    payload, has_paths = pickled(operator.add, (Path("/runs/state"), {"in": [Folder(Path("/cache/x"))]}))
    assert has_paths
    _, (path, found) = pickle.loads(payload)
    assert path == elsewhere / "runs/state"
    assert found == {"in": [Folder(elsewhere / "whole")]}


def test_relative_paths_are_those_of_the_search(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    payload, _ = pickled(operator.neg, (Path("state"),))
    monkeypatch.chdir("/")
    assert pickle.loads(payload)[1] == (tmp_path / "state",)


def test_calls_without_paths_say_so():
    assert pickled(operator.add, (1, "/runs/state"))[1] is False


def test_task_names_its_prepared_data_as_a_folder_to_read(elsewhere, tmp_path):
    task = Classification("digits", train_images=100)
    task.prepare(tmp_path / "cache")
    payload, has_paths = pickled(operator.neg, (task,))
    assert has_paths
    (sent,) = pickle.loads(payload)[1]
    (elsewhere / "whole").symlink_to(task.images.folder)
    assert sent.images.folder == elsewhere / "whole"
    assert sent.digest == task.digest


def test_courier_gives_the_files_of_a_stem_and_writes_what_is_left(tmp_path):
    for name in ("job.state", "job.progress", "job.state.host.1.part", "other.state"):
        (tmp_path / name).write_text(name)
    courier = Courier()
    assert set(courier.look(str(tmp_path / "job.safetensors"))) == {"job.state", "job.progress"}
    assert courier.look(str(tmp_path / "missing/job")) == {}
    assert courier.read(str(tmp_path / "job.state")) == b"job.state"
    courier.leave(str(tmp_path / "new/job.state"), b"told", 10**18)
    assert (tmp_path / "new/job.state").read_bytes() == b"told"
    assert (tmp_path / "new/job.state").stat().st_mtime_ns == 10**18
    courier.remove(str(tmp_path / "new/job.state"))
    assert not (tmp_path / "new/job.state").exists()


def test_courier_lets_a_node_see_whether_it_sees_a_folder(tmp_path):
    courier = Courier()
    file, word = courier.probe(str(tmp_path / "later/job.state"))
    assert Path(file).parent == tmp_path
    assert Path(file).read_text() == word
    assert courier.probe(str(tmp_path / "other.state")) == (file, word)
    courier.tidy()
    assert not list(tmp_path.iterdir())


def at_home(payload, **changed):
    told = {"versions": versions(), "threads": 1, "memory": None, "trusted": None, "main": {}}
    told |= {"folder": os.getcwd(), "sys_path": tuple(sys.path)}
    return list(run(payload, Ticket(**{**told, **changed}), None))


def test_node_says_that_a_job_begins_and_how_it_ended():
    begun, packed = at_home(pickled(operator.add, (40, 2))[0])
    assert begun == socket.gethostname()
    assert unpack(packed).value == 42


def test_node_names_itself_where_a_job_raises():
    _, packed = at_home(pickled(operator.truediv, (1, 0))[0])
    failure = unpack(packed).failure
    assert failure.kind is WorkerError
    assert failure.traceback.startswith("On the node ")


def test_node_of_another_version_refuses(monkeypatch):
    (refusal,) = at_home(b"", versions={**versions(), "torch": "0.1"})
    with pytest.raises(MachineError, match=r"search's versions, torch 0\.1, but .* has"):
        raise refusal.error()


def test_module_that_the_node_lacks_is_the_machines_fault():
    _, packed = at_home(b"cmodule_of_nobody\njob\n.")
    with pytest.raises(MachineError, match="cannot import module_of_nobody"):
        raise unpack(packed).failure.error()


def test_script_that_the_node_lacks_is_the_machines_fault():
    main = {"init_main_from_path": "/nowhere/search.py"}
    _, packed = at_home(b"c__main__\njob\n.", main=main)
    with pytest.raises(MachineError, match=r"cannot import /nowhere/search\.py"):
        raise unpack(packed).failure.error()


def test_file_that_a_job_misses_is_no_module():
    _, packed = at_home(pickled(os.listdir, ("/nowhere",))[0])
    assert unpack(packed).failure.kind is WorkerError


def test_memory_of_a_job_is_held_and_given_back():
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux holds RLIMIT_DATA")
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    _, packed = at_home(pickled(bytearray, (2**31,))[0], memory=2**28)
    assert "out of memory" in unpack(packed).failure.args[0]
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
