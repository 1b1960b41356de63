import json
import pickle
import sys
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from paretonas.errors import ExportError, SpecError
from paretonas.export import checkpoint, formats
from paretonas.export.checkpoint import load_checkpoint, save_checkpoint
from paretonas.network import build
from paretonas.space import ForeignSpec, Interface, spec_to_json
from paretonas.space.interface import Port
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.testing.runtime import randomize_statistics

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 8, 2, 2, 3, 0.25, "identity"),), stem_filters=8, head_filters=16)
INTERFACE = Interface.of_images(channels=1, resolution=16, classes=5)
INFO = {"labels": ["cat", "dog"], "metrics": {"accuracy": 0.5}, "ema": True}


@pytest.fixture
def model():
    return randomize_statistics(build(SPEC, INTERFACE)).eval()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def header(**changes):
    return {"spec": spec_to_json(SPEC), "interface": asdict(INTERFACE), "info": {}} | changes


def interface(*shape, classes=5, **changes):
    """The interface in a header, of images of that shape."""
    port = {"name": "images", "shape": list(shape), "dtype": "float32"} | changes
    return {"inputs": [port], "outputs": [{"name": "logits", "shape": [1, classes], "dtype": "float32"}]}


def write(path, model, data):
    text = data if isinstance(data, str) else json.dumps(data)
    save_file(model.state_dict(), path, {"paretonas": text})


def test_round_trip_gives_the_same_network(path, model):
    save_checkpoint(model, SPEC, INTERFACE, path, INFO)
    found = load_checkpoint(path)
    assert (found.spec, found.interface, found.info) == (SPEC, INTERFACE, INFO)
    assert not any(module.training for module in found.model.modules())
    state = model.state_dict()
    assert list(found.model.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.model.state_dict().items())
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(found.model(x), model(x))


def test_round_trip_of_a_foreign_model(path):
    spec = ForeignSpec("timm:mobilenetv3_small_050")
    images = Interface.of_images(channels=3, resolution=32, classes=3)
    model = build(spec, images).eval()
    save_checkpoint(model, spec, images, path, {})
    found = load_checkpoint(path)
    assert (found.spec, found.interface) == (spec, images)
    with torch.no_grad():
        assert torch.equal(found.model(torch.ones(1, 3, 32, 32)), model(torch.ones(1, 3, 32, 32)))


def test_format_of_that_name_writes_checkpoints(path, model):
    formats.create("safetensors").write(model, SPEC, INTERFACE, path)
    assert load_checkpoint(path).spec == SPEC
    assert load_checkpoint(path).info == {}


class Tied(nn.Module):
    """Reads a word with the weights with which it tells the next."""

    def __init__(self):
        super().__init__()
        self.embedding, self.decoder = nn.Embedding(7, 4), nn.Linear(4, 7)
        self.decoder.weight = self.embedding.weight

    def forward(self, word, state):
        state = self.embedding(word) + state
        return self.decoder(state), state


def test_round_trip_of_tied_weights_and_an_interface_of_several_ports(path, monkeypatch):
    interface = Interface(
        (Port("word", (1,), "int64"), Port("state", (1, 4))), (Port("logits", (1, 7)), Port("state", (1, 4)))
    )
    model = Tied().eval()
    monkeypatch.setattr(checkpoint, "build", lambda spec, interface: Tied())
    save_checkpoint(model, SPEC, interface, path, {})
    found = load_checkpoint(path)
    assert found.interface == interface
    assert found.model.decoder.weight is found.model.embedding.weight
    assert torch.equal(found.model.decoder.weight, model.decoder.weight)


def test_save_replaces_the_file_and_leaves_no_draft(path, model):
    path.write_text("before", encoding="utf-8")
    save_checkpoint(model, SPEC, INTERFACE, path, INFO)
    save_checkpoint(model, SPEC, INTERFACE, path, {})
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert load_checkpoint(path).info == {}


def test_save_keeps_the_old_file_if_it_fails(path, model):
    save_checkpoint(model, SPEC, INTERFACE, path, INFO)
    with pytest.raises(TypeError):
        save_checkpoint(model, SPEC, INTERFACE, path, {"not": object()})
    assert load_checkpoint(path).info == INFO


def test_save_leaves_the_model_in_its_mode(path, model):
    model.train()
    save_checkpoint(model, SPEC, INTERFACE, path, {})
    assert model.training


def test_missing_file_is_an_export_error(path):
    with pytest.raises(ExportError, match=r"model\.safetensors cannot be read"):
        load_checkpoint(path)


def test_folder_is_an_export_error(tmp_path):
    with pytest.raises(ExportError, match="cannot be read"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("part", [0, 4, 100, 0.5, 0.99])
def test_cut_file_is_an_export_error(path, model, part):
    save_checkpoint(model, SPEC, INTERFACE, path, INFO)
    data = path.read_bytes()
    path.write_bytes(data[: part if isinstance(part, int) else int(part * len(data))])
    with pytest.raises(ExportError, match="cannot be read"):
        load_checkpoint(path)


def test_pickle_is_never_opened(path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("it was unpickled",)

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ExportError, match="cannot be read"):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_checkpoint_of_others_is_an_export_error(path, model, metadata):
    save_file(model.state_dict(), path, metadata)
    with pytest.raises(ExportError, match="a file that paretonas wrote"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "data",
    [
        "not JSON",
        [],
        {},
        7,
        header(spec={"kind": "mnasnet"}),
        header(spec={"kind": "unheard-of"}),
        header(interface=interface(1, 1, 16, 16, classes="many")),
        header(interface=interface(1, 1, 16, 16, classes=-1)),
        header(interface=interface(1, 1, 16, 16, classes=None)),
        header(interface=interface("N", "C")),
        header(interface=interface(1, 1, 16, 16, dtype="bfloat16")),
        header(interface=interface(1, 1, 16, 16, name="")),
        header(interface=interface(1, 1, 16, 16, more=1)),
        header(interface=interface(1, 1, 16, 16) | {"outputs": []}),
        header(interface={"inputs": []}),
        header(interface=[]),
        header(interface=None),
    ],
)
def test_header_that_does_not_fit_is_an_export_error(path, model, data):
    write(path, model, data)
    with pytest.raises(ExportError, match=r"model\.safetensors cannot be read"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "data",
    [
        header(spec=spec_to_json(SPEC) | {"stem_filters": 16}),
        header(spec=spec_to_json(SPEC) | {"head_filters": 32}),
        header(interface=interface(1, 1, 16, 16, classes=6)),
        header(interface=interface(1, 3, 16, 16)),
    ],
)
def test_weights_of_another_network_are_an_export_error(path, model, data):
    write(path, model, data)
    with pytest.raises(ExportError, match=r"holds the weights of its network, but .*model\.safetensors does not"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(spec=spec_to_json(ForeignSpec("timm:no_such_model"))), "list_models"),
        (header(spec=spec_to_json(ForeignSpec("antigravity:geohash"))), "imported only if it is trusted"),
        (header(interface=interface(1)), "are fed channels"),
    ],
)
def test_network_that_cannot_be_built_here_is_a_spec_error(path, model, data, message):
    write(path, model, data)
    with pytest.raises(SpecError, match=rf"model\.safetensors: .*{message}"):
        load_checkpoint(path)
    assert "antigravity" not in sys.modules  # it opens a browser


def test_missing_and_extra_weights_are_export_errors(path, model):
    save_checkpoint(model, SPEC, INTERFACE, path, {})
    tensors = load_file(path)
    fewer = {name: tensor for name, tensor in tensors.items() if name != "head.0.weight"}
    for wrong in (fewer, tensors | {"more": torch.zeros(1)}):
        save_file(wrong, path, {"paretonas": json.dumps(header())})
        with pytest.raises(ExportError, match="does not: "):
            load_checkpoint(path)
