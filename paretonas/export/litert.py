"""LiteRT's files (TensorFlow Lite).

Networks of our own layers are written directly (`tflite`), within a second. What that writer does not know, and foreign
models, are converted by LiteRT Torch. Such a conversion takes ten seconds and more, most of them in PyTorch, which
traces the network anew for each of three rounds of decompositions. No option of the converter makes it faster: its
lightweight mode takes as long and leaves more operations. Folding batch normalizations first would save a fifth. What
the network is fed stays NCHW: for its kernels the file transposes an image once, which takes less than can be measured.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
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
from paretonas.quiet import quiet
from paretonas.registry import blamed
from paretonas.space import Interface, Spec

IDENTIFIER = b"TFL3"
NAMED = "named"


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
            append_json(draft, {"metadata": metadata, "modules": {"names": [n for n, _ in model.named_modules() if n]}})

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
    with quiet(), warnings.catch_warnings(), blamed("LiteRT Torch cannot convert this network", ExportError):
        warnings.simplefilter("ignore")
        own = copy.deepcopy(model).cpu().eval()
        inputs = tensors_for(own, example_inputs(interface))
        named = {port.name: tensor for port, tensor in zip(interface.inputs, inputs, strict=True)}
        # Without 64 bits the numbers of words, int64, would be int32 in the file.
        converter.convert(_named(own, interface), sample_kwargs=named, enable_x64=True).export(str(path))


def _converter() -> Any:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import litert_torch
            from litert_torch import progress
        except ImportError:
            raise MissingPackageError("litert-torch", "The format 'litert'") from None
    progress.config.show_progress = False  # it prints where our own output goes
    return litert_torch


class _Naming(nn.Module):
    """A network that gives its outputs by name."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        outputs = self.model(*inputs)
        outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
        return dict(zip(self.names, outputs, strict=True))


MODEL = f".{_Naming.__name__}_{NAMED}/"
"""Behind this, and the network itself, the name of a tensor has the modules that it comes from."""


def modules_behind(path: Path) -> list[str]:
    """Dotted names of the network's modules, as the file says; [] if it is from elsewhere.

    Raises:
        ExportError: It is no `.tflite`, or what it says is damaged.
    """
    found = read_appended(path, IDENTIFIER, "modules").get("names", [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ExportError(f"A .tflite has the names of modules behind it, but {path} has {str(found)[:80]}.")
    return found


def named_module(tensor: str, known: Sequence[str], is_innermost: bool) -> str:
    """The module that a tensor comes from.

    Args:
        tensor: Its name: `MODULE/conv_12` as our own writer has it, or
            `…_Naming_named/NETWORK_model/CLASS_stem/CLASS_0;;…`, of several modules if one operation does what several
            did.
        known: Dotted names of the network's modules.
        is_innermost: Of these several take the last, the convolution itself, and not the first, the activation.

    Returns:
        Its dotted name; "" if the tensor does not say.
    """
    modules = set(known)
    if (module := tensor.partition("/")[0]) in modules:
        return module
    paths = [path.partition(MODEL)[2].split("/")[1:] for path in tensor.split(";") if MODEL in path]
    module = ""
    for step in paths[-1 if is_innermost else 0] if paths else []:
        ends = [step[place + 1 :] for place in range(len(step)) if step[place] == "_"]  # of Class_name, longest first
        inner = next((name for end in ends if (name := f"{module}.{end}".lstrip(".")) in modules), None)
        if inner is None:
            break
        module = inner
    return module


def _named(model: nn.Module, interface: Interface) -> nn.Module:
    """A network whose `forward` has the names of the interface, which the converter takes over.

    Raises:
        ExportError: A name of an input that no parameter of a function can have.
    """
    names = [port.name for port in interface.inputs]
    if not all(name.isidentifier() and not iskeyword(name) for name in names):
        raise ExportError(f"An input of a .tflite has a name of letters, digits and underscores, but got {names}.")
    graph = fx.Graph()
    graph.output(graph.call_module(NAMED, tuple(graph.placeholder(name) for name in names)))
    naming = _Naming(model, tuple(port.name for port in interface.outputs))
    return fx.GraphModule({NAMED: naming}, graph).eval()
