"""Files for ncnn: the two that it has, description and weights, and what we say of them, in one zip.

    model.ncnn.param   layers, one a line
    model.ncnn.bin     weights, float32
    metadata.json      the interface, and what the file says of itself

A network is written as ONNX first, which `pnnx` of ncnn's makers converts. ncnn knows no batch: of every tensor the
first side is left out, and `in0`, `in1` … and `out0`, `out1` … are the interface's in their order.
"""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from paretonas.errors import ExportError, MissingPackageError
from paretonas.export.boxes import Decoding
from paretonas.export.export import NOTHING, Format, in_evaluation
from paretonas.export.onnx import export_directly, export_with_torch
from paretonas.files import open_regular, scratch_folder, written_aside
from paretonas.space import Interface, Spec, read_json
from paretonas.space.interface import LARGEST_SIDE

PARAM, WEIGHTS, METADATA = "model.ncnn.param", "model.ncnn.bin", "metadata.json"
TYPES = {"float32": "f32", "int64": "i64"}
MOST_SIDES = 5
LONGEST = 2**24
"""Bytes that a file may say of itself: a million names of classes."""
TIME_LIMIT = 600
"""Seconds that a conversion may take; it takes one."""


@dataclass(frozen=True)
class NcnnFormat(Format):
    """ncnn's description and weights in one zip, for ncnn; float32, one example."""

    suffix: ClassVar[str] = ".ncnn"
    runtime: ClassVar[str] = "ncnn"
    tolerance: ClassVar[float] = 1e-3
    is_slow: ClassVar[bool] = True

    def write(
        self,
        model: nn.Module,
        spec: Spec,
        interface: Interface,
        path: Path,
        metadata: Mapping[str, Any] = NOTHING,
        decoding: Decoding | None = None,
    ) -> None:
        self._check_decoding(decoding)
        said = json.dumps({"interface": asdict(interface), "info": dict(metadata)})
        with in_evaluation(model), written_aside(path) as draft:
            draft.touch()  # what cannot be written need not be converted
            with scratch_folder(draft.parent) as folder:
                export = export_with_torch if spec.is_foreign else export_directly
                export(model, interface, folder / "model.onnx")
                _pool_strides(folder / "model.onnx")
                _convert(folder, interface)
                with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
                    for name in (PARAM, WEIGHTS):
                        archive.writestr(zipfile.ZipInfo(name), (folder / name).read_bytes())
                    archive.writestr(zipfile.ZipInfo(METADATA), said)

    def metadata(self, path: Path) -> Mapping[str, Any]:
        return read_told(path)[1]


def read_told(path: Path) -> tuple[Interface, Mapping[str, Any]]:
    """The interface of a file and what it says of itself, whoever wrote it.

    Raises:
        ExportError: It is no file of this format, or says more than any file has to.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            entry = archive.getinfo(METADATA)
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > LONGEST:
                raise ValueError(f"its {METADATA} is compressed, or has more than {LONGEST} bytes")
            told = json.loads(archive.read(entry))
        interface = read_json(Interface, told["interface"], "interface")
        return interface, read_json(Mapping[str, Any], told["info"], "info")
    except Exception as error:  # zipfile raises whatever it stumbles over
        raise ExportError(f"An ncnn file is a zip that paretonas wrote, but {path} cannot be read: {error}") from error


def _pool_strides(path: Path) -> None:
    """Of every second row and column, say, a pooling over single pixels takes the place: ncnn cuts no such slices."""
    model = onnx.load(path)
    whole = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT64]
    constants: dict[str, list[int]] = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in whole}
    nodes = []
    for node in model.graph.node:
        names = list(node.input[1:]) if node.op_type == "Slice" else []
        bounds = [constants[name] for name in names if name in constants]
        if len(bounds) == len(names) == 4 and bounds[2] == [2, 3] and max(bounds[3]) > 1 <= min(bounds[3]):
            starts, stops, _, steps = bounds
            x = node.input[0]
            if any(starts) or min(stops) < LARGEST_SIDE:
                x = f"{node.output[0]}/whole"
                nodes.append(helper.make_node("Slice", node.input[:4], [x], name=x))
            node = helper.make_node("MaxPool", [x], node.output, name=node.name, kernel_shape=[1, 1], strides=steps)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)


def _convert(folder: Path, interface: Interface) -> None:
    """From `model.onnx` in the folder to `PARAM` and `WEIGHTS`.

    Raises:
        ExportError: pnnx cannot do it, or not in time, or leaves layers that ncnn does not have.
    """
    ports = interface.inputs + interface.outputs
    strange = [port for port in ports if port.dtype not in TYPES or len(port.shape) > MOST_SIDES]
    if strange:
        raise ExportError(
            f"ncnn is fed and gives {' or '.join(TYPES)} of {MOST_SIDES} sides at most, but this network has "
            f"{strange[0]}. Use `onnx`."
        )
    shapes = [str(list(port.shape)).replace(" ", "") + TYPES[port.dtype] for port in interface.inputs]
    words = [_converter(), "model.onnx", f"inputshape={','.join(shapes)}", "fp16=0"]
    try:
        ran = subprocess.run(
            words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"pnnx converts a network within {TIME_LIMIT} seconds, but this one it did not.") from error
    said = re.sub(r"\x1b\[[\d;]*m", "", ran.stdout.decode(errors="replace"))[-600:]  # without its colours
    if ran.returncode or not all((folder / name).exists() for name in (PARAM, WEIGHTS)):
        raise ExportError(f"pnnx could not convert the network (exit code {ran.returncode}): {said}")
    layers = [line.split() for line in (folder / PARAM).read_text(encoding="utf-8").splitlines()[2:]]
    unknown = sorted({layer[0] for layer in layers if not re.fullmatch(r"\w+", layer[0])})
    if unknown:
        raise ExportError(f"ncnn has no layer for {', '.join(unknown)}, which pnnx left as they are. Use `onnx`.")
    missing = {f"in{i}" for i in range(len(interface.inputs))} | {f"out{i}" for i in range(len(interface.outputs))}
    missing -= {word for layer in layers for word in layer[4:]}
    if missing:
        raise ExportError(
            f"pnnx keeps all inputs and outputs, but of this network {', '.join(sorted(missing))} is gone."
        )


def _converter() -> str:
    """The program."""
    try:
        import pnnx
    except ImportError:
        raise MissingPackageError("pnnx", "The export format 'ncnn'") from None
    return str(pnnx.EXEC_PATH)
