"""LiteRT's files (TensorFlow Lite).

Networks of our own layers are written directly (`tflite`), within a second. What that writer does not know, and foreign
models, are converted by LiteRT Torch. Such a conversion takes ten seconds and more, most of them in PyTorch, which
traces the network anew for each of three rounds of decompositions. No option of the converter makes it faster: its
lightweight mode takes as long and leaves more operations. Folding batch normalizations first would save a fifth. What
the network is fed stays NCHW: for its kernels the file transposes an image once, which takes less than can be measured.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, fx, nn

from paretonas.errors import ExportError, MissingPackageError
from paretonas.export.appended import append_json, read_appended
from paretonas.export.boxes import Decoding
from paretonas.export.export import NOTHING, Format, example_inputs, in_evaluation, tensors_for
from paretonas.export.tflite import write_directly
from paretonas.files import written_aside
from paretonas.registry import blamed
from paretonas.space import Interface, Spec

IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class LiteRtFormat(Format):
    """A `.tflite` for LiteRT, one example at a time, laid out as the network is (NCHW)."""

    suffix: ClassVar[str] = ".tflite"
    runtime: ClassVar[str] = "litert"
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
        with written_aside(path) as draft:
            if spec.is_foreign or not _wrote_directly(model, interface, draft):
                convert(model, interface, draft)
            append_json(draft, {"metadata": metadata})

    def metadata(self, path: Path) -> Mapping[str, Any]:
        return read_appended(path, IDENTIFIER, "metadata")


def _wrote_directly(model: nn.Module, interface: Interface, path: Path) -> bool:
    """Whether our own writer knows all that the model does."""
    try:
        with in_evaluation(model):
            write_directly(model, interface, path)
    except ExportError:
        return False
    return True


def convert(model: nn.Module, interface: Interface, path: Path) -> None:
    """Write through LiteRT Torch.

    Args:
        model: In whatever mode; written as it is in evaluation.
        interface: Of the model.
        path: Is overwritten.

    Raises:
        ExportError: It cannot be converted.
        MissingPackageError: LiteRT Torch is not installed.
    """
    converter = _converter()
    with warnings.catch_warnings(), blamed("LiteRT Torch cannot convert this network", ExportError):
        warnings.simplefilter("ignore")
        own = copy.deepcopy(model).cpu().eval()
        inputs = tensors_for(own, example_inputs(interface))
        named = {port.name: tensor for port, tensor in zip(interface.inputs, inputs, strict=True)}
        # Without 64 bits the numbers of words, int64, would be int32 in the file.
        converter.convert(_named(own, interface), sample_kwargs=named, enable_x64=True).export(str(path))


def _converter() -> Any:
    with warnings.catch_warnings(), _silent("torch.utils._pytree"):  # one of its packages is told of what is old
        warnings.simplefilter("ignore")
        try:
            import litert_torch
            from litert_torch import progress
        except ImportError:
            raise MissingPackageError("litert-torch", "The format 'litert'") from None
    progress.config.show_progress = False  # it prints where our own output goes
    return litert_torch


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """A logger says errors alone meanwhile."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


class _Naming(nn.Module):
    """A network that gives its outputs by name."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        outputs = self.model(*inputs)
        outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
        return dict(zip(self.names, outputs, strict=True))


def _named(model: nn.Module, interface: Interface) -> nn.Module:
    """A network whose `forward` has the names of the interface, which the converter takes over.

    Raises:
        ExportError: A name of an input that no parameter of a function can have.
    """
    names = [port.name for port in interface.inputs]
    if not all(name.isidentifier() and not iskeyword(name) for name in names):
        raise ExportError(f"An input of a .tflite has a name of letters, digits and underscores, but got {names}.")
    graph = fx.Graph()
    graph.output(graph.call_module("named", tuple(graph.placeholder(name) for name in names)))
    naming = _Naming(model, tuple(port.name for port in interface.outputs))
    return fx.GraphModule({"named": naming}, graph).eval()
