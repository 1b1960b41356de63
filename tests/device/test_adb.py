"""The transport over a command that behaves as adb does; the runner and ONNX Runtime on the phone are the real ones."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from fake_adb import FakePhones
from fake_devices import FakeRuntime
from native_runner import compiled, litert_library, onnxruntime_library, tensorflow_lite_library

from paretonas.device import parse_device
from paretonas.device.calibration import reference
from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.device.timing import Protocol
from paretonas.device.transport import adb, adb_link
from paretonas.device.transport.adb import AdbTransport
from paretonas.errors import DeviceError, MachineError, MeasureError
from paretonas.export import ModelFile, example_inputs
from paretonas.network import build
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

QUICK = Protocol(pairs=4, loads=2, warmup=3, attempts=1)
IMAGES = Interface.of_images(3, 32, 10)


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """The phone's folder, which has a space in its name: a library of 30 MB is pushed to it once."""
    return tmp_path_factory.mktemp("phone") / "of paretonas"


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("runner"))


@pytest.fixture(scope="module")
def candidate(tmp_path_factory):
    """A network and its file."""
    spec, folder = zoo_spec("mnasnet-a1", 0.35, 32), tmp_path_factory.mktemp("files")
    model = build(spec, IMAGES).eval()
    return model, parse_device("onnxruntime").export(model, spec, IMAGES, folder / "candidate")


@pytest.fixture
def phones(tmp_path, monkeypatch):
    monkeypatch.setattr(adb_link, "BACK_WITHIN", 0.5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # of locks
    return FakePhones(tmp_path)


@pytest.fixture
def phone(phones, there, runner):
    """The device as users write it."""
    options = f"runner={runner},library={onnxruntime_library()},adb={phones.command},folder={there}"
    return parse_device(f"phone=onnxruntime@adb:PHONE1,{options}")


def transport(phones, folder, **options):
    return AdbTransport("PHONE1", adb=str(phones.command), folder=str(folder), **options)


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_a_phone_measures_verifies_and_runs(phone, phones, candidate, tmp_path, old):
    phones.write(states={"PHONE1": "device", "PHONE2": "unauthorized"}, old=old)
    model, file = candidate
    assert phone.verify(model, file) < 1e-3
    latency = phone.measure(file, tmp_path, 1e-3, QUICK)
    assert len(latency.candidate_wall) == len(latency.reference_cpu) == 4
    assert (latency.loads, latency.clock) == ((2, 2), "thread")
    assert set(latency.conditions) >= {"version", "cpu", "machine", "core", "cores", "load", "date", "battery"}
    assert latency.conditions["version"].startswith(f"{OnnxRuntime().version()} (library ")
    assert phone.transport.machine == "adb:PHONE1"
    examples = [example_inputs(IMAGES, seed) for seed in range(3)]
    here = OnnxRuntime().load(file.path)
    assert phone.open(file).many([]) == []
    for found, inputs in zip(phone.open(file).many(examples), examples, strict=True):
        np.testing.assert_allclose(found[0], here(inputs)[0], rtol=1e-4, atol=1e-5)
    seen = phone.transport.run_as_app(phone.runtime, file, 3, 0.01)
    assert (len(seen.wall), seen.conditions["core"]) == (3, None)
    assert 0 < seen.rss_before < seen.rss
    phones.write(states={"PHONE1": "device"}, old=old)
    phone.open(file)(example_inputs(IMAGES, 9))
    assert [Path(push[1]).name for push in phones.calls("push")] == ["inputs.examples"]  # all else was there


def test_many_examples_go_in_several_files(phone, candidate, monkeypatch):
    monkeypatch.setattr(adb, "MOST_BYTES", 30_000)  # two of 12 kB
    examples, batches = [example_inputs(IMAGES, seed) for seed in range(5)], []
    run = lambda _, runtime, file, batch: batches.append(len(batch)) or [(np.zeros(1),)] * len(batch)  # noqa: E731
    monkeypatch.setattr(AdbTransport, "run", run)
    assert len(phone.open(candidate[1]).many(examples)) == 5
    assert batches == [2, 2, 1]


def test_what_the_phone_wrote_for_one_run_is_removed(phone, candidate, there):
    phone.open(candidate[1])(example_inputs(IMAGES))
    assert not [path for path in there.iterdir() if path.name.startswith("outputs-") or path.suffix == ".part"]


@pytest.mark.parametrize("command", ["measure", "run"])
def test_a_lost_connection_is_mended_and_nothing_is_lost(phone, phones, candidate, tmp_path, command):
    phone.facts  # noqa: B018 - asked before
    reference(phone, tmp_path, IMAGES)
    phones.write(states={"PHONE1": "device"}, back={"PHONE1": "device"}, faults={"lose": 2}, only=f" {command} ")
    if command == "measure":
        assert phone.measure(candidate[1], tmp_path, None, QUICK).ratio > 0
    else:
        assert phone.open(candidate[1])(example_inputs(IMAGES))[0].shape == (1, 10)
    assert len(phones.calls("reconnect")) == 2


def test_a_phone_that_stays_away_ends_the_session(phone, phones, candidate, tmp_path):
    phones.write(states={"PHONE1": "device"}, faults={"lose": 9}, only=" run ")
    with pytest.raises(MachineError, match=r"PHONE1 is offline, not ready\. Unplug it.*then go on"):
        phone.open(candidate[1])(example_inputs(IMAGES))


def test_garbage_is_no_answer(phone, phones, candidate):
    phones.write(states={"PHONE1": "device"}, faults={"garbage": 9}, only=" run ")
    with pytest.raises(MeasureError, match="answers with a line of JSON and its length, but said"):
        phone.open(candidate[1])(example_inputs(IMAGES))


def test_what_the_engine_does_not_take_is_a_measure_error(phone, candidate, tmp_path):
    with pytest.raises(MeasureError, match=r"On the phone: .*invalid dimensions"):
        phone.open(candidate[1])((np.zeros((1, 3, 31, 32), np.float32),))
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(MeasureError, match="On the phone: ONNX Runtime cannot load the model"):
        phone.open(ModelFile(tmp_path / "junk.onnx", IMAGES))(example_inputs(IMAGES))
    with pytest.raises(MachineError, match=r"absent\.onnx cannot be read"):
        phone.open(ModelFile(tmp_path / "absent.onnx", IMAGES))(example_inputs(IMAGES))


RUNNERS = {
    "killed": ("#!/bin/sh\nkill -9 $$\n", r"ended on the phone by signal 9\. The phone may have no memory left"),
    "of another processor": ("\x7fELF\x01", "cannot be started on the phone.*Build it for the phone's processor"),
    "silent": ("#!/bin/sh\n", "line of JSON and its length, but said: nothing"),
    "of another version": (
        "#!/bin/sh\necho '{\"protocol\": 2}'\necho paretonas-end 15\n",
        "speaks protocol 1, but this one 2. Build it anew",
    ),
    "without times": ("#!/bin/sh\necho '{\"protocol\": 1}'\necho paretonas-end 15\n", "has 4 positive times"),
}


@pytest.mark.parametrize("kind", list(RUNNERS))
def test_a_runner_that_fails_says_how(phones, candidate, tmp_path, kind):
    text, said = RUNNERS[kind]
    made = {name: tmp_path / name for name in ("runner", "library")}
    made["runner"].write_text(text)
    made["library"].write_text("library")
    phone = transport(phones, tmp_path / "there", **{name: str(path) for name, path in made.items()})
    files = (candidate[1],) * 2
    does = {"without times": lambda: phone.measure(OnnxRuntime(), *files, QUICK)}
    with pytest.raises(MeasureError, match=said):
        does.get(kind, lambda: phone.identify(OnnxRuntime()))()


def test_options_that_cannot_be_are_refused():
    for options, said in (
        ({"address": ""}, "adb:SERIAL"),
        ({"address": "-x"}, "adb:SERIAL"),
        ({"address": "a b"}, "adb:SERIAL"),
        ({"folder": "relative"}, "absolute path"),
        ({"cores": "red"}, "mask in hexadecimal"),
        ({"cores": "0"}, "mask in hexadecimal"),
        ({"retries": -1}, "0 <= retries"),
        ({"timeout": 0.0}, "timeout <= 86400"),
    ):
        with pytest.raises(DeviceError, match=said):
            AdbTransport(**{"address": "PHONE1", **options})


def test_files_that_are_needed_and_runtimes_that_it_knows(phones, candidate, tmp_path):
    with pytest.raises(DeviceError, match=r"needs runner=PATH .*native"):
        transport(phones, tmp_path).identify(OnnxRuntime())
    with pytest.raises(DeviceError, match=r"needs library=PATH .*phones\.md"):
        transport(phones, tmp_path, runner=str(phones.command)).identify(OnnxRuntime())
    with pytest.raises(DeviceError, match="has the runtimes litert and onnxruntime, but this one's engine is PyTorch"):
        transport(phones, tmp_path, runner="x", library="x").identify(FakeRuntime())
    with pytest.raises(DeviceError, match="apt install adb"):
        AdbTransport("PHONE1", adb=str(tmp_path / "nowhere")).identify(OnnxRuntime())


@pytest.fixture(scope="module")
def converted(candidate, tmp_path_factory):
    """The network's file for LiteRT, and the folder that its reference network is in."""
    device, folder = parse_device("litert"), tmp_path_factory.mktemp("converted")
    reference(device, folder, IMAGES)
    return device.export(candidate[0], zoo_spec("mnasnet-a1", 0.35, 32), IMAGES, folder / "candidate"), folder


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("library", [litert_library, tensorflow_lite_library])
def test_a_phone_has_litert_by_either_of_its_interfaces(phones, runner, candidate, converted, tmp_path, library):
    """Its own, and TensorFlow Lite's: both agree with the package in numbers."""
    file, folder = converted
    options = f"runner={runner},library={library()},adb={phones.command},folder={tmp_path}/phone"
    device = parse_device(f"litert@adb:PHONE1,{options}")
    assert device.verify(candidate[0], file) < 1e-3
    inputs = example_inputs(IMAGES, 1)
    found, expected = (one.open(file)(inputs)[0] for one in (device, parse_device("litert")))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert min(device.measure(file, folder, None, QUICK).candidate_cpu) > 0
    with pytest.raises(MeasureError, match=r"input 0 is float32\[1,3,32,32\], but got float32\[1,3,31,32\]"):
        device.open(file)((np.zeros((1, 3, 31, 32), np.float32),))
    with pytest.raises(DeviceError, match=r"options `threads` alone, but got \{'delegate': 'none'\}"):
        device.transport.identify(parse_device("litert:delegate=none").runtime)
    (tmp_path / "junk.tflite").write_bytes(b"junk")
    with pytest.raises(MeasureError, match="LiteRT cannot load the model"):
        device.open(ModelFile(tmp_path / "junk.tflite", IMAGES))(inputs)
