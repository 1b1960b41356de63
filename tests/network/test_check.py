"""Networks that break their promises, each found by running them once."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paretonas.errors import SpecError
from paretonas.network import build, builders
from paretonas.network.check import check_network
from paretonas.network.cost import spec_cost
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.space.nasbench import MacroSpec
from paretonas.zoo import zoo_spec

IMAGES = Interface.of_images(3, 8, 2)
WORDS = Interface((Port("word", (1,), "int64"), Port("state", (1, 4))), (Port("logits", (1, 7)), Port("state", (1, 4))))


class Net(nn.Module):
    """Two classes from the means of the channels."""

    def __init__(self, classes=2):
        super().__init__()
        self.fc = nn.Linear(3, classes)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


def changed(change):
    """A network whose outputs are changed so."""

    class Changed(Net):
        def forward(self, x):
            return change(self, x, super().forward(x))

    return Changed


SHARED = Net()
COUNT = itertools.count(2)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.fc = nn.Embedding(7, 4), nn.Linear(4, 7)

    def forward(self, word, state):
        state = self.embedding(word) + state
        return self.fc(state), state


BROKEN = {
    "classes": (lambda: Net(1000), r"'logits' of shape \(2, 2\) .* for a batch of 2, but got \(2, 1000\)"),
    "pair": (changed(lambda self, x, y: (y, y)), "one tensor, but got a tuple of 2"),
    "tuple of one": (changed(lambda self, x, y: (y,)), "one tensor, but got a tuple of 1"),
    "dict": (changed(lambda self, x, y: {"out": y}), "one tensor, but got a dict"),
    "nothing": (changed(lambda self, x, y: None), "one tensor, but got a NoneType"),
    "double": (changed(lambda self, x, y: y.double()), "type float32 .* and float64"),
    "half": (changed(lambda self, x, y: y.half()), "and float16"),
    "class": (changed(lambda self, x, y: y.argmax(1, keepdim=True).expand(-1, 2)), "and int64"),
    "batch": (changed(lambda self, x, y: y.reshape(1, -1)), r"but got \(1, 4\)"),
    "nan": (changed(lambda self, x, y: y / 0 * 0), "finite numbers, but 'logits' has some that are not"),
    "side": (
        lambda: nn.Sequential(nn.Conv2d(3, 2, 9)),
        r"shape \(2, 3, 8, 8\), but fails: RuntimeError: .*Kernel size",
    ),
    "fault": (changed(lambda self, x, y: {}["missing"]), "but fails: KeyError: 'missing'"),
    "auxiliary": (changed(lambda self, x, y: (y, y) if self.training else y), "one tensor, but got a tuple of 2"),
    "dropout": (changed(lambda self, x, y: F.dropout(y)), "differ. Is there a dropout"),
    "in place": (changed(lambda self, x, y: x.sub_(1) is None or y), "but changes it in place"),
    "random": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, next(COUNT))), "the same each time .* in '1.weight'"),
    "random kind": (lambda: nn.Sequential(nn.ReLU() if next(COUNT) % 2 else nn.SiLU()), "two differ in '0'"),
    "shared": (lambda: SHARED, "two share them. Build it in the factory"),
    "shared part": (lambda: nn.Sequential(SHARED, nn.ReLU()), "two share them"),
}


@pytest.mark.parametrize("fault", list(BROKEN))
def test_network_that_breaks_its_promises_is_one_sentence(fault):
    make, message = BROKEN[fault]
    with pytest.raises(SpecError, match=f"^The network N .*{message}"):
        check_network(make, IMAGES, "The network N")


@pytest.mark.parametrize(("make", "interface"), [(Net, IMAGES), (Recurrent, WORDS)])
def test_network_that_keeps_them_is_taken_and_leaves_randomness_as_it_was(make, interface):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check_network(make, interface, "The network")
    assert torch.equal(torch.get_rng_state(), before)


def test_number_of_outputs_is_that_of_the_interface():
    with pytest.raises(SpecError, match="gives a tuple of 2 tensors, but got a Tensor"):
        check_network(Net, Interface(IMAGES.inputs, (*IMAGES.outputs, Port("more", (1, 2)))), "It")
    three = changed(lambda self, x, y: (y, y, y))
    with pytest.raises(SpecError, match="gives 2 tensors, but got 3"):
        check_network(three, Interface(IMAGES.inputs, (*IMAGES.outputs, Port("more", (1, 2)))), "It")


@pytest.mark.parametrize("name", ["mobilenet-v2:width=0.25", "mnasnet-small", "mobilenet-v3-small"])
def test_published_networks_keep_them(name):
    interface = Interface.of_images(3, 32, 10)
    check_network(lambda: build(zoo_spec(name, resolution=32), interface), interface, name)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (lambda spec, interface, dropout: {}["missing"], "KeyError: 'missing'"),
        (lambda spec: None, "TypeError: "),
        (lambda spec, interface, dropout: "a network", r"gives a torch\.nn\.Module, but got 'a network'"),
    ],
)
def test_builder_that_gives_no_network_is_a_spec_error(monkeypatch, builder, message):
    monkeypatch.setattr(builders, "load", lambda kind: builder)
    with pytest.raises(SpecError, match=message):
        build(MacroSpec((0,) * 8), IMAGES)


def test_costs_are_of_networks_that_give_what_they_are_to(monkeypatch):
    monkeypatch.setattr(builders, "load", lambda kind: lambda *_: Net(1000))
    with pytest.raises(SpecError, match=r"^The network MacroSpec.* \(1, 2\) .* but got \(1, 1000\)"):
        spec_cost(MacroSpec((0,) * 8), Interface.of_images(3, 7, 2))
