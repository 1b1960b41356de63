"""LiteRT's files beside the networks that they are written of."""

import sys

import pytest
from converted import IMAGES, NETWORKS, TOKENS, Branching, Small, Step, of_the_zoo, small

from paretonas.device.runtime.litert import LiteRt
from paretonas.errors import ExportError, MissingPackageError
from paretonas.export import ModelFile, formats, verify
from paretonas.export.appended import append_json
from paretonas.export.litert import LiteRtFormat, modules_behind, named_module
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.space.spec import ForeignSpec
from paretonas.zoo import zoo_spec

FOREIGN = ForeignSpec("tests:small")


def write(model, interface, path, metadata=None):
    """As a foreign model, which the converter converts."""
    LiteRtFormat().write(model, FOREIGN, interface, path, metadata or {})
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width", "side"), NETWORKS)
def test_a_network_of_the_zoo_agrees_with_its_file(tmp_path, name, width, side):
    _, interface, model = of_the_zoo(name, width, side)
    path = write(model, interface, tmp_path / "a.tflite")
    assert LiteRt().interface(path) == interface
    for runtime in (LiteRt(), LiteRt(delegate="none"), LiteRt(threads=2)):
        assert verify(model, runtime.load(path), ModelFile(path, interface), LiteRtFormat.tolerance) < 1e-4


@pytest.mark.slow
def test_inputs_and_outputs_have_the_names_and_the_order_of_the_interface(tmp_path):
    model = Step().eval()
    path = write(model, TOKENS, tmp_path / "a.tflite")
    assert LiteRt().interface(path) == TOKENS
    assert verify(model, LiteRt().load(path), ModelFile(path, TOKENS), 1e-5) < 1e-5


@pytest.mark.slow
def test_writing_leaves_the_model_as_it_was_and_no_word_on_the_output(tmp_path, capfd):
    model = small().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path = write(model, IMAGES, tmp_path / "a.tflite", {"classes": ["a", "b"]})
    assert all(module.training for module in model.modules())
    assert all((tensor == before[name]).all() for name, tensor in model.state_dict().items())
    assert LiteRtFormat().metadata(path) == {"classes": ["a", "b"]}
    assert capfd.readouterr().out == ""
    assert [file.name for file in tmp_path.iterdir()] == ["a.tflite"]
    verify(model, LiteRt().load(path), ModelFile(path, IMAGES), 1e-5)  # in evaluation mode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "outputs"), [(Branching(), IMAGES.outputs), (Small(), (*IMAGES.outputs, Port("more", (1, 4))))]
)
def test_what_cannot_be_converted_is_an_export_error_and_no_file(tmp_path, model, outputs):
    with pytest.raises(ExportError, match="LiteRT Torch cannot convert this network"):
        write(model, Interface(IMAGES.inputs, outputs), tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_names_that_the_converter_would_change_are_refused(tmp_path):
    with pytest.raises(ExportError, match=r"got \['input\.1'\]"):
        write(Small(), Interface((Port("input.1", (1, 3, 8, 8)),), IMAGES.outputs), tmp_path / "a.tflite")


BEFORE = "torch.export.<locals>.Wrapper/paretonas.export.litert._Naming_named/a.b.Net_model"
KNOWN = ["stem", "stem.0", "stem.2", "blocks", "blocks.1", "blocks.1.se_1", "blocks.1.1", "classifier"]


@pytest.mark.parametrize(
    ("tensor", "outer", "inner"),
    [
        (f"{BEFORE}/t.Sequential_stem/t.Conv2d_0;1", "stem.0", "stem.0"),
        (f"{BEFORE}/t.Sequential_stem/t.ReLU_2;;{BEFORE}/t.Sequential_stem/t.Conv2d_0;", "stem.2", "stem.0"),
        (f"{BEFORE}/t.Sequential_blocks/t.My_Block_1/t.Squeeze_se_1;", "blocks.1.se_1", "blocks.1.se_1"),
        (f"{BEFORE}/t.Sequential_blocks/t.My_Block_1/t.Added_later;", "blocks.1", "blocks.1"),
        (f"{BEFORE};1", "", ""),
        ("serving_default_logits_output", "", ""),
        ("arith.constant", "", ""),
        ("a/b_stem", "", ""),
        ("blocks.1.1/conv_12", "blocks.1.1", "blocks.1.1"),
        ("/add_3", "", ""),
    ],
)
def test_a_tensor_is_of_the_module_that_its_name_says(tensor, outer, inner):
    assert (named_module(tensor, KNOWN, False), named_module(tensor, KNOWN, True)) == (outer, inner)


def test_modules_behind_a_file_are_anybodys(tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"\0\0\0\0TFL3")
    assert modules_behind(path) == []
    append_json(path, {"modules": {"names": [1]}})
    with pytest.raises(ExportError, match=r"names of modules behind it, but .*a\.tflite has \[1\]"):
        modules_behind(path)


@pytest.mark.slow
def test_what_the_direct_writer_does_not_know_is_converted(tmp_path):
    spec, path = zoo_spec("mnasnet-a1"), tmp_path / "a.tflite"
    LiteRtFormat().write(Step().eval(), spec, TOKENS, path)
    assert LiteRt().interface(path) == TOKENS


def test_without_its_package_the_format_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    chosen = formats.create("litert")
    with pytest.raises(MissingPackageError, match="pip install litert-torch"):
        chosen.write(Small(), FOREIGN, IMAGES, tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []
