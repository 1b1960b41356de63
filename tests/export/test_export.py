import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import interface_of, noise
from format_names import each_format
from torch import nn

from paretonas.errors import ExportError, MachineError
from paretonas.export import Format, ModelFile, example_inputs, formats, verify
from paretonas.export.export import in_evaluation, outputs_of
from paretonas.network import build
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 8, 2, 2, 3, 0.25, "identity"),), stem_filters=8, head_filters=16)
IMAGES = Interface.of_images(channels=1, resolution=16, classes=5)
STEP = Interface((Port("word", (1,), "int64"), Port("state", (1, 4)), Port("noise", (1, 2, 3))), (Port("y", (1, 4)),))


class TwoOutputs(nn.Module):
    def forward(self, x):
        return 100 * x, x[:, :1]


def test_listing_formats_does_not_import_torch():
    code = "from paretonas.export import formats; import sys; list(formats); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@each_format
def test_format_is_a_plugin_with_its_limits(name):
    plugin = formats.create(name)
    assert isinstance(plugin, Format)
    assert plugin == formats.create(name)
    assert plugin.suffix == {"litert": ".tflite", "executorch": ".pte"}.get(name, f".{name}")
    assert plugin.tolerance == 1e-3


@each_format
def test_write_replaces_the_file_and_leaves_the_model_as_it_was(name, tmp_path):
    path = tmp_path / "model"
    path.write_text("something else", encoding="utf-8")
    model = build(SPEC, IMAGES).train()
    model.stem[1].eval()  # frozen
    modes = [module.training for module in model.modules()]
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    formats.create(name).write(model, SPEC, IMAGES, path)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert path.stat().st_size > 1000


@pytest.fixture
def full_disk():
    """No file grows over a thousand bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@each_format
def test_a_write_that_fails_leaves_what_was_there(name, tmp_path, full_disk):
    path = tmp_path / "model"
    path.write_text("before", encoding="utf-8")
    with pytest.raises(MachineError, match="model cannot be written: File too large"):
        formats.create(name).write(build(SPEC, IMAGES), SPEC, IMAGES, path)
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


@each_format
def test_a_folder_in_the_files_place_or_none_around_it_is_refused(name, tmp_path):
    for path, message in ((tmp_path, "it is a folder"), (tmp_path / "missing" / "model", "No such file")):
        with pytest.raises(MachineError, match=f"{path} cannot be written: {message}"):
            formats.create(name).write(build(SPEC, IMAGES), SPEC, IMAGES, path)


@each_format
def test_mode_of_a_file_is_what_umask_says(name, tmp_path):
    before = os.umask(0o027)
    try:
        formats.create(name).write(build(SPEC, IMAGES), SPEC, IMAGES, tmp_path / "model")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o640


METADATA = {"kind": "classes", "classes": ["Katze", "犬"], "mean": 0.5, "trial": 3, "transform": {"width": 1.0}}


@each_format
def test_a_file_says_what_it_was_told_to_say(name, tmp_path):
    plugin, path = formats.create(name), tmp_path / "model"
    plugin.write(build(SPEC, IMAGES), SPEC, IMAGES, path)
    assert plugin.metadata(path) == {}
    plugin.write(build(SPEC, IMAGES), SPEC, IMAGES, path, METADATA)
    assert plugin.metadata(path) == METADATA
    assert list(tmp_path.iterdir()) == [path]


@each_format
def test_metadata_of_what_is_no_file_of_the_format_are_refused(name, tmp_path):
    (tmp_path / "text").write_bytes(b"\xff\xffnot a model")
    os.mkfifo(tmp_path / "pipe")
    for file in ("text", "pipe", "missing", "."):
        with pytest.raises(ExportError, match=f"{tmp_path / file} cannot be read"):
            formats.create(name).metadata(tmp_path / file)


def test_modes_come_back_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Dropout()).train()
    model[0].eval()

    def fail():
        with in_evaluation(model):
            assert not model.training
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        fail()
    assert [module.training for module in model.modules()] == [True, False, True]


def test_example_of_images_is_the_noise_of_its_seed():
    for seed in (0, 3):
        (x,) = example_inputs(IMAGES, seed)
        np.testing.assert_array_equal(x, np.random.default_rng(seed).standard_normal((1, 1, 16, 16), np.float32))
        assert x.dtype == np.float32
    np.testing.assert_array_equal(example_inputs(IMAGES)[0], example_inputs(IMAGES, 0)[0])


def test_example_of_several_inputs_is_drawn_in_their_order():
    word, state, more = example_inputs(STEP)
    assert (word.shape, word.dtype, word.any()) == ((1,), np.int64, np.False_)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(state, rng.standard_normal((1, 4), np.float32))
    np.testing.assert_array_equal(more, rng.standard_normal((1, 2, 3), np.float32))


def verified(model, change=lambda outputs: outputs, tolerance=1e-3, interface=None):
    interface = interface or interface_of(model, noise(1, 3))
    file = ModelFile(Path("model.onnx"), interface)
    return verify(model, lambda inputs: change(outputs_of(model, inputs)), file, tolerance)


def test_verify_gives_the_largest_relative_difference():
    model = TwoOutputs()
    assert verified(model) == 0
    # Each output has a scale of its own: a small one is not hidden behind a large one.
    (x,) = example_inputs(interface_of(model, noise(1, 3)))
    shift = 1e-4 * np.abs(x[:, :1]).max()
    found = verified(model, lambda outputs: (outputs[0], outputs[1] + shift))
    assert found == pytest.approx(1e-4, rel=1e-2)
    with pytest.raises(ExportError, match=r"within 1e-05 of the largest output, but model\.onnx differs by 0\.0001"):
        verified(model, lambda outputs: (outputs[0], outputs[1] + shift), 1e-5)


def test_verify_runs_the_model_in_evaluation_mode_and_restores_its_mode():
    model = nn.Dropout(0.9).train()
    (x,) = example_inputs(interface_of(model, noise(1, 3)))
    assert verified(model, lambda outputs: (x,)) == 0
    assert model.training


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["file", "model", "both"])
def test_verify_refuses_what_is_not_finite(number, side):
    bad = nn.Identity() if side == "file" else Filled(number)
    with pytest.raises(ExportError, match="differs by"):
        verified(bad, lambda outputs: (np.full((1, 3), 1.0 if side == "model" else number, np.float32),))


class Filled(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x):
        return torch.full_like(x, self.number)


def test_verify_refuses_another_number_of_outputs():
    model = TwoOutputs()
    with pytest.raises(ExportError, match=r"model\.onnx gives 1 outputs, the model 2, its interface 2"):
        verified(model, lambda outputs: outputs[:1])
    with pytest.raises(ExportError, match="the model 2, its interface 1"):
        verified(model, interface=Interface((Port("x", (1, 3)),), (Port("y", (1, 3)),)))


def test_verify_refuses_other_shapes():
    model = nn.Identity()
    with pytest.raises(ExportError, match=r"outputs of shape \(1, 2\), the model of \(1, 3\)"):
        verified(model, lambda outputs: (outputs[0][:, :2],))
    with pytest.raises(ExportError, match=r"its interface of \(1, 4\) as 'y'"):
        verified(model, interface=Interface((Port("x", (1, 3)),), (Port("y", (1, 4)),)))


def test_outputs_are_one_array_or_those_of_a_tuple():
    x = noise(1, 3)
    assert len(outputs_of(nn.Identity(), (x,))) == 1
    large, first = outputs_of(TwoOutputs(), (x,))
    np.testing.assert_array_equal(large, 100 * x)
    np.testing.assert_array_equal(first, x[:, :1])
