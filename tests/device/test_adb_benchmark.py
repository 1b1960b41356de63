"""Latencies by a vendor's program, which tells summaries alone."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from fake_adb import FakePhones
from fake_devices import IMAGES, FakeRuntime

from paretonas.device.device import Device
from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.device.timing import Protocol, Samples, headline_clock
from paretonas.device.transport.adb import AdbTransport
from paretonas.device.transport.adb_answers import battery_of, joules_between
from paretonas.device.transport.adb_benchmark import fastest_of
from paretonas.errors import DeviceError, MeasureError
from paretonas.evaluation.latencies import latency_metrics
from paretonas.export import ModelFile

PRINTED = """\
INFO: Initialized TensorFlow Lite runtime.
Running benchmark for at least 5 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=52 first=10913 curr=9547 min=9409 max=10913 avg=9713.4 std=264

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=104 first=9689 curr=9566 min=%s max=10143 avg=9611.96 std=136

Inference timings in us: Init: 24510, First inference: 10913, Warmup (avg): 9713.4, Inference (avg): 9611.96
"""
PROGRAM = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
  *{reference}*) n=$(wc -l < {calls}); echo "count=3 first=9 curr=9 min=$((1000 + n)) max=9 avg=9" ;;
  *) echo "count=3 first=9 curr=9 min=3000 max=9 avg=9" ;;
esac
"""


@dataclass(frozen=True)
class FakeLiteRt(FakeRuntime):
    engine: ClassVar[str] = "litert"

    def conditions(self):
        return {"threads": self.threads}


def test_the_fastest_timed_run_is_read():
    assert fastest_of(PRINTED % 9409.5) == pytest.approx(9409.5e-6)
    assert fastest_of("Inference timings in us: Init: 1, Inference (avg): 9611.96") == pytest.approx(9611.96e-6)
    for printed in ("", "count=3 first=1 min=0 max=2", "ERROR: cannot open the model"):
        with pytest.raises(MeasureError, match="in microseconds, but this one printed"):
            fastest_of(printed)


def test_reference_runs_around_every_candidate(tmp_path):
    phones = FakePhones(tmp_path)
    for name in ("candidate", "reference"):
        (tmp_path / f"{name}.onnx").write_text(name)
    files = [ModelFile(tmp_path / f"{name}.onnx", IMAGES) for name in ("candidate", "reference")]
    transport = AdbTransport(
        "PHONE1", adb=str(phones.command), folder=str(tmp_path / "there"), benchmark_binary=str(tmp_path / "program")
    )
    (tmp_path / "program").write_text("#!/bin/sh\n")
    names = transport._phone.push([file.path for file in files])
    (tmp_path / "program").write_text(PROGRAM.format(calls=tmp_path / "calls", reference=names[1]))
    samples, moment = transport.measure(FakeLiteRt(threads=2), *files, Protocol(pairs=4, loads=2))
    assert samples.candidate_wall == pytest.approx((3e-3, 3e-3))
    assert samples.reference_wall == pytest.approx((1.001e-3, 1.003e-3))  # the faster of the two around
    assert (samples.loads, samples.is_summary) == ((1, 1), True)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [names[1] in call for call in calls] == [True, False, True, False, True]
    assert all("--num_threads=2 --num_runs=2 --warmup_runs=20" in call for call in calls)
    assert moment["date"].endswith("+00:00")
    assert transport.identify(FakeLiteRt())["version"].startswith("benchmark ")
    with pytest.raises(DeviceError, match=r"TensorFlow Lite's, which runs \.tflite files, not \.onnx"):
        transport.measure(OnnxRuntime(), *files, Protocol())


def test_a_summary_is_read_from_the_wall_flagged_and_not_repeated(tmp_path):
    samples = Samples((2e-3,) * 4, (2e-3,) * 4, (1e-3,) * 4, (1e-3,) * 4, loads=(1,) * 4, is_summary=True)
    calls = []

    class Summaries(AdbTransport):
        def measure(self, runtime, candidate, reference, protocol):
            calls.append(candidate)
            return samples, {}

        def identify(self, runtime):
            return {"version": "1"}

    (tmp_path / "reference-3x32x32.onnx").touch()
    device = Device("", "phone", FakeLiteRt(), Summaries("PHONE1"))
    latency = device.measure(ModelFile(tmp_path / "candidate.onnx", IMAGES), tmp_path, 1e-3, Protocol(attempts=3))
    assert (latency.clock, latency.flags, latency.attempts, len(calls)) == ("wall", ("summary-only",), 1, 1)
    assert latency.ratio == pytest.approx(2.0)
    assert latency_metrics(latency, "")["latency_flags"] == 0
    assert headline_clock(samples, "thread") == "wall"


def test_a_battery_is_read_or_there_is_none():
    text = "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  level: 83\n  temperature: 291\n"
    assert battery_of(text) == {"level": 83, "celsius": 29.1, "joules": None, "charging": True}
    assert battery_of("level: 50") is not None
    assert battery_of("/bin/sh: dumpsys: not found") is None


def test_a_battery_tells_what_it_gave_unless_it_is_charged():
    text = "AC powered: {}\nlevel: 50\nvoltage: 4000\nCharge counter: {}\n"
    before, after = (battery_of(text.format("false", charge)) for charge in (2_000_000, 1_999_000))
    assert before["joules"] == pytest.approx(28_800)
    assert joules_between(before, after) == pytest.approx(14.4)
    assert joules_between(before, before) is None
    assert joules_between(before, battery_of(text.format("true", 1_999_000))) is None
    assert joules_between(before, None) is None
    assert joules_between(battery_of("level: 50"), after) is None
