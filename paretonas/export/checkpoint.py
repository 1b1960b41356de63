"""Checkpoints: weights as safetensors, everything else as JSON in the same file's header. Nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from safetensors.torch import save
from torch import Tensor, nn

from paretonas.errors import ExportError, SpecError
from paretonas.export.boxes import Decoding
from paretonas.export.export import NOTHING, Format
from paretonas.files import written_aside
from paretonas.network import build
from paretonas.network.weights import lasting_state, read_tensors
from paretonas.space import Interface, Spec, read_json, spec_from_json, spec_to_json


@dataclass(frozen=True)
class CheckpointFormat(Format):
    """Weights, spec and interface in one file, for PyTorch: safetensors with a JSON header."""

    suffix: ClassVar[str] = ".safetensors"
    runtime: ClassVar[str] = "torch"
    tolerance: ClassVar[float] = 1e-3

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
        save_checkpoint(model, spec, interface, path, metadata)

    def metadata(self, path: Path) -> Mapping[str, Any]:
        return _read(path)[2]


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, and what is needed to use it.

    Args:
        model: In evaluation mode.
        spec: What it was built from.
        interface: What it is fed and gives.
        info: Whatever was stored beside (classes' names, metrics, recipe); JSON data.
    """

    model: nn.Module
    spec: Spec
    interface: Interface
    info: Mapping[str, Any]


def save_checkpoint(model: nn.Module, spec: Spec, interface: Interface, path: Path, info: Mapping[str, Any]) -> None:
    """Write the weights, the spec, the interface and `info`, replacing `path` in one step.

    What serves training alone is left out: modules with an attribute `serves_training_alone` that is true.

    Raises:
        MachineError: The system refuses to write.
    """
    header = json.dumps({"spec": spec_to_json(spec), "interface": asdict(interface), "info": dict(info)})
    # Copies, as weights that are tied would share memory, which the format does not allow.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in lasting_state(model).items()}
    with written_aside(path) as draft:
        draft.write_bytes(save(tensors, {"paretonas": header}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        ExportError: The file is missing, is not a checkpoint of ours, or does not fit its own spec.
        SpecError: Its network cannot be built here: it names a module that is not trusted, say.
    """
    spec, interface, info, tensors = _read(path)
    try:
        model = build(spec, interface)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ExportError(f"A checkpoint holds the weights of its network, but {path} does not: {error}") from error
    return Checkpoint(model.eval(), spec, interface, info)


def _read(path: Path) -> tuple[Spec, Interface, Mapping[str, Any], dict[str, Tensor]]:
    try:
        tensors, words = read_tensors(path)
        header = json.loads(words["paretonas"])
        spec = spec_from_json(header["spec"])
        interface = read_json(Interface, header["interface"], "interface")
        info = read_json(Mapping[str, Any], header.get("info", {}), "info")
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, SpecError) as error:
        raise ExportError(f"A checkpoint is a file that paretonas wrote, but {path} cannot be read: {error}") from error
    return spec, interface, info, tensors
