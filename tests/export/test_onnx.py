from random import Random

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paretonas.errors import ExportError
from paretonas.export import onnx as onnx_export
from paretonas.export.onnx import export_directly, export_onnx, export_with_torch, modules_of_nodes
from paretonas.network import build
from paretonas.space import ForeignSpec
from paretonas.space.mnasnet import BlockSpec, MnasNetSpace, MnasNetSpec
from paretonas.testing.runtime import images, randomize_statistics
from paretonas.zoo.zoo import zoo_spec

TINY = MnasNetSpec(
    (
        BlockSpec("conv", 3, 12, 2, 2, 1, 0.25, "pool"),
        BlockSpec("mbconv", 5, 8, 2, 1, 3, 0.25, "pool"),
        BlockSpec("mbconv", 3, 8, 1, 1, 1, 0.0, "identity"),
    ),
    stem_filters=8,
    head_filters=16,
    activation="relu6",
)


def run(path, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": x})[0]


def assert_file_agrees(path, model, x, tolerance=1e-5):
    with torch.inference_mode():
        expected = model.eval()(torch.from_numpy(x)).numpy()
    found = run(path, x)
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def assert_written(model, shape, path, tolerance=1e-5):
    export_directly(model.eval(), shape, path)
    assert_file_agrees(path, model, images(*shape), tolerance)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize(
    ("name", "width", "side", "channels"),
    [
        ("mnasnet-a1", 1.0, 64, 3),
        ("mnasnet-b1", 0.5, 33, 1),
        ("mnasnet-small", 1.0, 96, 3),
        ("mnasnet-d1-320", 0.35, 64, 3),
        ("mobilenet-v2", 1.0, 64, 3),
    ],
)
def test_direct_file_agrees_for_published_networks(path, name, width, side, channels):
    spec = zoo_spec(name, width, side)
    model = randomize_statistics(build(spec, 10, channels))
    export_onnx(model, spec, (1, channels, side, side), path)
    assert_file_agrees(path, model, images(2, channels, side, side))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("variant", ["paper", "google", "flat", "cell"])
def test_direct_file_agrees_for_points_of_the_space(path, variant, seed):
    space = MnasNetSpace(variant=variant, resolution=32, width=0.5).build()
    spec = space.decode(space.sample(Random(seed)))
    torch.manual_seed(seed)
    model = randomize_statistics(build(spec, 10), seed)
    export_onnx(model, spec, (1, 3, 32, 32), path)
    assert_file_agrees(path, model, images(1, 3, 32, 32))


def test_direct_file_equals_pytorchs_own(tmp_path):
    model = randomize_statistics(build(TINY, 10)).eval()
    shape = (1, 3, 16, 16)
    export_directly(model, shape, tmp_path / "ours.onnx")
    export_with_torch(model, shape, tmp_path / "theirs.onnx")
    for batch in (1, 3):
        x = images(batch, 3, 16, 16)
        ours, theirs = run(tmp_path / "ours.onnx", x), run(tmp_path / "theirs.onnx", x)
        assert ours.shape == theirs.shape == (batch, 10)
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
    assert {file.name for file in tmp_path.iterdir()} == {"ours.onnx", "theirs.onnx"}


def test_file_is_one_checked_model_with_an_open_batch(path):
    export_onnx(build(TINY, 10), TINY, (1, 3, 16, 16), path)
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert model.ir_version == 10
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["logits"]
    sides = model.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in sides] == ["batch", 3, 16, 16]
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    assert {tensor.data_location for tensor in model.graph.initializer} == {onnx.TensorProto.DEFAULT}


def test_normalization_is_folded_into_the_convolutions(path):
    export_onnx(build(zoo_spec("mnasnet-b1", 0.5), 10), zoo_spec("mnasnet-b1"), (1, 3, 64, 64), path)
    graph = onnx.load(path).graph
    assert {node.op_type for node in graph.node} == {"Conv", "Relu", "Add", "GlobalAveragePool", "Flatten", "Gemm"}
    # Stem, head, and of 17 layers three convolutions each, but for the first, which has two.
    assert sum(node.op_type == "Conv" for node in graph.node) == 2 + 16 * 3 + 2


def test_nodes_are_named_after_their_modules(path):
    model = build(TINY, 10)
    export_onnx(model, TINY, (1, 3, 16, 16), path)
    nodes = onnx.load(path).graph.node
    modules = [(node.op_type, node.name.rpartition("/")[0]) for node in nodes]
    assert modules[:2] == [("Conv", "stem.0"), ("Clip", "stem.2")]  # a convolution with its normalization is the former
    assert ("Mul", "blocks.0.0.body.3") in modules  # the module whose code multiplies
    assert ("Pad", "blocks.0.0.skip") in modules
    assert ("Add", "blocks.0.1") in modules
    assert modules[-3:] == [("GlobalAveragePool", "pool"), ("Flatten", "flatten"), ("Gemm", "classifier")]
    assert {module for _, module in modules} <= {name for name, _ in model.named_modules()}
    assert len({node.name for node in nodes}) == len(nodes)
    found = modules_of_nodes(path)
    assert found == {node.name: module for node, (_, module) in zip(nodes, modules, strict=True)} | {
        "logits": "classifier"
    }


def test_export_overwrites_and_leaves_the_model_as_it_was(path):
    path.write_text("something else", encoding="utf-8")
    model = build(TINY, 10).train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export_onnx(model, TINY, (1, 3, 16, 16), path)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert_file_agrees(path, model, images(1, 3, 16, 16))


@pytest.mark.parametrize(("spec", "writer"), [(TINY, "ours"), (ForeignSpec("timm:resnet18"), "torch's")])
def test_writer_is_chosen_by_the_spec(path, monkeypatch, spec, writer):
    calls = []
    monkeypatch.setattr(onnx_export, "export_directly", lambda *args: calls.append("ours"))
    monkeypatch.setattr(onnx_export, "export_with_torch", lambda *args: calls.append("torch's"))
    export_onnx(nn.Identity(), spec, (1, 3, 8, 8), path)
    assert calls == [writer]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "resnet18"])
def test_foreign_model_goes_through_pytorchs_exporter(path, name):
    spec = ForeignSpec(f"timm:{name}")
    model = randomize_statistics(build(spec, 10))
    export_onnx(model, spec, (1, 3, 64, 64), path)
    for batch in (1, 2):
        assert_file_agrees(path, model, images(batch, 3, 64, 64), 1e-4)
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


@pytest.mark.slow
def test_what_pytorch_cannot_export_is_an_export_error(path):
    with pytest.raises(ExportError, match="could not export Branching"):
        export_with_torch(Branching(), (1, 3, 8, 8), path)


class Module(nn.Module):
    """A convolution and what is done with its output."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


LAYERS = {
    "normalization alone": nn.Sequential(nn.BatchNorm2d(4)),
    "normalization twice": nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)),
    "normalization after activation": nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
    "bias and normalization": nn.Sequential(nn.Conv2d(4, 6, 3, bias=True), nn.BatchNorm2d(6)),
    "convolution alone": nn.Sequential(nn.Conv2d(4, 6, 3, bias=False)),
    "oblong convolution": nn.Sequential(nn.Conv2d(4, 6, (3, 1), (1, 2), (2, 0), (2, 1), groups=2)),
    "linear": nn.Sequential(nn.Flatten(), nn.Linear(4 * 49, 5, bias=False)),
    "pooling": nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "pooling with zeros": nn.Sequential(nn.AvgPool2d((3, 2), padding=(1, 0))),
    "dropout": nn.Sequential(nn.Sigmoid(), nn.Dropout(0.5), nn.Identity()),
    "relu6": nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU6()),
    "first channels": Module(lambda self, x: self.act(x[:, :-1]), act=nn.ReLU()),
    "middle channels": Module(lambda self, x: self.act(x[:, 1:3]), act=nn.ReLU()),
    "last channels": Module(lambda self, x: self.act(x[:, 2:]), act=nn.ReLU()),
    "padded channels": Module(lambda self, x: F.pad(self.act(x), (0, 0, 0, 0, 1, 2)), act=nn.ReLU()),
    "output read twice": Module(
        lambda self, x: self.norm(self.conv(x)) + self.conv(x), conv=nn.Conv2d(4, 4, 1), norm=nn.BatchNorm2d(4)
    ),
    "normalized and not": Module(
        lambda self, x: (lambda y: self.norm(y) * y)(self.conv(x)), conv=nn.Conv2d(4, 4, 1), norm=nn.BatchNorm2d(4)
    ),
    "doubled": Module(lambda self, x: (lambda y: y + y)(self.act(x)), act=nn.ReLU()),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_known_layer_is_written_as_it_computes(path, name):
    assert_written(randomize_statistics(LAYERS[name]), (2, 4, 7, 7), path)


UNKNOWN = {
    "module": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.Tanh()), "knows no Tanh"),
    "layer": (nn.Sequential(nn.MaxPool2d(2)), "knows no MaxPool2d"),
    "function": (Module(lambda self, x: torch.exp(x)), "knows no call_function of .*exp"),
    "method": (Module(lambda self, x: x.mean(1)), "knows no call_method of mean"),
    "parameter": (Module(lambda self, x: self.scale * x, scale=nn.Parameter(torch.ones(1))), "knows no get_attr"),
    "pooling": (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "pools to 1 x 1, but got 2"),
    "slice": (Module(lambda self, x: self.act(x[:, :, 1:]), act=nn.ReLU()), "slices channels only"),
    "index": (Module(lambda self, x: self.act(x[:, 0]), act=nn.ReLU()), "slices channels only"),
    "padding": (Module(lambda self, x: F.pad(self.act(x), (1, 1)), act=nn.ReLU()), "pads channels only"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_writer_does_not_know_is_refused(path, name):
    model, message = UNKNOWN[name]
    with pytest.raises(ExportError, match=message):
        export_directly(model, (1, 4, 7, 7), path)
    assert not path.exists()


def dead_end(self, x):
    y = self.act(x)
    self.gate(y)
    return y


# Options of known layers, and shapes of the graph, that the writer's table says nothing about.
UNUSUAL = {
    "rounding up": nn.Sequential(nn.AvgPool2d(2, ceil_mode=True)),
    "divisor": nn.Sequential(nn.AvgPool2d(2, divisor_override=3)),
    "circular padding": nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")),
    "same padding": nn.Sequential(nn.Conv2d(4, 4, 3, padding="same")),
    "flattening in part": nn.Sequential(nn.ReLU(), nn.Flatten(2)),
    "normalization without weights": nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False)),
    "normalization of the batch": nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
    "padding with ones": Module(lambda self, x: F.pad(self.act(x), (0, 0, 0, 0, 1, 1), value=1.0), act=nn.ReLU()),
    "every other channel": Module(lambda self, x: self.act(x[:, ::2]), act=nn.ReLU()),
    "constant": Module(lambda self, x: self.act(x) + 1.0, act=nn.ReLU()),
    "dead end": Module(dead_end, act=nn.ReLU(), gate=nn.Sigmoid()),
    "two outputs": Module(lambda self, x: (self.act(x), self.gate(x)), act=nn.ReLU(), gate=nn.Sigmoid()),
    "nothing at all": nn.Sequential(nn.Identity()),
    "branches": Branching(),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_unusual_is_written_right_or_refused(path, name):
    model = UNUSUAL[name].eval()
    try:
        export_directly(model, (2, 4, 7, 7), path)
    except ExportError:
        assert not path.exists()
    else:
        assert_file_agrees(path, model, images(2, 4, 7, 7))


def test_export_restores_the_mode_after_an_error(path):
    model = UNKNOWN["module"][0].train()
    with pytest.raises(ExportError):
        export_onnx(model, TINY, (1, 4, 7, 7), path)
    assert model.training
