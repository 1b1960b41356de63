"""What the contract does not ask of it: precision, several inputs and outputs, strange files, and an absent package."""

import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from paretonas.device import parse_device, runtimes
from paretonas.device.engine import openvino as engine
from paretonas.device.runner.bundle import written_bundle
from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.device.runtime.openvino import OpenVino
from paretonas.errors import DeviceError, MeasureError, MissingPackageError
from paretonas.export import ModelFile, example_inputs
from paretonas.export.onnx import OnnxFormat
from paretonas.network import build
from paretonas.space import Interface
from paretonas.testing.runtime import randomize_statistics
from paretonas.zoo import zoo_spec

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def written(path, nodes, inputs, outputs, weights=()):
    """An ONNX file whose inputs and outputs are (name, type, shape)."""
    values = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = helper.make_graph(nodes, "test", *values, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_options_are_conditions_and_part_of_what_it_is():
    runtime = runtimes.create("openvino:threads=2,precision=bfloat16")
    assert runtime.conditions() == {"threads": 2, "precision": "bfloat16"}
    assert (OpenVino().clock, runtime.clock) == ("thread", "wall")
    assert (OpenVino().tolerance, runtime.tolerance) == (OnnxFormat.tolerance, 0.1)
    assert parse_device("openvino:precision=bfloat16").identity != parse_device("openvino").identity
    with pytest.raises(DeviceError, match=r"1 <= threads <= 1024.*threads=0"):
        OpenVino(threads=0)
    with pytest.raises(DeviceError, match="one of float32, bfloat16, float16, but got 'int4'"):
        parse_device("openvino:precision=int4")


@pytest.fixture
def network(tmp_path):
    """A small network of the zoo, and its file."""
    spec, interface = zoo_spec("mobilenet-v2", 0.35, 32), Interface.of_images(3, 32, 10)
    model = randomize_statistics(build(spec, interface)).eval()
    OnnxFormat().write(model, spec, interface, tmp_path / "model.onnx")
    return model, ModelFile(tmp_path / "model.onnx", interface)


@pytest.mark.parametrize(("precision", "name", "most"), [("bfloat16", "BF16", 0.1), ("float16", "FP16", 0.02)])
def test_half_a_precision_is_computed_where_the_processor_does_and_refused_elsewhere(network, precision, name, most):
    model, file = network
    has = name in engine._core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    device = parse_device(f"openvino:precision={precision}")
    if has:
        assert 1e-5 < device.verify(model, file) <= most  # it is not float32
    else:
        with pytest.raises(DeviceError, match=rf"computes in {precision} where the processor does, but .* not"):
            device.verify(model, file)
    assert parse_device("openvino").verify(model, file) < 1e-4


def test_one_thread_computes_in_the_thread_that_calls(network):
    """What computes elsewhere would not count on that clock."""
    run, inputs = OpenVino().load(network[1].path), example_inputs(network[1].interface)
    run(inputs)
    thread, process = time.thread_time(), time.process_time()
    for _ in range(50):
        run(inputs)
    assert time.thread_time() - thread > 0.8 * (time.process_time() - process)


INTERRUPTED = """
import signal, sys
from pathlib import Path
from paretonas.device.engine import openvino
first, second = (openvino.load(Path(sys.argv[1]), {"threads": 1, "precision": "float32"}) for _ in range(2))
del first
del second
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
signal.raise_signal(signal.SIGINT)
"""


def test_a_signal_arrives_once_networks_are_gone(network):
    """It came on a stack that had gone with them."""
    words = [sys.executable, "-X", "faulthandler", "-c", INTERRUPTED, str(network[1].path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "interrupted\n"), ended.stderr


def test_inputs_and_outputs_have_the_order_of_the_file(tmp_path):
    """A token finds its row of a table, which is added to the state."""
    table = onnx.numpy_helper.from_array(np.arange(20, dtype=np.float32).reshape(5, 4), "table")
    nodes = [
        helper.make_node("Gather", ["table", "token"], ["row"]),
        helper.make_node("Add", ["row", "state"], ["new"]),
        helper.make_node("Neg", ["new"], ["logits"]),
    ]
    for names in (("token", "state"), ("state", "token")):
        ports = {"token": ("token", INT64, ["batch"]), "state": ("state", FLOAT, ["batch", 4])}
        outputs = [("logits", FLOAT, ["batch", None]), ("new", FLOAT, ["batch", 4])]
        path = written(tmp_path / "recurrent.onnx", nodes, [ports[name] for name in names], outputs, [table])
        assert [port.name for port in OpenVino().interface(path).inputs] == list(names)
        fed = {"token": np.array([2]), "state": np.ones((1, 4), np.float32)}
        logits, state = OpenVino().load(path)(tuple(fed[name] for name in names))
        np.testing.assert_array_equal(state, [[9.0, 10.0, 11.0, 12.0]])
        np.testing.assert_array_equal(logits, -state)


def test_what_works_in_place_leaves_inputs_alone(tmp_path):
    """And an input that is an output too is copied."""
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Identity", ["x"], ["z"])]
    ends = [(name, FLOAT, ["batch", 3, 4, 4]) for name in "xyz"]
    run = OpenVino().load(written(tmp_path / "a.onnx", nodes, ends[:1], ends[1:]))
    x = np.full((1, 3, 4, 4), -1.0, np.float32)
    y, z = run((x,))
    assert not any(np.shares_memory(x, output) for output in (y, z))
    run((x + 2,))
    np.testing.assert_array_equal(x, np.full((1, 3, 4, 4), -1.0))
    np.testing.assert_array_equal(y, np.zeros((1, 3, 4, 4)))
    np.testing.assert_array_equal(z, x)


@pytest.mark.parametrize(
    ("kind", "dtype"), [("FLOAT16", "float16"), ("DOUBLE", "float64"), ("UINT8", "uint8"), ("BOOL", "bool")]
)
def test_a_file_from_elsewhere_is_fed_its_own_types(tmp_path, kind, dtype):
    ends = [(name, getattr(TensorProto, kind), ["N", 8, 3]) for name in "xy"]
    path = written(tmp_path / "a.onnx", [helper.make_node("Identity", ["x"], ["y"])], ends[:1], ends[1:])
    inputs = example_inputs(OpenVino().interface(path))
    (found,) = OpenVino().load(path)(inputs)
    assert found.dtype == inputs[0].dtype == dtype
    np.testing.assert_array_equal(found, inputs[0])


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (np.zeros((1, 3, 32, 32), np.float32),) * 2,
        (np.zeros((1, 4, 32, 32), np.float32),),
        (np.zeros((2, 3, 32, 32), np.float32),),
        (np.zeros((1, 3, 32, 32), np.float64),),
    ],
)
def test_what_a_network_does_not_take_is_refused(network, inputs):
    run = OpenVino().load(network[1].path)
    with pytest.raises(MeasureError, match=r"cannot run .*model\.onnx: it takes float32 \[1, 3, 32, 32\], but got"):
        run(inputs)
    assert run((np.zeros((1, 3, 32, 32), np.float32),))[0].shape == (1, 10)


@pytest.mark.parametrize("read", [OpenVino().load, OpenVino().interface])
def test_open_sides_and_unknown_operators_are_refused(tmp_path, read):
    path = tmp_path / "strange.onnx"
    for op, side in (("Relu", "height"), ("Unheard", 4)):
        ends = [(name, FLOAT, [1, 3, side]) for name in "xy"]
        written(path, [helper.make_node(op, ["x"], ["y"])], ends[:1], ends[1:])
        with pytest.raises(MeasureError, match=r"strange\.onnx"):
            read(path)


def test_a_file_of_another_kind_is_not_read_as_one(tmp_path):
    """OpenVINO reads what TensorFlow and others write too, whatever the name."""
    (tmp_path / "a.onnx").write_text('<net name="a" version="11"><layers/><edges/></net>', encoding="utf-8")
    with pytest.raises(MeasureError, match=r"OpenVINO cannot load .*a\.onnx"):
        OpenVino().load(tmp_path / "a.onnx")


def test_weights_outside_the_folder_are_not_read(tmp_path):
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.data")
    (tmp_path / "model").mkdir()
    weight = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="../w.data")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    path = written(tmp_path / "model/a.onnx", nodes, [("x", FLOAT, [1, 4])], [("y", FLOAT, [1, 4])], [weight])
    with pytest.raises(MeasureError, match=r"OpenVINO cannot load .*a\.onnx.*lie in its folder"):
        OpenVino().load(path)


def test_importing_it_writes_nothing_to_the_home_and_has_no_telemetry(tmp_path):
    """As it runs where a device is, with nothing else of ours."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from paretonas.device.engine.openvino import version; version();"
        "sys.exit(any('telemetry' in name or name in ('openvino.tools.ovc', 'torch') for name in sys.modules))"
    )
    (tmp_path / "home").mkdir()
    home = {"HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path / "home")}
    assert subprocess.run([sys.executable, "-c", code, written_bundle(tmp_path)], env=home, check=False).returncode == 0
    assert list((tmp_path / "home").iterdir()) == []


def test_an_absent_package_is_named_with_its_install_line(network, monkeypatch):
    engine._package.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    for use in (OpenVino().version, lambda: OpenVino().load(network[1].path)):
        with pytest.raises(MissingPackageError, match=r"The runtime 'openvino' needs .* pip install openvino$"):
            use()
    assert OpenVino().conditions()["threads"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "side"),
    [
        ("mnasnet-a1", 0.5, 64),
        ("mobilenet-v3-small", 1.0, 64),
        ("efficientnet-b0", 1.0, 64),
        ("nasnet-a", 0.5, 64),
        ("amoebanet-a", 0.5, 64),
        ("shufflenet-uniform", 1.0, 64),
        ("lstm", 1.0, None),
        ("nascell", 1.0, None),
        ("ssdlite", 0.5, 128),
    ],
)
def test_networks_of_the_zoo_agree_with_their_models(tmp_path, name, width, side):
    torch.manual_seed(0)
    spec = zoo_spec(name, width, side)
    interface = spec.with_state(spec.usual_interface(3, side or 32, 20))
    model = randomize_statistics(build(spec, interface)).eval()
    OnnxFormat().write(model, spec, interface, tmp_path / "model.onnx")
    assert parse_device("openvino").verify(model, ModelFile(tmp_path / "model.onnx", interface)) < 2e-4
    assert (
        OpenVino().interface(tmp_path / "model.onnx") == OnnxRuntime().interface(tmp_path / "model.onnx") == interface
    )
