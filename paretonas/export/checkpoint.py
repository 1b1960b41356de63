"""Checkpoints: weights as safetensors, everything else as JSON in the same file's header. Nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from paretonas.errors import ExportError, ParetonasError
from paretonas.export.export import Format
from paretonas.files import written_aside
from paretonas.network import build
from paretonas.space import Interface, Spec, read_json, spec_from_json, spec_to_json


@dataclass(frozen=True)
class CheckpointFormat(Format):
    """Weights, spec and interface in one file, for PyTorch: safetensors with a JSON header."""

    suffix: ClassVar[str] = ".safetensors"
    tolerance: ClassVar[float] = 1e-3

    def write(self, model: nn.Module, spec: Spec, interface: Interface, path: Path) -> None:
        save_checkpoint(model, spec, interface, path, {})


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

    Raises:
        MachineError: The system refuses to write.
    """
    header = json.dumps({"spec": spec_to_json(spec), "interface": asdict(interface), "info": dict(info)})
    # Copies, as weights that are tied would share memory, which the format does not allow.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    with written_aside(path) as draft:
        draft.write_bytes(save(tensors, {"paretonas": header}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises:
        ExportError: The file is missing, is not a checkpoint of ours, or does not fit its own spec.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["paretonas"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        spec = spec_from_json(header["spec"])
        interface = read_json(Interface, header["interface"], "interface")
        model = build(spec, interface)
        model.load_state_dict(tensors)
    except (
        OSError,
        SafetensorError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        RuntimeError,
        ParetonasError,
    ) as error:
        raise ExportError(f"A checkpoint is a file that paretonas wrote, but {path} cannot be read: {error}") from error
    return Checkpoint(model.eval(), spec, interface, header.get("info", {}))
