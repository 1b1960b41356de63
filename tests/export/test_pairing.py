import numpy as np
import pytest

from paretonas.errors import ExportError
from paretonas.export import ModelFile, verify
from paretonas.export.export import example_inputs, outputs_of
from paretonas.export.pairing import MOST_UNPAIRED, paired
from paretonas.network import build
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

SPEC = zoo_spec("faster-rcnn:width=0.25,filters=8,box_filters=16,proposals=40")
INTERFACE = SPEC.usual_interface(3, 64, 2)


def outputs(boxes):
    """Of one image; what is said of a region is where it begins."""
    boxes = np.array([boxes], np.float32)
    return boxes[..., :1], np.repeat(boxes[..., :1], 4, 2), boxes


A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 100, 100]


def test_what_is_said_of_the_same_regions_stands_side_by_side_in_any_order():
    near = [20.05, 0, 30, 10]
    expected, found, unpaired = paired(INTERFACE, outputs([A, B, C]), outputs([C, A, near]), 1e-3)
    assert unpaired == 0
    assert [x.shape for x in expected] == [x.shape for x in found] == [(3, 1), (3, 4), (3, 4)]
    np.testing.assert_array_equal(expected[0][:, 0], [0, 20, 50])
    np.testing.assert_allclose(found[0][:, 0], [0, 20.05, 50])


def test_regions_that_only_one_chose_are_left_out_and_counted():
    far = [20.2, 0, 30, 10]  # more than a thousandth of 100 away
    expected, found, unpaired = paired(INTERFACE, outputs([A, B, C, A]), outputs([far, C, A, C]), 1e-3)
    assert unpaired == 0.5
    np.testing.assert_array_equal(expected[2], found[2])


def test_the_nearest_are_pairs():
    boxes = np.array([[x, 0, 90, 90] for x in (0, 0.03, 0.06)])
    moved = boxes[::-1] + 1e-5
    expected, found, unpaired = paired(INTERFACE, outputs(boxes), outputs(moved), 1e-3)
    assert unpaired == 0
    np.testing.assert_allclose(expected[2], found[2], atol=1e-4)


def test_images_are_looked_at_one_by_one():
    two = [tuple(np.concatenate(pair) for pair in zip(a, b, strict=True)) for a, b in (
        (outputs([A, B]), outputs([C, C])), (outputs([C, B]), outputs([C, A])),
    )]  # fmt: skip
    expected, _, unpaired = paired(INTERFACE, *two, 1e-3)
    assert unpaired == 0.5
    np.testing.assert_array_equal(expected[2], [B, C])


def test_numbers_that_are_none_have_no_pair():
    _, _, unpaired = paired(INTERFACE, outputs([A, B]), outputs([A, [np.nan] * 4]), 1e-3)
    assert unpaired == 0.5


def test_outputs_of_networks_that_choose_nothing_stay_as_they_are():
    interface = Interface.of_images(3, 8, 4)
    expected, found = (np.ones((1, 4)),), (np.zeros((1, 4)),)
    assert paired(interface, expected, found, 1e-3) == (expected, found, 0.0)


@pytest.fixture(scope="module")
def model():
    return build(SPEC, INTERFACE).eval()


def verified(model, change, tmp_path):
    """As if an engine had given the model's outputs, changed."""
    expected = outputs_of(model, example_inputs(INTERFACE))
    return verify(model, lambda _: change(expected), ModelFile(tmp_path / "model.onnx", INTERFACE), 1e-3)


def others(outputs, count):
    logits, offsets, proposals = (x.copy() for x in outputs)
    for x in (logits, offsets, proposals):
        x[:, :count] = 1000
    return logits, offsets, proposals


def test_a_file_may_choose_a_few_regions_otherwise_in_any_order(model, tmp_path):
    few = int(MOST_UNPAIRED * 40)
    assert verified(model, lambda outputs: others(tuple(x[:, ::-1] for x in outputs), few), tmp_path) == 0
    with pytest.raises(ExportError, match=r"but for 10% of them, but of model\.onnx 12% are others"):
        verified(model, lambda outputs: others(outputs, few + 1), tmp_path)


def test_a_file_has_to_say_the_same_of_the_same_regions(model, tmp_path):
    with pytest.raises(ExportError, match=r"differs by 1 in 'logits'"):
        verified(model, lambda outputs: (outputs[0] + np.abs(outputs[0]).max(), *outputs[1:]), tmp_path)
    with pytest.raises(ExportError, match=r"'offsets'"):
        verified(model, lambda outputs: (outputs[0], outputs[1][:, ::-1], outputs[2]), tmp_path)
