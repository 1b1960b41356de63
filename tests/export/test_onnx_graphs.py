"""What the direct ONNX writer makes of branches, of several inputs and outputs, and of names."""

import onnx
import pytest
import torch
from exported import Module, Pair, assert_file_agrees, assert_written, indices, interface_of, noise, sides
from torch import nn

from paretonas.export.onnx import export_directly, modules_of_nodes
from paretonas.network import build
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.space.recurrent import RecurrentSpec
from paretonas.testing.runtime import randomize_statistics

GRAPHS = {
    "bias and normalization": nn.Sequential(nn.Conv2d(4, 6, 3, bias=True), nn.BatchNorm2d(6)),
    "normalization twice": nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)),
    "normalization after activation": nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
    "output read twice": Module(
        lambda self, x: self.norm(self.conv(x)) + self.conv(x), conv=nn.Conv2d(4, 4, 1), norm=nn.BatchNorm2d(4)
    ),
    "normalized and not": Module(
        lambda self, x: (lambda y: self.norm(y) * y)(self.conv(x)), conv=nn.Conv2d(4, 4, 1), norm=nn.BatchNorm2d(4)
    ),
    "doubled": Module(lambda self, x: (lambda y: y + y)(self.act(x)), act=nn.ReLU()),
    "added in place": Module(lambda self, x: augmented(self.act(x), x), act=nn.ReLU()),
    "sum of a list": Module(lambda self, x: sum([x, self.act(x), x]), act=nn.ReLU()),
    "dead end": Module(lambda self, x: (self.act(x), self.gate(x))[0], act=nn.ReLU(), gate=nn.Sigmoid()),
    "parameter": Module(
        lambda self, x: self.scale * x + self.shift,
        scale=nn.Parameter(torch.randn(4, 1, 1)),
        shift=nn.Buffer(torch.ones(1)),
    ),
    "nothing at all": nn.Sequential(nn.Identity()),
    "dropout between": nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout(0.5), nn.BatchNorm2d(4)),
}


def augmented(x, y):
    x += y
    x *= 2
    return x


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_is_written_as_it_computes(path, name):
    assert_written(path, randomize_statistics(GRAPHS[name]), noise(1, 4, 7, 7))


def shared(self, x):
    y = self.act(x)
    return y, y + 1


OUTPUTS = {
    "two": Module(lambda self, x: (self.act(x), self.gate(x)), act=nn.ReLU(), gate=nn.Sigmoid()),
    "a list": Module(lambda self, x: [self.act(x), self.gate(x)], act=nn.ReLU(), gate=nn.Sigmoid()),
    "one": Module(lambda self, x: (self.act(x),), act=nn.ReLU()),
    "read by others": Module(shared, act=nn.ReLU()),
    "the same twice": Module(lambda self, x: (lambda y: (y, y))(self.act(x)), act=nn.ReLU()),
    "the same thrice": Module(lambda self, x: (lambda y: (y, y, y + 0))(self.act(x)), act=nn.ReLU()),
    "the input": Module(lambda self, x: (x, self.act(x)), act=nn.ReLU()),
    "the input twice": Module(lambda self, x: (x, self.act(x)), act=nn.Identity()),
    "a parameter": Module(lambda self, x: (self.scale, x * self.scale), scale=nn.Parameter(torch.ones(1, 1, 7, 7))),
    "parts": Module(lambda self, x: x.chunk(2, 1)),
    "a pyramid": Module(lambda self, x: (x * 2, self.pool(x), self.pool(self.pool(x))), pool=nn.MaxPool2d(2)),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_kind_of_output_is_written(path, name):
    model = OUTPUTS[name].eval()
    assert_written(path, model, noise(1, 4, 7, 7))
    interface = interface_of(model, noise(1, 4, 7, 7))
    graph = onnx.load(path).graph
    assert [value.name for value in graph.input] == ["x0"]
    assert [value.name for value in graph.output] == [port.name for port in interface.outputs]
    if name != "a parameter":
        assert [sides(value) for value in graph.output] == [["batch", *p.shape[1:]] for p in interface.outputs]


def recurrent_step(self, word, state):
    gate, new = self.mix(self.words(word) + state).chunk(2, dim=-1)
    state = torch.sigmoid(gate) * torch.tanh(new)
    return self.decoder(state), state


def test_recurrent_step_takes_and_gives_a_state_of_one_name(path):
    model = Pair(recurrent_step, words=nn.Embedding(7, 4), mix=nn.Linear(4, 8), decoder=nn.Linear(4, 7)).eval()
    assert_written(path, model, indices(1), noise(1, 4))
    ports = (Port("word", (1,), "int64"), Port("state", (1, 4))), (Port("logits", (1, 7)), Port("state", (1, 4)))
    export_directly(model, Interface(*ports), path)
    assert_file_agrees(path, model, indices(3), noise(3, 4))
    graph = onnx.load(path).graph
    assert [value.name for value in graph.input] == ["word", "state"]
    assert [value.name for value in graph.output] == ["logits", "state_out"]


def test_modules_of_nodes_knows_code_copies_and_parts_of_a_split(path):
    inner = Module(lambda self, x: torch.cat(x.chunk(2, 1)[::-1], 1))
    model = Module(lambda self, x: (x, self.inner(self.inner(x) + 1)), inner=inner)
    export_directly(model, interface_of(model, noise(1, 4, 2, 2)), path)
    found = modules_of_nodes(path)
    nodes = [(node.op_type, found[node.name]) for node in onnx.load(path).graph.node]
    assert nodes == [
        ("Split", "inner"),
        ("Concat", "inner"),
        ("Add", ""),
        ("Split", "inner"),
        ("Concat", "inner"),
        ("Identity", ""),
    ]
    assert found["inner/split_0.1"] == "inner"
    assert found["y1"] == "inner"
    assert found["y0"] == ""


STAMPS = {
    "found in all": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU6()), 13, 7),
    "hard swish": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.Hardswish()), 14, 7),
    "axes as an input": (Module(lambda self, x: x.mean((2, 3))), 18, 8),
}


@pytest.mark.parametrize("name", STAMPS)
def test_file_is_stamped_with_the_oldest_versions_that_its_operators_have(path, name):
    model, opset, version = STAMPS[name]
    assert_written(path, model, noise(1, 4, 7, 7))
    written = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in written.opset_import] == [("", opset)]
    assert written.ir_version == version
    onnx.checker.check_model(written, full_check=True)


def test_tied_weights_are_written_once(path):
    model = build(RecurrentSpec(None, hidden=3, layers=1, is_tied=True), Interface.of_words(17))
    interface = RecurrentSpec(None, hidden=3, layers=1).with_state(Interface.of_words(17))
    export_directly(model.eval(), interface, path)
    shapes = [tuple(weight.dims) for weight in onnx.load(path).graph.initializer]
    assert shapes.count((17, 3)) == 1
