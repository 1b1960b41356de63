"""What every runtime must do, as a suite of tests to subclass with a fixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from paretonas.device import Runtime
from paretonas.errors import MeasureError
from paretonas.export import exporters
from paretonas.network import build
from paretonas.zoo.zoo import zoo_spec

Export = Callable[[str, int, int, int], tuple[nn.Module, Path]]


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

        def export(name: str, side: int, classes: int, channels: int) -> tuple[nn.Module, Path]:
            spec = zoo_spec(name, 0.5, side)
            model = randomize_statistics(build(spec, classes, channels)).eval()
            path = tmp_path / f"model.{runtime.format}"
            exporters.load(runtime.format)(model, spec, (1, channels, side, side), path)
            return model, path

        return export

    @pytest.mark.parametrize(
        ("name", "side", "classes", "channels"),
        [("mnasnet-a1", 64, 11, 3), ("mnasnet-b1", 48, 1000, 3), ("mobilenet-v2", 32, 10, 1)],
    )
    def test_open_agrees_with_the_model(
        self, runtime: Runtime, export: Export, name: str, side: int, classes: int, channels: int
    ) -> None:
        model, path = export(name, side, classes, channels)
        run = runtime.open(path)
        for seed in range(2):
            x = images(1, channels, side, side, seed=seed)
            with torch.inference_mode():
                expected = model(torch.from_numpy(x)).numpy()
            found = run(x)
            assert isinstance(found, np.ndarray)
            assert found.dtype == np.float32
            assert found.shape == (1, classes)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())

    def test_open_runs_a_batch_as_it_runs_single_images(self, runtime: Runtime, export: Export) -> None:
        run = runtime.open(export("mnasnet-a1", 32, 10, 3)[1])
        x = images(3, 3, 32, 32)
        one_by_one = np.concatenate([run(x[i : i + 1]) for i in range(3)])
        assert np.abs(one_by_one[0] - one_by_one[1]).max() > 1e-3  # the images do not look alike to it
        np.testing.assert_allclose(run(x), one_by_one, rtol=1e-4, atol=1e-4 * np.abs(one_by_one).max())

    def test_open_leaves_its_input_alone(self, runtime: Runtime, export: Export) -> None:
        run = runtime.open(export("mnasnet-a1", 32, 10, 3)[1])
        x = images(1, 3, 32, 32)
        before = x.copy()
        first = run(x)
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(run(x), first)

    def test_input_shape_is_that_of_one_image(self, runtime: Runtime, export: Export) -> None:
        assert runtime.input_shape(export("mnasnet-a1", 48, 10, 1)[1]) == (1, 1, 48, 48)

    @pytest.mark.parametrize("method", ["open", "input_shape"])
    @pytest.mark.parametrize("fault", ["missing", "empty", "text", "cut", "folder"])
    def test_a_file_that_cannot_be_read_is_a_measure_error(
        self, runtime: Runtime, export: Export, tmp_path: Path, fault: str, method: str
    ) -> None:
        path = tmp_path / f"broken.{runtime.format}"
        if fault == "empty":
            path.touch()
        elif fault == "text":
            path.write_text("not a network", encoding="utf-8")
        elif fault == "cut":
            data = export("mnasnet-a1", 32, 10, 3)[1].read_bytes()
            path.write_bytes(data[: len(data) // 2])
        elif fault == "folder":
            path.mkdir()
        with pytest.raises(MeasureError, match="broken"):
            getattr(runtime, method)(path)

    def test_conditions_and_version_say_what_was_measured(self, runtime: Runtime) -> None:
        assert isinstance(runtime.conditions()["threads"], int)
        assert runtime.conditions()["threads"] >= 1
        assert runtime.version() == runtime.version() != ""

    def test_clock_is_the_cpu_for_one_thread_alone(self, runtime: Runtime) -> None:
        assert runtime.clock == ("cpu" if runtime.conditions()["threads"] == 1 else "wall")

    def test_format_can_be_exported(self, runtime: Runtime) -> None:
        assert runtime.format in exporters
