import fcntl
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from paretonas.device import ModelFile, Runtime, parse_device
from paretonas.device.timing import Protocol
from paretonas.device.transport.local import LocalTransport
from paretonas.errors import MeasureError
from paretonas.network import build
from paretonas.zoo.zoo import zoo_spec

QUICK = Protocol(pairs=3, warmup=3, attempts=1)
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
needs_affinity = pytest.mark.skipif(not CORES, reason="this system cannot pin processes")


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    """Keep out of the way of real measurements on this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"paretonas-measuring-{os.getuid()}.lock"


@dataclass(frozen=True)
class Spy(Runtime):
    """Notes where its models run and on what."""

    format: ClassVar[str] = "onnx"
    threads: int = 1
    fails: bool = False
    seen = []  # noqa: RUF012 - emptied by the fixture

    def version(self):
        return "0"

    def conditions(self):
        return {"threads": self.threads}

    def input_shape(self, path):
        return (1, 3, 8, 8)

    def open(self, path):
        if self.fails:
            raise MeasureError("no")

        def run(x):
            self.seen.append((path.name, x, CORES and os.sched_getaffinity(0)))
            return x

        return run


@pytest.fixture
def seen():
    Spy.seen.clear()
    return Spy.seen


def files():
    return ModelFile(Path("candidate.onnx"), (2, 3, 8, 8)), ModelFile(Path("reference.onnx"), (1, 3, 4, 4))


@pytest.mark.parametrize(
    ("text", "clock"), [("onnxruntime", "cpu"), ("torch", "cpu"), ("onnxruntime:threads=2", "wall")]
)
def test_measure_times_a_real_network(tmp_path, text, clock):
    device = parse_device(text)
    spec = zoo_spec("mnasnet-a1", 0.35, 32)
    candidate = device.export(build(spec, 10).eval(), spec, (1, 3, 32, 32), tmp_path / "candidate")
    calibrated = device.calibrate(tmp_path, (1, 3, 32, 32), QUICK).calibrated
    latency = device.measure(candidate, tmp_path, calibrated, QUICK)
    assert calibrated > 0
    assert [len(times) for times in vars(latency).values() if isinstance(times, tuple)][:4] == [3, 3, 3, 3]
    assert all(seconds > 0 for times in list(vars(latency).values())[:4] for seconds in times)
    assert latency.latency_ms > 0
    assert (latency.clock, latency.attempts, latency.calibrated) == (clock, 1, calibrated)
    assert set(latency.conditions) == {"device", "version", "threads", "cpu", "machine", "core", "load", "date"}
    assert latency.conditions["device"] == text
    assert latency.conditions["version"] == device.runtime.version()
    assert set(device.identity) == {"runtime", "transport", "version", "threads", "cpu", "machine"}


def test_missing_file_is_a_measure_error(tmp_path):
    (tmp_path / "reference-3x8x8.onnx").touch()
    with pytest.raises(MeasureError, match=r"nothing\.onnx"):
        parse_device("onnxruntime").measure(ModelFile(tmp_path / "nothing.onnx", (1, 3, 8, 8)), tmp_path, 0.02, QUICK)


def test_both_networks_see_fixed_noise_of_their_own_shape(seen):
    LocalTransport().measure(Spy(), *files(), QUICK)
    images = {name: x for name, x, _ in seen}
    assert images["candidate.onnx"].shape == (2, 3, 8, 8)
    assert images["reference.onnx"].shape == (1, 3, 4, 4)
    for x in images.values():
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, np.random.default_rng(0).standard_normal(x.shape, np.float32))


@needs_affinity
@pytest.mark.parametrize(("threads", "cores"), [(1, {max(CORES, default=0)}), (2, CORES)])
def test_one_thread_is_pinned_to_the_last_core_and_freed_again(seen, threads, cores):
    runtime = Spy(threads=threads)
    LocalTransport().measure(runtime, *files(), QUICK)
    assert os.sched_getaffinity(0) == CORES
    assert [affinity for *_, affinity in seen] == [cores] * len(seen)
    assert {name for name, *_ in seen} == {"candidate.onnx", "reference.onnx"}


@needs_affinity
def test_affinity_is_restored_after_an_error(own_lock):
    with pytest.raises(MeasureError, match="no"):
        LocalTransport().measure(Spy(fails=True), *files(), QUICK)
    assert os.sched_getaffinity(0) == CORES
    with own_lock.open("w") as lock:  # and the lock is free
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_one_measurement_at_a_time(seen, own_lock):
    with own_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=LocalTransport().measure, args=(Spy(), *files(), QUICK))
        thread.start()
        thread.join(timeout=0.2)
        assert thread.is_alive()
        assert seen == []
    thread.join()
    assert seen != []


def test_conditions_describe_this_machine():
    conditions = LocalTransport().conditions()
    assert LocalTransport.is_here
    assert conditions["cpu"]
    assert conditions["machine"] == os.uname().machine
    assert conditions["core"] == (max(CORES) if CORES else None)
    assert conditions["date"].endswith("+00:00")
