"""ExecuTorch on the CPU, with XNNPACK for whatever a file gives to it."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from paretonas.device.engine import Runs
from paretonas.errors import MeasureError, MissingPackageError
from paretonas.quiet import quiet

FILES = "pte", 4, b"ET"

DTYPES = {
    0: "uint8", 1: "int8", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64", 11: "bool",
}  # fmt: skip
"""PyTorch's numbers of the types that a network takes and gives."""
Tensors = list[tuple[str, tuple[int, ...]]]
"""Types and shapes."""


class Loaded(NamedTuple):
    """A method, its only one or `forward`, and what must live as long as it does: it reads their memory."""

    method: Any
    program: Any
    data: bytes


class _Pool:
    """The pool of threads, of which a process has one for ExecuTorch.

    A method keeps the pool that it was loaded with, and that goes when another takes its place: what runs must have
    been loaded since.
    """

    threads, replaced = 0, 0

    @classmethod
    def take(cls, package: Any, threads: int) -> int:
        """Have so many threads, and say which pool it is."""
        if cls.threads != threads:
            with quiet():  # it says what it looks for in the system, and that it did as it was told
                package._unsafe_reset_threadpool(threads)
            cls.threads, cls.replaced = threads, cls.replaced + 1
        return cls.replaced


def _package() -> Any:
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that it may change
            from executorch.extension.pybindings import portable_lib
    except ImportError:
        raise MissingPackageError("executorch", "The runtime 'executorch'") from None
    return portable_lib


def prepare() -> None:
    """Import the package."""
    _package()


def version() -> str:
    """Of the package."""
    if find_spec("executorch") is None:  # to import it takes seconds
        raise MissingPackageError("executorch", "The runtime 'executorch'")
    return version_of("executorch")


def load(path: Path, options: Mapping[str, Any]) -> Runs:
    """A method's run.

    Args:
        path: Of a `.pte`.
        options: `threads` of one operator. With 1 it runs in the calling thread.

    Raises:
        MeasureError: It does not take the file.
    """
    package, threads, data = _package(), int(options["threads"]), _read(path)
    import torch  # as ExecuTorch has done by now

    pool, loaded = _Pool.take(package, threads), _loaded(package, data, path)
    expected = signature(loaded, path)[0]

    def run(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal pool, loaded
        given = [(array.dtype.name, array.shape) for array in inputs]
        if given != expected:
            raise MeasureError(f"ExecuTorch cannot run {path}: it takes {_shown(expected)}, but got {_shown(given)}.")
        if pool != (now := _Pool.take(package, threads)):
            pool, loaded = now, _loaded(package, data, path)
        try:
            # By numpy, as PyTorch would copy with threads of its own, which then wait for more by spinning.
            tensors = tuple(torch.from_numpy(numpy.require(array, requirements=["C", "W"])) for array in inputs)
            return tuple(tensor.numpy().copy() for tensor in loaded.method(tensors, clone_outputs=False))
        except Exception as error:  # RuntimeError, and of what is no tensor
            raise MeasureError(f"ExecuTorch cannot run {path}: {error}") from error

    return run


def signature(loaded: Loaded, path: Path) -> tuple[Tensors, Tensors]:
    """Types and shapes of what a method takes and of what it gives.

    Raises:
        MeasureError: One is no tensor.
    """
    meta = loaded.method.method_meta()
    try:
        inputs = [meta.input_tensor_meta(i) for i in range(meta.num_inputs())]
        outputs = [meta.output_tensor_meta(i) for i in range(meta.num_outputs())]
        found = [[(DTYPES[port.dtype()], tuple(port.sizes())) for port in ports] for ports in (inputs, outputs)]
    except (RuntimeError, KeyError) as error:
        raise MeasureError(
            f"A model takes and gives tensors of {' or '.join(DTYPES.values())}, but {path} is {meta}."
        ) from error
    return found[0], found[1]


def loaded_from(path: Path) -> Loaded:
    """The method that a file is about, for what it says of itself.

    Raises:
        MeasureError: ExecuTorch does not take the file.
    """
    package = _package()
    _Pool.take(package, _Pool.threads or 1)
    return _loaded(package, _read(path), path)


def _loaded(package: Any, data: bytes, path: Path) -> Loaded:
    try:
        program = package._load_program_from_buffer(data, program_verification=package.Verification.InternalConsistency)
        names = [program.get_method_name(i) for i in range(program.num_methods())]
        name = names[0] if len(names) == 1 else "forward"
        if name not in names:
            raise ValueError(f"it has one method, or one called forward, but got {names}")
        with quiet():
            return Loaded(program.load_method(name), program, data)
    except Exception as error:  # RuntimeError with a number
        raise MeasureError(f"ExecuTorch cannot load {path}: {error}") from error


def _read(path: Path) -> bytes:
    """A file that is one as far as its beginning tells, and as long as that says."""
    try:
        if not path.is_file():
            raise ValueError("it is no regular file")
        data = path.read_bytes()
        if data[4:8] != b"ET12":
            raise ValueError("it does not begin as a .pte does")
        # Then `eh00`, this header's length, the program's, where the segments behind it begin, and their length.
        header, size, begin, segments = struct.unpack("<I3Q", data[12:40].ljust(28, b"\0"))
        whole = max(size, begin + segments if header >= 32 else 0) if data[8:12] == b"eh00" else 0
        if len(data) < whole:
            raise ValueError(f"it is cut off: of {whole} bytes it has {len(data)}")
    except (OSError, ValueError) as error:
        raise MeasureError(f"ExecuTorch cannot load {path}: {error}") from error
    return data


def _shown(arrays: Any) -> str:
    return ", ".join(f"{dtype} {list(shape)}" for dtype, shape in arrays) or "nothing"
