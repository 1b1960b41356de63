"""Networks in other widths: cut, widened, without branches; of all makes."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.errors import SpecError
from paretonas.export import formats
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.network.dependencies import find_layout
from paretonas.network.layout import Layout
from paretonas.network.resizing import resize
from paretonas.network.widths import spec_layout
from paretonas.space import ForeignSpec, Interface, Spec
from paretonas.space.widths import WidthsSpec
from paretonas.zoo import zoo_spec

FED = Interface.of_images(3, 32, 10)
NETWORKS: dict[str, Spec] = {
    "mobilenet-v2": zoo_spec("mobilenet-v2", 0.25, 32),
    "mnasnet-a1": zoo_spec("mnasnet-a1", 0.25, 32),
    "nasnet": zoo_spec("nasnet-a:skeleton=cifar,cells=3,filters=8"),
    "torchvision's mobilenet_v2": ForeignSpec("torchvision:mobilenet_v2"),
    "resnet18": ForeignSpec("timm:resnet18"),
    "efficientnet_b0": ForeignSpec("timm:efficientnet_b0"),
    "densenet121": ForeignSpec("timm:densenet121"),
    "convnext_atto": ForeignSpec("timm:convnext_atto"),
}
NORMALIZED_OVER_CHANNELS = ("convnext_atto",)
"""Where a channel less changes the others."""


LONG = ("efficientnet_b0", "densenet121", "torchvision's mobilenet_v2")
"""Networks like others that are looked at with the long tests alone."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in NETWORKS]
)
def subject(request: pytest.FixtureRequest) -> tuple[str, Spec, Layout]:
    spec = NETWORKS[request.param]
    return request.param, spec, spec_layout(spec, FED)


def run(model: nn.Module, seed: int = 0, fed: Interface = FED) -> Any:
    inputs = torch.randn(2, *fed.inputs[0].shape[1:], generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model.eval()(inputs)


def narrower(layout: Layout, share: float) -> tuple[int, ...]:
    return tuple(max(group.multiple, group.nearest(share * group.width)) for group in layout.groups)


def test_other_widths_are_built_and_cost_what_they_should(subject: tuple[str, Spec, Layout]) -> None:
    _, spec, layout = subject
    whole = spec_cost(spec, FED)
    half, double = (spec_cost(WidthsSpec(spec, narrower(layout, share)), FED) for share in (0.5, 2.0))
    assert half.macs < 0.55 * whole.macs < 0.55 * double.macs
    assert run(build(WidthsSpec(spec, narrower(layout, 1.3)), FED)).shape == (2, 10)


def test_its_own_widths_change_nothing(subject: tuple[str, Spec, Layout]) -> None:
    _, spec, layout = subject
    model = build(spec, FED)
    assert torch.equal(run(resize(deepcopy(model), layout, layout.widths)), run(model))


def test_what_is_cut_computes_what_the_rest_did(subject: tuple[str, Spec, Layout]) -> None:
    name, spec, layout = subject
    if name in NORMALIZED_OVER_CHANNELS:
        pytest.skip("a channel less changes what the others are normalized by")
    model = build(spec, FED)
    make_uneven(model)
    kept = two_thirds(layout)
    silenced = deepcopy(model)
    silence(silenced, layout, kept)
    cut = resize(model, layout, [len(channels) for channels in kept], kept)
    torch.testing.assert_close(run(cut), run(silenced), rtol=1e-3, atol=1e-5)


def make_uneven(model: nn.Module) -> None:
    """Give normalizations numbers by which their channels differ."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)


def two_thirds(layout: Layout) -> list[list[int]]:
    return [[i for i in range(group.width) if i % 3 or i == 0] for group in layout.groups]


def silence(model: nn.Module, layout: Layout, kept: list[list[int]]) -> None:
    """Let no layer read channels that are not kept, in place."""
    modules = dict(model.named_modules())
    for layer in layout.layers:
        begin, module = 0, modules.get(layer.name)
        for of in layer.ins:
            if of.group is not None and isinstance(module, nn.Conv2d | nn.Linear):
                gone = set(range(of.count // of.copies)) - set(kept[of.group])
                columns = [begin + i * of.copies + copy for i in gone for copy in range(of.copies)]
                with torch.no_grad():
                    module.weight[:, columns] = 0
            begin += of.count


def test_branches_of_width_0_are_gone(subject: tuple[str, Spec, Layout]) -> None:
    name, spec, layout = subject
    widths = [0 if group.is_removable else group.width for group in layout.groups]
    if not layout.removals:
        assert name in ("densenet121", "nasnet")  # whose branches are concatenated
        return
    without = build(WidthsSpec(spec, tuple(widths)), FED)
    left = dict(without.named_modules())
    assert not any(
        layer.name in left for layer in layout.layers if layer.groups & layout.removals.keys() == layer.groups
    )
    assert not torch.equal(run(without, 1), run(without, 2))  # it is still a network
    assert spec_cost(WidthsSpec(spec, tuple(widths)), FED).macs < spec_cost(spec, FED).macs


@pytest.mark.slow
def test_other_widths_are_exported_and_compute_the_same(subject: tuple[str, Spec, Layout], tmp_path: Path) -> None:
    _, spec, layout = subject
    pairs = enumerate(zip(layout.groups, narrower(layout, 0.7), strict=True))
    other = WidthsSpec(spec, tuple(0 if group.is_removable and i % 2 else width for i, (group, width) in pairs))
    model = build(other, FED).eval()
    formats.create("onnx").write(model, other, FED, tmp_path / "other.onnx", {})
    inputs = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        wanted = model(inputs)
    (given,) = OnnxRuntime().load(tmp_path / "other.onnx")((inputs.numpy(),))
    torch.testing.assert_close(torch.from_numpy(given), wanted, rtol=1e-3, atol=1e-5)


def test_a_layout_is_found_where_numbers_are_left_out() -> None:
    spec = NETWORKS["mobilenet-v2"]
    spec_layout.cache_clear()
    spec_cost.cache_clear()
    widths = tuple(group.width + 1 for group in find_layout(build(spec, FED), FED).groups)
    assert spec_cost(WidthsSpec(spec, widths), FED).macs > spec_cost(spec, FED).macs


def test_fresh_weights_have_the_spread_of_their_layers() -> None:
    spec = NETWORKS["mobilenet-v2"]
    layout = spec_layout(spec, FED)
    torch.manual_seed(0)
    before, after = build(spec, FED), build(WidthsSpec(spec, narrower(layout, 2.0)), FED)
    old, new = (model.get_parameter("head.0.weight").detach() for model in (before, after))
    assert float(new.std()) == pytest.approx(float(old.std()) / 2**0.5, rel=0.1)
    assert torch.equal(after.get_parameter("head.1.weight"), torch.ones(2560))


@pytest.mark.parametrize(
    ("widths", "message"),
    [((8,), "23 groups"), ((*[1] * 22, 0), "at least 1"), ((*[1] * 22, 70_000), "numbers of channels")],
)
def test_widths_that_cannot_be_are_refused(widths: tuple[int, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build(WidthsSpec(NETWORKS["mobilenet-v2"], widths), FED)


@pytest.mark.slow
def test_layers_whose_code_relies_on_a_width_keep_it() -> None:
    layout = spec_layout(ForeignSpec("timm:vit_tiny_patch16_224"), Interface.of_images(3, 224, 10))
    assert any("code relies" in why for layer, why in layout.fixed.items() if "qkv" in layer)
    assert all("mlp" in group.name or "patch" in group.name for group in layout.groups)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ssdlite:backbone=mobilenet-v2,width=0.25,last_filters=32", {"backbone", "neck"}),
        ("retinanet:backbone=mobilenet-v2,width=0.25,filters=24,head_layers=2", {"backbone", "neck", "heads"}),
        (
            "nas-fpn:backbone=mobilenet-v2,width=0.25,filters=24,head_layers=1,stacks=2,separable=true",
            {"backbone", "neck", "heads"},
        ),
    ],
)
def test_a_detector_is_followed_through_neck_and_heads(name: str, parts: set[str], tmp_path: Path) -> None:
    spec = zoo_spec(name)
    fed = spec.usual_interface(3, 128, 3)
    layout = spec_layout(spec, fed)
    assert parts <= {group.name.partition(".")[0] for group in layout.groups}
    whole = spec_cost(spec, fed).macs
    narrow, wide = (WidthsSpec(spec, narrower(layout, share)) for share in (0.5, 1.5))
    assert spec_cost(narrow, fed).macs < 0.5 * whole < 1.5 * whole < spec_cost(wide, fed).macs

    model = build(spec, fed)
    make_uneven(model)
    kept = two_thirds(layout)
    silenced = deepcopy(model)
    silence(silenced, layout, kept)
    cut = resize(deepcopy(model), layout, [len(channels) for channels in kept], kept)
    torch.testing.assert_close(run(cut, fed=fed), run(silenced, fed=fed), rtol=1e-3, atol=1e-5)

    other = build(wide, fed).eval()
    formats.create("onnx").write(other, wide, fed, tmp_path / "wide.onnx", {})
    inputs = torch.randn(fed.inputs[0].shape)
    with torch.no_grad():
        wanted = other(inputs)
    given = OnnxRuntime().load(tmp_path / "wide.onnx")((inputs.numpy(),))
    torch.testing.assert_close(tuple(map(torch.from_numpy, given)), wanted, rtol=1e-3, atol=1e-5)


def test_a_network_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(SpecError, match="is traced"):
        spec_layout(ForeignSpec("torchvision:shufflenet_v2_x0_5"), FED)


def test_a_layout_is_found_again(subject: tuple[str, Spec, Layout]) -> None:
    _, spec, layout = subject
    assert find_layout(build(spec, FED), FED).widths == layout.widths
