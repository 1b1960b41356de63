from functools import partial

import pytest
import torch
import torchvision
from torch.func import functional_call
from torchvision.ops import MultiScaleRoIAlign, poolers, roi_align

from paretonas.device import parse_device
from paretonas.export.export import in_evaluation
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.network.faster_rcnn import aligned, numbered, on_levels, one_batch
from paretonas.network.shapes import without_numbers
from paretonas.space import ForeignSpec
from paretonas.space.detector import REGION_LEVELS, DetectorSpec, NeckSpec, RegionSpec
from paretonas.testing.runtime import randomize_statistics
from paretonas.zoo import zoo_spec

SMALL = zoo_spec("faster-rcnn:width=0.25,filters=8,box_filters=16,proposals=20")
PUBLISHED = "faster-rcnn:backbone=timm:resnet50,filters=256,separable=false,normalized=false,box_filters=1024"
SIDE = 512
"""Of images in which regions of all levels have room."""


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return randomize_statistics(build(SMALL, SMALL.usual_interface(3, 64, 5)), 0).eval()


@pytest.fixture
def levels():
    torch.manual_seed(0)
    return [torch.randn(2, 3, SIDE // 2**n, SIDE // 2**n) for n in REGION_LEVELS]


def boxes(count, seed=0):
    """Of all sizes, some at the edges, one of exactly 224 pixels a side, one that is the whole image."""
    rng = torch.Generator().manual_seed(seed)
    sides = 2.0 ** (9 * torch.rand(count, 2, generator=rng))
    begin = torch.rand(count, 2, generator=rng) * (SIDE - sides)
    made = torch.cat((begin, begin + sides), dim=1)
    made[0] = torch.tensor([10.0, 20.0, 234.0, 244.0])
    made[1] = torch.tensor([0.0, 0.0, SIDE, SIDE])
    made[2] = torch.tensor([SIDE - 30.0, SIDE - 40.0, SIDE, SIDE])
    return made


def features(levels, regions):
    return aligned(one_batch(levels), on_levels(regions))


def test_features_of_regions_are_torchvision_s(levels, monkeypatch):
    """Which level each is of, by FPN's eq. 1, and what is sampled there."""
    monkeypatch.setattr(poolers, "roi_align", partial(roi_align, aligned=True))
    pool = MultiScaleRoIAlign(list("0123"), 7, 2)
    found = torch.stack([boxes(60, 0), boxes(60, 1)])
    for level in levels:
        level.requires_grad_()
    expected = pool({str(i): level for i, level in enumerate(levels)}, list(found), [(SIDE, SIDE)] * 2)
    ours = features(levels, numbered(found))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    for mine, theirs in zip(
        torch.autograd.grad((ours * weights).sum(), levels),
        torch.autograd.grad((expected * weights).sum(), levels),
        strict=True,
    ):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("side", "level"), [(16, 2), (111, 2), (112, 3), (223, 3), (224, 4), (447, 4), (448, 5)])
def test_a_region_is_looked_at_on_the_level_for_its_size(side, level):
    (found,) = on_levels(torch.tensor([[3.0, 8.0, 16.0, 8.0 + side, 16.0 + side]])).tolist()
    assert found == [3 * 4 + level - 2, *(x / 2**level for x in (8, 16, 8 + side, 16 + side))]


def test_regions_carry_the_number_of_their_image():
    found = numbered(torch.arange(2 * 3 * 4.0).reshape(2, 3, 4))
    assert found[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert found[4, 1:].tolist() == [16, 17, 18, 19]


def test_what_is_chosen_is_looked_at_as_proposals_are(model):
    x, asked = torch.rand(2, 3, 64, 64), []
    with torch.inference_mode():
        logits, offsets, proposals = model(x)

        def choose(said, moved):
            asked.append((said, moved))
            return numbered(proposals)

        chosen, moved, region_logits, region_offsets = model(x, choose)
    torch.testing.assert_close(chosen, logits.flatten(0, 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved, offsets.flatten(0, 1), rtol=1e-4, atol=1e-5)
    ((said, said_moved),) = asked
    assert torch.equal(torch.cat(said, 1), region_logits)
    assert torch.equal(torch.cat(said_moved, 1), region_offsets)


def test_both_stages_learn_in_one_pass_through_weights_from_elsewhere(model):
    """As supernets train networks: the module's own numbers are nowhere."""
    with without_numbers():
        hollow = build(SMALL, SMALL.usual_interface(3, 64, 5)).train()
    for module in hollow.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
            module.num_batches_tracked = None
    tensors = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    regions = torch.tensor([[0.0, 5, 5, 40, 40], [1.0, 0, 0, 64, 64], [1.0, 9, 9, 20, 30]])
    outputs = functional_call(hollow, tensors, (torch.rand(2, 3, 64, 64), lambda *_: regions))
    assert [tuple(x.shape) for x in outputs] == [(3, 6), (3, 24), (2, 1023), (2, 1023, 4)]
    sum(x.square().sum() for x in outputs).backward()
    assert all(tensor.grad is not None for tensor in tensors.values())


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_an_untrained_network_agrees_with_it(seed, tmp_path):
    device, interface = parse_device("onnxruntime"), SMALL.usual_interface(3, 128, 5)
    torch.manual_seed(seed)
    model = randomize_statistics(build(SMALL, interface), seed)
    assert device.verify(model, device.export(model, SMALL, interface, tmp_path / "d")) < 1e-4


def test_a_file_takes_any_batch(model, tmp_path):
    import onnxruntime

    from paretonas.export.onnx import export_directly

    interface = SMALL.usual_interface(3, 64, 5)
    with in_evaluation(model), torch.inference_mode():
        export_directly(model, interface, tmp_path / "d.onnx")
        x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        expected = model(x)
    found = onnxruntime.InferenceSession(tmp_path / "d.onnx").run(None, {"images": x.numpy()})
    for ours, theirs in zip(expected, found, strict=True):
        torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-4, atol=1e-4)


def test_parameters_are_those_of_torchvision_s():
    neck = NeckSpec(256, REGION_LEVELS, is_normalized=False)
    spec = DetectorSpec(ForeignSpec("timm:resnet50"), "faster-rcnn", neck, regions=RegionSpec())
    assert spec == zoo_spec(
        "faster-rcnn:backbone=timm:resnet50,filters=256,separable=false,normalized=false,box_filters=1024"
    )
    with without_numbers():
        ours = build(spec, spec.usual_interface(3, 128, 90))
        theirs = torchvision.models.detection.fasterrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=91
        )
    shapes = [sorted(tuple(p.shape) for p in network.parameters()) for network in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_macs_of_each_part_by_hand():
    spec = zoo_spec("faster-rcnn:width=0.25,filters=8,box_filters=16,proposals=20,separable=false")
    found = spec_cost(spec, spec.usual_interface(3, 64, 5)).by_module
    assert found["boxes"] == (8 * 49 * 16 + 16 + 16 * 16 + 16 + 17 * 30, 20 * (8 * 49 * 16 + 16 * 16 + 16 * 30))
    places = 16**2 + 8**2 + 4**2 + 2**2 + 1
    assert found["regions"][1] == places * (9 * 8 * 8 + 8 * 15)
    assert found["proposals"] == (0, 0)
