"""What every runtime must do, as a suite of tests to subclass with a fixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from paretonas.device import Runtime
from paretonas.device.timing import Clock
from paretonas.errors import MeasureError
from paretonas.export import ModelFile, example_inputs, formats
from paretonas.network import build
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

Export = Callable[[str, int, int, int], tuple[nn.Module, ModelFile]]


def randomize_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch normalization scales, shifts, means and variances that nobody can ignore."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):
                assert tensor is not None
                tensor.data.uniform_(low, high, generator=generator)
    return model


def images(*shape: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Normal noise of that shape."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


class RuntimeContract:
    """Tests of a runtime that works on this machine.

    The zoo's networks take images and give one output; a runtime has tests of its own for files with several.

    ```python
    class TestMyRuntime(RuntimeContract):
        @pytest.fixture
        def runtime(self):
            return MyRuntime()
    ```
    """

    @pytest.fixture
    def export(self, runtime: Runtime, tmp_path: Path) -> Export:
        """A function that writes a network of the zoo in the runtime's format: (name, side, classes, channels)."""

        def export(name: str, side: int, classes: int, channels: int) -> tuple[nn.Module, ModelFile]:
            spec, interface = zoo_spec(name, 0.5, side), Interface.of_images(channels, side, classes)
            model = randomize_statistics(build(spec, interface)).eval()
            written = formats.create(runtime.format)
            file = ModelFile(tmp_path / f"model{written.suffix}", interface)
            written.write(model, spec, interface, file.path)
            return model, file

        return export

    @pytest.mark.parametrize(
        ("name", "side", "classes", "channels"),
        [("mnasnet-a1", 64, 11, 3), ("mnasnet-b1", 48, 1000, 3), ("mobilenet-v2", 32, 10, 1)],
    )
    def test_a_loaded_file_agrees_with_its_model(
        self, runtime: Runtime, export: Export, name: str, side: int, classes: int, channels: int
    ) -> None:
        model, file = export(name, side, classes, channels)
        run = runtime.load(file.path)
        for seed in range(2):
            x = images(1, channels, side, side, seed=seed)
            with torch.inference_mode():
                expected = model(torch.from_numpy(x)).numpy()
            (outputs,) = run((x,))
            assert isinstance(outputs, np.ndarray)
            assert outputs.dtype == np.float32
            assert outputs.shape == (1, classes)
            np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())

    def test_a_run_leaves_inputs_and_earlier_outputs_alone(self, runtime: Runtime, export: Export) -> None:
        run = runtime.load(export("mnasnet-a1", 32, 10, 3)[1].path)
        x, other = images(1, 3, 32, 32), images(1, 3, 32, 32, seed=1)
        before = x.copy()
        (first,) = run((x,))
        kept = first.copy()
        np.testing.assert_array_equal(x, before)
        assert np.abs(run((other,))[0] - kept).max() > 1e-3  # the images do not look alike to it
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(run((x,))[0], kept)

    def test_two_loaded_files_run_in_turn(self, runtime: Runtime, export: Export) -> None:
        _, file = export("mnasnet-a1", 32, 10, 3)
        inputs = example_inputs(file.interface)
        one, other = runtime.load(file.path), runtime.load(file.path)
        outputs = [run(inputs)[0] for run in (one, other, one)]
        for output in outputs[1:]:
            np.testing.assert_array_equal(output, outputs[0])

    @pytest.mark.parametrize(("side", "classes", "channels"), [(48, 10, 1), (32, 7, 3)])
    def test_interface_is_what_the_file_was_exported_with(
        self, runtime: Runtime, export: Export, side: int, classes: int, channels: int
    ) -> None:
        _, file = export("mnasnet-a1", side, classes, channels)
        assert runtime.interface(file.path) == file.interface == Interface.of_images(channels, side, classes)

    @pytest.mark.parametrize("method", ["load", "interface"])
    @pytest.mark.parametrize("fault", ["missing", "empty", "text", "cut", "folder"])
    def test_a_file_that_cannot_be_read_is_a_measure_error(
        self, runtime: Runtime, export: Export, tmp_path: Path, fault: str, method: str
    ) -> None:
        path = tmp_path / f"broken{formats.create(runtime.format).suffix}"
        if fault == "empty":
            path.touch()
        elif fault == "text":
            path.write_text("not a network", encoding="utf-8")
        elif fault == "cut":
            data = export("mnasnet-a1", 32, 10, 3)[1].path.read_bytes()
            path.write_bytes(data[: len(data) // 2])
        elif fault == "folder":
            path.mkdir()
        with pytest.raises(MeasureError, match="broken"):
            getattr(runtime, method)(path)

    def test_conditions_and_version_say_what_was_measured(self, runtime: Runtime) -> None:
        assert isinstance(runtime.conditions()["threads"], int)
        assert runtime.conditions()["threads"] >= 1
        assert runtime.version() == runtime.version() != ""

    def test_clock_of_several_threads_is_the_wall(self, runtime: Runtime) -> None:
        assert runtime.clock in get_args(Clock)
        assert runtime.clock == "wall" or runtime.conditions()["threads"] == 1

    def test_format_can_be_exported(self, runtime: Runtime) -> None:
        assert runtime.format in formats
