"""int8 files that ONNX Runtime made and runs, beside the float files that they were made of."""

import logging
import tempfile
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from converted import Uneven
from exported import Module, interface_of, open_session, sides
from onnx import TensorProto
from small_networks import SMALL
from torch import nn

from paretonas.errors import DataError, ExportError, UsageError
from paretonas.export import formats
from paretonas.export.onnx import export_directly, modules_of_nodes
from paretonas.export.onnx.quantized import calibrate, module_errors, modules_to_blame, write_quantized
from paretonas.export.quantize import Quantization, keep_worst
from paretonas.network import build
from paretonas.search.boxes import decoding_of
from paretonas.space import Interface
from paretonas.task.detecting import Anchors
from paretonas.testing.runtime import randomize_statistics
from paretonas.zoo import zoo_spec

SIDE = 32
FULL = Quantization(narrow_weights=False)


def pictures(count, side=SIDE, channels=3, seed=0):
    """Noise that is brighter in some pictures than in others, so that networks that learned nothing tell them apart."""
    rng = np.random.default_rng(seed)
    shape = (count, channels, 1, 1)
    x = rng.standard_normal((count, channels, side, side)) * rng.uniform(0.3, 2, shape) + rng.normal(0, 1, shape)
    return x.astype(np.float32)


def write(path, spec, interface, metadata=None, **options):
    torch.manual_seed(0)
    model = randomize_statistics(build(spec, interface)).eval()
    formats.create("onnx").write(model, spec, interface, path, metadata or {}, **options)
    return path


def written(path, model, *inputs):
    """A module's file."""
    torch.manual_seed(0)
    export_directly(model.eval(), interface_of(model, *inputs), path)
    return path


def ops(path):
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.fixture(scope="module")
def float_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("float")
    interface = Interface.of_images(3, SIDE, 10)
    return write(folder / "a.onnx", SMALL, interface, {"classes": ["é", "b"], "n": 1})


@pytest.fixture(scope="module")
def calibration(float_file):
    return calibrate(float_file, [(pictures(12),)], Quantization())


@pytest.fixture(scope="module")
def quantized(calibration, tmp_path_factory):
    return write_quantized(calibration, tmp_path_factory.mktemp("int8") / "b.onnx")


# The file


def test_a_file_in_int8_takes_gives_and_says_what_the_float_file_does(float_file, quantized):
    ours, theirs = onnx.load(quantized.path), onnx.load(float_file)
    onnx.checker.check_model(ours, full_check=True)
    for one, other in ((ours.graph.input, theirs.graph.input), (ours.graph.output, theirs.graph.output)):
        assert [(x.name, sides(x), x.type.tensor_type.elem_type) for x in one] == [
            (x.name, sides(x), TensorProto.FLOAT) for x in other
        ]
    assert list(ours.metadata_props) == list(theirs.metadata_props)
    assert formats.create("onnx").metadata(quantized.path) == {"classes": ["é", "b"], "n": 1}
    assert (ours.ir_version, ours.opset_import[0].version) == (theirs.ir_version, 13)
    session = open_session(quantized.path)
    for batch in (1, 3):
        assert session.run(None, {"images": pictures(batch)})[0].shape == (batch, 10)


def test_all_of_a_network_of_convolutions_computes_in_int8(quantized):
    assert quantized.in_float == {}
    assert 0 < quantized.error < 0.2
    assert {"Relu", "Clip"}.isdisjoint(ops(quantized.path))
    session = open_session(quantized.path)
    assert session.get_inputs()[0].type == session.get_outputs()[0].type == "tensor(float)"


def test_its_nodes_are_of_modules(float_file, quantized):
    known = modules_of_nodes(quantized.path)
    assert set(modules_of_nodes(float_file).values()) >= set(known.values()) >= {"stem.0", "classifier"}
    kernels = [node for node in onnx.load(quantized.path).graph.node if node.op_type in ("Conv", "Gemm")]
    assert all(known[node.name] for node in kernels)


@pytest.mark.parametrize(
    ("options", "activations", "largest"),
    [
        (FULL, TensorProto.UINT8, 127),
        (Quantization(narrow_weights=True), TensorProto.UINT8, 64),
        (Quantization(activations="int8"), TensorProto.INT8, 127),
    ],
)
def test_types_are_those_that_were_asked_for(float_file, calibration, tmp_path, options, activations, largest):
    write_quantized(replace(calibration, options=options), tmp_path / "b.onnx", (), False)
    graph = onnx.load(tmp_path / "b.onnx").graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    steps = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {types[node.input[2]] for node in steps} == {activations}
    weights = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in arrays]
    int8 = [node for node in weights if types[node.input[0]] == TensorProto.INT8]
    convolutions = [node for node in int8 if arrays[node.input[0]].ndim == 4]
    assert len(convolutions) == ops(tmp_path / "b.onnx").count("Conv")
    for node in convolutions:
        assert arrays[node.input[1]].shape == arrays[node.input[0]].shape[:1]  # a scale for each channel
    assert max(np.abs(arrays[node.input[0]].astype(int)).max() for node in int8) == largest


def test_nothing_is_written_but_the_file_and_nothing_is_said(float_file, tmp_path, monkeypatch, capsys, caplog):
    handlers = list(logging.getLogger().handlers)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
        found = calibrate(float_file, [(pictures(2),)], Quantization(method="percentile"))
        write_quantized(found, tmp_path / "b.onnx", (), False)
    assert [path.name for path in tmp_path.iterdir()] == ["b.onnx"]
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []
    assert logging.getLogger().handlers == handlers
    assert not logging.getLogger().disabled


def test_the_same_examples_give_the_same_file(float_file, tmp_path):
    for name in ("one", "two"):
        found = calibrate(float_file, [(pictures(3),)], Quantization(method="mse"))
        write_quantized(found, tmp_path / name, (), False)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_examples_beyond_their_number_are_not_looked_at(float_file):
    three, x = Quantization(examples=3), pictures(5)
    whole = calibrate(float_file, [(x,)], three)
    parts = calibrate(float_file, [(x[:1],), (x[1:3],), (np.full_like(x, 1e6),)], three)
    assert whole.ranges == parts.ranges
    assert whole.ranges != calibrate(float_file, [(x,)], Quantization(examples=5)).ranges


# Parts in float


def test_parts_that_are_kept_compute_in_float(float_file, tmp_path):
    options = Quantization(keep=("stem", "blocks.1"))
    found = write_quantized(calibrate(float_file, [(pictures(12),)], options), tmp_path / "b.onnx", ("classifier",))
    modules = {module for module in found.in_float if module}
    assert {"stem.0", "classifier", "blocks.1.0.body.0"} <= modules
    assert all(module.startswith(("stem", "blocks.1", "classifier")) for module in modules)
    assert found.in_float["classifier"] == ("Gemm",)


def test_what_is_kept_is_in_the_network(float_file):
    with pytest.raises(UsageError, match=r"modules of a\.onnx, but it has no block: stem\.0, stem\.2, blocks\.0"):
        calibrate(float_file, [(pictures(1),)], Quantization(keep=("block",)))


def test_something_becomes_int8(calibration, tmp_path):
    with pytest.raises(ExportError, match="all of the network is kept in float"):
        write_quantized(calibration, tmp_path / "b.onnx", ("stem", "blocks", "head", "pool", "flatten", "classifier"))
    assert not list(tmp_path.iterdir())


# Who is to blame


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    path = written(tmp_path_factory.mktemp("uneven") / "a.onnx", Uneven(), pictures(1))
    return calibrate(path, [(pictures(12),)], Quantization())


def test_a_tensor_of_uneven_channels_is_to_blame(uneven):
    blame = modules_to_blame(uneven)
    assert {one.module for one in blame[:2]} == {"second", "third"}
    assert {one.module for one in blame} == {"first", "second", "third", "last"}
    assert blame[1].error > 3 * blame[2].error


def test_errors_of_modules_are_in_the_order_of_execution(uneven, calibration, quantized, tmp_path):
    write_quantized(uneven, tmp_path / "b.onnx", (), False)
    errors = {one.module: one.error for one in module_errors(uneven, tmp_path / "b.onnx")}
    assert list(errors) == ["first", "second", "third", "last"]
    assert errors["third"] > 5 * errors["first"]
    found = module_errors(calibration, quantized.path)
    assert [found[0].module, found[-1].module] == ["stem.2", "classifier"]  # a convolution is one with its activation
    assert found[-1].error == pytest.approx(quantized.error, rel=1e-3)
    assert found[0].error < found[-1].error


def test_the_fewest_layers_are_kept_with_which_a_file_is_good_enough(uneven, tmp_path):
    path = tmp_path / "b.onnx"
    blame = [one.module for one in modules_to_blame(uneven)]

    def error(path):
        return -module_errors(uneven, path)[-1].error

    def write(keep):
        return write_quantized(uneven, path, keep, False).path

    made = keep_worst(write, error, blame[:-1], -0.05)
    assert set(made[-1].keep) == {"second", "third"}
    assert made[-1].score >= -0.05 > max(attempt.score for attempt in made[:-1])
    assert error(path) == pytest.approx(made[-1].score)


# Refused


def test_a_file_that_says_nothing_is_refused_and_the_old_one_stays(calibration, tmp_path):
    (tmp_path / "b.onnx").write_text("old")
    cut = replace(calibration, ranges={name: (-1e6, 1e6) for name in calibration.ranges})
    with pytest.raises(ExportError, match=r"'logits' of b\.onnx errs by .* Keep the modules most to blame in float"):
        write_quantized(cut, tmp_path / "b.onnx")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_network_that_gives_no_numbers_is_refused(float_file, tmp_path):
    model = onnx.load(float_file)
    broken = onnx.numpy_helper.to_array(model.graph.initializer[0]) * np.float32("nan")
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(broken, model.graph.initializer[0].name))
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ExportError, match="gives finite numbers"):
        calibrate(tmp_path / "a.onnx", [(pictures(2),)], Quantization())


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ([(pictures(2, side=SIDE, channels=4),)], r"fed as images, but got float32 \(1, 4, 32, 32\)"),
        ([(pictures(2).astype(np.float64),)], "got float64"),
        ([(pictures(2), pictures(2))], "fed as images"),
        ([(np.zeros((3, 3, SIDE, SIDE), np.float32),)], "'images' is 0 in all"),
        ([], "got none"),
    ],
)
def test_examples_are_what_the_network_is_fed(float_file, examples, said):
    with pytest.raises(DataError, match=said):
        calibrate(float_file, examples, Quantization())


def test_what_is_no_float_file_is_refused(float_file, quantized, tmp_path):
    def refuses(path, said):
        with pytest.raises(ExportError, match=said):
            calibrate(path, [(pictures(2),)], Quantization())

    refuses(quantized.path, "is quantized")
    refuses(tmp_path / "absent.onnx", "cannot be read")
    (tmp_path / "text.onnx").write_text("no network")
    refuses(tmp_path / "text.onnx", "cannot be read")
    old = onnx.load(float_file)
    old.opset_import[0].version = 12
    onnx.save(old, tmp_path / "old.onnx")
    refuses(tmp_path / "old.onnx", "opset 13 or later, but old.onnx is of 12")
    plain = Module(lambda m, x: m.a(x).mean((2, 3)), a=nn.ReLU())
    refuses(written(tmp_path / "plain.onnx", plain, pictures(1)), "has none")


# Networks


def agrees(path, examples, most, options=FULL, is_checked=True):
    """Quantize; exactly, as a random network has little room for the overflow of some machines."""
    exact = replace(options, activations="int8")
    found = write_quantized(calibrate(path, examples, exact), path.with_name("int8.onnx"), (), is_checked)
    assert 0 < found.error < most
    assert ops(found.path).count("QuantizeLinear") > 0
    return found


@pytest.mark.parametrize(
    "network",
    [
        "mobilenet-v2:width=0.35",
        pytest.param("mnasnet-a1:width=0.5", marks=pytest.mark.slow),
        pytest.param("nasnet-a:width=0.25", marks=pytest.mark.slow),
    ],
)
def test_networks_of_the_zoo_are_quantized(tmp_path, network):
    spec = zoo_spec(network, resolution=SIDE if "mn" in network or "mobile" in network else None)
    path = write(tmp_path / "a.onnx", spec, Interface.of_images(3, SIDE, 10))
    found = agrees(path, [(pictures(8),)], 0.3, is_checked="nasnet-a:" not in network)
    assert found.in_float == {}
    assert found.path.stat().st_size < 0.75 * path.stat().st_size


ACTIVATIONS = {"swish": (nn.SiLU(), ()), "hard-swish": (nn.Hardswish(), ("HardSwish",)), "tanh": (nn.Tanh(), ("Tanh",))}


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_without_a_kernel_stay_in_float(tmp_path, name):
    layer, in_float = ACTIVATIONS[name]
    model = Module(lambda m, x: m.b(m.act(m.a(x))).mean((2, 3)), a=nn.Conv2d(3, 8, 3), act=layer, b=nn.Conv2d(8, 4, 1))
    found = agrees(written(tmp_path / "a.onnx", model, pictures(1)), [(pictures(8),)], 0.1)
    assert found.in_float == {"": ("ReduceMean",)} | ({"act": in_float} if in_float else {})


@pytest.mark.parametrize("network", ["lstm:width=0.05", "lstm:width=0.05,tied=false", "nascell:width=0.05"])
def test_recurrent_networks_are_quantized_on_words_and_true_states(tmp_path, network):
    spec = zoo_spec(network)
    interface = spec.with_state(spec.usual_interface(3, SIDE, 50))
    path, rng = write(tmp_path / "a.onnx", spec, interface), np.random.default_rng(0)
    states = [rng.uniform(-0.5, 0.5, (8, *port.shape[1:])).astype(np.float32) for port in interface.inputs[1:]]
    found = agrees(path, [(rng.integers(0, 50, 8), *states)], 0.1)
    names = [value.name for value in onnx.load(found.path).graph.input]
    assert names == [port.name for port in interface.inputs]
    with pytest.raises(DataError, match="is 0 in all"):
        calibrate(path, [(np.arange(8), *(np.zeros_like(state) for state in states))], Quantization())


DETECTOR = "ssdlite:backbone=mobilenet-v2,width=0.25,last_filters=32"


@pytest.mark.parametrize("ends_in_boxes", [pytest.param(False, marks=pytest.mark.slow), True])
def test_what_comes_after_a_detector_stays_in_float(tmp_path, ends_in_boxes):
    spec = zoo_spec(DETECTOR)
    interface, path = spec.usual_interface(3, 64, 2), tmp_path / "a.onnx"
    if ends_in_boxes:
        torch.manual_seed(0)
        model = randomize_statistics(build(spec, interface)).eval()
        decoding = decoding_of(Anchors("ssdlite", 64, 2))
        formats.create("onnx:boxes=true").write(model, spec, interface, path, {"kind": "boxes"}, decoding)
    else:
        write(path, spec, interface)
    found = agrees(path, [(pictures(6, 64),)], 0.3)
    assert set(found.in_float) == ({"heads", "boxes"} if ends_in_boxes else {"heads"})
    assert set(found.in_float["heads"]) == {"Transpose", "Reshape", "Concat"}
    feed = {"images": pictures(1, 64)}
    ours, theirs = (open_session(file).run(None, feed) for file in (found.path, path))
    if not ends_in_boxes:
        assert [x.shape for x in ours] == [x.shape for x in theirs]
        return
    assert {"NonMaxSuppression", "TopK", "Exp"} <= set(found.in_float["boxes"])
    assert [x.dtype for x in ours] == [np.float32, np.int64, np.float32]
    assert len(ours[0]) > 0
    graph = onnx.load(found.path).graph
    into_boxes = {name for node in graph.node if node.name.startswith("boxes/") for name in node.input}
    assert not any(name.startswith("boxes/") and "Quantize" in name for name in into_boxes)


# Long ones


@pytest.mark.slow
def test_a_detector_of_two_stages_chooses_regions_in_float(tmp_path):
    spec = zoo_spec("faster-rcnn:backbone=mobilenet-v2,width=0.25")
    path = write(tmp_path / "a.onnx", spec, spec.usual_interface(3, 128, 2))
    found = agrees(path, [(pictures(4, 128),)], 0.5)
    assert {"TopK", "Exp", "Gather"} <= set(found.in_float["proposals"])
    onnx.checker.check_model(onnx.load(found.path), full_check=True)
    given = open_session(found.path).run(None, {"images": pictures(1, 128)})
    assert all(np.isfinite(x).all() for x in given)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "in_float"), [("mobilenet-v3-small", {"HardSwish", "HardSigmoid"}), ("efficientnet-b0", set())]
)
def test_foreign_networks_are_quantized(tmp_path, network, in_float):
    path = write(tmp_path / "a.onnx", zoo_spec(network, 1.0, SIDE), Interface.of_images(3, SIDE, 10))
    found = agrees(path, [(pictures(8),)], 0.2, is_checked=False)
    pooling = {"ReduceMean", "Reshape"}  # as PyTorch's exporter writes it
    assert {op for module in found.in_float.values() for op in module} - pooling == in_float
