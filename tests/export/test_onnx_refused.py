"""What cannot be written is refused, and what is unusual is written right or refused."""

import pytest
import torch
import torch.nn.functional as F
from exported import Branching, Exits, Module, Pair, assert_file_agrees, interface_of, noise
from torch import nn

from paretonas.errors import ExportError
from paretonas.export import formats
from paretonas.export.onnx import export_directly, export_with_torch
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.zoo.zoo import zoo_spec


@pytest.mark.parametrize("export", [export_directly, export_with_torch])
@pytest.mark.parametrize("outputs", [1, 2])
def test_model_of_other_outputs_than_its_interface_is_refused(path, export, outputs):
    inputs = noise(1, 4, 3, 3), noise(1, 4, 3, 3)
    interface = interface_of(Exits(3 - outputs), *inputs)
    with pytest.raises(ExportError, match=r"outputs .*interface|could not export"):
        export(Exits(outputs).eval(), interface, path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [(((4, 7, 7), (4, 7, 7)), "takes the 2 inputs of its interface, but Conv2d 1"), (((3, 7, 7),), "cannot run on")],
)
def test_model_of_other_inputs_than_its_interface_is_refused(path, inputs, message):
    ports = tuple(Port(f"x{i}", (1, *shape)) for i, shape in enumerate(inputs))
    with pytest.raises(ExportError, match=message):
        export_directly(nn.Conv2d(4, 4, 1), Interface(ports, (Port("y", (1, 4)),)), path)


UNKNOWN = {
    "module": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.PReLU()), "knows no PReLU"),
    "indices": (Module(lambda self, x: self.pool(x)[0], pool=nn.MaxPool2d(2, return_indices=True)), "of MaxPool2d"),
    "function": (Module(lambda self, x: torch.cumprod(x, 1)), "knows no function 'cumprod'"),
    "method": (Module(lambda self, x: x.cumprod(1)), "knows no function 'cumprod'"),
    "operator": (Module(lambda self, x: x // 2), "knows no function 'floordiv'"),
    "method in place": (Module(lambda self, x: x.add_(1)), "knows no function 'add_'"),
    "branch": (Branching(), "cannot trace Branching"),
    "constant": (Module(lambda self, x: x * torch.ones(1)), "cannot run|constants are its buffers"),
    "keyword alone": (Module(lambda self, x: torch.cat(tensors=[x, x], dim=1)), "a function's tensors first"),
    "size of the batch": (Module(lambda self, x: x * x.shape[0]), "'?mul'? of sizes that depend on the batch"),
    "two sizes of the batch": (Module(lambda self, x: x.reshape(x.shape[0], 1, -1, x.shape[0])), "cannot run|one side"),
    "index": (Pair(lambda self, x, y: x[y]), "all options of the index"),
    "padding": (Module(lambda self, x: F.pad(x, (1, 1, 0, 0), mode="reflect")), "padding by 'reflect'"),
    "type": (Module(lambda self, x: x.to(torch.float64)), "numbers of type torch.float64"),
    "whole numbers": (Pair(lambda self, x, y: y + y), "all options of Add"),
}  # fmt: skip


class Choosing(nn.Module):
    def forward(self, x, choose=None):
        return x + 1 if choose is None else choose(x)


def test_what_a_network_may_be_given_beside_its_inputs_is_left_out(path):
    model = Choosing()
    export_directly(model.eval(), interface_of(model, noise(1, 4)), path)
    assert_file_agrees(path, model, noise(3, 4))


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_writer_does_not_know_is_refused(path, name):
    model, message = UNKNOWN[name]
    ports = (Port("x", (1, 4, 8, 8)), Port("y", (1,), "int64"))[: 1 + isinstance(model, Pair)]
    with pytest.raises(ExportError, match=message):
        export_directly(model.eval(), Interface(ports, (Port("z", (1, 4)),)), path)
    assert not path.exists()


# Options of known layers and functions that the writer says nothing about.
UNUSUAL = {
    "rounding up": nn.AvgPool2d(2, ceil_mode=True),
    "rounding up the largest": nn.MaxPool2d(2, ceil_mode=True),
    "divisor": nn.AvgPool2d(2, divisor_override=3),
    "circular padding": nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    "same padding": nn.Conv2d(4, 4, 3, padding="same"),
    "flattening in part": nn.Sequential(nn.ReLU(), nn.Flatten(2)),
    "normalization without weights": nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False)),
    "normalization of the batch": nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
    "pooling to 2 x 2": nn.AdaptiveAvgPool2d(2),
    "pooling to a row": nn.AdaptiveMaxPool2d((1, 7)),
    "reflected padding": Module(lambda self, x: F.pad(x, (1, 1, 1, 1), mode="reflect")),
    "linear upsampling": nn.Upsample(scale_factor=2, mode="bilinear"),
    "rounded upsampling": nn.Upsample(scale_factor=1.3, mode="nearest", recompute_scale_factor=True),
    "mean of all": Module(lambda self, x: x + x.mean()),
    "mean in doubles": Module(lambda self, x: x.mean(1, dtype=torch.float64)),
    "scaled sum": Module(lambda self, x: torch.add(x, x, alpha=2)),
    "rounded division": Module(lambda self, x: torch.div(x, 0.5, rounding_mode="floor")),
    "dropout at work": Module(lambda self, x: F.dropout(x, 0.5)),
    "softmax of no dimension": nn.Softmax(),
    "rough gelu": nn.GELU(approximate="tanh"),
    "part of the batch": Module(lambda self, x: x[:1] + x),
    "first of the batch": Module(lambda self, x: x[0]),
    "mean of the batch": Module(lambda self, x: x + x.mean(0, keepdim=True)),
    "batch last": Module(lambda self, x: x.transpose(0, 1)),
    "changed in place and read": Module(lambda self, x: self.act(x) + x, act=nn.ReLU(inplace=True)),
    "changed in place by a function": Module(lambda self, x: (lambda y: F.relu(y, inplace=True) + y)(x + 0)),
    "batch split": Module(lambda self, x: x.chunk(1, 0)[0]),
    "list of indices": Module(lambda self, x: x[:, [0, 2]]),
    "clamped by a tensor": Module(lambda self, x: torch.clamp(x, max=self.high), high=nn.Buffer(torch.zeros(7))),
}


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_unusual_is_written_right_or_refused(path, name):
    model = UNUSUAL[name].eval()
    shapes = Interface((Port("x", (1, 4, 7, 7)),), (Port("y", (1, 4)),))
    try:
        export_directly(model, shapes, path)
    except ExportError:
        assert not path.exists()
    else:
        for batch in (1, 3):
            assert_file_agrees(path, model, noise(batch, 4, 7, 7))


@pytest.mark.parametrize("name", ["module", "function"])
def test_write_restores_the_mode_and_leaves_no_file_after_an_error(path, name):
    model = UNKNOWN[name][0].train()
    with pytest.raises(ExportError):
        formats.create("onnx").write(
            model, zoo_spec("mnasnet-a1"), Interface((Port("x", (1, 4, 8, 8)),), (Port("y", (1, 4)),)), path
        )
    assert model.training
    assert list(path.parent.iterdir()) == []
