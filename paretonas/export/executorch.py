"""ExecuTorch's files, whatever XNNPACK takes given to it.

A file of ExecuTorch has no names; those of the interface lie behind it, with its metadata.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from paretonas.errors import ExportError, MissingPackageError
from paretonas.export.appended import append_json, read_appended
from paretonas.export.boxes import Decoding
from paretonas.export.export import NOTHING, Format, example_inputs, tensors_for
from paretonas.files import written_aside
from paretonas.quiet import quiet
from paretonas.registry import blamed
from paretonas.space import Interface, Spec, read_json

IDENTIFIER = b"ET12"


@dataclass(frozen=True)
class ExecuTorchFormat(Format):
    """A `.pte` for ExecuTorch with XNNPACK, one example at a time."""

    suffix: ClassVar[str] = ".pte"
    runtime: ClassVar[str] = "executorch"
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
        lower, partitioner = _converter()
        with written_aside(path) as draft:
            with quiet(), warnings.catch_warnings(), blamed("ExecuTorch cannot convert this network", ExportError):
                warnings.simplefilter("ignore")
                own = copy.deepcopy(model).cpu().eval()
                program = torch.export.export(own, tensors_for(own, example_inputs(interface)))
                lowered = lower(program, partitioner=[partitioner()])
                made = lowered.to_executorch().buffer
            draft.write_bytes(made)
            append_json(draft, {"metadata": metadata, "interface": asdict(interface)})

    def metadata(self, path: Path) -> Mapping[str, Any]:
        return read_appended(path, IDENTIFIER, "metadata")


def written_interface(path: Path) -> Interface | None:
    """The interface that a file was written with; None if it is from elsewhere.

    Raises:
        ExportError: It is no such file, or what it says is damaged.
        SpecError: It says what no interface can be.
    """
    found = read_appended(path, IDENTIFIER, "interface")
    return read_json(Interface, found, "interface") if found else None


def _converter() -> tuple[Any, Any]:
    """What lowers a program, and what gives parts of it to XNNPACK."""
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower
        except ImportError:
            raise MissingPackageError("executorch", "The format 'executorch'") from None
    return to_edge_transform_and_lower, XnnpackPartitioner
