import pytest
from fake_devices import FakeTransport

from paretonas.device import Device, parse_device, transports
from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.device.runtime.torch import TorchRuntime
from paretonas.device.transport.local import LocalTransport
from paretonas.errors import DeviceError


@pytest.fixture
def elsewhere(monkeypatch):
    """A transport with an address and two options is registered as `fake`."""
    monkeypatch.setitem(transports._entries, "fake", "fake_devices:FakeTransport")


@pytest.mark.parametrize(
    ("text", "name", "rest", "runtime"),
    [
        ("onnxruntime", "", "onnxruntime", OnnxRuntime()),
        ("  onnxruntime:threads=4 ", "", "onnxruntime:threads=4", OnnxRuntime(threads=4)),
        ("onnxruntime:", "", "onnxruntime:", OnnxRuntime()),
        ("torch@local", "", "torch@local", TorchRuntime()),
        ("torch:threads=2@local", "", "torch:threads=2@local", TorchRuntime(threads=2)),
        ("pi=torch", "pi", "torch", TorchRuntime()),
        (" my-Pi_4 = torch:threads=2@local ", "my-Pi_4", "torch:threads=2@local", TorchRuntime(threads=2)),
    ],
)
def test_parse_device_reads_name_runtime_options_and_transport(text, name, rest, runtime):
    assert parse_device(text) == Device(name, rest, runtime, LocalTransport())


def test_a_name_may_be_given_beside():
    assert parse_device("torch:threads=2", "pi") == parse_device("pi=torch:threads=2")
    assert parse_device("pi=torch", "pi").name == "pi"
    with pytest.raises(DeviceError, match="one name, but 'pi=torch' is to be called 'phone'"):
        parse_device("pi=torch", "phone")
    with pytest.raises(DeviceError, match="letters, digits"):
        parse_device("torch", "my phone")


@pytest.mark.parametrize(
    ("text", "transport"),
    [
        ("torch@fake", FakeTransport()),
        ("torch@fake:pi@raspberry:22", FakeTransport("pi@raspberry:22")),
        ("pi=torch@fake:pi@raspberry", FakeTransport("pi@raspberry")),
        ("torch@fake:pi,port=2200", FakeTransport("pi", 2200)),
        ("torch@fake:pi,port=2200,is-fast=yes", FakeTransport("pi", 2200, is_fast=True)),
        ("torch:threads=2@fake,port=7", FakeTransport(port=7)),
        ("torch@fake,", FakeTransport()),
    ],
)
def test_parse_device_gives_address_and_options_to_the_transport(elsewhere, text, transport):
    found = parse_device(text).transport
    assert (found.address, found.port, found.is_fast) == (transport.address, transport.port, transport.is_fast)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"runtime.*@transport"),
        ("  ", r"runtime.*@transport"),
        ("@local", r"runtime.*@transport"),
        ("onnxruntime@", r"runtime.*@transport"),
        ("=onnxruntime", r"\[name=\]runtime.*got '=onnxruntime'"),
        ("pi=", r"\[name=\]runtime.*got 'pi='"),
        ("my pi=onnxruntime", "letters, digits, '-' and '_', but got 'my pi'"),
        ("pi.4=onnxruntime", r"got 'pi\.4'"),
        ("a=b=onnxruntime", "No runtime is called 'b=onnxruntime'"),
        ("onnxruntim", "Did you mean 'onnxruntime'"),
        (":threads=2", "No runtime is called ''"),
        ("onnxruntime@locl", "Did you mean 'local'"),
        ("onnxruntime@:22", "No transport is called ''"),
        ("onnxruntime@,port=22", "No transport is called ''"),
        ("onnxruntime:threads", "options as name=value; got 'threads'.*threads=1"),
        ("onnxruntime:cores=2", "got 'cores"),
        ("onnxruntime:threads=two", "of type int, but got 'two'"),
        ("onnxruntime:threads=0", r"1 <= threads <= 1024.*threads=0"),
        ("torch:threads=-1", r"1 <= threads <= 1024.*threads=-1"),
        ("onnxruntime:threads=1000000", r"1 <= threads <= 1024.*threads=1000000"),
        ("onnxruntime@local:somewhere", "'local' takes no address, but got 'somewhere'"),
        ("onnxruntime@local,port=22", "'local' takes options as name=value; got 'port.*Options: none"),
        ("onnxruntime@fake:pi,prot=22", "'fake' takes options as name=value; got 'prot.*port=22"),
        ("onnxruntime@fake:pi,22", "got '22'"),
        ("onnxruntime@fake:pi,port=many", "of type int, but got 'many'"),
    ],
)
def test_parse_device_refuses_what_is_no_device(elsewhere, text, message):
    with pytest.raises(DeviceError, match=message):
        parse_device(text)
