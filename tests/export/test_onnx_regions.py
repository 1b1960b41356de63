"""Every function of a detector of two stages, run by ONNX Runtime and compared with PyTorch."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported import Module, Pair, assert_file_agrees, assert_written, interface_of, noise, open_session
from torch import nn

from paretonas.export.onnx import export_directly
from paretonas.export.onnx.regions import REGION_FUNCTIONS
from paretonas.network import faster_rcnn, regions


class Held(nn.Module):
    """Anchors, of which those are taken that stand where the highest scores do."""

    def __init__(self):
        super().__init__()
        self.register_buffer("anchors", torch.from_numpy(noise(9, 4)))

    def forward(self, scores):
        return regions.anchors_at(self.anchors, regions.best(scores, 5)[1])


CASES = {
    faster_rcnn.aligned: (Pair(lambda self, x, y: aligned(x, y)), [(1, 3, 9, 9), (1, 6, 4)]),
    regions.anchors_at: (Held(), [(1, 9)]),
    regions.best: (Module(lambda self, x: regions.best(x, 5)[0]), [(1, 9)]),
    regions.rows: (Pair(lambda self, x, y: regions.rows(x, regions.best(y, 4)[1])), [(1, 9, 3), (1, 9)]),
}


def aligned(x, y):
    """Of every image six regions, some of which go beyond its end."""
    begin = 4 * y[:, :, :2]
    corners = torch.cat((begin, begin + torch.abs(y[:, :, 2:] * 5)), dim=2)
    return torch.unflatten(faster_rcnn.aligned(x, faster_rcnn.numbered(corners)), 0, (-1, 6))


def test_every_function_has_a_case():
    assert set(CASES) == set(REGION_FUNCTIONS)


@pytest.mark.parametrize("function", CASES, ids=lambda one: one.__name__)
def test_function_is_written_as_it_computes(path, function):
    model, shapes = CASES[function]
    inputs = [noise(*shape, seed=i) for i, shape in enumerate(shapes)]
    assert_written(path, model, *inputs)


def test_of_equal_scores_the_first_are_the_best(path):
    model = Module(lambda self, x: regions.best(x, 4)[1].to(torch.float32))
    export_directly(model.eval(), interface_of(model, noise(1, 8)), path)
    x = np.array([[1, 0, 1, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 2]], np.float32)
    assert_file_agrees(path, model, x)
    (places,) = open_session(path).run(None, {"x0": x})
    assert places.tolist() == [[0, 2, 4, 1], [7, 0, 1, 2]]


def test_files_ask_for_the_opset_that_has_the_functions(path):
    model, shapes = CASES[faster_rcnn.aligned]
    assert_written(path, model, *(noise(*shape) for shape in shapes))
    assert onnx.load(path).opset_import[0].version == 16
    assert onnxruntime.InferenceSession(path)
