from types import SimpleNamespace

import numpy as np
import pytest
import torch

from paretonas.errors import ExportError
from paretonas.network import build
from paretonas.search.rescore import Beside, rescore
from paretonas.space import Interface
from paretonas.space.recurrent import RecurrentSpec
from paretonas.task.task import Examination
from paretonas.training.fit import as_run
from paretonas.zoo import zoo_spec


def test_state_that_is_left_out_begins_with_zeros_in_file_and_model():
    torch.manual_seed(0)
    spec = RecurrentSpec(None, hidden=4, layers=2)
    interface = spec.with_state(Interface.of_words(9))
    model, shapes = build(spec, interface), []

    def file(inputs):
        shapes.append([(array.shape, array.dtype) for array in inputs])
        return as_run(model)(inputs)

    beside = Beside(file, model, interface, 1e-3)
    logits, *states = beside((np.array([1, 2, 3]),))
    assert shapes == [[((1,), np.dtype(np.int64)), *[((1, 2, 4), np.dtype(np.float32))] * 2]] * 3
    assert [state.shape for state in (logits, *states)] == [(3, 9), (3, 2, 4), (3, 2, 4)]
    again, *_ = beside((np.array([1, 2, 3]), *states))
    assert not np.array_equal(again, logits)
    assert beside.difference < 1e-6


class Regions(torch.nn.Module):
    """Of each image ten regions, of which the last are its own."""

    def forward(self, x):
        boxes = 10 * torch.arange(40.0).reshape(1, 10, 4).repeat(len(x), 1, 1)
        return boxes[..., :3] / 400, boxes.repeat(1, 1, 3), boxes


@pytest.mark.parametrize(("others", "shift", "is_allowed"), [(1, 0, True), (2, 0, False), (0, 0.01, False)])
def test_a_file_may_choose_other_regions_but_has_to_say_the_same_of_each(tmp_path, others, shift, is_allowed):
    interface = zoo_spec("faster-rcnn:proposals=10").usual_interface(3, 64, 2)

    def run(inputs):
        logits, offsets, proposals = as_run(Regions())(inputs)
        logits[:, 3] += shift
        for output in (logits, offsets, proposals):
            output[:, :others] = 7777
        return tuple(output[:, ::-1] for output in (logits, offsets, proposals))

    def examine(run, part):
        run((np.ones((3, 3, 8, 8), np.float32),))
        return Examination({"ap": 0.5}, 0.001, {"what": part})

    device = SimpleNamespace(runtime=SimpleNamespace(tolerance=1e-3, precision="float32"), open=lambda file: run)
    file = SimpleNamespace(path=tmp_path / "m.onnx", interface=interface, precision="float32")
    task = SimpleNamespace(quality="ap", examine=examine)
    if is_allowed:
        assert rescore(device, file, Regions(), task, "test", 0.5).metrics == {"ap": 0.5}
    else:
        with pytest.raises(
            ExportError, match="chooses 20% of its regions otherwise" if others else r"differs by 0\.01"
        ):
            rescore(device, file, Regions(), task, "test", 0.5)


@pytest.mark.parametrize(("step", "is_allowed"), [(0.001, False), (0.03, True)])
def test_a_quality_may_differ_by_one_example_that_tips_over(tmp_path, step, is_allowed):
    """Of balanced accuracy one example of a rare class may be much."""
    model, interface = torch.nn.Identity(), Interface.of_words(9)
    runtime = SimpleNamespace(tolerance=1e-3, precision="float32")
    device = SimpleNamespace(runtime=runtime, open=lambda file: as_run(model))
    file = SimpleNamespace(path=tmp_path / "m.onnx", interface=interface, precision="float32")

    def examine(run, part):
        run((np.ones((2, 1), np.float32),))
        return Examination({"balanced_accuracy": 0.84}, step, {"what": part})

    task = SimpleNamespace(quality="balanced_accuracy", examine=examine)
    if is_allowed:
        assert rescore(device, file, model, task, "test", 0.80).details == {"what": "test"}
    else:
        with pytest.raises(ExportError, match="instead of"):
            rescore(device, file, model, task, "test", 0.80)
