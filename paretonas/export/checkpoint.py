"""Checkpoints: weights as safetensors, everything else as JSON in the same file's header. Nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from paretonas.errors import ExportError, ParetonasError
from paretonas.network import build
from paretonas.space import Spec, spec_from_json, spec_to_json


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, and what is needed to use it.

    Args:
        model: In evaluation mode.
        spec: What it was built from.
        input_shape: (N, C, H, W).
        info: Whatever was stored beside (classes' names, metrics, recipe); JSON data.
    """

    model: nn.Module
    spec: Spec
    input_shape: tuple[int, ...]
    info: Mapping[str, Any]


def export_checkpoint(model: nn.Module, spec: Spec, input_shape: Sequence[int], path: Path) -> None:
    """Write the weights and the spec."""
    save_checkpoint(model, spec, input_shape, path, {})


def save_checkpoint(
    model: nn.Module, spec: Spec, input_shape: Sequence[int], path: Path, info: Mapping[str, Any]
) -> None:
    """Write the weights, the spec and `info`, replacing `path` in one step."""
    was_training = model.training
    with torch.no_grad():
        classes = model.eval()(torch.zeros(1, *input_shape[1:], device=next(model.parameters()).device)).shape[1]
    model.train(was_training)
    header = {"spec": spec_to_json(spec), "input_shape": list(input_shape), "classes": classes, "info": dict(info)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    draft = path.with_name(path.name + ".part")
    save_file(tensors, draft, {"paretonas": json.dumps(header)})
    draft.replace(path)


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
        shape = tuple(int(n) for n in header["input_shape"])
        model = build(spec, int(header["classes"]), shape[1])
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
    return Checkpoint(model.eval(), spec, shape, header.get("info", {}))
