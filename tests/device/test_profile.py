import os
import tempfile
from dataclasses import replace
from math import fsum

import numpy as np
import onnx
import pytest
from fake_devices import FakeTransport
from onnx import TensorProto, helper
from torch import nn

from paretonas.device import Device, parse_device
from paretonas.device.profile import (
    BlockLatency,
    Operation,
    Profile,
    block_latencies,
    parts,
    profile,
    profile_of_runs,
    profilers,
)
from paretonas.device.runtime.onnxruntime import OnnxRuntime, _modules, profile_onnxruntime
from paretonas.device.runtime.torch import TorchRuntime, _Spans
from paretonas.device.transport.local import LocalTransport
from paretonas.errors import MeasureError
from paretonas.export import ModelFile, example_inputs
from paretonas.network import build
from paretonas.network.cost import Cost, spec_cost
from paretonas.space import ForeignSpec, Interface
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.nasbench import MacroSpec
from paretonas.zoo import zoo_spec

A1 = zoo_spec("mnasnet-a1", 0.5, 64)
PARTS = ["stem", *(f"block{i}" for i in range(1, 8)), "head", "classifier"]
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    """Keep out of the way of real measurements on this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def exported(device, spec, side, tmp_path):
    interface = Interface.of_images(3, side, 10)
    return device.export(build(spec, interface).eval(), spec, interface, tmp_path / "model")


def shared(found, spec, side, latency_ms=1.0):
    return block_latencies(found, parts(spec, spec_cost(spec, Interface.of_images(3, side, 10))), latency_ms)


@pytest.mark.parametrize("text", ["onnxruntime", "torch"])
def test_every_operation_of_a_network_belongs_to_a_module_of_it(tmp_path, text):
    device = parse_device(text)
    found = profile(device, exported(device, A1, 64, tmp_path), runs=3)
    paths = {name for name, _ in build(A1, Interface.of_images(3, 64, 10)).named_modules()}
    seen = {operation.module for operation in found.operations}
    assert seen <= paths
    assert {len(operation.seconds) for operation in found.operations} == {3} == {len(found.overhead)}
    # Every convolution with weights is somewhere: in ONNX as itself, or as what it was fused into.
    tops = {".".join(module.split(".")[:3]) for module in seen}
    layers = {f"blocks.{i}.{j}" for i, block in enumerate(A1.blocks) for j in range(block.layers)}
    assert layers | {"stem.0" if text == "torch" else "stem.2", "classifier"} <= tops
    if text == "onnxruntime":
        assert "" not in seen  # no kernel is without a module
        assert sum("Reorder" in operation.name for operation in found.operations) > 5
    shares = shared(found, A1, 64, latency_ms=3.0)
    assert [block.name for block in shares] == PARTS
    assert fsum(block.share for block in shares) == pytest.approx(1.0, rel=1e-12)
    assert fsum(block.latency_ms for block in shares) == pytest.approx(3.0, rel=1e-12)
    assert all(0 <= block.share < 0.8 for block in shares)
    assert sum(block.share > 0.02 for block in shares) >= 5  # the time is not all in one place


@pytest.mark.parametrize("text", ["onnxruntime", "torch", "onnxruntime:threads=2"])
@pytest.mark.parametrize("wide", [0, 1, 2])
def test_a_block_made_twenty_times_as_wide_dominates(tmp_path, text, wide):
    narrow = BlockSpec("mbconv", 3, 8)
    blocks = tuple(replace(narrow, expansion=20) if i == wide else narrow for i in range(3))
    spec = MnasNetSpec(blocks, stem_filters=8, head_filters=16)
    device = parse_device(text)
    found = shared(profile(device, exported(device, spec, 128, tmp_path), runs=10), spec, 128)
    assert [block.name for block in found] == ["stem", "block1", "block2", "block3", "head", "classifier"]
    shares = {block.name: block.share for block in found}
    assert shares.pop(f"block{wide + 1}") > 2 * max(shares.values())


def test_seconds_are_medians_of_sums_without_the_overhead():
    operations = (
        Operation("a", "stem", (4.0, 5.0, 90.0)),
        Operation("b", "stem", (7.0, 2.0, 1.0)),
        Operation("c", "head", (1.5, 1.5, 1.5)),
        Operation("d", "pool", (0.25, 0.5, 0.75)),
    )
    found = Profile(operations, (0.5, 1.0, 7.0))
    assert found.by_module() == {"stem": 11.0 - 2 * 1.0, "head": 0.5, "pool": 0.0}
    # Head and pool together: medians of 1.75, 2.0 and 2.25, less twice the overhead of 1.
    expected = [BlockLatency("one", 1.0, 19.0), BlockLatency("two", 0.0, 0.0)]
    assert block_latencies(found, {"one": ("stem",), "two": ("head", "pool")}, 19.0) == expected
    one, two = block_latencies(replace(found, overhead=(0.5,) * 3), {"one": ("stem",), "two": ("head", "pool")}, 1.1)
    assert (one.share, two.share) == (pytest.approx(10 / 11, rel=1e-12), pytest.approx(1 / 11, rel=1e-12))
    assert (one.latency_ms, two.latency_ms) == (pytest.approx(1.0, rel=1e-12), pytest.approx(0.1, rel=1e-12))


def test_what_is_in_no_part_counts_for_the_part_before():
    times = {"": 1.0, "a.0.x": 2.0, "a.0": 4.0, "b": 8.0, "ab": 16.0, "a": 32.0}
    found = Profile(tuple(Operation("op", module, (seconds,)) for module, seconds in times.items()), (0.0,))
    shares = block_latencies(found, {"one": ("a.0",), "two": ("a",), "three": ("b",), "none": ("c",)}, 63.0)
    assert {block.name: block.latency_ms for block in shares} == {
        "one": 1.0 + 2.0 + 4.0,
        "two": 32.0,
        "three": 8.0 + 16.0,
        "none": 0.0,
    }


def test_a_network_faster_than_the_profiler_has_no_shares():
    found = Profile((Operation("op", "a", (1.0,)),), (2.0,))
    with pytest.raises(MeasureError, match="takes longer than the profiler"):
        block_latencies(found, {"a": ("a",)}, 1.0)


def costs(**macs):
    return Cost(0, sum(macs.values()), 0, 0, {name.replace("__", "."): (1, n) for name, n in macs.items()})


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (costs(conv=5, bn=0, blocks=7, blocks__0=7, pool=0, fc=1), [("conv", "bn"), ("blocks", "pool"), ("fc",)]),
        (costs(scale=0, conv=5, act=0), [("scale", "conv", "act")]),
        (costs(a=0, b=0), [("a", "b")]),
    ],
)
def test_top_modules_without_macs_join_the_one_before(cost, expected):
    found = parts(ForeignSpec("timm:any"), cost)
    assert list(found.values()) == expected
    assert list(found) == [max(modules, key=lambda name: cost.by_module[name][1]) for modules in expected]


@pytest.mark.parametrize("spec", [A1, MacroSpec(("identity",) * 8)])
def test_parts_are_those_that_the_spec_tells(spec):
    cost = spec_cost(spec, Interface.of_images(3, 32, 10))
    found = parts(spec, cost)
    assert found == {part.name: part.modules for part in spec.parts()}
    modules = [module for modules in found.values() for module in modules]
    assert set(modules) <= cost.by_module.keys()
    assert sum(cost.by_module[module][1] for module in modules) == cost.macs


def test_a_model_without_modules_is_one_part():
    assert parts(ForeignSpec("timm:any"), costs()) == {"model": ("",)}
    found = Profile((Operation("op", "", (1.0,)),), (0.0,))
    assert block_latencies(found, {"model": ("",)}, 2.0) == [BlockLatency("model", 1.0, 2.0)]


KNOWN = {"stem.0/conv_1": "stem.0", "stem.0/conv_12": "stem.1", "logits": "classifier"}


@pytest.mark.parametrize(
    ("names", "modules"),
    [
        (["stem.0/conv_1", "stem.0/conv_12", "logits"], ["stem.0", "stem.1", "classifier"]),
        (["stem.0/conv_12_nchwc", "stem.0/conv_1_nchwc_token_12"], ["stem.1", "stem.0"]),
        (["stem.0/conv_1", "ReorderOutput_token_3", "logits"], ["stem.0", "stem.0", "classifier"]),
        (["stem.0/conv_1", "ReorderInput", "logits"], ["stem.0", "classifier", "classifier"]),
        (["ReorderInput", "ReorderInput", "logits", "ReorderInput"], ["classifier"] * 4),
        (["Transpose_token_1", "logits", "somebody"], ["", "classifier", "classifier"]),
    ],
)
def test_kernels_are_named_after_nodes_and_layouts_belong_to_what_they_serve(names, modules):
    ops = [name.partition("_")[0] if name.startswith("Reorder") else "Conv" for name in names]
    assert _modules(names, ops, KNOWN) == modules


def test_spans_of_time_belong_to_the_innermost_module():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Sequential(nn.Identity(), nn.ReLU())

        def forward(self, x):
            return self.a(x) + self.a(x)

    ticks = iter(range(0, 10**6, 1))
    spans = _Spans(TorchRuntime(), Model(), lambda: next(ticks)).run((np.zeros((1, 1, 2, 2), np.float32),))
    once = [
        ("Sequential", "a"),
        ("Identity", "a.0"),
        ("Sequential", "a"),
        ("ReLU", "a.1"),
        ("Sequential", "a"),
    ]
    expected = [("model", ""), *once, ("model", ""), *once, ("model", "")]
    assert spans == [(*where, 1) for where in expected]  # two looks at the clock an interval, one tick each


@pytest.mark.parametrize("threads", [1, 2])
def test_a_profile_is_taken_like_a_measurement(tmp_path, monkeypatch, threads):
    seen = []

    def spy(runtime, path, inputs, runs):
        seen.append((runtime, path.name, inputs, runs, CORES and os.sched_getaffinity(0)))
        return profile_of_runs([[("op", "a", float(i))] for i in range(runs)], [0.0] * runs)

    monkeypatch.setattr(profilers, "load", {"onnxruntime": spy}.__getitem__)
    device = parse_device(f"mine=onnxruntime:threads={threads}@local")
    interface = Interface.of_images(3, 8, 10)
    found = profile(device, ModelFile(tmp_path / "model.onnx", interface), runs=4)
    ((runtime, name, inputs, runs, cores),) = seen
    assert (runtime, name, runs) == (device.runtime, "model.onnx", 14)
    np.testing.assert_array_equal(inputs, example_inputs(interface))
    assert found.operations == (Operation("op", "a", (10.0, 11.0, 12.0, 13.0)),)  # ten runs to warm up
    assert set(found.conditions) == {
        *device.facts, "device", "core", "load", "date", "celsius", "throttled",
    }  # fmt: skip
    assert (found.conditions["device"], found.conditions["threads"]) == (device.text, threads)
    if CORES:
        assert cores == ({max(CORES)} if threads == 1 else CORES)
        assert os.sched_getaffinity(0) == CORES


def test_what_cannot_be_profiled_is_refused(tmp_path):
    file = ModelFile(tmp_path / "model.onnx", Interface.of_images(3, 8, 10))
    with pytest.raises(MeasureError, match=r"'abacus' has none. Use one of onnxruntime, torch"):
        profile(Device("", "abacus:beads=3@local", OnnxRuntime(), LocalTransport()), file)
    with pytest.raises(MeasureError, match="taken on this machine, but 'onnxruntime@ssh:pi'"):
        profile(Device("", "onnxruntime@ssh:pi", OnnxRuntime(), FakeTransport()), file)
    with pytest.raises(MeasureError, match=r"1 <= runs <= 100000.*runs=0"):
        profile(parse_device("onnxruntime"), file, runs=0)
    for text in ("onnxruntime", "torch"):
        with pytest.raises(MeasureError, match=r"model\.onnx"):
            profile(parse_device(text), file)


def test_runs_that_differ_are_no_profile():
    one, other = [("op", "a", 1.0)], [("op", "b", 1.0)]
    for traces in ([one, other], [one, one * 2], [[], []]):
        with pytest.raises(MeasureError, match="the same operations every time"):
            profile_of_runs(traces, [0.0, 0.0])
    with pytest.raises(MeasureError, match=r"numbers of runs \[1, 2\]"):
        Profile((Operation("op", "a", (1.0, 2.0)),), (0.0,))
    with pytest.raises(MeasureError, match="one time a run"):
        Profile((), ())


def test_a_foreign_file_says_its_modules_by_pytorchs_metadata(tmp_path):
    """A file like those of PyTorch's exporter, without waiting for it."""
    scopes = ["['', 'bn1', 'batch_norm']", "['', 'blocks', 'blocks.0', 'relu']", "['', 'mean']", "no list"]
    nodes = [helper.make_node("Exp", [f"x{i}"], [f"x{i + 1}"], name=f"node_{i}") for i in range(4)]
    for node, scope in zip(nodes, scopes, strict=True):
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scope)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, 64, 64)) for name in ("x0", "x4")]
    graph = helper.make_graph(nodes, "foreign", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    inputs = (np.zeros((1, 1, 64, 64), np.float32),)
    found = profile_onnxruntime(OnnxRuntime(), tmp_path / "model.onnx", inputs, 2)
    assert [operation.module for operation in found.operations] == ["bn1", "blocks.0", "", ""]
