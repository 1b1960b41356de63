from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from paretonas.errors import UsageError
from paretonas.network import build
from paretonas.network.sharing import cut_out, fresh_weights
from paretonas.space import Interface, spaces
from paretonas.training.weights import Weights, load_shared, load_weights, weights_digest
from paretonas.zoo import zoo_spec


def network(classes, text="mnasnet-a1:width=0.25"):
    return build(zoo_spec(text), Interface.of_images(3, 32, classes))


def same(a, b):
    return [name for name, tensor in a.state_dict().items() if torch.equal(tensor, b.state_dict()[name])]


@pytest.fixture
def file(tmp_path):
    def write(model, change=lambda tensors: tensors):
        path = tmp_path / "weights.safetensors"
        save_file(change(dict(model.state_dict())), path)
        return path

    return write


def test_all_weights_are_taken_where_the_classes_are_as_many(file):
    theirs, ours = network(7), network(7)
    assert load_weights(ours, file(theirs), 7) == ()
    assert same(ours, theirs) == list(ours.state_dict())


@pytest.mark.parametrize("name", ["mnasnet", "nasnet", "nas-rl-chain"])
def test_a_classifier_of_other_classes_begins_anew(file, name):
    from random import Random

    space = spaces.create(name).build()
    spec = space.decode(space.sample(Random(0)))
    theirs, ours = (build(spec, Interface.of_images(3, 32, classes)) for classes in (5, 7))
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    replaced = load_weights(ours, file(theirs), 7)
    assert set(replaced) == {"classifier.weight", "classifier.bias"}
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, before[key] if key in replaced else theirs.state_dict()[key])


@pytest.mark.parametrize(
    "text", ["ssdlite:backbone=mnasnet-a1,width=0.25", "faster-rcnn:backbone=detnasnet,width=0.25"]
)
def test_a_detector_stands_on_a_classifier_s_weights(file, text):
    spec = zoo_spec(text)
    theirs = build(spec.backbone, Interface.of_images(3, 32, 7))
    ours = build(spec, spec.usual_interface(3, 64, 2))
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    fresh = load_weights(ours, file(theirs), 2)
    assert all(name.startswith(("neck.", "heads.", "regions.", "boxes.")) for name in fresh)
    for key, tensor in ours.state_dict().items():
        inner = theirs.state_dict().get(key.removeprefix("backbone."))
        assert torch.equal(tensor, before[key] if key in fresh else inner)
    again = build(spec, spec.usual_interface(3, 64, 2))
    assert load_weights(again, file(ours), 2) == ()
    with pytest.raises(UsageError, match="lacks"):
        load_weights(ours, file(network(7, "mnasnet-b1:width=0.25")), 2)


def test_a_supernet_gives_a_network_its_part(tmp_path):
    wide, narrow, other = (zoo_spec(f"mnasnet-a1:width={width}") for width in (0.5, 0.25, 0.75))

    def make(spec):
        return build(spec, Interface.of_images(3, 32, 7))

    shared = fresh_weights([narrow, wide], make, True)
    path = tmp_path / "supernet.safetensors"
    save_file({role: tensor.detach() for role, tensor in shared.tensors().items()}, path, {"supernet": "{}"})
    network, part = make(narrow), make(narrow)
    assert load_weights(network, path, 7) == ()
    cut_out(shared, part)
    assert all(map(torch.equal, network.parameters(), part.parameters()))
    with pytest.raises(UsageError, match="no weights for this network"):
        load_weights(make(other), path, 7)


def test_an_auxiliary_classifier_keeps_its_own(file):
    text = "nasnet-a:cells=3,filters=4,skeleton=cifar"
    theirs, ours = network(7, text), network(7, text)
    ours.add_auxiliary(Interface.of_images(3, 32, 7))
    load_weights(ours, file(theirs), 7)
    assert not [
        name for name in theirs.state_dict() if not torch.equal(theirs.state_dict()[name], ours.state_dict()[name])
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "stem.0.weight"}, "lacks 'stem.0.weight'"),
        (lambda t: {**t, "more": torch.zeros(1)}, "has 'more'"),
        (
            lambda t: {**t, "stem.0.weight": torch.zeros(8, 1, 3, 3)},
            r"\(8, 3, 3, 3\) for 'stem.0.weight', but .* \(8, 1",
        ),
        (lambda t: {**t, "classifier.weight": torch.zeros(5, 9)}, r"for 'classifier.weight', but .* \(5, 9\)"),
    ],
)
def test_weights_of_another_network_are_refused(file, change, message):
    with pytest.raises(UsageError, match=message):
        load_weights(network(7), file(network(7), change), 7)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    (tmp_path / "text").write_text("no weights")
    for path in (tmp_path / "none", tmp_path / "text", tmp_path):
        with pytest.raises(UsageError, match=r"Weights are a \.safetensors file, but .* cannot be read"):
            load_weights(nn.Linear(1, 1), path, 1)
    with pytest.raises(UsageError, match="cannot be read"):
        weights_digest(tmp_path / "none")


def test_digest_is_of_the_contents(tmp_path):
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(text)
    a, b, c = (weights_digest(tmp_path / name) for name in "abc")
    assert a == b != c


def make(spec):
    return build(spec, spec.usual_interface(3, 64, 7))


@pytest.fixture
def supernets(tmp_path):
    """Shared weights of two classifiers and their file, and of the detectors that stand on them."""
    specs = [zoo_spec(f"shufflenet-uniform:block={block},width=0.25") for block in (0, 3)]
    classifiers = fresh_weights(specs, make, False)
    path = tmp_path / "supernet.safetensors"
    save_file({role: tensor.detach() for role, tensor in classifiers.tensors().items()}, path, {"supernet": "{}"})
    detectors = [replace(zoo_spec("ssdlite:backbone=mobilenet-v2"), backbone=spec) for spec in specs]
    return classifiers, path, specs, detectors


def test_detectors_have_their_parts_of_a_supernet_of_classifiers(supernets):
    classifiers, path, specs, detectors = supernets
    network, part = make(detectors[1]), make(specs[1])
    fresh = load_weights(network, path, 7)
    assert all(name.startswith(("neck.", "heads.")) for name in fresh)
    cut_out(classifiers, part)
    kept = {f"backbone.{name}": tensor for name, tensor in part.named_parameters()}
    for name, parameter in network.named_parameters():
        assert name in fresh or torch.equal(parameter, kept[name])


def test_a_supernet_of_detectors_begins_with_one_of_classifiers(supernets):
    classifiers, path, _, detectors = supernets
    shared = fresh_weights(detectors, make, False)
    load_shared(shared, path, make(detectors[1]), 7)
    theirs, given = classifiers.tensors(), 0
    for role, tensor in shared.tensors().items():
        if "/backbone:" in role:
            inner = "network/" + role.split("/", 2)[2]
            assert torch.equal(tensor, theirs[inner])
            given += 1
    assert given > 200


def test_a_supernet_begins_with_its_largest_network(file):
    wide, narrow = (zoo_spec(f"mnasnet-a1:width={width}") for width in (0.5, 0.25))
    theirs, shared = make(wide), fresh_weights([narrow, wide], make, True)
    load_shared(shared, file(theirs), make(wide), 7)
    whole = make(wide)
    cut_out(shared, whole)
    assert all(torch.equal(whole.get_parameter(name), p) for name, p in theirs.named_parameters())
    with pytest.raises(UsageError, match="Weights"):
        load_shared(shared, file(make(narrow)), make(wide), 7)


def test_a_supernet_of_other_layers_is_refused(supernets, tmp_path):
    _, path, _, _ = supernets
    shared = fresh_weights([zoo_spec("mnasnet-a1:width=0.25")], make, False)
    with pytest.raises(UsageError, match="lacks"):
        load_shared(shared, path, network(7), 7)


def test_weights_are_known_by_their_contents(file):
    path = file(network(7))
    assert Weights.of(path) == Weights(path, weights_digest(path))
