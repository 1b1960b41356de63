from importlib.util import find_spec

import pytest

from paretonas.errors import MissingPackageError, UsageError
from paretonas.executor import executors
from paretonas.executor.ray import RayOptions
from paretonas.executor.spawning import usable_cores


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ray:workers=0", "0 < workers"),
        ("ray:threads=0", "0 < threads"),
        ("ray:gpus=-0.5", "part of a GPU"),
        ("ray:gpus=1.5", "part of a GPU"),
        ("ray:memory_gb=-1", "0 < memory_gb"),
        ("ray:retries=-1", "0 <= retries"),
        ("ray:address=ray://head:10001", "auto or host:port"),
    ],
)
def test_options_out_of_range_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        executors.create(text)


def test_address_of_a_head_is_written_on_one_line():
    options = executors.create("ray:address=10.0.0.7:6379,gpus=0.25,threads=2")
    assert options == RayOptions(address="10.0.0.7:6379", gpus=0.25, threads=2)


def test_demands_are_those_of_one_job():
    assert RayOptions().demands == {"CPU": 1.0}
    assert RayOptions(threads=2, gpus=0.25, memory_gb=1.5).demands == {"CPU": 2.0, "GPU": 0.25, "memory": 1.5 * 2**30}


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install paretonas[ray]")
def test_cluster_of_ones_own_has_as_many_workers_as_were_asked_for_or_as_there_are_cores():
    assert RayOptions(workers=7, threads=2).count() == 7
    assert RayOptions(workers=7, threads=2).cores == 14
    assert RayOptions().count() == len(usable_cores())


def test_without_ray_the_install_line_is_said(monkeypatch):
    monkeypatch.setattr("paretonas.executor.ray.options.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install ray"):
        RayOptions().start()
    with pytest.raises(MissingPackageError, match="pip install ray"):
        RayOptions(workers=1).count()
