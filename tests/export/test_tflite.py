"""Files of LiteRT that are written directly, run by LiteRT and compared with PyTorch."""

from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exported import Module, interface_of, noise
from torch import nn

pytest.importorskip("ai_edge_litert")

from converted import TOKENS, Step, of_the_zoo

from paretonas.device.runtime.litert import LiteRt
from paretonas.errors import ExportError
from paretonas.export import ModelFile, verify
from paretonas.export.litert import LiteRtFormat
from paretonas.export.tflite import write_directly
from paretonas.network import build
from paretonas.space import spaces
from paretonas.testing.runtime import randomize_statistics

CONV, IMAGE = nn.Conv2d(4, 8, 3, padding=1), noise(1, 4, 9, 8)


def written(path, model, *inputs, tolerance=1e-5):
    """A module's file, which agrees with it by XNNPACK's kernels and by LiteRT's own."""
    torch.manual_seed(0)
    interface = interface_of(model.eval(), *inputs)
    write_directly(model, interface, path)
    assert LiteRt().interface(path) == interface
    for runtime in (LiteRt(), LiteRt(delegate="none")):
        verify(model, runtime.load(path), ModelFile(path, interface), tolerance)


def graph(path):
    """A file's main graph, and the names of its operators."""
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    codes = [names[code.builtinCode] for code in model.operatorCodes]
    return model.subgraphs[0], [codes[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.tflite"


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, 2, 1),
        nn.Conv2d(4, 6, 5, 2, 1),
        nn.Conv2d(4, 6, (1, 3), (1, 2), (0, 1), bias=False),
        nn.Conv2d(4, 6, 3, 1, 2, dilation=2),
        nn.Conv2d(4, 8, 3, 2, 1, groups=4),
        nn.Conv2d(4, 4, 5, 1, 2, groups=4),
        nn.Conv2d(4, 6, 3, 1, 1, groups=2),
        nn.AvgPool2d(3, 1, 1),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(2),
        nn.MaxPool2d(3, 1, 1),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(2),
    ],
    ids=str,
)
def test_windows_read_what_they_read_in_pytorch(path, layer, side):
    written(path, nn.Sequential(layer), noise(1, 4, side, side + 1))


@pytest.mark.parametrize(
    "layer",
    [
        nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8), nn.ELU(), nn.Flatten(), nn.Hardsigmoid(),
        nn.Hardswish(), nn.Hardtanh(-0.5, 0.25), nn.LeakyReLU(0.2), nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.SiLU(),
        nn.Softmax(1), nn.Tanh(), nn.Upsample(scale_factor=2),
        pytest.param(nn.AdaptiveMaxPool2d(1), marks=pytest.mark.slow),  # PyTorch loads much to tell its shape
    ],
    ids=str,
)  # fmt: skip
def test_layers_give_what_they_give_in_pytorch(path, layer):
    written(path, nn.Sequential(CONV, layer), IMAGE)


def _shared(m, x):
    x = m.conv(x)
    return torch.cat([torch.relu(x), x], 1)


FUNCTIONS = {
    "product of what is computed": lambda m, x: m.conv(x) * torch.sigmoid(m.conv(x)),
    "numbers": lambda m, x: 3 * m.conv(x) / 2 + 1,
    "minimum, maximum": lambda m, x: torch.maximum(torch.minimum(m.conv(x), x[:, :1]), -x[:, 1:2]),
    "channels joined": lambda m, x: torch.cat([m.conv(x), x], 1),
    "channels divided": lambda m, x: torch.cat(m.conv(x).chunk(2, 1)[::-1], 1),
    "channels shuffled": lambda m, x: m.conv(x).unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2),
    "slices": lambda m, x: m.conv(x)[:, 1:5, ::2, 1:],
    "padding of channels": lambda m, x: F.pad(m.conv(x), (0, 1, 2, 0, 0, 3)),
    "means with sides": lambda m, x: m.conv(x).mean((2, 3), keepdim=True),
    "means without": lambda m, x: m.conv(x).mean((2, 3)),
    "sums of channels": lambda m, x: m.conv(x).sum(1),
    "rows of numbers": lambda m, x: m.conv(x).permute(0, 2, 3, 1).reshape(1, -1, 4),
    "order of the network": lambda m, x: torch.flatten(m.conv(x), 1),
    "zeros added": lambda m, x: torch.zeros_like(x) + torch.relu(x),
    "an activation shared": _shared,
    "a product of rows": lambda m, x: m.head(m.conv(x).flatten(2).permute(0, 2, 1)),
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_functions_give_what_they_give_in_pytorch(path, name):
    written(path, Module(FUNCTIONS[name], conv=CONV, head=nn.Linear(8, 5)), IMAGE)


def test_normalizations_and_activations_are_parts_of_convolutions(path):
    layers = nn.Sequential(
        nn.Conv2d(4, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )
    written(path, randomize_statistics(layers), IMAGE)
    main, operators = graph(path)
    assert operators == ["TRANSPOSE", "CONV_2D", "MEAN", "RESHAPE", "FULLY_CONNECTED"]
    names = [main.tensors[operator.outputs[0]].name.decode() for operator in main.operators]
    assert [name.partition("/")[0] for name in names[1:]] == ["0", "3", "4", "5"]


@pytest.mark.parametrize(("side", "padding"), [(7, ["CONV_2D"]), (8, ["PAD", "CONV_2D"])])
def test_padding_is_written_where_same_reads_other_pixels(path, side, padding):
    written(path, nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1)), noise(1, 4, side, side))
    assert graph(path)[1] == ["TRANSPOSE", *padding, "TRANSPOSE"]


def test_constants_lie_where_kernels_may_read_them(path):
    from ai_edge_litert import schema_py_generated as schema

    written(path, nn.Sequential(CONV, nn.Conv2d(8, 3, 1)), IMAGE)
    content = path.read_bytes()
    model = schema.Model.GetRootAs(content)
    found = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
    start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    places = [array.__array_interface__["data"][0] - start for array in found if isinstance(array, np.ndarray)]
    assert len(places) >= 5
    assert {place % 16 for place in places} == {0}


def test_several_inputs_and_outputs_keep_their_order(path):
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 8, 1)

        def forward(self, x, y):
            x = self.conv(x)
            return x + y, x.mean((2, 3)), x * y

    written(path, Several(), IMAGE, noise(1, 8, 9, 8))


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.cumsum(m.conv(x), 1),
        lambda m, x: m.conv(torch.zeros_like(x)),
        lambda m, x: F.interpolate(m.conv(x), size=(12, 12)),
        lambda m, x: x,
    ],
)
def test_what_is_not_known_is_an_export_error_and_no_file(path, function):
    model = Module(function, conv=CONV).eval()
    with pytest.raises(ExportError, match="direct LiteRT writer"):
        write_directly(model, interface_of(model, IMAGE), path)
    assert not path.exists()


def test_words_are_left_to_the_converter(path):
    with pytest.raises(ExportError, match="inputs and outputs but fractions"):
        write_directly(Step().eval(), TOKENS, path)


@pytest.mark.parametrize("name", ["mnasnet", "elastic"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_networks_of_a_space_agree_with_their_files(path, name, seed):
    space = spaces.create(f"{name}:resolution=32,width=0.5").build()
    spec = space.decode(space.sample(Random(seed)))
    interface = spec.usual_interface(3, 32, 10)
    model = randomize_statistics(build(spec, interface), seed)
    LiteRtFormat().write(model, spec, interface, path, {"classes": ["a"]})
    assert LiteRt().interface(path) == interface
    assert LiteRtFormat().metadata(path) == {"classes": ["a"]}
    verify(model, LiteRt().load(path), ModelFile(path, interface), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnasnet-a1", "mobilenet-v2", "nasnet-a", "pnasnet-5", "ssdlite", "detnasnet"])
def test_networks_of_our_own_need_no_converter(path, name):
    _, interface, model = of_the_zoo(name, 0.5, 128 if name == "ssdlite" else 64)
    write_directly(model, interface, path)
    verify(model, LiteRt().load(path), ModelFile(path, interface), 1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of the quantizer
def test_a_quantizer_takes_such_a_file(path, tmp_path):
    quantizer = pytest.importorskip("ai_edge_quantizer.quantizer")
    from ai_edge_quantizer import recipe

    _, interface, model = of_the_zoo("mnasnet-a1", 0.5, 64)
    write_directly(model, interface, path)
    chosen = quantizer.Quantizer(str(path))
    chosen.load_quantization_recipe(recipe.static_wi8_ai8())
    port = interface.inputs[0]
    images = [{port.name: noise(*port.shape, seed=i)} for i in range(4)]
    chosen.quantize(chosen.calibrate({"serving_default": images})).export_model(str(tmp_path / "int8.tflite"))
    assert LiteRt().interface(tmp_path / "int8.tflite").inputs[0].dtype == "int8"
    assert (tmp_path / "int8.tflite").stat().st_size < path.stat().st_size / 3
