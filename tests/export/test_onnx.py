from random import Random

import numpy as np
import onnx
import pytest
import torch
from exported import Branching, Exits, assert_file_agrees, interface_of, noise, run, sides
from torch import nn

from paretonas.errors import ExportError
from paretonas.export import formats
from paretonas.export import onnx as onnx_export
from paretonas.export.onnx import export_directly, export_with_torch, modules_of_nodes
from paretonas.network import build
from paretonas.space import ForeignSpec, Interface, spaces
from paretonas.space.mnasnet import BlockSpec, MnasNetSpace, MnasNetSpec
from paretonas.space.nasbench import CELL_OPS, Cell201Spec
from paretonas.testing.runtime import images, randomize_statistics
from paretonas.zoo.zoo import zoo_spec

ONNX = formats.create("onnx")
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
SMALL = Interface.of_images(channels=3, resolution=16, classes=10)


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
    interface = Interface.of_images(channels, side, 10)
    model = randomize_statistics(build(spec, interface))
    ONNX.write(model, spec, interface, path)
    assert_file_agrees(path, model, images(2, channels, side, side))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("variant", ["paper", "google", "flat", "cell"])
def test_direct_file_agrees_for_points_of_the_space(path, variant, seed):
    space = MnasNetSpace(variant=variant, resolution=32, width=0.5).build()
    spec = space.decode(space.sample(Random(seed)))
    torch.manual_seed(seed)
    interface = Interface.of_images(3, 32, 10)
    model = randomize_statistics(build(spec, interface), seed)
    ONNX.write(model, spec, interface, path)
    assert_file_agrees(path, model, images(1, 3, 32, 32))


def test_direct_file_equals_pytorchs_own(tmp_path):
    model = randomize_statistics(build(TINY, SMALL)).eval()
    export_directly(model, SMALL, tmp_path / "ours.onnx")
    export_with_torch(model, SMALL, tmp_path / "theirs.onnx")
    for batch in (1, 3):
        x = images(batch, 3, 16, 16)
        (ours,), (theirs,) = run(tmp_path / "ours.onnx", x), run(tmp_path / "theirs.onnx", x)
        assert ours.shape == theirs.shape == (batch, 10)
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
    assert {file.name for file in tmp_path.iterdir()} == {"ours.onnx", "theirs.onnx"}


def test_file_is_one_checked_model_with_an_open_batch(path):
    ONNX.write(build(TINY, SMALL), TINY, SMALL, path)
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["logits"]
    assert sides(model.graph.input[0]) == ["batch", 3, 16, 16]
    assert sides(model.graph.output[0]) == ["batch", 10]
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    assert {tensor.data_location for tensor in model.graph.initializer} == {onnx.TensorProto.DEFAULT}


def test_normalization_is_folded_into_the_convolutions(path):
    spec, interface = zoo_spec("mnasnet-b1", 0.5), Interface.of_images(3, 64, 10)
    ONNX.write(build(spec, interface), spec, interface, path)
    graph = onnx.load(path).graph
    assert {node.op_type for node in graph.node} == {"Conv", "Relu", "Add", "GlobalAveragePool", "Flatten", "Gemm"}
    # Stem, head, and of 17 layers three convolutions each, but for the first, which has two.
    assert sum(node.op_type == "Conv" for node in graph.node) == 2 + 16 * 3 + 2


def test_nodes_are_named_after_their_modules(path):
    model = build(TINY, SMALL)
    ONNX.write(model, TINY, SMALL, path)
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


@pytest.mark.parametrize(("spec", "writer"), [(TINY, "ours"), (ForeignSpec("timm:resnet18"), "torch's")])
def test_writer_is_chosen_by_the_spec(path, monkeypatch, spec, writer):
    monkeypatch.setattr(onnx_export, "export_directly", lambda *args: args[-1].write_text("ours"))
    monkeypatch.setattr(onnx_export, "export_with_torch", lambda *args: args[-1].write_text("torch's"))
    ONNX.write(nn.Identity(), spec, SMALL, path)
    assert path.read_text() == writer


@pytest.mark.parametrize(
    "name",
    [
        "test_efficientnet",
        pytest.param("mobilenetv3_small_050", marks=pytest.mark.slow),
        pytest.param("resnet18", marks=pytest.mark.slow),
    ],
)
def test_foreign_model_goes_through_pytorchs_exporter(path, name):
    spec = ForeignSpec(f"timm:{name}")
    interface = Interface.of_images(3, 64, 10)
    model = randomize_statistics(build(spec, interface))
    ONNX.write(model, spec, interface, path)
    for batch in (1, 2):
        assert_file_agrees(path, model, images(batch, 3, 64, 64), tolerance=1e-4)
    written = onnx.load(path)
    assert (written.ir_version, written.opset_import[0].version) == (8, 18)
    onnx.checker.check_model(written, full_check=True)
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


@pytest.mark.slow
def test_what_pytorch_cannot_export_is_an_export_error(path):
    with pytest.raises(ExportError, match="could not export Branching"):
        export_with_torch(Branching(), interface_of(Branching(), noise(1, 3, 8, 8)), path)


ALL_OPS = [Cell201Spec((op,) * 6, channels=4, cells=1) for op in CELL_OPS]
SINGLE_NONE = [
    Cell201Spec(tuple("none" if i == edge else "nor_conv_1x1" for i in range(6)), channels=4, cells=1)
    for edge in range(6)
]
MIXED = [Cell201Spec((*CELL_OPS, "none"), channels=4, cells=2), Cell201Spec(("none", *CELL_OPS), channels=4, cells=1)]


@pytest.mark.parametrize("spec", [*ALL_OPS, *SINGLE_NONE, *MIXED], ids=lambda spec: "-".join(spec.edges))
def test_every_cell_of_nasbench201_is_written(path, spec):
    model = randomize_statistics(build(spec, SMALL))
    ONNX.write(model, spec, SMALL, path)
    for batch in (1, 3):
        assert_file_agrees(path, model, images(batch, 3, 16, 16), tolerance=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_networks_of_nasbench_macro_are_written(path, seed):
    space = spaces.create("nasbench-macro").build()
    spec = space.decode(space.sample(Random(seed)))
    model = randomize_statistics(build(spec, SMALL))
    ONNX.write(model, spec, SMALL, path)
    assert_file_agrees(path, model, images(2, 3, 16, 16))


def test_pytorchs_exporter_takes_several_inputs_and_outputs(path):
    model = Exits()
    inputs = noise(1, 4, 3, 3), noise(1, 4, 3, 3, seed=1)
    export_with_torch(model.eval(), interface_of(model, *inputs), path)
    graph = onnx.load(path).graph
    assert [value.name for value in graph.input] == ["x0", "x1"]
    assert [value.name for value in graph.output] == ["y0", "y1"]
    for batch in (1, 3):
        assert_file_agrees(path, model, noise(batch, 4, 3, 3), noise(batch, 4, 3, 3, seed=1))
