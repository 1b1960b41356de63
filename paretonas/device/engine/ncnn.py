"""ncnn on the CPU, in float32 or float16."""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paretonas.device.engine import Runs
from paretonas.errors import MeasureError, MissingPackageError

FILES = "ncnn", 0, b"PK"

PARTS = ".param", ".bin", ".json"
"""Description, weights, and what we say of them: suffixes of what is in a file."""
MAGIC = "7767517"
LONGEST = 255
"""Characters of a name; ncnn reads no more of it."""
FED = {"float32": np.float32, "int64": np.int32}
"""ncnn's numbers have 32 bits."""
FLOAT16 = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")
_OFF = ("use_vulkan_compute", "use_int8_inference", "use_bf16_packed", "use_bf16_storage")


def _package() -> Any:
    try:
        import ncnn
    except ImportError:
        raise MissingPackageError("ncnn", "The runtime 'ncnn'") from None
    return ncnn


def prepare() -> None:
    """Import the package."""
    _package()


def version() -> str:
    """Of the package."""
    return str(_package().__version__)


def load(path: Path, options: Mapping[str, Any]) -> Runs:
    """What runs a file, in the calling thread if it has one thread.

    Args:
        path: A zip that paretonas wrote: see `export/ncnn.py`.
        options: `threads`, and `precision`: "float32", or "float16" where a layer has that on this processor.

    Raises:
        MeasureError: It is none, or ncnn does not take it.
    """
    ncnn = _package()
    try:
        param, weights, interface = _read(path)
        net = ncnn.Net()
        net.opt.num_threads = int(options["threads"])
        for name in (*_OFF, *FLOAT16):
            setattr(net.opt, name, name in FLOAT16 and options["precision"] == "float16")
        with tempfile.TemporaryDirectory() as folder:  # from memory it would refer to what Python may free
            for name, data in (("param", param), ("bin", weights)):
                (Path(folder) / name).write_bytes(data)
            if net.load_param(f"{folder}/param") or net.load_model(f"{folder}/bin"):
                raise ValueError("ncnn does not know its layers, or has not all of their weights")
    except Exception as error:  # of whatever reads files
        raise MeasureError(f"ncnn cannot load {path}: {error}") from error
    return _runner(ncnn, net, interface, path)


def _runner(ncnn: Any, net: Any, interface: Mapping[str, Any], path: Path) -> Runs:
    """What runs a net, whose tensors have no batch."""
    expected = [(port["dtype"], tuple(port["shape"])) for port in interface["inputs"]]
    shapes = [tuple(port["shape"]) for port in interface["outputs"]]

    def run(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        given = [(str(array.dtype), array.shape) for array in inputs]
        if given != expected:  # it would read beyond the end of them
            raise MeasureError(f"ncnn cannot run {path}: it takes {expected}, but got {given}.")
        try:
            return _run(ncnn, net, inputs, shapes)
        except Exception as error:  # its exceptions share no public base class
            raise MeasureError(f"ncnn cannot run {path}: {error}") from error

    return run


def _run(ncnn: Any, net: Any, inputs: tuple[Any, ...], shapes: list[tuple[int, ...]]) -> tuple[Any, ...]:
    """Arrays of these shapes, copied out of what ncnn gives.

    Raises:
        ValueError: It gives others, or none.
    """
    outputs = []
    with net.create_extractor() as extractor:
        for i, array in enumerate(inputs):
            plain = np.ascontiguousarray(array[0] if array.ndim > 1 else array, FED[str(array.dtype)])
            extractor.input(f"in{i}", ncnn.Mat(plain).clone())  # a copy, as layers may change it in its place
        for i, shape in enumerate(shapes):
            code, found = extractor.extract(f"out{i}")
            output = np.array(found)
            if code or output.size != np.prod(shape):
                raise ValueError(f"it gives {output.shape} as out{i}, not {shape}")
            outputs.append(output.reshape(shape))
    return tuple(outputs)


def _read(path: Path) -> tuple[bytes, bytes, Mapping[str, Any]]:
    """Description, weights and interface, checked as far as ncnn relies on them.

    Raises:
        ValueError: They are not what paretonas writes; or whatever else zipfile and json raise.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is no regular file")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = sorted(entry.filename for entry in entries)
        by_suffix = {Path(name).suffix: name for name in names}
        is_whole = len(names) == len(PARTS) and by_suffix.keys() == set(PARTS)
        if not is_whole or any(e.compress_type != zipfile.ZIP_STORED for e in entries):
            raise ValueError(f"it is a zip of {', '.join(PARTS)}, one of each and not compressed, but has {names[:9]}")
        if sum(entry.file_size for entry in entries) > os.stat(path).st_size:
            raise ValueError("it says that it holds more than it has bytes")
        param, weights, told = (archive.read(by_suffix[suffix]) for suffix in PARTS)
    interface = json.loads(told)["interface"]
    _check(param.decode("ascii"), interface)
    return param, weights, interface


def _check(param: str, interface: Mapping[str, Any]) -> None:
    """Whether a description is whole: ncnn takes its word, and reads and writes where it says.

    Raises:
        ValueError: It is not.
    """
    lines = [line.split() for line in param.splitlines() if line.strip()]
    if lines[:1] != [[MAGIC]] or len(lines) < 3 or lines[1][:1] != [str(len(lines) - 2)] or len(lines[1]) != 2:
        raise ValueError(f"a description begins with {MAGIC} and the numbers of its layers and tensors")
    known: set[str] = set()
    for kind, name, bottoms, tops, *rest in lines[2:]:
        layer = f"the layer {kind[:80]} {name[:80]} of its description"
        if (
            not all(re.fullmatch(r"[0-9]{1,5}", count) for count in (bottoms, tops))
            or max(map(len, (name, *rest))) > LONGEST
        ):
            raise ValueError(f"{layer} does not say what it takes and gives")
        middle, end = int(bottoms), int(bottoms) + int(tops)
        taken, given = rest[:middle], rest[middle:end]
        if not (re.fullmatch(r"\w+", kind) and known.issuperset(taken) and known.isdisjoint(given)):
            raise ValueError(f"{layer} does not follow from those before it")
        known |= set(given)
        if not len(set(given)) == len(given) == int(tops) or not all(map(_is_option, rest[end:])):
            raise ValueError(f"{layer} does not say all of itself")
    ports = {f"in{i}" for i in range(len(interface["inputs"]))} | {f"out{i}" for i in range(len(interface["outputs"]))}
    if str(len(known)) != lines[1][1] or not known.issuperset(ports):
        raise ValueError("its description does not have the tensors that it says it has")


def _is_option(word: str) -> bool:
    """Whether a word says one option of a layer: a number, or how many and these: `1=3`, `-23303=2,1,2`."""
    key, _, value = word.partition("=")
    count, *numbers = value.split(",")
    is_list = re.fullmatch(r"-233[0-9]{2}", key) is not None
    return count == str(len(numbers)) if is_list else re.fullmatch(r"[0-9]{1,2}", key) is not None and value != ""
