"""Files written from modules, run by ONNX Runtime and compared with PyTorch."""

import numpy as np
import onnxruntime
import torch
from torch import nn

from paretonas.export.export import in_evaluation, outputs_of
from paretonas.export.onnx import export_directly
from paretonas.space import Interface
from paretonas.space.interface import Port


class Module(nn.Module):
    """Layers, and what is done with them and an input."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


class Pair(Module):
    """Of two inputs."""

    def forward(self, x, y):
        return self.function(self, x, y)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Exits(nn.Module):
    def __init__(self, outputs=2):
        super().__init__()
        self.stem, self.outputs = nn.Conv2d(4, 4, 1), outputs

    def forward(self, x, y):
        return (self.stem(x) + y, x.mean((2, 3)))[: self.outputs]


def open_session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path, *inputs):
    session = open_session(path)
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def indices(*shape, high=7):
    return np.random.default_rng(0).integers(0, high, shape)


def batches_of(inputs, batch):
    """So many examples, all different, of the kind of the given one."""
    return tuple(
        noise(batch, *x.shape[1:], seed=i) if x.dtype == np.float32 else indices(batch, *x.shape[1:])
        for i, x in enumerate(inputs)
    )


def sides(value):
    """Of an input or an output of a file."""
    return [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]


def interface_of(model, *inputs):
    """Names are x0, x1 … and y0, y1 …; the shapes are those of the inputs and of what the model makes of them."""
    with in_evaluation(model):
        outputs = outputs_of(model, inputs)

    def ports(letter, arrays):
        return tuple(Port(f"{letter}{i}", array.shape, str(array.dtype)) for i, array in enumerate(arrays))

    return Interface(ports("x", inputs), ports("y", outputs))


def assert_file_agrees(path, model, *inputs, tolerance=1e-5):
    with in_evaluation(model):
        expected = outputs_of(model, inputs)
    found = run(path, *inputs)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        assert np.abs(theirs).max() > 0
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def assert_written(path, model, *inputs, tolerance=1e-5):
    """Write the model for one example, and run it with one and with three."""
    torch.manual_seed(0)
    export_directly(model.eval(), interface_of(model, *inputs), path)
    for batch in (1, 3):
        assert_file_agrees(path, model, *batches_of(inputs, batch), tolerance=tolerance)
