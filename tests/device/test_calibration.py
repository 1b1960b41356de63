import numpy as np
import pytest
import torch
from fake_devices import IMAGES, FakeRuntime, FakeTransport

from paretonas.device import Device
from paretonas.device.calibration import calibrate, reference, reference_interface
from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.device.runtime.torch import TorchRuntime
from paretonas.device.timing import Protocol, Samples
from paretonas.export import example_inputs
from paretonas.space import Interface
from paretonas.space.interface import Port

RECURRENT = Interface(
    (Port("token", (1, 1), "int64"), Port("state", (1, 1, 32))), (Port("logits", (1, 100)), Port("state", (1, 1, 32)))
)
DETECTOR = Interface((Port("images", (1, 3, 32, 64)),), (Port("boxes", (1, 9, 4)), Port("scores", (1, 9))))


def samples(cpu=1.0, wall=1.0, reference=(1.0,) * 10):
    return Samples((wall,) * 10, (cpu,) * 10, reference, reference)


@pytest.fixture
def folder(tmp_path):
    """A folder with a reference network in it."""
    (tmp_path / "reference-3x8x8.onnx").write_text("reference", encoding="utf-8")
    return tmp_path


def test_calibration_is_the_median_of_the_reference_timed_against_itself(folder):
    restless = samples(reference=(1.0,) * 4 + (1.2,) * 6)
    calm = Samples((9.0,) * 10, (0.5,) * 10, (9.0,) * 10, (0.75,) * 10)
    transport = FakeTransport(answers=(restless, calm, calm, calm))
    device = Device("", "fake", FakeRuntime(), transport)
    latency = calibrate(device, folder, IMAGES, Protocol(pairs=5, preempted=100))
    assert latency.calibrated == 0.625  # ten times 0.5 and ten times 0.75 on the CPU clock
    assert latency.flags == ()
    file = reference(device, folder, IMAGES)
    assert [call[1:3] for call in transport.calls] == [(file, file)] * 4  # the first was repeated


def test_calibration_is_that_of_the_fastest_of_three_with_the_fewest_flags(folder):
    slow, fast = samples(cpu=2.0, wall=2.0, reference=(2.0,) * 10), samples(cpu=0.5, wall=0.5)
    fastest = samples(cpu=0.1, wall=9.0, reference=(0.1,) * 10)  # but preempted, every time
    device = Device("", "fake", FakeRuntime(), FakeTransport(answers=(slow, fast, fastest)))
    assert calibrate(device, folder, IMAGES, Protocol(attempts=1)).calibrated == 0.75


@pytest.mark.parametrize(
    ("shape", "images"),
    [
        ((1, 3, 32, 64), (3, 32, 64)),
        ((1, 224, 160, 3), (3, 224, 160)),  # channels last
        ((1, 28, 28, 1), (1, 28, 28)),
        ((1, 12, 32, 32), (12, 32, 32)),
        ((1, 64, 3, 3), (3, 32, 32)),  # no images, or smaller ones than the reference network takes
        ((1, 3, 1, 500), (3, 32, 32)),
        ((1, 128), (3, 32, 32)),
    ],
)
def test_reference_takes_images_as_large_as_the_candidates(shape, images):
    found = reference_interface(Interface((Port("x", shape),), (Port("y", (1, 2)),)))
    assert found.image_shape == images


def test_reference_is_written_once_and_always_alike(tmp_path):
    device = Device("", "fake", OnnxRuntime(), FakeTransport())
    interface = Interface.of_images(3, 224, 1000)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    file = reference(device, tmp_path / "a", interface)
    assert torch.equal(torch.get_rng_state(), state)  # whoever trains next draws the same numbers
    assert file.path == tmp_path / "a" / "reference-3x224x224.onnx"
    assert file.interface == Interface.of_images(3, 224, 10)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["reference-3x224x224.onnx"]
    content, stamp = file.path.read_bytes(), file.path.stat().st_mtime_ns
    assert reference(device, tmp_path / "a", interface) == file
    assert file.path.stat().st_mtime_ns == stamp
    torch.manual_seed(8)
    assert reference(device, tmp_path / "b", interface).path.read_bytes() == content
    # MobileNetV2 at half width and ten classes has 700,490 parameters; normalization is folded: about four bytes each.
    assert 2.6e6 < len(content) < 2.9e6


@pytest.mark.parametrize(
    ("interface", "name"),
    [
        (Interface.of_images(1, 32, 5), "reference-1x32x32"),
        (DETECTOR, "reference-3x32x64"),
        (RECURRENT, "reference-3x32x32"),
    ],
)
@pytest.mark.parametrize("runtime", [OnnxRuntime(), TorchRuntime()])
def test_reference_takes_the_candidates_images_or_small_ones(tmp_path, interface, name, runtime):
    device = Device("", "fake", runtime, FakeTransport())
    file = reference(device, tmp_path, interface)
    assert file.path.stem == name
    assert file.interface == reference_interface(interface) == runtime.interface(file.path)
    assert reference(device, tmp_path, file.interface) == file  # as calibration times it against itself
    (output,) = runtime.load(file.path)(example_inputs(file.interface))
    assert output.shape == (1, 10)
    assert np.isfinite(output).all()
