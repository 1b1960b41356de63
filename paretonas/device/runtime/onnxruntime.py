"""ONNX Runtime on the CPU."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

from paretonas.device.contract import Runtime, check_keep, check_threads
from paretonas.device.engine.onnxruntime import runner_of, session, version
from paretonas.device.profile import Profile, profile_of_runs
from paretonas.errors import MeasureError, SpecError
from paretonas.export import Arrays, LoadedModel, example_inputs
from paretonas.export.onnx import modules_of_nodes, stamped
from paretonas.export.onnx.external import check_external_data
from paretonas.export.onnx.graph import output_names
from paretonas.export.quantize import Quantization
from paretonas.files import scratch_folder
from paretonas.space import Interface
from paretonas.space.interface import DType, Port

DTYPES: dict[str, DType] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


@dataclass(frozen=True)
class OnnxRuntime(Runtime):
    """ONNX Runtime, CPU execution provider, all graph optimizations.

    Args:
        threads: Of one operator. With 1, the model runs in the calling thread.
        precision: Of its files; int8 is made of float32 by the data.
        keep: Modules that stay in float where the rest is int8.

    Raises:
        DeviceError: `threads` is out of its range, or something is kept in float that is not int8 otherwise.
    """

    format: ClassVar[str] = "onnx"
    engine: ClassVar[str] = "onnxruntime"
    threads: int = 1
    precision: Literal["float32", "int8"] = "float32"
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_threads(self.threads)
        check_keep(self.keep, self.precision)

    def version(self) -> str:
        return version()

    def conditions(self) -> Mapping[str, Any]:
        return {"threads": self.threads, "precision": self.precision}

    @property
    def of_reference(self) -> OnnxRuntime:
        return replace(self, keep=())

    @property
    def quantization(self) -> Quantization | None:
        return Quantization(keep=self.keep) if self.precision == "int8" else None

    def load(self, path: Path) -> LoadedModel:
        return runner_of(self._session(path), path)

    def interface(self, path: Path) -> Interface:
        loaded = self._session(path)
        try:
            inputs = tuple(_port(value, value.shape) for value in loaded.get_inputs())
            asked = Interface(inputs, (Port("any", (1,)),))
            arrays = runner_of(loaded, path)(example_inputs(asked))  # they know all sides of their shapes
            found = zip(loaded.get_outputs(), arrays, strict=True)
            outputs = tuple(_port(value, _shape(value, getattr(array, "shape", ()))) for value, array in found)
            return Interface(inputs, _own_names(inputs, outputs))
        except SpecError as error:
            raise MeasureError(f"ONNX Runtime cannot run {path}: {error}") from None

    def _session(self, path: Path, trace: Path | None = None) -> Any:
        try:
            check_external_data(path)
        except Exception as error:  # of whatever reads files
            raise MeasureError(f"ONNX Runtime cannot load {path}: {error}") from error
        return session(path, self.threads, trace)


def _shape(value: Any, found: Sequence[int]) -> Sequence[int]:
    """That of an output: as found, but of one of what it gives, where it leaves open how many that are."""
    is_open = bool(value.shape) and not isinstance(value.shape[0], int)
    return (1, *found[1:]) if found and is_open else found


def _port(value: Any, shape: Sequence[object]) -> Port:
    """A tensor of a file.

    Args:
        value: Its name, type and shape as ONNX Runtime tells them.
        shape: That shape, or the one that it turned out to have.

    Raises:
        SpecError: It is not one example.
    """
    batch, sides = shape[:1], [side for side in shape[1:] if isinstance(side, int)]
    is_one = len(batch) == 1 and (batch[0] == 1 or not isinstance(batch[0], int))
    if not is_one or len(sides) < len(shape) - 1 or value.type not in DTYPES:
        raise SpecError(
            f"A model takes and gives tensors of {' or '.join(DTYPES.values())} of one example (a batch that is 1 or "
            f"open, every other side fixed), but {value.name!r} is {value.type} {list(shape)}. Export it so; sides "
            "that are open are fixed by `python -m onnxruntime.tools.make_dynamic_shape_fixed`."
        )
    return Port(value.name, (1, *sides), DTYPES[value.type])


def _own_names(inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> tuple[Port, ...]:
    """The outputs; one that the file had to name apart from an input is called as that input again."""
    names = dict(zip(output_names(Interface(inputs, inputs)), (port.name for port in inputs), strict=True))
    return tuple(replace(port, name=names.get(port.name, port.name)) for port in outputs)


def profile_onnxruntime(runtime: OnnxRuntime, path: Path, inputs: Arrays, runs: int) -> Profile:
    """What ONNX Runtime's own profiler says of every kernel, on the wall clock.

    It cuts times to whole microseconds; half of one is added back. A file of operations on a single number, run in turn
    with the network, tells what the profiler takes itself. Both traces lie beside the network's file meanwhile.

    Raises:
        MachineError: The system refuses to write there.
        MeasureError: ONNX Runtime does not take the file, or the runs differ in the nodes that they execute.
    """
    with scratch_folder(path.parent) as passing:
        idle = passing / "idle.onnx"
        _write_idle(idle)
        sessions = runtime._session(path, passing / "network"), runtime._session(idle, passing / "idle")
        run_network, run_idle = runner_of(sessions[0], path), runner_of(sessions[1], idle)
        number = np.zeros((1, 1, 1, 1), np.float32)
        for _ in range(runs):
            run_network(inputs)
            run_idle((number,))
        network, idling = (_kernels(Path(s.end_profiling()), runs) for s in sessions)
    known = modules_of_nodes(path)
    traces = []
    for kernels in network:
        names, ops, times = zip(*kernels, strict=True)
        traces.append(list(zip(names, _modules(names, ops, known), times, strict=True)))
    return profile_of_runs(traces, [statistics.fmean(seconds for *_, seconds in run) for run in idling])


def _kernels(trace: Path, runs: int) -> list[list[tuple[str, str, float]]]:
    """Name, operator and seconds of every kernel of every run."""
    suffix = "_kernel_time"
    events = json.loads(trace.read_text(encoding="utf-8"))
    found = [
        (event["name"].removesuffix(suffix), event["args"]["op_name"], (event["dur"] + 0.5) * 1e-6)
        for event in events
        if event["cat"] == "Node" and event["name"].endswith(suffix)
    ]
    if not found or len(found) % runs:
        raise MeasureError(f"A profile has as many operations in every run, but {runs} runs had {len(found)} in all.")
    each = len(found) // runs
    return [found[i : i + each] for i in range(0, len(found), each)]


def _write_idle(path: Path) -> None:
    """A file of twenty operations on a single number."""
    nodes = [helper.make_node("Neg", [f"x{i}"], [f"x{i + 1}"]) for i in range(20)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, 1, 1)) for name in ("x0", "x20")]
    graph = helper.make_graph(nodes, "idle", ends[:1], ends[1:])
    onnx.save(stamped(graph), path)


def _modules(names: Sequence[str], ops: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The module of each kernel, in the order of execution.

    A fused kernel is called after one of its nodes or their outputs, with something appended. A change of layout
    belongs to what it serves: `ReorderInput` to the kernel after it, whatever else has no name of its own to the kernel
    before.
    """
    found = [None if "Reorder" in op else _named_after(name, known) for name, op in zip(names, ops, strict=True)]
    for i in reversed(range(len(found) - 1)):
        if ops[i] == "ReorderInput":
            found[i] = found[i + 1]
    modules = [""]
    for module in found:
        modules.append(modules[-1] if module is None else module)
    return modules[1:]


def _named_after(name: str, known: Mapping[str, str]) -> str | None:
    """The module of the longest known name that `name` begins with."""
    return next((known[name[:n]] for n in range(len(name), 0, -1) if name[:n] in known), None)
