import pytest
import torch

from paretonas.errors import SpecError
from paretonas.export.checkpoint import load_checkpoint, save_checkpoint
from paretonas.network import build
from paretonas.space import Interface
from paretonas.zoo import zoo_spec


def with_auxiliary(name, resolution, classes):
    interface = Interface.of_images(3, resolution, classes)
    network = build(zoo_spec(name, resolution=resolution), interface)
    network.add_auxiliary(interface)
    return network, interface


@pytest.mark.parametrize(
    ("name", "resolution", "classes", "params"),
    [
        ("nasnet-a", 32, 10, 4_978_036),
        ("nasnet-a-large", 331, 1000, 93_320_934),
        ("pnasnet-5-large", 331, 1000, 90_643_884),
    ],
)
def test_params_of_published_networks_while_they_learn(name, resolution, classes, params):
    with torch.device("meta"):
        network, _ = with_auxiliary(name, resolution, classes)
    assert sum(p.numel() for p in network.parameters()) == params


def test_there_are_two_outputs_in_training_alone():
    network, _ = with_auxiliary("nasnet-a:cells=3,filters=4", 32, 10)
    x = torch.zeros(2, 3, 32, 32)
    assert [logits.shape for logits in network(x)] == [(2, 10), (2, 10)]
    assert network.eval()(x).shape == (2, 10)


def test_a_checkpoint_leaves_it_out(tmp_path):
    network, interface = with_auxiliary("nasnet-a:cells=3,filters=4", 32, 10)
    spec = zoo_spec("nasnet-a:cells=3,filters=4", resolution=32)
    save_checkpoint(network, spec, interface, tmp_path / "a.safetensors", {})
    loaded, x = load_checkpoint(tmp_path / "a.safetensors").model, torch.randn(1, 3, 32, 32)
    assert torch.equal(loaded(x), network.eval()(x))


def test_images_too_small_for_it_are_an_error():
    with pytest.raises(SpecError, match=r"`side >= 5` must hold where .* but got 2. Take larger images"):
        with_auxiliary("nasnet-a:cells=3,filters=4", 4, 10)
