import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from paretonas.device import Device, ModelFile, Runtime, Transport, parse_device, runtimes, transports
from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.device.runtime.torch import TorchRuntime
from paretonas.device.timing import Protocol, Samples
from paretonas.device.transport.local import LocalTransport
from paretonas.errors import DeviceError, ExportError
from paretonas.network import build
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.testing.runtime import randomize_statistics

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 8, 1, 2, 3),), stem_filters=8, head_filters=16)


@dataclass(frozen=True)
class FakeRuntime(Runtime):
    format: ClassVar[str] = "onnx"
    threads: int = 1
    outputs: object = None

    def version(self):
        return "1.2.3"

    def conditions(self):
        return {"threads": self.threads, "mode": "fake"}

    def input_shape(self, path):
        return (1, 3, 8, 8)

    def open(self, path):
        return lambda x: self.outputs


@dataclass(frozen=True)
class FakeTransport(Transport):
    """Answers with the samples that it was given, one after the other."""

    is_here: ClassVar[bool] = True
    address: str = "somewhere"
    answers: tuple = field(default=(), repr=False)
    calls: list = field(default_factory=list, repr=False)
    clock: object = field(default_factory=lambda: itertools.count(1), repr=False)

    def measure(self, runtime, candidate, reference, protocol):
        self.calls.append((runtime, candidate, reference, protocol))
        return self.answers[len(self.calls) - 1]

    def conditions(self):
        return {"cpu": "Abacus", "machine": "wood", "core": 7, "load": 0.5, "date": str(next(self.clock))}


def samples(cpu=1.0, wall=1.0, reference=(1.0,) * 10, is_settled=True):
    return Samples((wall,) * 10, (cpu,) * 10, reference, reference, is_settled)


CLEAN = samples(cpu=0.5, wall=0.5)
ONE_FLAG = samples(cpu=0.75, wall=0.75, is_settled=False)
ANOTHER = samples(cpu=0.25, wall=0.25, is_settled=False)
TWO_FLAGS = samples(wall=9.0, is_settled=False)


@pytest.fixture
def folder(tmp_path):
    """A folder with a reference network in it."""
    (tmp_path / "reference-3x8x8.onnx").write_text("reference", encoding="utf-8")
    return tmp_path


def measure(folder, answers, runtime=FakeRuntime(), **protocol):
    transport = FakeTransport(answers=tuple(answers))
    device = Device("fake", runtime, transport)
    candidate = ModelFile(folder / "candidate.onnx", (1, 3, 8, 8))
    return device.measure(candidate, folder, 1.0, Protocol(**{"pause": 0.0, **protocol})), transport


@pytest.mark.parametrize(
    ("answers", "kept", "flags", "attempts"),
    [
        ([CLEAN], CLEAN, (), 1),
        ([ONE_FLAG, CLEAN], CLEAN, (), 2),
        ([TWO_FLAGS, ONE_FLAG, CLEAN], CLEAN, (), 3),
        ([TWO_FLAGS, ONE_FLAG, TWO_FLAGS], ONE_FLAG, ("unsettled",), 3),
        ([TWO_FLAGS, ONE_FLAG, ANOTHER], ONE_FLAG, ("unsettled",), 3),  # of equals, the first
        ([TWO_FLAGS, TWO_FLAGS, TWO_FLAGS], TWO_FLAGS, ("preempted", "unsettled"), 3),
    ],
)
def test_flagged_measurement_is_repeated_and_the_least_flagged_one_kept(folder, answers, kept, flags, attempts):
    latency, transport = measure(folder, answers)
    assert latency.candidate_cpu == kept.candidate_cpu
    assert latency.candidate_wall == kept.candidate_wall
    assert (latency.reference_cpu, latency.reference_wall) == (kept.reference_cpu, kept.reference_wall)
    assert (latency.flags, latency.attempts, len(transport.calls)) == (flags, attempts, attempts)


def test_protocol_decides_on_the_attempts(folder):
    latency, _ = measure(folder, [TWO_FLAGS], attempts=1)
    assert (latency.flags, latency.attempts) == (("preempted", "unsettled"), 1)
    latency, _ = measure(folder, [ONE_FLAG] * 5, attempts=5)
    assert latency.attempts == 5


def test_clock_of_the_runtime_decides_on_the_headline(folder):
    busy = samples(cpu=0.5, wall=2.0)
    latency, _ = measure(folder, [busy] * 3)
    assert (latency.clock, latency.flags) == ("cpu", ("preempted",))
    assert latency.latency_ms == pytest.approx(0.5 * 1000, rel=1e-12)
    latency, _ = measure(folder, [busy], FakeRuntime(threads=4))
    assert (latency.clock, latency.flags) == ("wall", ())
    assert latency.latency_ms == pytest.approx(2.0 * 1000, rel=1e-12)


def test_latency_knows_how_it_came_about(folder):
    latency, transport = measure(folder, [CLEAN], attempts=2)
    assert latency.calibrated == 1.0
    assert latency.conditions == {
        "device": "fake",
        "version": "1.2.3",
        "threads": 1,
        "mode": "fake",
        "cpu": "Abacus",
        "machine": "wood",
        "core": 7,
        "load": 0.5,
        "date": "1",
    }
    ((runtime, candidate, reference, protocol),) = transport.calls
    assert runtime == FakeRuntime()
    assert candidate == ModelFile(folder / "candidate.onnx", (1, 3, 8, 8))
    assert reference == ModelFile(folder / "reference-3x8x8.onnx", (1, 3, 8, 8))
    assert protocol == Protocol(attempts=2, pause=0.0)


def test_identity_leaves_out_what_changes_from_day_to_day():
    device = Device("fake", FakeRuntime(), FakeTransport())
    identity = {
        "runtime": repr(FakeRuntime()),
        "transport": repr(device.transport),
        "version": "1.2.3",
        "threads": 1,
        "mode": "fake",
        "cpu": "Abacus",
        "machine": "wood",
    }
    assert device.identity == device.identity == identity


def test_identity_does_not_depend_on_how_a_device_is_written():
    identities = [parse_device(t).identity for t in ("onnxruntime", "onnxruntime@local", "onnxruntime:threads=1")]
    assert identities[0] == identities[1] == identities[2] != parse_device("onnxruntime:threads=2").identity


def test_calibration_is_the_median_of_the_reference_timed_against_itself(folder):
    restless = samples(reference=(1.0,) * 4 + (1.2,) * 6)
    calm = Samples((9.0,) * 10, (0.5,) * 10, (9.0,) * 10, (0.75,) * 10)
    transport = FakeTransport(answers=(restless, calm, calm, calm))
    latency = Device("fake", FakeRuntime(), transport).calibrate(folder, (1, 3, 8, 8), Protocol(pairs=5, preempted=100))
    assert latency.calibrated == 0.625  # ten times 0.5 and ten times 0.75 on the CPU clock
    assert latency.flags == ()
    reference = ModelFile(folder / "reference-3x8x8.onnx", (1, 3, 8, 8))
    assert [call[1:3] for call in transport.calls] == [(reference, reference)] * 4  # the first was repeated


def test_calibration_is_that_of_the_fastest_of_three_with_the_fewest_flags(folder):
    slow, fast = samples(cpu=2.0, wall=2.0, reference=(2.0,) * 10), CLEAN
    fastest = samples(cpu=0.1, wall=9.0, reference=(0.1,) * 10)  # but preempted, every time
    transport = FakeTransport(answers=(slow, fast, fastest))
    latency = Device("fake", FakeRuntime(), transport).calibrate(folder, (1, 3, 8, 8), Protocol(attempts=1))
    assert latency.calibrated == 0.75


def test_a_machine_that_is_slower_than_when_it_was_calibrated_is_flagged_and_tried_again(folder):
    slowed = samples(cpu=1.5, wall=1.5, reference=(1.25,) * 10)
    assert measure(folder, [slowed, slowed, CLEAN])[0].flags == ()
    latency, _ = measure(folder, [slowed] * 3)
    assert (latency.flags, latency.attempts) == (("slowed",), 3)
    assert measure(folder, [samples(reference=(1.09,) * 10)])[0].flags == ()


def test_a_slowed_machine_is_waited_for_twice_as_long_each_time(folder, monkeypatch):
    slept = []
    monkeypatch.setattr("paretonas.device.device.time.sleep", slept.append)
    slowed = samples(cpu=1.5, wall=1.5, reference=(1.25,) * 10)
    measure(folder, [slowed] * 4, attempts=4, pause=2.0)
    assert slept == [2.0, 4.0, 8.0]


def test_reference_is_written_once_and_always_alike(tmp_path):
    device = Device("fake", OnnxRuntime(), FakeTransport())
    torch.manual_seed(7)
    state = torch.get_rng_state()
    file = device.reference(tmp_path / "a", (4, 3, 224, 224))
    assert torch.equal(torch.get_rng_state(), state)  # whoever trains next draws the same numbers
    assert file == ModelFile(tmp_path / "a" / "reference-3x224x224.onnx", (1, 3, 224, 224))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["reference-3x224x224.onnx"]
    content, stamp = file.path.read_bytes(), file.path.stat().st_mtime_ns
    assert device.reference(tmp_path / "a", (1, 3, 224, 224)) == file
    assert file.path.stat().st_mtime_ns == stamp
    torch.manual_seed(8)
    assert device.reference(tmp_path / "b", (1, 3, 224, 224)).path.read_bytes() == content
    # MobileNetV2 at half width and ten classes has 700,490 parameters; normalization is folded: about four bytes each.
    assert 2.6e6 < len(content) < 2.9e6


def test_reference_takes_the_candidates_images(tmp_path):
    device = Device("fake", OnnxRuntime(), FakeTransport())
    file = device.reference(tmp_path, (2, 1, 32, 32))
    assert file == ModelFile(tmp_path / "reference-1x32x32.onnx", (1, 1, 32, 32))
    outputs = OnnxRuntime().open(file.path)(np.zeros(file.input_shape, np.float32))
    assert outputs.shape == (1, 10)


@pytest.mark.parametrize(("runtime", "suffix"), [(OnnxRuntime(), "onnx"), (TorchRuntime(), "safetensors")])
def test_export_writes_the_runtimes_format(tmp_path, runtime, suffix):
    device = Device("fake", runtime, FakeTransport())
    model = randomize_statistics(build(SPEC, 5)).eval()
    file = device.export(model, SPEC, (1, 3, 16, 16), tmp_path / "deep" / "model.v1")
    assert file == ModelFile(tmp_path / "deep" / f"model.v1.{suffix}", (1, 3, 16, 16))
    assert file.path.exists()
    assert 0 <= device.verify(model, file) < 1e-5


def test_verify_raises_when_the_file_differs(tmp_path):
    device = Device("fake", OnnxRuntime(), FakeTransport())
    model = randomize_statistics(build(SPEC, 5)).eval()
    file = device.export(model, SPEC, (1, 3, 16, 16), tmp_path / "model")
    with torch.no_grad():
        model.classifier.bias[3] += 1.0
    with pytest.raises(ExportError, match=r"within 0\.001 of the largest output, but model\.onnx differs by"):
        device.verify(model, file)
    assert device.verify(model, file, tolerance=10.0) > 1e-3


@pytest.mark.parametrize(
    ("outputs", "difference"),
    [
        ([[1.0, -4.0]], 0.0),
        ([[1.0, -4.002]], 0.0005),  # relative to the largest output, 4
        ([[1.003, -4.0]], 0.00075),
        ([[1.0, -4.005]], None),
        ([[1.0, float("nan")]], None),
        ([[1.0, float("inf")]], None),
        ([[1.0, -4.0, 0.0]], None),
        ([1.0, -4.0], None),
    ],
)
def test_verify_gives_the_difference_relative_to_the_largest_output(tmp_path, outputs, difference):
    class Constant(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([[1.0, -4.0]])

    device = Device("fake", FakeRuntime(outputs=np.array(outputs, np.float32)), FakeTransport())
    file = ModelFile(tmp_path / "model.onnx", (1, 3, 8, 8))
    if difference is None:
        with pytest.raises(ExportError, match=r"model\.onnx"):
            device.verify(Constant(), file)
    else:
        assert device.verify(Constant(), file) == pytest.approx(difference, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "name", "runtime"),
    [
        ("onnxruntime", "onnxruntime", OnnxRuntime()),
        ("  onnxruntime:threads=4 ", "onnxruntime:threads=4", OnnxRuntime(threads=4)),
        ("onnxruntime:", "onnxruntime:", OnnxRuntime()),
        ("torch@local", "torch@local", TorchRuntime()),
        ("torch:threads=2@local", "torch:threads=2@local", TorchRuntime(threads=2)),
    ],
)
def test_parse_device_reads_runtime_options_and_transport(text, name, runtime):
    assert parse_device(text) == Device(name, runtime, LocalTransport())


def test_parse_device_gives_the_address_to_the_transport(monkeypatch):
    monkeypatch.setitem(transports._entries, "fake", f"{__name__}:FakeTransport")
    monkeypatch.setattr(transports, "load", {"fake": FakeTransport}.__getitem__)
    assert parse_device("torch@fake:pi@raspberry:22").transport.address == "pi@raspberry:22"
    assert parse_device("torch@fake").transport.address == "somewhere"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "runtime.*@transport"),
        ("  ", "runtime.*@transport"),
        ("@local", "runtime.*@transport"),
        ("onnxruntime@", "runtime.*@transport"),
        ("onnxruntim", "Did you mean 'onnxruntime'"),
        (":threads=2", "No runtime is called ''"),
        ("onnxruntime@locl", "Did you mean 'local'"),
        ("onnxruntime@:22", "No transport is called ''"),
        ("onnxruntime:threads", "options as name=value; got 'threads'.*threads=1"),
        ("onnxruntime:cores=2", "got 'cores=2'"),
        ("onnxruntime:threads=two", "of type int, but got 'two'"),
        ("onnxruntime:threads=0", r"threads >= 1.*threads=0"),
        ("torch:threads=-1", r"threads >= 1.*threads=-1"),
        ("onnxruntime@local:somewhere", "does not take the address 'somewhere'"),
    ],
)
def test_parse_device_refuses_what_is_no_device(text, message):
    with pytest.raises(DeviceError, match=message):
        parse_device(text)


@pytest.mark.parametrize("registry", [runtimes, transports])
def test_every_plugin_is_a_frozen_dataclass_of_its_kind(registry):
    base = {"runtime": Runtime, "transport": Transport}[registry.kind]
    for name in registry:
        plugin = registry.load(name)
        assert issubclass(plugin, base)
        assert plugin.__dataclass_params__.frozen
        assert isinstance(plugin.format if base is Runtime else plugin.is_here, str | bool)


def test_model_file_is_data():
    assert ModelFile(Path("a.onnx"), (1, 3, 8, 8)) == ModelFile(Path("a.onnx"), (1, 3, 8, 8))
