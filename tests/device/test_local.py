import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from filelock import FileLock

from paretonas.device import Runtime, parse_device
from paretonas.device.calibration import calibrate
from paretonas.device.runner.moment import lock_files
from paretonas.device.timing import Protocol
from paretonas.device.transport.local import LocalTransport
from paretonas.errors import MeasureError
from paretonas.export import ModelFile, example_inputs
from paretonas.network import build
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

QUICK = Protocol(pairs=3, warmup=3, attempts=1)
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
needs_affinity = pytest.mark.skipif(not CORES, reason="this system cannot pin processes")


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    """Keep out of the way of real measurements on this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return FileLock(lock_files("here")[0], thread_local=False)


@dataclass(frozen=True)
class Spy(Runtime):
    """Notes where its models run and on what."""

    format: ClassVar[str] = "onnx"
    clock: ClassVar[str] = "thread"
    fails: bool = False
    seen = []  # noqa: RUF012 - emptied by the fixture

    def version(self):
        return "0"

    def conditions(self):
        return {"threads": 1}

    def interface(self, path):
        return Interface.of_images(3, 8, 10)

    def load(self, path):
        if self.fails:
            raise MeasureError("no")

        def run(inputs):
            self.seen.append((path.name, inputs, CORES and os.sched_getaffinity(0)))
            return inputs

        return run


@dataclass(frozen=True)
class Helped(Spy):
    clock: ClassVar[str] = "process"


@dataclass(frozen=True)
class Threaded(Spy):
    clock: ClassVar[str] = "wall"


@pytest.fixture
def seen():
    Spy.seen.clear()
    return Spy.seen


def files():
    candidate = ModelFile(Path("candidate.onnx"), Interface.of_images(3, 8, 10))
    return candidate, ModelFile(Path("reference.onnx"), Interface.of_images(3, 4, 10))


@pytest.mark.parametrize(
    ("text", "clock"), [("onnxruntime", "thread"), ("torch", "thread"), ("onnxruntime:threads=2", "wall")]
)
def test_measure_times_a_real_network(tmp_path, text, clock):
    device = parse_device(text)
    spec, interface = zoo_spec("mnasnet-a1", 0.35, 32), Interface.of_images(3, 32, 10)
    candidate = device.export(build(spec, interface).eval(), spec, interface, tmp_path / "candidate")
    calibrated = calibrate(device, tmp_path, interface, QUICK).calibrated
    latency = device.measure(candidate, tmp_path, calibrated, QUICK)
    assert calibrated > 0
    assert [len(times) for times in vars(latency).values() if isinstance(times, tuple)][:4] == [3, 3, 3, 3]
    assert all(seconds > 0 for times in list(vars(latency).values())[:4] for seconds in times)
    assert latency.latency_ms > 0
    assert (latency.clock, latency.attempts, latency.calibrated) == (clock, 1, calibrated)
    assert set(latency.conditions) == {
        *device.facts, "device", "core", "load", "date", "celsius", "throttled",
    }  # fmt: skip
    assert latency.conditions["device"] == text
    assert latency.conditions["version"] == device.runtime.version()


def test_missing_file_is_a_measure_error(tmp_path):
    (tmp_path / "reference-3x8x8.onnx").touch()
    file = ModelFile(tmp_path / "nothing.onnx", Interface.of_images(3, 8, 10))
    with pytest.raises(MeasureError, match=r"nothing\.onnx"):
        parse_device("onnxruntime").measure(file, tmp_path, 0.02, QUICK)


def test_both_networks_see_the_fixed_examples_of_their_own_interface(seen):
    candidate, reference = files()
    LocalTransport().measure(Spy(), candidate, reference, QUICK)
    inputs = {name: inputs for name, inputs, _ in seen}
    for file in (candidate, reference):
        np.testing.assert_array_equal(inputs[file.path.name], example_inputs(file.interface))


@needs_affinity
@pytest.mark.parametrize(
    ("runtime", "core", "cores"),
    [
        (Spy(), max(CORES, default=0), {max(CORES, default=0)}),
        (Helped(), max(CORES, default=0), {max(CORES, default=0)}),
        (Threaded(), None, CORES),
    ],
)
def test_what_is_judged_by_cpu_time_is_pinned_to_the_last_core_and_freed_again(seen, runtime, core, cores):
    _, conditions = LocalTransport().measure(runtime, *files(), QUICK)
    assert conditions["core"] == core
    assert os.sched_getaffinity(0) == CORES
    assert [affinity for *_, affinity in seen] == [cores] * len(seen)
    assert {name for name, *_ in seen} == {"candidate.onnx", "reference.onnx"}


def test_cpu_time_of_helper_threads_counts_where_the_clock_is_the_process():
    @dataclass(frozen=True)
    class Delegating(Helped):
        def load(self, path):
            def run(inputs):
                thread = threading.Thread(target=burn)
                thread.start()
                thread.join()

            return run

    def burn():
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass

    found, _ = LocalTransport().measure(Delegating(), *files(), QUICK)
    assert min(found.candidate_cpu) >= 0.01


@needs_affinity
def test_affinity_is_restored_after_an_error(own_lock):
    with pytest.raises(MeasureError, match="no"):
        LocalTransport().measure(Spy(fails=True), *files(), QUICK)
    assert os.sched_getaffinity(0) == CORES
    with own_lock.acquire(timeout=0):  # and the lock is free
        pass


def test_one_measurement_at_a_time(seen, own_lock):
    with own_lock:
        thread = threading.Thread(target=LocalTransport().measure, args=(Spy(), *files(), QUICK))
        thread.start()
        thread.join(timeout=0.2)
        assert thread.is_alive()
        assert seen == []
    thread.join()
    assert seen != []


def test_identity_and_conditions_describe_this_machine():
    identity = LocalTransport().identify(Spy())
    assert set(identity) == {"version", "cpu", "machine"}
    assert identity["version"] == "0"
    assert identity["cpu"]
    assert identity["machine"] == os.uname().machine
    _, conditions = LocalTransport().measure(Spy(), *files(), QUICK)
    assert set(conditions) == {"core", "load", "date", "celsius", "throttled"}
    assert conditions["load"] >= 0
    assert conditions["date"].endswith("+00:00")


def test_a_system_without_affinity_or_load_is_measured_on(seen, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "getloadavg", raising=False)
    monkeypatch.setattr(f"{__name__}.CORES", set())
    _, conditions = LocalTransport().measure(Spy(), *files(), QUICK)
    assert (conditions["core"], conditions["load"]) == (None, None)
    assert seen != []


def test_open_loads_in_this_process(seen):
    candidate, _ = files()
    assert LocalTransport().open(Spy(), candidate)((1, 2)) == (1, 2)
    assert [name for name, *_ in seen] == ["candidate.onnx"]
