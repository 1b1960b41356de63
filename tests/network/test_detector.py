import pytest
import torch

from paretonas.errors import SpecError
from paretonas.export.onnx import export_directly
from paretonas.network import build
from paretonas.network.backbone import make_backbone
from paretonas.network.detector import PRIOR
from paretonas.network.pyramid import by_anchor
from paretonas.space import Interface
from paretonas.space.detector import DetectorSpec, NeckSpec
from paretonas.zoo import zoo_spec

SMALL = zoo_spec("mobilenet-v2", 0.25)
KINDS = {
    "retinanet": DetectorSpec(SMALL, "retinanet", NeckSpec(16), head_layers=1),
    "ssdlite": DetectorSpec(SMALL, "ssdlite", last_filters=32),
    "faster-rcnn": zoo_spec("faster-rcnn:width=0.25,filters=8,box_filters=16"),
    "nas-fpn": zoo_spec("nas-fpn:backbone=detnasnet,width=0.25,filters=8,stacks=2,separable=true"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_gives_numbers_for_every_anchor_whatever_the_batch(kind):
    interface = KINDS[kind].usual_interface(3, 128, 5)
    model = build(KINDS[kind], interface).eval()
    for n in (1, 3):
        outputs = model(torch.rand(n, 3, 128, 128))
        assert [(n, *port.shape[1:]) for port in interface.outputs] == [tuple(output.shape) for output in outputs]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "faster-rcnn"])
def test_a_detector_is_written_directly(kind, tmp_path):
    import onnxruntime

    interface = KINDS[kind].usual_interface(3, 128, 5)
    model = build(KINDS[kind], interface).eval()
    export_directly(model, interface, tmp_path / "d.onnx")
    x = torch.rand(2, 3, 128, 128)
    found = onnxruntime.InferenceSession(tmp_path / "d.onnx").run(None, {"images": x.numpy()})
    with torch.inference_mode():
        for mine, theirs in zip(model(x), found, strict=True):
            torch.testing.assert_close(mine, torch.from_numpy(theirs), rtol=1e-4, atol=1e-4)


def test_numbers_stand_place_by_place():
    x = torch.arange(2 * 6 * 2 * 3).reshape(2, 6, 2, 3).float()
    found = by_anchor(x, 3)  # two anchors a place
    assert found.shape == (2, 12, 3)
    assert torch.equal(found[1, 2 * (1 * 3 + 2) + 1], x[1, 3:, 1, 2])


def test_retinanet_begins_with_few_objects():
    spec = KINDS["retinanet"]
    model = build(spec, spec.usual_interface(3, 128, 5)).eval()
    with torch.inference_mode():
        logits, _ = model(torch.rand(1, 3, 128, 128))
    assert float(logits.sigmoid().mean()) == pytest.approx(PRIOR, rel=0.2)


@pytest.mark.parametrize(
    ("spec", "strides", "filters"),
    [
        (zoo_spec("mobilenet-v2"), (2, 4, 8, 16, 32), (16, 24, 32, 96, 320)),
        (zoo_spec("mobilenet-v2", resolution=32), (1, 2, 4, 8), (24, 32, 96, 320)),
        (zoo_spec("detnasnet"), (2, 4, 8, 16, 32), (16, 64, 160, 320, 640)),
    ],
)
def test_stages_end_before_strides(spec, strides, filters):
    backbone = make_backbone(spec, 3)
    assert (backbone.strides, backbone.filters) == (strides, filters)
    features = backbone(torch.zeros(1, 3, 64, 64))
    assert [tuple(f.shape) for f in features] == [
        (1, n, 64 // s, 64 // s) for s, n in zip(strides, filters, strict=True)
    ]


def test_a_network_without_known_stages_is_no_backbone():
    with pytest.raises(SpecError, match="A backbone is a network of kind"):
        make_backbone(zoo_spec("lstm"), 3)
    with pytest.raises(SpecError, match="strides 16 and 32"):
        build(
            DetectorSpec(zoo_spec("mobilenet-v2", resolution=32), "ssdlite"), KINDS["ssdlite"].usual_interface(3, 64, 2)
        )


@pytest.mark.parametrize(
    "interface",
    [Interface.of_images(3, 128, 5), *(KINDS[kind].usual_interface(3, 128, 5) for kind in ("ssdlite", "faster-rcnn"))],
    ids=["classes", "ssd", "two stages"],
)
def test_another_task_s_interface_is_refused(interface):
    with pytest.raises(SpecError, match=r"is its task detection|has to be retinanet"):
        build(KINDS["retinanet"], interface)


@pytest.mark.parametrize("kind", ["retinanet", "ssdlite"])
def test_two_stages_are_not_made_for_one(kind):
    with pytest.raises(SpecError, match="has to be faster-rcnn"):
        build(KINDS["faster-rcnn"], KINDS[kind].usual_interface(3, 128, 5))
