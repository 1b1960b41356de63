"""Every entry of the direct ONNX writer's tables, run by ONNX Runtime and compared with PyTorch."""

import operator

import onnx
import pytest
import torch
import torch.nn.functional as F
from exported import Module, Pair, assert_written, indices, interface_of, noise, run
from torch import nn

from paretonas.errors import ExportError
from paretonas.export.onnx import export_directly
from paretonas.export.onnx.functions import FUNCTIONS, RESHAPES
from paretonas.export.onnx.layers import LAYERS_OF_FUNCTIONS, MODULES
from paretonas.testing.runtime import randomize_statistics

LAYERS = {
    nn.AdaptiveAvgPool2d: [nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d((1, 1))],
    nn.AdaptiveMaxPool2d: [nn.AdaptiveMaxPool2d(1), nn.AdaptiveMaxPool2d((1, 1))],
    nn.AvgPool2d: [
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, count_include_pad=True),
        nn.AvgPool2d((3, 2), (1, 2), (1, 0)),
        nn.AvgPool2d(1, 2),
    ],
    nn.BatchNorm2d: [nn.BatchNorm2d(4), nn.BatchNorm2d(4, eps=1e-3)],
    nn.Conv2d: [
        nn.Conv2d(4, 6, 3, bias=False),
        nn.Conv2d(4, 6, (3, 1), (1, 2), (2, 0), (2, 1), groups=2),
        nn.Conv2d(4, 4, 5, 2, 2, groups=4),
        nn.Conv2d(4, 6, (1, 7), padding=(0, 3)),
    ],
    nn.Dropout: [nn.Dropout(0.5)],
    nn.ELU: [nn.ELU(), nn.ELU(0.5)],
    nn.Flatten: [nn.Flatten(), nn.Flatten(1, 3), nn.Flatten(2), nn.Flatten(1, 2)],
    nn.GELU: [nn.GELU()],
    nn.Hardsigmoid: [nn.Hardsigmoid()],
    nn.Hardswish: [nn.Hardswish()],
    nn.Hardtanh: [nn.Hardtanh(), nn.Hardtanh(-0.5, 0.25)],
    nn.Identity: [nn.Identity()],
    nn.LeakyReLU: [nn.LeakyReLU(), nn.LeakyReLU(0.2, inplace=True)],
    nn.Linear: [nn.Linear(8, 5), nn.Linear(8, 5, bias=False), nn.Sequential(nn.Flatten(), nn.Linear(4 * 48, 5))],
    nn.LogSoftmax: [nn.LogSoftmax(1), nn.LogSoftmax(-1)],
    nn.MaxPool2d: [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d((3, 2), (1, 2), (1, 0)),
        nn.MaxPool2d(2, 1, dilation=2),
    ],
    nn.ReLU: [nn.ReLU(), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True))],
    nn.ReLU6: [nn.ReLU6()],
    nn.SiLU: [nn.SiLU()],
    nn.Sigmoid: [nn.Sigmoid()],
    nn.Softmax: [nn.Softmax(1), nn.Softmax(dim=-1)],
    nn.Tanh: [nn.Tanh()],
    nn.Upsample: [
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=(3, 1)),
        nn.Upsample(scale_factor=1.5),
        nn.Upsample(scale_factor=0.5),
        nn.Upsample((12, 24)),
        nn.Upsample((7, 13)),
        nn.Upsample((4, 5)),
        nn.Upsample(size=9),
    ],
}  # fmt: skip

CALLS = {
    F.adaptive_avg_pool2d: [lambda x: F.adaptive_avg_pool2d(x, 1)],
    F.adaptive_max_pool2d: [lambda x: F.adaptive_max_pool2d(x, (1, 1))],
    F.avg_pool2d: [
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False),
        lambda x: F.avg_pool2d(x, x.shape[2]),
        lambda x: F.avg_pool2d(x, x.size()[2:]),
    ],
    F.dropout: [lambda x: F.dropout(x, 0.5, training=False)],
    F.elu: [lambda x: F.elu(x, 0.5)],
    F.gelu: [lambda x: F.gelu(x)],
    F.hardsigmoid: [lambda x: F.hardsigmoid(x)],
    F.hardswish: [lambda x: F.hardswish(x)],
    F.hardtanh: [lambda x: F.hardtanh(x, 0.0, 0.5)],
    F.interpolate: [
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.interpolate(x, size=(12, 16), mode="nearest"),
        lambda x: F.interpolate(F.max_pool2d(x, 2), size=x.shape[2:]),
        lambda x: F.interpolate(x, size=(x.shape[2] // 2 + 1, 2 * x.size(3))),
    ],
    F.leaky_relu: [lambda x: F.leaky_relu(x, 0.1)],
    F.log_softmax: [lambda x: F.log_softmax(x, dim=1)],
    F.max_pool2d: [lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.max_pool2d(x, 1, stride=2)],
    F.pad: [
        lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)),
        lambda x: F.pad(x, (0, 1, 0, 1)),
        lambda x: F.pad(x, (1, 2, 3, 0), value=0.5),
        lambda x: F.pad(x, [0, 1, 0, 1])[:, :, 1:, 1:],
        lambda x: F.pad(x, (-1, 2)),
        lambda x: F.pad(x, same_padding(x.shape[2:], 2)),
        lambda x: F.pad(x, (0, 1, 2, 1), mode="replicate"),
    ],
    F.relu: [lambda x: F.relu(x), lambda x: F.relu(x + 0, inplace=True)],
    F.relu6: [lambda x: F.relu6(8 * x)],
    F.silu: [lambda x: F.silu(x)],
    F.softmax: [lambda x: F.softmax(x, 1)],
    operator.add: [lambda x: x + 1, lambda x: 0.5 + x, lambda x: x + x[:, :1]],
    operator.getitem: [
        lambda x: x[:, :-1],
        lambda x: x[:, 1:3],
        lambda x: x[:, ::2],
        lambda x: x[:, :, 1:, 1:],
        lambda x: x[:, :, ::2, 1::2],
        lambda x: x[:, -2:],
        lambda x: x[..., -3:-1],
        lambda x: x[:, ..., 1:],
        lambda x: x[:, 0],
        lambda x: x[:, -1, 2],
        lambda x: x[:, None, 1:],
        lambda x: x[:, 1, :, -1:],
        lambda x: x[:] + x[...],
        lambda x: x[:, : x.shape[1] // 2],
        lambda x: x.chunk(2, 1)[-1],
        lambda x: torch.cat(x.chunk(4, 1)[1:3], 1),
    ],
    operator.gt: [lambda x: (x > 0).to(torch.float32), lambda x: (x[:, :1] > x).to(torch.float32)],
    operator.matmul: [lambda x: x @ x.transpose(2, 3)],
    operator.mul: [lambda x: x * 2, lambda x: 2.5 * x, lambda x: x * x.mean((2, 3), keepdim=True)],
    operator.neg: [lambda x: -x],
    operator.pow: [lambda x: x**2],
    operator.sub: [lambda x: x - 1, lambda x: 1 - x, lambda x: x - x.amax(1, keepdim=True)],
    operator.truediv: [lambda x: x / 2, lambda x: 1 / (2 + x * x), lambda x: x / (1 + x.abs())],
    torch.Tensor.contiguous: [lambda x: x.transpose(1, 2).contiguous()],
    torch.Tensor.to: [lambda x: x.to(torch.float32), lambda x: (x > 0.5).to(torch.float32) * x],
    torch.Tensor.view: [
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view(-1, 2, 2, 6, 8),
        lambda x: x.view(x.shape[0], 2, x.shape[1] // 2, *(x.shape[2], x.shape[3])),
    ],
    torch.abs: [lambda x: torch.abs(x), lambda x: x.abs()],
    torch.add: [lambda x: torch.add(x, x), lambda x: x.add(1.5)],
    torch.amax: [lambda x: torch.amax(x, (2, 3), keepdim=True), lambda x: x.amax(dim=-1)],
    torch.amin: [lambda x: torch.amin(x, 1), lambda x: x.amin((-1, 1), True)],
    torch.cat: [lambda x: torch.cat([x, 2 * x], 1), lambda x: torch.cat((x, x), dim=-1), lambda x: torch.cat([x], 1)],
    torch.chunk: [
        lambda x: torch.cat(torch.chunk(x, 2, 1)[::-1], 1),
        lambda x: x.chunk(3, dim=-1)[2],
        lambda x: (lambda a, b: a * torch.sigmoid(b))(*pair(x.chunk(2, dim=1))),
    ],
    torch.clamp: [lambda x: torch.clamp(x, 0, 6), lambda x: x.clamp(min=-0.5), lambda x: x.clamp(max=0.25)],
    torch.concat: [lambda x: torch.concat([x, x], 2)],
    torch.cumsum: [lambda x: torch.cumsum(x, dim=0), lambda x: x.cumsum(-1)],
    torch.div: [lambda x: torch.div(x, 3), lambda x: x.div(1 + x * x)],
    torch.exp: [lambda x: torch.exp(x), lambda x: x.exp()],
    torch.flatten: [lambda x: torch.flatten(x, 1), lambda x: x.flatten(2), lambda x: x.flatten(start_dim=1, end_dim=2)],
    torch.log_softmax: [lambda x: torch.log_softmax(x, 1), lambda x: x.log_softmax(dim=-1)],
    torch.matmul: [lambda x: torch.matmul(x, x.transpose(-1, -2)), lambda x: x.matmul(x.transpose(3, 2))],
    torch.maximum: [lambda x: torch.maximum(x, -x), lambda x: x.maximum(x * x)],
    torch.mean: [
        lambda x: torch.mean(x, dim=(2, 3), keepdim=True),
        lambda x: x.mean((2, 3)),
        lambda x: x.mean([-1, -2], keepdim=True),
        lambda x: x.mean(1),
    ],
    torch.minimum: [lambda x: torch.minimum(x, -x)],
    torch.mul: [lambda x: torch.mul(x, x), lambda x: x.mul(0.5)],
    torch.neg: [lambda x: torch.neg(x), lambda x: x.neg()],
    torch.permute: [
        lambda x: torch.permute(x, (0, 2, 3, 1)),
        lambda x: x.permute(0, 2, 3, 1),
        lambda x: x.permute((0, -1, 1, 2)),
        lambda x: x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 2),
    ],
    torch.pow: [lambda x: torch.pow(x, 3), lambda x: x.pow(2)],
    torch.relu: [lambda x: torch.relu(x), lambda x: x.relu()],
    torch.reshape: [
        lambda x: torch.reshape(x, (-1, 16, 12)),
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: x.reshape(x.shape[0] * x.shape[1], 6, 8).relu().reshape(x.shape[0], -1),
        lambda x: shuffle_channels(x, 2),
    ],
    torch.sigmoid: [lambda x: torch.sigmoid(x), lambda x: x.sigmoid(), lambda x: F.sigmoid(x)],
    torch.sin: [lambda x: torch.sin(x), lambda x: x.sin()],
    torch.softmax: [lambda x: torch.softmax(x, 1), lambda x: x.softmax(dim=-1)],
    torch.split: [
        lambda x: torch.split(x, 3, 1)[0],
        lambda x: torch.split(x, [1, 3], dim=1)[1],
        lambda x: x.split(3, dim=1)[1],
        lambda x: x.split((2, 2), 1)[1],
        lambda x: x.split(4, 1)[0],
    ],
    torch.sqrt: [lambda x: torch.sqrt(x * x), lambda x: (1 + x * x).sqrt()],
    torch.squeeze: [lambda x: x.mean(1, keepdim=True).squeeze(1), lambda x: torch.squeeze(x[:, :1], dim=1)],
    torch.stack: [lambda x: torch.stack([x, 2 * x], 1), lambda x: torch.stack((x, -x), dim=-1)],
    torch.sub: [lambda x: torch.sub(x, 0.5), lambda x: x.sub(x * x)],
    torch.sum: [lambda x: torch.sum(x, 1, keepdim=True), lambda x: x.sum(dim=(2, 3))],
    torch.tanh: [lambda x: torch.tanh(x), lambda x: x.tanh(), lambda x: F.tanh(x)],
    torch.transpose: [lambda x: torch.transpose(x, 1, 2), lambda x: x.transpose(-1, -3)],
    torch.triu: [lambda x: torch.triu(x, 1), lambda x: x.triu(), lambda x: torch.triu(x, diagonal=-2)],
    torch.unflatten: [lambda x: x.unflatten(1, (2, 2)), lambda x: torch.unflatten(x, -1, (2, 4))],
    torch.unsqueeze: [lambda x: x.unsqueeze(1), lambda x: torch.unsqueeze(x, -1)],
    torch.where: [lambda x: torch.where(x > 0, x, 0.5), lambda x: torch.where(x > x[:, :1], 2 * x, x[:, :, :1])],
    torch.zeros_like: [lambda x: x + torch.zeros_like(x), lambda x: torch.cat([x, torch.zeros_like(x[:, :2])], 1)],
}  # fmt: skip


def pair(parts):
    return parts[0], parts[1]


def shuffle_channels(x, groups):
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


@torch.fx.wrap
def same_padding(sides, stride):
    """What is no code of tensors may do as it likes, if the trace is told so."""
    pads = [max((side + stride - 1) // stride * stride + 1 - side, 0) for side in reversed(sides)]
    return tuple(n for pad in pads for n in (pad // 2, pad - pad // 2))


def cases(table):
    """Every case of a table, called after its entry."""
    named = [(entry.__name__, i, case) for entry, found in table.items() for i, case in enumerate(found)]
    return [pytest.param(case, id=f"{name}-{i}") for name, i, case in named]


def test_every_entry_of_the_tables_has_a_case():
    assert set(LAYERS) | {nn.Embedding} == set(MODULES)
    assert set(CALLS) == set(FUNCTIONS) | RESHAPES | set(LAYERS_OF_FUNCTIONS)


@pytest.mark.parametrize("layer", cases(LAYERS))
def test_layer_is_written_as_it_computes(path, layer):
    assert_written(path, randomize_statistics(nn.Sequential(layer)), noise(1, 4, 6, 8))


@pytest.mark.parametrize("function", cases(CALLS))
def test_function_is_written_as_it_computes(path, function):
    assert_written(path, Module(lambda self, x: function(self.act(x)), act=nn.Identity()), noise(1, 4, 6, 8))


@pytest.mark.parametrize("shape", [(1, 8), (1, 5, 8), (1, 2, 3, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layer_is_written_for_inputs_of_any_rank(path, shape, bias):
    assert_written(path, nn.Sequential(nn.Linear(8, 3, bias=bias)), noise(*shape))
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes == (["Gemm"] if len(shape) == 2 else ["MatMul", "Add"][: 1 + bias])


@pytest.mark.parametrize("shape", [(1,), (1, 5)])
def test_embedding_is_written_for_words_and_sentences(path, shape):
    assert_written(path, nn.Sequential(nn.Embedding(7, 4, padding_idx=0)), indices(*shape))


def test_embedding_that_changes_its_weights_is_refused(path):
    layer = nn.Sequential(nn.Embedding(7, 4, max_norm=1.0))
    with pytest.raises(ExportError, match="all options of Embedding"):
        export_directly(layer.eval(), interface_of(layer, indices(1)), path)


@pytest.mark.parametrize("function", [operator.add, operator.mul, operator.sub, torch.maximum, torch.div, torch.cat])
def test_function_of_two_inputs_is_written_in_their_order(path, function):
    def call(self, x, y):
        return function([x, y], 1) if function is torch.cat else function(x, y)

    assert_written(path, Pair(call), noise(1, 4, 3), noise(1, 4, 3, seed=1))


@pytest.mark.parametrize("before", [3, 5, 6, 10])
@pytest.mark.parametrize("after", [1, 2, 4, 7, 9, 15, 40])
def test_upsampling_picks_the_same_pixels_for_every_size(path, before, after):
    assert_written(path, nn.Upsample(after), noise(1, 2, before, before), tolerance=0)


def test_zeros_are_zeros_whatever_the_input(path):
    model = Module(lambda self, x: torch.zeros_like(1 / (x - x)))
    export_directly(model, interface_of(model, noise(1, 2, 3)), path)
    for batch in (1, 3):
        (zeros,) = run(path, noise(batch, 2, 3))
        assert zeros.shape == (batch, 2, 3)
        assert not zeros.any()
