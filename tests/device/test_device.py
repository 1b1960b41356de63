import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fake_devices import IMAGES, FakeRuntime, FakeTransport

from paretonas.device import Device, Runtime, Transport, parse_device, runtimes, transports
from paretonas.device.calibration import reference
from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.device.runtime.torch import TorchRuntime
from paretonas.device.timing import Protocol, Samples
from paretonas.device.transport.local import LocalTransport
from paretonas.errors import DeviceError, ExportError, UsageError
from paretonas.export import ModelFile, example_inputs
from paretonas.export.onnx.metadata import read_metadata
from paretonas.network import build
from paretonas.space import Interface
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.testing.runtime import randomize_statistics
from paretonas.zoo import zoo_spec

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 8, 1, 2, 3),), stem_filters=8, head_filters=16)
ONE_THREAD = FakeRuntime()
SMALL = Interface.of_images(3, 16, 5)
IMAGES_32 = Interface.of_images(3, 32, 10)


def samples(cpu=1.0, wall=1.0, reference=(1.0,) * 10, is_settled=True):
    return Samples((wall,) * 10, (cpu,) * 10, reference, reference, is_settled)


CLEAN = samples(cpu=0.5, wall=0.5)
ONE_FLAG = samples(cpu=0.75, wall=0.75, is_settled=False)
ANOTHER = samples(cpu=0.25, wall=0.25, is_settled=False)
WITH_OTHERS = samples(cpu=0.5, wall=2.0)
TWO_FLAGS = samples(wall=9.0, is_settled=False)


@pytest.fixture
def folder(tmp_path):
    """A folder with a reference network in it."""
    (tmp_path / "reference-3x8x8.onnx").write_text("reference", encoding="utf-8")
    return tmp_path


def measure(folder, answers, runtime=ONE_THREAD, **protocol):
    transport = FakeTransport(answers=tuple(answers))
    device = Device("mine", "fake@somewhere", runtime, transport)
    candidate = ModelFile(folder / "candidate.onnx", IMAGES)
    return device.measure(candidate, folder, 1.0, Protocol(**{"pause": 0.0, **protocol})), transport


@pytest.mark.parametrize(
    ("answers", "kept", "flags"),
    [
        ([CLEAN], [CLEAN], ()),
        ([ONE_FLAG, CLEAN], [CLEAN], ()),
        ([TWO_FLAGS, ONE_FLAG, CLEAN], [CLEAN], ()),
        ([TWO_FLAGS, ONE_FLAG, TWO_FLAGS], [ONE_FLAG], ("unsettled",)),
        ([TWO_FLAGS, ONE_FLAG, ANOTHER], [ONE_FLAG, ANOTHER], ("unsettled",)),
        ([ONE_FLAG, WITH_OTHERS, ANOTHER], [ONE_FLAG, ANOTHER], ("unsettled",)),  # flagged alike, as the first one
        ([TWO_FLAGS] * 3, [TWO_FLAGS] * 3, ("preempted", "unsettled")),
    ],
)
def test_flagged_measurement_is_repeated_and_the_least_flagged_ones_kept(folder, answers, kept, flags):
    latency, transport = measure(folder, answers)
    for name in ("candidate_cpu", "candidate_wall", "reference_cpu", "reference_wall"):
        assert getattr(latency, name) == sum((getattr(one, name) for one in kept), ())
    assert latency.loads == (10,) * len(kept)
    assert (latency.flags, latency.attempts, len(transport.calls)) == (flags, len(answers), len(answers))
    assert latency.conditions["date"] == str(1 + answers.index(kept[0]))  # the conditions are those of the first


def test_protocol_decides_on_the_attempts(folder):
    latency, _ = measure(folder, [TWO_FLAGS], attempts=1)
    assert (latency.flags, latency.attempts) == (("preempted", "unsettled"), 1)
    latency, _ = measure(folder, [ONE_FLAG] * 5, attempts=5)
    assert latency.attempts == 5


def test_clock_of_the_runtime_decides_on_the_headline(folder):
    busy = samples(cpu=0.5, wall=2.0)
    latency, _ = measure(folder, [busy] * 3)
    assert (latency.clock, latency.flags) == ("thread", ("preempted",))
    assert latency.latency_ms == pytest.approx(0.5 * 1000, rel=1e-12)
    latency, _ = measure(folder, [busy], FakeRuntime(threads=4))
    assert (latency.clock, latency.flags) == ("wall", ())
    assert latency.latency_ms == pytest.approx(2.0 * 1000, rel=1e-12)


def test_an_engine_with_helper_threads_is_judged_by_the_cpu_time_of_the_process(folder):
    class Helped(FakeRuntime):
        clock = "process"

    latency, _ = measure(folder, [samples(cpu=0.5, wall=0.5)], Helped())
    assert (latency.clock, latency.latency_ms) == ("process", pytest.approx(500.0, rel=1e-12))
    assert latency.candidate == latency.candidate_cpu
    assert latency.reference == latency.reference_cpu


def test_latency_knows_how_it_came_about(folder):
    latency, transport = measure(folder, [CLEAN], attempts=2)
    assert latency.calibrated == 1.0
    assert latency.conditions == {
        "device": "fake@somewhere",
        "version": "1.2.3 over there",
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
    assert candidate == ModelFile(folder / "candidate.onnx", IMAGES)
    assert (reference.path, reference.interface.image_shape) == (folder / "reference-3x8x8.onnx", (3, 8, 8))
    assert protocol == Protocol(attempts=2, pause=0.0)


def test_identity_leaves_out_what_changes_from_day_to_day():
    device = Device("mine", "fake", FakeRuntime(), FakeTransport())
    assert device.identity == {
        "runtime": repr(FakeRuntime()),
        "transport": "somewhere",
        "version": "1.2.3 over there",
        "threads": 1,
        "mode": "fake",
        "cpu": "Abacus",
        "machine": "wood",
    }


def test_a_device_is_asked_who_it_is_once(folder):
    transport = FakeTransport(answers=(CLEAN, CLEAN))
    device = Device("", "fake", FakeRuntime(), transport)
    assert transport.asked == []  # and not before somebody wants to know
    assert device.identity is device.identity
    for _ in range(2):
        device.measure(ModelFile(folder / "candidate.onnx", IMAGES), folder, 1.0, Protocol())
    assert transport.asked == [FakeRuntime()]


def test_identity_does_not_depend_on_how_a_device_is_written():
    texts = ("onnxruntime", "onnxruntime@local", "onnxruntime:threads=1", "laptop=onnxruntime")
    identities = [parse_device(text).identity for text in texts]
    assert identities == identities[:1] * 4
    assert set(identities[0]) == {"runtime", "transport", "version", "threads", "precision", "cpu", "machine"}
    assert identities[0] != parse_device("onnxruntime:threads=2").identity


def test_a_device_travels_to_another_process():
    device = parse_device("laptop=torch:threads=2")
    identity = device.identity
    found = pickle.loads(pickle.dumps(device))
    assert (found, found.identity) == (device, identity)


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


@pytest.mark.parametrize(("runtime", "suffix"), [(OnnxRuntime(), "onnx"), (TorchRuntime(), "safetensors")])
def test_export_writes_the_runtimes_format(tmp_path, runtime, suffix):
    device = Device("", "fake", runtime, FakeTransport())
    model = randomize_statistics(build(SPEC, SMALL)).eval()
    file = device.export(model, SPEC, SMALL, tmp_path / "deep" / "model.v1")
    assert file == ModelFile(tmp_path / "deep" / f"model.v1.{suffix}", SMALL)
    assert file.path.exists()
    assert 0 <= device.verify(model, file) < 1e-5


def test_files_are_opened_where_the_device_is(tmp_path):
    transport = FakeTransport()
    device = Device("", "fake", OnnxRuntime(), transport)
    model = randomize_statistics(build(SPEC, SMALL)).eval()
    file = device.export(model, SPEC, SMALL, tmp_path / "model")
    inputs = example_inputs(SMALL)
    (output,) = device.open(file)(inputs)
    with torch.inference_mode():
        np.testing.assert_allclose(output, model(torch.from_numpy(inputs[0])).numpy(), rtol=1e-4, atol=1e-5)
    assert transport.calls == [("open", file)]
    device.verify(model, file)
    assert transport.calls == [("open", file)] * 2


def test_verify_raises_when_the_file_differs(tmp_path):
    device = Device("", "fake", OnnxRuntime(), FakeTransport())
    model = randomize_statistics(build(SPEC, SMALL)).eval()
    file = device.export(model, SPEC, SMALL, tmp_path / "model")
    with torch.no_grad():
        model.classifier.bias[3] += 1.0
    with pytest.raises(ExportError, match=r"model\.onnx"):
        device.verify(model, file)


@pytest.mark.parametrize("name", ["my phone", "pi.4", "a/b", "phön", "x" * 3 + "\n"])
def test_a_name_has_letters_digits_dashes_and_underscores(name):
    with pytest.raises(DeviceError, match="letters, digits, '-' and '_'"):
        Device(name, "fake", FakeRuntime(), FakeTransport())


@pytest.mark.parametrize("registry", [runtimes, transports])
def test_every_plugin_is_a_frozen_dataclass_of_its_kind(registry):
    base = {"runtime": Runtime, "transport": Transport}[registry.kind]
    for name in registry:
        plugin = registry.load(name)
        assert issubclass(plugin, base)
        assert plugin.__dataclass_params__.frozen


def test_the_local_transport_is_here():
    assert LocalTransport().machine == "here"
    assert FakeTransport("pi").machine == "pi"
    assert ModelFile(Path("a.onnx"), SMALL) == ModelFile(Path("a.onnx"), SMALL)


def test_a_file_of_int8_says_so_and_is_timed_beside_a_reference_of_int8(tmp_path):
    device, plain = parse_device("onnxruntime:precision=int8"), parse_device("onnxruntime")
    spec = zoo_spec("mobilenet-v2", 0.25, 32)
    model = randomize_statistics(build(spec, IMAGES_32)).eval()
    file = device.export(model, spec, IMAGES_32, tmp_path / "candidate", {"classes": ["a"]})
    assert (file.path.name, file.precision) == ("candidate-int8.onnx", "int8")
    assert read_metadata(file.path) == {"classes": ["a"]}
    large = plain.export(model, spec, IMAGES_32, tmp_path / "candidate").path
    assert file.path.stat().st_size < 0.5 * large.stat().st_size
    assert 1e-4 < device.verify(model, file) < 1
    assert reference(device, tmp_path, IMAGES_32).path.name == "reference-3x32x32-int8.onnx"
    assert device.identity != plain.identity
    latency = device.measure(file, tmp_path, None, Protocol(pairs=2, loads=1, attempts=1))
    assert latency.conditions["precision"] == "int8"


def test_what_stays_in_float_is_of_int8_and_of_the_network(tmp_path):
    with pytest.raises(DeviceError, match="precision=int8"):
        parse_device("onnxruntime:keep=stem")
    spec = zoo_spec("mobilenet-v2", 0.25, 32)
    device = parse_device("onnxruntime:precision=int8,keep=nowhere")
    with pytest.raises(UsageError, match="has no nowhere"):
        device.export(build(spec, IMAGES_32), spec, IMAGES_32, tmp_path / "candidate")
    assert not list(tmp_path.iterdir())  # above all no float file of that name


def test_what_stays_in_float_is_no_matter_of_the_reference(tmp_path):
    kept = parse_device("onnxruntime:precision=int8,keep=blocks.9.9")
    path = reference(kept, tmp_path, IMAGES_32).path
    assert path == reference(parse_device("onnxruntime:precision=int8"), tmp_path, IMAGES_32).path
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(path).graph.node}
    assert kept.path(tmp_path / "a").name.startswith("a-int8-keep-")
