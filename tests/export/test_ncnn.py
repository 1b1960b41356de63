"""Files for ncnn, run by it and compared with PyTorch."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import Module, Pair, batches_of, indices, interface_of, noise
from torch import nn

from paretonas import cli
from paretonas.device.engine.ncnn import load
from paretonas.device.runtime.ncnn import Ncnn
from paretonas.errors import ExportError, MissingPackageError
from paretonas.export import ModelFile, ncnn, verify
from paretonas.export.export import outputs_of
from paretonas.export.ncnn import METADATA, PARAM, WEIGHTS, NcnnFormat, read_told
from paretonas.network import build
from paretonas.testing.runtime import randomize_statistics
from paretonas.zoo import zoo_spec

SPEC = zoo_spec("mobilenet-v2")
"""Of whatever is written here: that its layers are ours is all that is asked."""
RUNTIMES = ("ncnn", "openvino")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.ncnn"


def assert_written(path, model, *inputs):
    """Write the model, and run it with two examples."""
    interface = interface_of(model, *inputs)
    NcnnFormat().write(model, SPEC, interface, path)
    run = load(path, {"threads": 1, "precision": "float32"})
    for given in (inputs, batches_of(inputs, 1)):
        before = [x.copy() for x in given]
        for ours, theirs in zip(run(given), outputs_of(model.eval(), given), strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, np.float32)
            np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
        np.testing.assert_array_equal(np.concatenate([*map(np.ravel, given)]), np.concatenate([*map(np.ravel, before)]))


def test_a_file_is_a_zip_of_what_ncnn_reads_and_says_its_interface(path):
    model = Module(lambda s, x: s.conv(x), conv=nn.Conv2d(3, 4, 3))
    interface = interface_of(model, noise(1, 3, 6, 8))
    NcnnFormat().write(model, SPEC, interface, path, {"classes": ["Katze", "犬"]})
    with zipfile.ZipFile(path) as archive:
        assert [entry.filename for entry in archive.infolist()] == [PARAM, WEIGHTS, METADATA]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read(PARAM).startswith(b"7767517\n")
        weights = archive.read(WEIGHTS)
    assert model.conv.weight.detach().numpy().tobytes() in weights  # float32 as they are
    assert read_told(path) == (interface, {"classes": ["Katze", "犬"]})
    assert Ncnn().interface(path) == interface
    first = path.read_bytes()
    NcnnFormat().write(model, SPEC, interface, path, {"classes": ["Katze", "犬"]})
    assert path.read_bytes() == first  # no date, no folder of the moment


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Pair(lambda s, x, y: (y * 2, x + 1)), ((1, 3, 6, 8), (1, 5))),
        (Pair(lambda s, x, y: (s.conv(x).mean((2, 3)) + y, x - 1), conv=nn.Conv2d(3, 5, 1)), ((1, 3, 6, 8), (1, 5))),
        (Module(lambda s, x: s.linear(x.flatten(1))[:, 0], linear=nn.Linear(12, 2)), ((1, 3, 4),)),  # (1,) comes out
        (Module(lambda s, x: x * 3), ((1,),)),
        (Module(lambda s, x: x * 3), ((1, 2, 3, 4, 5),)),
        (Module(lambda s, x: torch.cat([x[:, :, 1::2, ::2], x[:, :, :5:2, :8:2]], 1)), ((1, 3, 6, 8),)),
    ],
)
def test_several_inputs_and_outputs_and_shapes_agree_with_pytorch(path, model, inputs):
    torch.manual_seed(0)
    assert_written(path, model, *(noise(*shape, seed=i) for i, shape in enumerate(inputs)))


def test_whole_numbers_go_in(path):
    torch.manual_seed(0)
    model = Pair(lambda s, x, y: s.table(x) + y, table=nn.Embedding(20, 6))
    assert_written(path, model, indices(1), noise(1, 6))


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (Module(lambda s, x: x[:, ::2]), (1, 4, 6, 8), r"no layer for Tensor\.slice"),
        (Module(lambda s, x: x * 2), (1, 2, 2, 2, 2, 2), "of 5 sides at most, but .*'x0'"),
        (Module(lambda s, x: (x, x * 2)), (1, 4), "pnnx could not convert the network|is gone"),
    ],
)
def test_what_ncnn_has_no_layers_for_is_refused(path, model, shape, said):
    path.write_text("before", encoding="utf-8")
    with pytest.raises(ExportError, match=f"(?s){said}"):
        NcnnFormat().write(model, SPEC, interface_of(model, noise(*shape)), path)
    assert path.read_text(encoding="utf-8") == "before"
    assert [file.name for file in path.parent.iterdir()] == ["model.ncnn"]


def program(folder, text):
    """An executable in the place of pnnx."""
    found = folder / "pnnx"
    found.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    found.chmod(0o755)
    return lambda: str(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo what it says; exit 3", r"pnnx could not convert the network \(exit code 3\): what it says"),
        ("exit 0", r"exit code 0"),
        ("kill -SEGV $$", r"exit code -11"),
        ("exec sleep 60", "within 0.5 seconds"),
    ],
)
def test_a_converter_that_fails_is_an_export_error(path, tmp_path, monkeypatch, text, said):
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(ncnn, "_converter", program(tmp_path / "bin", text))
    monkeypatch.setattr(ncnn, "TIME_LIMIT", 0.5)
    model = Module(lambda s, x: x * 2)
    with pytest.raises(ExportError, match=said):
        NcnnFormat().write(model, SPEC, interface_of(model, noise(1, 3)), path)
    assert [file.name for file in tmp_path.iterdir()] == ["bin"]


def test_an_absent_converter_is_named_with_its_install_line(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pnnx", None)
    model = Module(lambda s, x: x * 2)
    with pytest.raises(MissingPackageError, match=r"The export format 'ncnn' needs .*: pip install pnnx$"):
        NcnnFormat().write(model, SPEC, interface_of(model, noise(1, 3)), path)


def test_devices_are_listed_where_the_packages_are_absent(monkeypatch, capsys):
    for name in ("ncnn", "pnnx", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("export.ncnn", *(f"device.{kind}.{name}" for kind in ("engine", "runtime") for name in RUNTIMES)):
        monkeypatch.delitem(sys.modules, f"paretonas.{name}", raising=False)
    monkeypatch.setattr(sys, "argv", ["paretonas", "devices", "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    listed = capsys.readouterr().out
    assert all(f'"{name}"' in listed for name in (*RUNTIMES, "onnxruntime"))


@pytest.mark.parametrize("told", ["", "[]", '{"interface": {}}', '{"interface": {"inputs": [], "outputs": []}}'])
def test_what_a_file_does_not_say_is_refused(path, told):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(METADATA, told)
    with pytest.raises(ExportError, match=r"a zip that paretonas wrote, but .*model\.ncnn cannot be read"):
        NcnnFormat().metadata(path)


def test_a_file_that_says_too_much_is_refused(path, monkeypatch):
    monkeypatch.setattr(ncnn, "LONGEST", 100)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr(METADATA, "[]" + " " * 200 * (compression == zipfile.ZIP_STORED))
        with pytest.raises(ExportError, match="is compressed, or has more than 100 bytes"):
            NcnnFormat().metadata(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "side"),
    [
        ("mnasnet-a1", 0.5, 64),
        ("mobilenet-v3-small", 1.0, 64),
        ("efficientnet-b0", 1.0, 64),
        ("nasnet-a", 0.5, 64),
        ("amoebanet-a", 0.5, 64),
        ("pnasnet-5", 0.5, 64),
        ("shufflenet-uniform", 1.0, 64),
        ("lstm", 1.0, None),
        ("nascell", 1.0, None),
        ("ssdlite", 0.5, 128),
    ],
)
def test_networks_of_the_zoo_agree_with_their_models(path: Path, name, width, side):
    torch.manual_seed(0)
    spec = zoo_spec(name, width, side)
    interface = spec.with_state(spec.usual_interface(3, side or 32, 20))
    model = randomize_statistics(build(spec, interface)).eval()
    NcnnFormat().write(model, spec, interface, path)
    assert verify(model, load(path, {"threads": 1, "precision": "float32"}), ModelFile(path, interface), 1e-3) < 2e-4
    half = load(path, {"threads": 1, "precision": "float16"})
    assert verify(model, half, ModelFile(path, interface), Ncnn(precision="float16").tolerance) < 0.02
