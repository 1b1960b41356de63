import sys

import pytest
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.space import ForeignSpec, Interface
from paretonas.space.trust import VARIABLE, trust_everything

IMAGENET = Interface.of_images(3, 224, 1000)
FACTORIES = """
import torch
from torch import nn

def linear(num_classes, in_chans):
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * in_chans, num_classes))

def text(num_classes, in_chans):
    return "not a module"

def greedy(num_classes):
    return nn.Linear(1, num_classes)

def breaks(num_classes, in_chans):
    raise RuntimeError("no weights here")

def computes(num_classes, in_chans):  # as published code of transformers does
    rates = [float(rate) for rate in torch.linspace(0, 0.1, 3)]
    return nn.Sequential(nn.Dropout(rates[-1]), linear(num_classes, in_chans))

constant = 3
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    name = "factories_of_a_user"
    (tmp_path / f"{name}.py").write_text(FACTORIES, encoding="utf-8")
    (tmp_path / "broken_module_of_a_user.py").write_text("import a_module_that_nobody_has\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    trust_everything()
    yield name
    sys.modules.pop(name, None)


def test_timm_source_gives_timms_model():
    model = build(ForeignSpec("timm:resnet18"), Interface.of_images(1, 32, 10), dropout=0.3).eval()
    # timm's 11,689,512 parameters, with 990 classes and two input channels less
    assert sum(p.numel() for p in model.parameters()) == 11_689_512 - 990 * 513 - 2 * 49 * 64
    assert model.drop_rate == 0.3
    with torch.no_grad():
        assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "params"), [("resnet18", 11_689_512), ("convnext_tiny", 28_589_128), ("deit_tiny_patch16_224", 5_717_416)]
)
def test_cost_of_foreign_models(name, params):
    assert spec_cost(ForeignSpec(f"timm:{name}"), IMAGENET).params == params


def test_macs_of_resnet18_are_the_published_ones():
    assert spec_cost(ForeignSpec("timm:resnet18"), IMAGENET).macs == 1_814_073_344


def test_factory_of_the_users_is_called(factories):
    model = build(ForeignSpec(f"{factories}:linear"), Interface.of_images(4, 8, 7))
    assert isinstance(model, nn.Sequential)
    assert model(torch.zeros(2, 4, 8, 8)).shape == (2, 7)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:resnet18x", "'resnet18x'"),
        ("timm:hf-hub:timm/resnet18", "timm.list_models"),  # nothing is downloaded
        ("a_module_that_nobody_has:factory", "'a_module_that_nobody_has:factory'"),
        ("{}:nothing", "nothing"),
        ("broken_module_of_a_user:factory", "a_module_that_nobody_has"),
        ("{}:text", "torch.nn.Module, but got str"),
        ("{}:constant", "3 is not a callable object"),
        ("{}:greedy", "does not take them: got an unexpected keyword argument 'in_chans'"),
        ("{}:breaks", "failed: RuntimeError: no weights here"),
    ],
)
def test_source_that_gives_no_model_is_refused(factories, source, message):
    with pytest.raises(SpecError, match=message):
        build(ForeignSpec(source.format(factories)), IMAGENET)


def test_factory_that_computes_with_what_it_makes_is_costed(factories):
    assert spec_cost(ForeignSpec(f"{factories}:computes"), Interface.of_images(1, 8, 7)).params == 5 * 7


def test_factory_that_nobody_has_named_is_not_called(factories, monkeypatch):
    monkeypatch.setenv(VARIABLE, "{}")
    with pytest.raises(SpecError, match="imported only if it is trusted"):
        build(ForeignSpec(f"{factories}:linear"), IMAGENET)
    assert factories not in sys.modules


def test_dropped_strides_are_the_first_ones():
    def strides(dropped):
        model = build(ForeignSpec("timm:resnet18", dropped), IMAGENET)
        return [m.stride for m in model.modules() if isinstance(m, nn.Conv2d)]

    published = strides(0)
    twos = [i for i, stride in enumerate(published) if stride == (2, 2)]
    for dropped in range(len(twos) + 1):
        expected = [(1, 1) if i in twos[:dropped] else stride for i, stride in enumerate(published)]
        assert strides(dropped) == expected
