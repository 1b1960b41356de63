"""ExecuTorch with files from elsewhere, damaged ones, and other numbers of threads in between."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from paretonas.device.runtime.executorch import ExecuTorch
from paretonas.errors import DeviceError, MeasureError
from paretonas.export import example_inputs
from paretonas.export.appended import append_json
from paretonas.space import Interface
from paretonas.space.interface import Port


class Sums(nn.Module):
    """Takes and gives two tensors, of two types."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x, numbers):
        return self.linear(x), numbers + 1


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A file as ExecuTorch writes it without us, and its model."""
    torch.manual_seed(0)
    model, path = Sums().eval(), tmp_path_factory.mktemp("executorch") / "elsewhere.pte"
    write(model, (torch.zeros(1, 4), torch.zeros(1, 2, dtype=torch.int64)), path)
    return model, path


def write(model, inputs, path, dynamic_shapes=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.exir import to_edge_transform_and_lower

        program = torch.export.export(model, inputs, dynamic_shapes=dynamic_shapes)
        path.write_bytes(to_edge_transform_and_lower(program).to_executorch().buffer)


def refused(path, said):
    for read in (ExecuTorch().load, ExecuTorch().interface):
        with pytest.raises(MeasureError, match=rf"ExecuTorch cannot load .*{path.name}: .*{said}"):
            read(path)


@pytest.mark.slow
def test_a_file_from_elsewhere_has_no_names(elsewhere):
    model, path = elsewhere
    found = ExecuTorch().interface(path)
    assert found == Interface(
        (Port("input0", (1, 4)), Port("input1", (1, 2), "int64")),
        (Port("output0", (1, 4)), Port("output1", (1, 2), "int64")),
    )
    inputs = example_inputs(found)
    first, second = ExecuTorch().load(path)(inputs)
    with torch.inference_mode():
        np.testing.assert_allclose(first, model.linear(torch.tensor(inputs[0])).numpy(), atol=1e-6)
    np.testing.assert_array_equal(second, inputs[1] + 1)


@pytest.mark.slow
@pytest.mark.parametrize("said", [{"inputs": [], "outputs": []}, {"nonsense": 1}, {"inputs": 1, "outputs": 2}])
def test_an_interface_that_is_not_the_files_is_refused(elsewhere, tmp_path, said):
    path = tmp_path / "liar.pte"
    path.write_bytes(elsewhere[1].read_bytes())
    append_json(path, {"interface": said})
    with pytest.raises(MeasureError, match=r"liar\.pte"):
        ExecuTorch().interface(path)


@pytest.mark.slow
def test_an_interface_of_other_shapes_is_refused(elsewhere, tmp_path):
    path = tmp_path / "liar.pte"
    path.write_bytes(elsewhere[1].read_bytes())
    port = {"name": "x", "shape": [1, 4], "dtype": "float32"}
    append_json(path, {"interface": {"inputs": [port], "outputs": [port]}})
    with pytest.raises(MeasureError, match=r"is the file's, but .*liar\.pte"):
        ExecuTorch().interface(path)


@pytest.mark.slow
def test_files_that_are_damaged_are_refused(elsewhere, tmp_path):
    data, path = elsewhere[1].read_bytes(), tmp_path / "broken.pte"
    rng = np.random.default_rng(0)
    for content in (b"", data[:8], data[:39], data[:100], data[: len(data) // 2], data[:-100], b"no network" * 10):
        path.write_bytes(content)
        refused(path, "")
    for _ in range(20):
        path.write_bytes(data[:12] + rng.bytes(5000))
        refused(path, "")


@pytest.mark.slow
def test_files_with_other_numbers_of_threads_run_in_turn(elsewhere):
    inputs = example_inputs(ExecuTorch().interface(elsewhere[1]))
    runs = [ExecuTorch(threads=threads).load(elsewhere[1]) for threads in (1, 2, 1, 3)]
    expected = runs[0](inputs)
    for run in (*runs, *reversed(runs)):
        for found, output in zip(run(inputs), expected, strict=True):
            np.testing.assert_array_equal(found, output)


@pytest.mark.slow
def test_sides_that_are_open_have_their_largest_size(tmp_path):
    path, batch = tmp_path / "open.pte", torch.export.Dim("batch", min=1, max=4)
    write(nn.ReLU().eval(), (torch.zeros(2, 3),), path, ({0: batch},))
    with pytest.raises(MeasureError, match=r"open\.pte: .*\(4, 3\)"):
        ExecuTorch().interface(path)
    side = torch.export.Dim("side", min=1, max=9)
    write(nn.ReLU().eval(), (torch.zeros(1, 3),), path, ({1: side},))
    assert ExecuTorch().interface(path).inputs[0].shape == (1, 9)
    assert ExecuTorch().load(path)((np.ones((1, 9), np.float32),))[0].shape == (1, 9)


@pytest.mark.slow
def test_what_a_network_does_not_take_is_a_measure_error(elsewhere):
    run = ExecuTorch().load(elsewhere[1])
    x, numbers = np.zeros((1, 4), np.float32), np.zeros((1, 2), np.int64)
    for inputs in ((), (x,), (numbers, x), (x, numbers, x), (x[0], numbers), (x.astype(np.float64), numbers)):
        with pytest.raises(MeasureError, match="cannot run"):
            run(inputs)
    x.setflags(write=False)
    assert [output.shape for output in run((x, numbers))] == [(1, 4), (1, 2)]


@pytest.mark.parametrize("threads", [0, 1025, -1])
def test_threads_out_of_range_are_refused(threads):
    with pytest.raises(DeviceError, match="threads"):
        ExecuTorch(threads=threads)
