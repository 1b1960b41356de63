"""A published network with weights that timm's user has."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from timm.models.nasnet import NASNetALarge


@pytest.fixture(scope="module")
def timm(tmp_path_factory):
    """A small NASNet of timm's and the file of its weights."""
    torch.manual_seed(0)
    network = NASNetALarge(num_classes=7, stem_size=12, num_features=24 * 8).eval()
    path = tmp_path_factory.mktemp("timm") / "weights.safetensors"
    save_file(network.state_dict(), path)
    return network, path


def test_exported_file_gives_timms_outputs_and_says_how_it_is_used(command, timm, tmp_path):
    network, path = timm
    name = "nasnet-a-large:filters=8,stem=12"
    ran = command("export", name, "--timm-weights", path, "--output", tmp_path / "n.onnx")
    assert ran.code == 0, ran.err
    session, x = onnxruntime.InferenceSession(tmp_path / "n.onnx"), torch.randn(1, 3, 331, 331)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.inference_mode():
        assert np.abs(found - network(x).numpy()).max() < 1e-4 * np.abs(found).max()
    told = {p.key: p.value for p in onnx.load(tmp_path / "n.onnx").metadata_props}
    assert (json.loads(told["mean"]), json.loads(told["std"]), json.loads(told["network"])) == (0.5, 0.5, name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", "mnasnet-a1"), "but mnasnet-a1 is no network of cells"),
        (("export", "pnasnet-5"), "does not fit pnasnet-5 or pnasnet-5-large"),
        (("export", "nothing"), "No network of the zoo is called 'nothing'"),
        (("export", "nasnet-a", "--trial", "0"), "or a network of the zoo"),
        (("export", "nasnet-a", "--output", "nowhere/n.onnx"), "there is no nowhere"),
    ],
)
def test_what_cannot_be_is_refused(command, timm, words, message):
    ran = command(*words, "--timm-weights", timm[1])
    assert ran.code in (1, 2)
    assert message in " ".join(ran.err.split())


def test_file_that_holds_no_such_weights_is_refused(command, tmp_path):
    (tmp_path / "text").write_text("no weights")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    for name, message in (("text", "cannot be read"), ("other", "has none")):
        ran = command("export", "nasnet-a", "--timm-weights", tmp_path / name)
        assert ran.code == 1
        assert message in " ".join(ran.err.split())
