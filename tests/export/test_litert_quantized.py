"""int8 files that AI Edge Quantizer made and LiteRT runs, beside the float files that they were made of."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from converted import IMAGES, Uneven, of_the_zoo, small
from torch import nn

from paretonas.device.runtime.litert import LiteRt
from paretonas.errors import DataError, ExportError, MissingPackageError, UsageError
from paretonas.export import formats, quantizers
from paretonas.export.litert import modules_behind, named_module
from paretonas.export.litert_quantized import calibrate, modules_to_blame, write_quantized
from paretonas.export.quantize import Quantization
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.space.spec import ForeignSpec
from paretonas.zoo import zoo_spec

FOREIGN, OURS = ForeignSpec("tests:small"), zoo_spec("mnasnet-a1")
INT8 = Quantization(activations="int8")


def pictures(count, side=8, channels=3, seed=0):
    """Noise that is brighter in some pictures than in others, so that networks that learned nothing tell them apart."""
    rng = np.random.default_rng(seed)
    shape = (count, channels, 1, 1)
    x = rng.standard_normal((count, channels, side, side)) * rng.uniform(0.3, 2, shape) + rng.normal(0, 1, shape)
    return x.astype(np.float32)


def written(path, model, interface=IMAGES, metadata=None, spec=FOREIGN):
    """A float file; converted by LiteRT Torch, unless it is of a spec of ours."""
    formats.create("litert").write(model, spec, interface, path, metadata or {})
    return path


def int8_tensors(path):
    """Names of weights that are int8."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0).subgraphs[0]
    used = {int(op.inputs[1]) for op in graph.operators if len(op.inputs) > 2}
    return [graph.tensors[i].name.decode() for i in used if graph.tensors[i].type == schema.TensorType.INT8]


@pytest.fixture(scope="module", params=[FOREIGN, OURS], ids=["converted", "direct"])
def float_file(tmp_path_factory, request):
    path, metadata = tmp_path_factory.mktemp("float") / "a.tflite", {"classes": ["é", "b"], "n": 1}
    return written(path, small(), metadata=metadata, spec=request.param)


@pytest.fixture(scope="module")
def calibration(float_file):
    return calibrate(float_file, [(pictures(12),)], INT8)


# The file


@pytest.mark.slow
def test_a_file_in_int8_takes_gives_and_says_what_the_float_file_does(calibration, float_file, tmp_path, capfd):
    path = tmp_path / "b.tflite"
    assert 0 < write_quantized(calibration, path) < 0.1
    assert LiteRt().interface(path) == LiteRt().interface(float_file) == IMAGES
    assert formats.create("litert").metadata(path) == {"classes": ["é", "b"], "n": 1}
    assert modules_behind(path) == modules_behind(float_file) == ["conv", "bn", "head"]
    assert len(int8_tensors(path)) == 2
    for runtime in (LiteRt(), LiteRt(delegate="none"), LiteRt(threads=2)):
        (ours,), (exact,) = (runtime.load(file)((pictures(12)[:1],)) for file in (path, float_file))
        assert (ours.dtype, ours.shape) == (exact.dtype, exact.shape)
        assert 0 < np.abs(ours - exact).max() < 0.1 * np.abs(exact).max()
    assert [file.name for file in tmp_path.iterdir()] == ["b.tflite"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_the_same_examples_give_the_same_file(float_file, tmp_path):
    for name in ("one", "two"):
        found = calibrate(float_file, [(pictures(3),)], replace(INT8, method="mse"))
        write_quantized(found, tmp_path / name, (), False)
        write_quantized(found, tmp_path / name, (), False)  # the ranges are still those
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.slow
def test_ranges_are_those_of_the_examples(float_file):
    x = pictures(5)
    found = calibrate(float_file, [(x[:1],), (x[1:3],), (np.full_like(x, 1e6),)], replace(INT8, examples=3))
    assert found.ranges == calibrate(float_file, [(x,)], replace(INT8, examples=3)).ranges
    ((ends, sides),) = (value for name, value in found.ranges.items() if "serving_default_x" in name)
    assert (ends, sides) == ((float(x[:3].min()), float(x[:3].max())), 4)
    narrow = calibrate(float_file, [(x,)], replace(INT8, method="percentile", percentile=90.0))
    assert all(narrow.ranges[name][0] != value[0] for name, value in found.ranges.items())


# Parts in float


@pytest.mark.slow
def test_parts_that_are_kept_compute_in_float(float_file, calibration, tmp_path):
    for options, keep, kept in ((replace(INT8, keep=("conv",)), (), "head"), (INT8, ("head",), "conv")):
        found = replace(calibration, options=options)
        write_quantized(found, tmp_path / "b.tflite", keep)
        (name,) = int8_tensors(tmp_path / "b.tflite")
        assert named_module(name, ["conv", "bn", "head"], True) == kept
        assert LiteRt().interface(tmp_path / "b.tflite") == IMAGES


@pytest.mark.slow
def test_what_is_kept_is_in_the_network_and_leaves_something(float_file, calibration, tmp_path):
    with pytest.raises(UsageError, match=r"modules of a\.tflite, but it has no block: conv, head"):
        calibrate(float_file, [(pictures(1),)], replace(INT8, keep=("block",)))
    with pytest.raises(ExportError, match="all of the network is kept in float"):
        write_quantized(calibration, tmp_path / "b.tflite", ("conv", "head"))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_tensor_of_uneven_channels_is_to_blame(tmp_path):
    torch.manual_seed(0)
    found = calibrate(written(tmp_path / "a.tflite", Uneven().eval()), [(pictures(12),)], INT8)
    blame = modules_to_blame(found)
    assert {one.module for one in blame[:2]} == {"second", "third"}
    assert {one.module for one in blame} == {"first", "second", "third", "last"}
    assert blame[1].error > 3 * blame[2].error
    worst, kept = (write_quantized(found, tmp_path / "b.tflite", keep, False) for keep in ((), ("second", "third")))
    assert kept < 0.2 * worst


# Refused


@pytest.mark.slow
def test_a_file_that_says_nothing_is_refused_and_the_old_one_stays(calibration, tmp_path):
    (tmp_path / "b.tflite").write_text("old")
    cut = replace(calibration, ranges={name: ((-1e6, 1e6), sides) for name, (_, sides) in calibration.ranges.items()})
    with pytest.raises(ExportError, match=r"'output 0' of b\.tflite errs by .* Keep the modules most to blame"):
        write_quantized(cut, tmp_path / "b.tflite")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ([(pictures(2, channels=4),)], r"fed as .*x.*, but got float32 \(1, 4, 8, 8\)"),
        ([(pictures(2).astype(np.float64),)], "got float64"),
        ([(pictures(2), pictures(2))], "fed as"),
        ([(np.zeros((3, 3, 8, 8), np.float32),)], "is 0 in all"),
        ([], "got none"),
    ],
)
def test_examples_are_what_the_network_is_fed(float_file, examples, said):
    with pytest.raises(DataError, match=said):
        calibrate(float_file, examples, INT8)


@pytest.mark.slow
def test_what_is_no_float_file_is_refused(float_file, calibration, tmp_path):
    def refuses(path, said):
        with pytest.raises(ExportError, match=said):
            calibrate(path, [(pictures(2),)], INT8)

    write_quantized(calibration, tmp_path / "b.tflite")
    refuses(tmp_path / "b.tflite", r"b\.tflite is quantized")
    refuses(tmp_path / "absent.tflite", "absent")
    (tmp_path / "text.tflite").write_text("no network")
    refuses(tmp_path / "text.tflite", "does not begin as a flatbuffer")
    (tmp_path / "cut.tflite").write_bytes(float_file.read_bytes()[:300])
    refuses(tmp_path / "cut.tflite", "cannot be read")
    plain = Interface(IMAGES.inputs, (Port("y", (1, 3, 8, 8)),))
    refuses(written(tmp_path / "plain.tflite", nn.ReLU(), plain), "has none")


def test_without_its_package_the_quantizer_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    (tmp_path / "a.tflite").write_bytes(b"\0\0\0\0TFL3")
    with pytest.raises(MissingPackageError, match="pip install ai-edge-quantizer"):
        quantizers.load("litert").calibrate(tmp_path / "a.tflite", [(pictures(2),)], INT8)


# Networks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "side", "most"),
    [
        ("mnasnet-a1", 0.5, 64, 0.3),
        ("mobilenet-v3-small", 0.5, 64, 0.5),
        ("efficientnet-b0", 1.0, 32, 0.5),
        ("nasnet-a", 0.25, 32, 0.5),
        ("ssdlite", 0.5, 128, 0.5),
    ],
)
def test_networks_of_the_zoo_are_quantized(tmp_path, name, width, side, most):
    spec, interface, model = of_the_zoo(name, width, side)
    path = written(tmp_path / "a.tflite", model, interface, spec=spec)
    found = calibrate(path, [(pictures(8, side),)], INT8)
    assert 0 < write_quantized(found, tmp_path / "b.tflite", (), False) < most
    assert LiteRt().interface(tmp_path / "b.tflite") == interface
    modules = {one.module for one in found.operations}
    assert "" not in modules
    assert modules <= {module for module, _ in model.named_modules()}
    assert (tmp_path / "b.tflite").stat().st_size < 0.75 * path.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "nascell"])
def test_recurrent_networks_are_quantized_on_words_and_true_states(tmp_path, name):
    spec, interface, model = of_the_zoo(name, 0.1, 1)
    interface = spec.with_state(interface)
    path, rng = written(tmp_path / "a.tflite", model, interface), np.random.default_rng(0)
    states = [rng.uniform(-0.5, 0.5, (8, *port.shape[1:])).astype(np.float32) for port in interface.inputs[1:]]
    found = calibrate(path, [(rng.integers(0, 50, (8, *interface.inputs[0].shape[1:])), *states)], INT8)
    assert 0 < write_quantized(found, tmp_path / "b.tflite", (), False) < 0.2
    assert LiteRt().interface(tmp_path / "b.tflite") == LiteRt().interface(path)
