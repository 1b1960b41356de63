"""What the contract cannot ask of every runtime: several inputs and outputs, strange files, errors while running."""

import os

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.device.runtime.torch import TorchRuntime, _channels_last
from paretonas.errors import MeasureError
from paretonas.export import example_inputs, formats
from paretonas.export.onnx import export_directly
from paretonas.network import build
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.zoo import zoo_spec

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def written(path, nodes, inputs, outputs, weights=()):
    """An ONNX file whose inputs and outputs are (name, type, shape)."""
    values = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = helper.make_graph(nodes, "test", *values, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture
def recurrent(tmp_path):
    """One step: a token finds its row of a table, which is added to the state."""
    table = onnx.numpy_helper.from_array(np.arange(20, dtype=np.float32).reshape(5, 4), "table")
    nodes = [
        helper.make_node("Gather", ["table", "token"], ["row"]),
        helper.make_node("Add", ["row", "state"], ["new"]),
        helper.make_node("Neg", ["new"], ["logits"]),
    ]
    inputs = [("token", INT64, ["batch"]), ("state", FLOAT, ["batch", 4])]
    outputs = [("logits", FLOAT, ["batch", None]), ("new", FLOAT, None)]
    return written(tmp_path / "recurrent.onnx", nodes, inputs, outputs, [table])


def test_a_file_of_several_inputs_and_outputs_says_so_and_runs(recurrent):
    runtime = OnnxRuntime()
    assert runtime.interface(recurrent) == Interface(
        (Port("token", (1,), "int64"), Port("state", (1, 4))), (Port("logits", (1, 4)), Port("new", (1, 4)))
    )
    logits, state = runtime.load(recurrent)((np.array([2]), np.ones((1, 4), np.float32)))
    np.testing.assert_array_equal(state, [[9.0, 10.0, 11.0, 12.0]])
    np.testing.assert_array_equal(logits, -state)


@pytest.mark.parametrize("batch", [1, "batch", None])
def test_the_batch_is_open_or_one(tmp_path, batch):
    path = written(
        tmp_path / "a.onnx",
        [helper.make_node("Neg", ["x"], ["y"])],
        [("x", FLOAT, [batch, 3, 4, 4])],
        [("y", FLOAT, [batch, 3, 4, 4])],
    )
    assert OnnxRuntime().interface(path) == Interface((Port("x", (1, 3, 4, 4)),), (Port("y", (1, 3, 4, 4)),))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.FLOAT16, "float16"),
        (TensorProto.DOUBLE, "float64"),
        (TensorProto.UINT8, "uint8"),
        (TensorProto.INT8, "int8"),
        (TensorProto.INT32, "int32"),
        (TensorProto.BOOL, "bool"),
    ],
)
def test_a_file_from_elsewhere_is_fed_its_own_types_and_layout(tmp_path, kind, dtype):
    """Here two images, channels last, and so are the outputs."""
    ports = [(name, kind, ["N", 8, 8, 3]) for name in "abyz"]
    nodes = [helper.make_node("Identity", ["a"], ["y"]), helper.make_node("Identity", ["b"], ["z"])]
    path = written(tmp_path / "a.onnx", nodes, ports[:2], ports[2:])
    found = OnnxRuntime().interface(path)
    a, b, y, z = (Port(name, (1, 8, 8, 3), dtype) for name in "abyz")
    assert found == Interface((a, b), (y, z))
    inputs = example_inputs(found)
    assert [x.dtype for x in inputs] == [dtype] * 2
    for given, got in zip(inputs, OnnxRuntime().load(path)(inputs), strict=True):
        np.testing.assert_array_equal(given, got)


@pytest.mark.parametrize(("least", "count"), [(9.0, 0), (-9.0, 8)])
def test_a_file_gives_as_many_of_something_as_it_finds(tmp_path, least, count):
    """Places of numbers that are large; the interface is of one."""
    nodes = [
        helper.make_node("Greater", ["x", "least"], ["are_large"]),
        helper.make_node("NonZero", ["are_large"], ["places"]),
        helper.make_node("Transpose", ["places"], ["y"]),
    ]
    bound = numpy_helper.from_array(np.float32(least), "least")
    path = written(tmp_path / "a.onnx", nodes, [("x", FLOAT, [1, 2, 4])], [("y", TensorProto.INT64, ["n", 3])], [bound])
    interface = OnnxRuntime().interface(path)
    assert interface.outputs == (Port("y", (1, 3), "int64"),)
    (found,) = OnnxRuntime().load(path)(example_inputs(interface))
    assert found.shape == (count, 3)


def test_a_pipe_is_no_model(tmp_path):
    for runtime in (OnnxRuntime(), TorchRuntime()):
        os.mkfifo(path := tmp_path / f"model.{runtime.format}")
        for read in (runtime.load, runtime.interface):
            with pytest.raises(MeasureError, match=f"{path}.* no regular file"):
                read(path)


def with_weights_at(path, location):
    """A file that adds four numbers which lie in another file."""
    weight = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=str(location))
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    return written(path, nodes, [("x", FLOAT, [1, 4])], [("y", FLOAT, [1, 4])], [weight])


def test_weights_in_a_file_beside_are_read(tmp_path):
    np.arange(4, dtype=np.float32).tofile(tmp_path / "a.onnx.data")
    path = with_weights_at(tmp_path / "a.onnx", "a.onnx.data")
    assert OnnxRuntime().interface(path) == Interface((Port("x", (1, 4)),), (Port("y", (1, 4)),))
    (found,) = OnnxRuntime().load(path)((np.ones((1, 4), np.float32),))
    np.testing.assert_array_equal(found, [[1, 2, 3, 4]])


def test_weights_that_are_missing_or_outside_the_folder_are_not_read(tmp_path):
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.data")
    (tmp_path / "model").mkdir()
    for place, said in (("../w.data", "lie in its folder"), ("missing.data", "missing")):
        path = with_weights_at(tmp_path / "model" / "a.onnx", place)
        for read in (OnnxRuntime().load, OnnxRuntime().interface):
            with pytest.raises(MeasureError, match=rf"cannot load .*a\.onnx.*{said}"):
                read(path)


@pytest.mark.parametrize(
    ("kind", "shape", "found"),
    [
        (FLOAT, [4, 3, 8, 8], r"'x' is tensor\(float\) \[4, 3, 8, 8\]"),
        (FLOAT, ["batch", 3, "height", "width"], r"'x' is tensor\(float\) \['batch', 3, 'height', 'width'\]"),
        (FLOAT, [1, 3, None, 8], r"'x' is tensor\(float\) \[1, 3, None, 8\]"),
        (FLOAT, [], r"'x' is tensor\(float\) \[\]"),
        (TensorProto.STRING, [1, 3], r"'x' is tensor\(string\) \[1, 3\]"),
        (TensorProto.BFLOAT16, [1, 3], r"'x' is tensor\(bfloat16\) \[1, 3\]"),
    ],
)
def test_a_file_that_is_not_fed_one_example_is_refused(tmp_path, kind, shape, found):
    path = written(
        tmp_path / "strange.onnx",
        [helper.make_node("Identity", ["x"], ["y"])],
        [("x", kind, shape)],
        [("y", kind, None)],
    )
    rule = r"strange\.onnx: A model takes and gives .*a batch that is 1 or open, every other side fixed.*"
    with pytest.raises(MeasureError, match=rule + found):
        OnnxRuntime().interface(path)


@pytest.mark.parametrize(
    ("op", "options", "kind", "found"),
    [
        ("Cast", {"to": TensorProto.STRING}, TensorProto.STRING, r"'y' is tensor\(string\) \[1, 3\]"),
        ("ReduceSum", {"keepdims": 0}, FLOAT, r"'y' is tensor\(float\) \[\]"),
        ("Transpose", {}, FLOAT, r"'y' is tensor\(float\) \[3, 1\]"),
    ],
)
def test_outputs_are_those_of_one_example_too(tmp_path, op, options, kind, found):
    nodes = [helper.make_node(op, ["x"], ["y"], **options)]
    path = written(tmp_path / "a.onnx", nodes, [("x", FLOAT, ["batch", 3])], [("y", kind, None)])
    with pytest.raises(MeasureError, match=found):
        OnnxRuntime().interface(path)


def test_a_file_that_gives_a_list_is_refused(tmp_path):
    nodes = [helper.make_node("SequenceConstruct", ["x"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", FLOAT, [1, 3])],
        [helper.make_tensor_sequence_value_info("y", FLOAT, None)],
    )
    path = tmp_path / "a.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    with pytest.raises(MeasureError, match=r"'y' is seq\(tensor\(float\)\)"):
        OnnxRuntime().interface(path)


def test_a_file_without_inputs_is_refused(tmp_path):
    one = helper.make_tensor("one", FLOAT, [1, 1], [1.0])
    path = written(
        tmp_path / "a.onnx", [helper.make_node("Constant", [], ["y"], value=one)], [], [("y", FLOAT, [1, 1])]
    )
    with pytest.raises(MeasureError, match=r"a\.onnx: A network has inputs"):
        OnnxRuntime().interface(path)


def test_a_file_that_fails_on_examples_is_a_measure_error(tmp_path):
    """Whose inputs do not say what they must be."""
    weight = helper.make_tensor("weight", FLOAT, [5], [1.0] * 5)
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["flat"]), helper.make_node("Add", ["flat", "weight"], ["y"])]
    shape = helper.make_tensor("shape", INT64, [2], [1, -1])
    path = written(tmp_path / "failing.onnx", nodes, [("x", FLOAT, [1, 4])], [("y", FLOAT, None)], [weight, shape])
    with pytest.raises(MeasureError, match=r"failing\.onnx"):
        OnnxRuntime().interface(path)


@pytest.mark.parametrize("runtime", [OnnxRuntime(), TorchRuntime()])
@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (np.zeros((1, 3, 32, 32), np.float32),) * 2,
        (np.zeros((1, 4, 32, 32), np.float32),),
        (np.zeros((3, 32), np.float32),),
        (np.zeros((1, 3, 32, 32), np.float64),),
    ],
)
def test_what_a_network_does_not_take_is_a_measure_error(tmp_path, runtime, inputs):
    spec, interface = zoo_spec("mobilenet-v2", 0.35, 32), Interface.of_images(3, 32, 10)
    written = formats.create(runtime.format)
    path = tmp_path / f"model{written.suffix}"
    written.write(build(spec, interface).eval(), spec, interface, path)
    run = runtime.load(path)
    with pytest.raises(MeasureError, match="cannot run"):
        run(inputs)
    (output,) = run((np.zeros((1, 3, 32, 32), np.float32),))  # it is none the worse for it
    assert output.shape == (1, 10)


def test_images_alone_are_laid_out_channels_last():
    image = _channels_last(torch.zeros(1, 3, 4, 4))
    assert image.is_contiguous(memory_format=torch.channels_last)
    for shape in ((1,), (1, 4), (1, 3, 4), (1, 2, 3, 4, 5)):
        tensor = torch.zeros(shape)
        assert _channels_last(tensor) is tensor


class Counter(torch.nn.Module):
    """Takes a state and gives it back, changed."""

    def forward(self, images, state):
        new = state + images.mean((2, 3))
        return new * 2, new


def test_a_state_that_goes_in_and_out_keeps_its_name(tmp_path):
    state = Port("state", (1, 3))
    interface = Interface((Port("images", (1, 3, 4, 4)), state), (Port("logits", (1, 3)), state))
    export_directly(Counter().eval(), interface, tmp_path / "a.onnx")
    assert OnnxRuntime().interface(tmp_path / "a.onnx") == interface
    inputs = np.ones((1, 3, 4, 4), np.float32), np.full((1, 3), 2.0, np.float32)
    logits, new = OnnxRuntime().load(tmp_path / "a.onnx")(inputs)
    np.testing.assert_allclose(new, np.full((1, 3), 3.0))
    np.testing.assert_allclose(logits, np.full((1, 3), 6.0))


class TwoWays(torch.nn.Module):
    """Takes a token and a state, and gives a list."""

    def forward(self, token, state):
        return [state + token[:, None], state - 1]


def test_pytorch_runs_several_inputs_and_outputs():
    run = TorchRuntime()._runner(TwoWays())
    outputs = run((np.array([2]), np.ones((1, 4), np.float32)))
    assert isinstance(outputs, tuple)
    np.testing.assert_array_equal(outputs[0], np.full((1, 4), 3.0))
    np.testing.assert_array_equal(outputs[1], np.zeros((1, 4)))
