import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from paretonas.errors import ExportError
from paretonas.export import exporters
from paretonas.export.checkpoint import load_checkpoint, save_checkpoint
from paretonas.network import build
from paretonas.space import ForeignSpec, spec_to_json
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.testing.runtime import randomize_statistics

SPEC = MnasNetSpec((BlockSpec("mbconv", 3, 8, 2, 2, 3, 0.25, "identity"),), stem_filters=8, head_filters=16)
SHAPE = (1, 1, 16, 16)
INFO = {"labels": ["cat", "dog"], "metrics": {"accuracy": 0.5}, "ema": True}


@pytest.fixture
def model():
    return randomize_statistics(build(SPEC, 5, channels=1)).eval()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def header(**changes):
    return {"spec": spec_to_json(SPEC), "input_shape": list(SHAPE), "classes": 5, "info": {}} | changes


def write(path, model, data):
    text = data if isinstance(data, str) else json.dumps(data)
    save_file(model.state_dict(), path, {"paretonas": text})


def test_round_trip_gives_the_same_network(path, model):
    save_checkpoint(model, SPEC, SHAPE, path, INFO)
    found = load_checkpoint(path)
    assert (found.spec, found.input_shape, found.info) == (SPEC, SHAPE, INFO)
    assert not any(module.training for module in found.model.modules())
    state = model.state_dict()
    assert list(found.model.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.model.state_dict().items())
    x = torch.randn(2, *SHAPE[1:])
    with torch.no_grad():
        assert torch.equal(found.model(x), model(x))


def test_round_trip_of_a_foreign_model(path):
    spec = ForeignSpec("timm:mobilenetv3_small_050")
    model = build(spec, 3).eval()
    save_checkpoint(model, spec, (1, 3, 32, 32), path, {})
    found = load_checkpoint(path)
    assert found.spec == spec
    with torch.no_grad():
        assert torch.equal(found.model(torch.ones(1, 3, 32, 32)), model(torch.ones(1, 3, 32, 32)))


def test_exporter_of_that_name_writes_checkpoints(path, model):
    exporters.load("safetensors")(model, SPEC, SHAPE, path)
    assert load_checkpoint(path).spec == SPEC
    assert load_checkpoint(path).info == {}


def test_save_replaces_the_file_and_leaves_no_draft(path, model):
    path.write_text("before", encoding="utf-8")
    save_checkpoint(model, SPEC, SHAPE, path, INFO)
    save_checkpoint(model, SPEC, SHAPE, path, {})
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert load_checkpoint(path).info == {}


def test_save_keeps_the_old_file_if_it_fails(path, model):
    save_checkpoint(model, SPEC, SHAPE, path, INFO)
    with pytest.raises(TypeError):
        save_checkpoint(model, SPEC, SHAPE, path, {"not": object()})
    assert load_checkpoint(path).info == INFO


def test_save_leaves_the_model_in_its_mode(path, model):
    model.train()
    save_checkpoint(model, SPEC, SHAPE, path, {})
    assert model.training


def test_missing_file_is_an_export_error(path):
    with pytest.raises(ExportError, match=r"model\.safetensors cannot be read"):
        load_checkpoint(path)


def test_folder_is_an_export_error(tmp_path):
    with pytest.raises(ExportError, match="cannot be read"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("part", [0, 4, 100, 0.5, 0.99])
def test_cut_file_is_an_export_error(path, model, part):
    save_checkpoint(model, SPEC, SHAPE, path, INFO)
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
        header(spec=spec_to_json(SPEC) | {"stem_filters": 16}),
        header(spec=spec_to_json(SPEC) | {"head_filters": 32}),
        header(spec=spec_to_json(ForeignSpec("timm:no_such_model"))),
        header(spec=spec_to_json(ForeignSpec("no_such_module:factory"))),
        header(classes=6),
        header(classes="many"),
        header(classes=-1),
        header(classes=None),
        header(input_shape=[1, 3, 16, 16]),
        header(input_shape=[1]),
        header(input_shape=None),
        header(input_shape=["N", "C"]),
    ],
)
def test_header_that_does_not_fit_is_an_export_error(path, model, data):
    write(path, model, data)
    with pytest.raises(ExportError, match=r"model\.safetensors cannot be read"):
        load_checkpoint(path)


def test_missing_and_extra_weights_are_export_errors(path, model):
    save_checkpoint(model, SPEC, SHAPE, path, {})
    tensors = load_file(path)
    fewer = {name: tensor for name, tensor in tensors.items() if name != "head.0.weight"}
    for wrong in (fewer, tensors | {"more": torch.zeros(1)}):
        save_file(wrong, path, {"paretonas": json.dumps(header())})
        with pytest.raises(ExportError, match="cannot be read"):
            load_checkpoint(path)
