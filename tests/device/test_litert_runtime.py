"""LiteRT with files from elsewhere: int8, open sides, damaged; and without its package."""

import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from small_networks import SMALL
from torch import nn
from typer.testing import CliRunner

from paretonas.cli.commands import app
from paretonas.device import parse_device, runtimes
from paretonas.device.runtime.litert import LiteRt
from paretonas.device.timing import Protocol
from paretonas.errors import DeviceError, MeasureError, MissingPackageError
from paretonas.export import example_inputs
from paretonas.export.appended import append_json
from paretonas.export.quantize import Quantization
from paretonas.network import build
from paretonas.space import Interface
from paretonas.space.interface import Port


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


IMAGE = torch.zeros(1, 3, 8, 8)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A file as LiteRT Torch writes it without us, and its model."""
    litert_torch = pytest.importorskip("litert_torch")
    torch.manual_seed(0)
    model, path = Small().eval(), tmp_path_factory.mktemp("litert") / "elsewhere.tflite"
    litert_torch.convert(model, (IMAGE,)).export(str(path))
    return model, path


def refused(path, said):
    for read in (LiteRt().load, LiteRt().interface):
        with pytest.raises(MeasureError, match=rf"LiteRT cannot .*{path.name}: .*{said}"):
            read(path)


@pytest.mark.slow
def test_a_file_from_elsewhere_says_what_it_takes(elsewhere):
    model, path = elsewhere
    found = LiteRt().interface(path)
    assert found == Interface((Port("args_0", (1, 3, 8, 8)),), (Port("output_0", (1, 4)),))
    inputs = example_inputs(found)
    for delegate in ("xnnpack", "none"):
        (output,) = LiteRt(delegate=delegate).load(path)(inputs)
        with torch.inference_mode():
            np.testing.assert_allclose(output, model(torch.tensor(inputs[0])).numpy(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of the quantizer
def test_a_quantized_file_is_fed_int8(elsewhere, tmp_path):
    from ai_edge_quantizer import quantizer, recipe

    chosen = quantizer.Quantizer(str(elsewhere[1]))
    chosen.load_quantization_recipe(recipe.static_wi8_ai8())
    noise = np.random.default_rng(0).standard_normal((8, 1, 3, 8, 8), np.float32)
    calibration = chosen.calibrate({"serving_default": [{"args_0": image} for image in noise]})
    path = tmp_path / "int8.tflite"
    chosen.quantize(calibration).export_model(str(path))
    found = LiteRt().interface(path)
    assert (found.inputs[0].dtype, found.outputs[0].dtype) == ("int8", "int8")
    (output,) = LiteRt().load(path)(example_inputs(found))
    assert (output.dtype, output.shape) == (np.int8, (1, 4))
    with pytest.raises(MeasureError, match=r"cannot run .*int8\.tflite"):
        LiteRt().load(path)((noise[0],))


def opened(path, source, sides):
    """A copy of a file in which these sides of inputs and outputs are open."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(source.read_bytes(), 0)
    graph = model.subgraphs[0]
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensors[index]
        tensor.shapeSignature = [-1 if side in sides else n for side, n in enumerate(tensor.shape)]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


@pytest.mark.slow
def test_the_batch_may_be_open_and_no_other_side(elsewhere, tmp_path):
    path = opened(tmp_path / "open.tflite", elsewhere[1], {0})
    found = LiteRt().interface(path)
    assert found == LiteRt().interface(elsewhere[1])
    assert LiteRt().load(path)(example_inputs(found))[0].shape == (1, 4)
    path = opened(tmp_path / "wide.tflite", elsewhere[1], {0, 1})
    with pytest.raises(MeasureError, match=r"wide\.tflite: A model takes and gives .*every other side fixed.*-1, -1"):
        LiteRt().interface(path)


@pytest.mark.slow
def test_several_examples_are_no_file_to_time(tmp_path):
    import litert_torch

    path = tmp_path / "two.tflite"
    litert_torch.convert(nn.ReLU().eval(), (torch.zeros(2, 3),)).export(str(path))
    with pytest.raises(MeasureError, match=r"float32 \[2, 3\]"):
        LiteRt().interface(path)


@pytest.mark.slow
def test_files_that_are_damaged_are_refused(elsewhere, tmp_path):
    data, path = elsewhere[1].read_bytes(), tmp_path / "broken.tflite"
    rng = np.random.default_rng(0)
    for content in (data[:7], data[:8], data[:100], data[: len(data) // 2], data[:-1], data[:8] + bytes(1000)):
        path.write_bytes(content)
        refused(path, "")
    for _ in range(20):
        path.write_bytes(data[:8] + rng.bytes(5000))
        refused(path, "")


@pytest.mark.slow
def test_files_of_other_formats_are_refused_before_the_engine_sees_them(tmp_path):
    path = tmp_path / "model.tflite"
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "test",
        *([helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])] for name in "xy"),
    )
    onnx.save(helper.make_model(graph), path)
    refused(path, "begin as a .tflite")
    path.write_text("no network at all", encoding="utf-8")
    refused(path, "begin as a .tflite")


@pytest.mark.slow
def test_what_is_appended_is_nothing_to_the_engine(elsewhere, tmp_path):
    path = tmp_path / "appended.tflite"
    path.write_bytes(elsewhere[1].read_bytes())
    before = LiteRt().interface(path)
    append_json(path, {"metadata": {"classes": ["a"] * 1000}})
    assert LiteRt().interface(path) == before
    inputs = example_inputs(before)
    np.testing.assert_array_equal(LiteRt().load(path)(inputs)[0], LiteRt().load(elsewhere[1])(inputs)[0])


@pytest.mark.slow
def test_what_a_network_does_not_take_is_a_measure_error(elsewhere):
    run = LiteRt().load(elsewhere[1])
    image = np.zeros((1, 3, 8, 8), np.float32)
    for inputs in ((), (image, image), (image[0],), (image[:, :2],), (image.astype(np.float64),)):
        with pytest.raises(MeasureError, match="cannot run"):
            run(inputs)
    assert run((image,))[0].shape == (1, 4)


@pytest.mark.parametrize("threads", [0, 1025, -1])
def test_threads_out_of_range_are_refused(threads):
    with pytest.raises(DeviceError, match="threads"):
        LiteRt(threads=threads)


def test_a_delegate_is_one_of_two():
    conditions = {"threads": 1, "delegate": "none", "precision": "float32"}
    assert runtimes.create("litert:delegate=none").conditions() == conditions
    with pytest.raises(Exception, match="xnnpack, none"):
        runtimes.create("litert:delegate=gpu")


def test_precision_makes_files_of_int8_and_keeps_what_it_is_told_to():
    chosen = runtimes.create("litert:precision=int8,keep=stem+blocks.0")
    assert chosen.quantization == Quantization(activations="int8", keep=("stem", "blocks.0"))
    assert not chosen.quantization.is_narrow
    assert chosen.of_reference.quantization == Quantization(activations="int8")
    assert chosen.conditions()["precision"] == "int8"
    assert LiteRt().quantization is None
    with pytest.raises(DeviceError, match="precision=int8"):
        LiteRt(keep=("stem",))


@pytest.mark.slow
def test_a_file_of_int8_is_timed_beside_a_reference_of_int8(tmp_path):
    device, interface = parse_device("litert:precision=int8"), Interface.of_images(3, 32, 10)
    model = build(SMALL, interface)
    file = device.export(model, SMALL, interface, tmp_path / "candidate")
    assert (file.path.name, file.precision) == ("candidate-int8.tflite", "int8")
    assert device.found(tmp_path / "candidate", interface) == file
    assert device.verify(model, file) < 1
    latency = device.measure(file, tmp_path, None, Protocol(pairs=4, loads=2, attempts=1))
    assert latency.conditions["precision"] == "int8"
    assert {path.name for path in tmp_path.iterdir()} == {"candidate-int8.tflite", "reference-3x32x32-int8.tflite"}


@pytest.mark.parametrize(("name", "package"), [("litert", "ai-edge-litert"), ("executorch", "executorch")])
def test_without_its_package_a_runtime_says_what_to_install(tmp_path, monkeypatch, name, package):
    absent = ("ai_edge_litert", "executorch", "executorch.extension.pybindings")
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)
    runtime = runtimes.create(name)
    for use in (runtime.version, lambda: runtime.load(tmp_path / "a"), lambda: runtime.interface(tmp_path / "a")):
        with pytest.raises(MissingPackageError, match=f"pip install {package}"):
            use()


def test_devices_are_listed_without_their_packages(monkeypatch):
    for module in ("ai_edge_litert", "litert_torch", "executorch"):
        monkeypatch.setitem(sys.modules, module, None)
    told = CliRunner().invoke(app, ["devices", "--json"])
    assert told.exit_code == 0
    assert '"litert"' in told.output
    assert '"executorch"' in told.output
