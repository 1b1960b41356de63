"""Trainings that go on where they were stopped: their state in one file, written whole or not at all.

Tensors are safetensors, everything else is JSON in the file's header. What is random in a step depends on the seed and
the step's number alone, so weights, optimizer state, moving average, losses and what the task itself keeps from step to
step are all there is to keep.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn, optim

from paretonas.files import written_aside


@dataclass(frozen=True)
class Begun:
    """How far a training has come.

    Args:
        losses: Of every step that was made.
        seconds: Wall time that they took.
        kept: What the task keeps from one step for the next.
    """

    losses: tuple[float, ...]
    seconds: float
    kept: Mapping[str, Tensor] = field(default_factory=dict)


class StateFile:
    """The state of one training on disk.

    Args:
        path: The file; need not exist.
        identity: JSON data that decides the training's outcome; a file with another identity is not used.
        every: Seconds between two writes.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], every: float = 60.0):
        self._path, self._identity, self._every = path, json.loads(json.dumps(identity)), every
        self._last = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self._last >= self._every

    def save(self, begun: Begun, parts: Mapping[str, nn.Module], optimizer: optim.Optimizer) -> None:
        """Write the state after the last of `begun.losses`, replacing the file in one step.

        Raises:
            MachineError: The system refuses to write.
        """
        tensors = {f"{part}/{name}": t for part, m in parts.items() for name, t in m.state_dict().items()}
        tensors |= {f"kept/{name}": tensor for name, tensor in begun.kept.items()}
        numbers: dict[str, float] = {}
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{index}/{name}"] = value
                elif value is not None:
                    numbers[f"{index}/{name}"] = value
        header = {"identity": self._identity, "losses": begun.losses, "seconds": begun.seconds, "numbers": numbers}
        kept = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        with written_aside(self._path) as draft:
            draft.write_bytes(save(kept, {"state": json.dumps(header)}))
        self._last = time.monotonic()

    def load(self, parts: Mapping[str, nn.Module], optimizer: optim.Optimizer) -> Begun | None:
        """Put the state back; None, and nothing changed, if there is none of this very training."""
        try:
            with safe_open(self._path, "pt") as file:
                header = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            if header["identity"] != self._identity:
                return None
            states = {part: _under(tensors, part) for part in parts}
            if any(states[part].keys() != module.state_dict().keys() for part, module in parts.items()):
                return None
            begun = Begun(tuple(map(float, header["losses"])), float(header["seconds"]), _under(tensors, "kept"))
            numbers = _optimizer_state(_under(tensors, "optimizer"), header["numbers"])
        except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError):
            return None  # a file of somebody else's, or damaged: the training begins anew
        for part, module in parts.items():
            module.load_state_dict(states[part])
        optimizer.load_state_dict({"state": numbers, "param_groups": optimizer.state_dict()["param_groups"]})
        return begun

    def delete(self) -> None:
        """The training has ended."""
        self._path.unlink(missing_ok=True)


def _under(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): t for name, t in tensors.items() if name.startswith(f"{part}/")}


def _optimizer_state(tensors: Mapping[str, Tensor], numbers: Mapping[str, float]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for values in (tensors, numbers):
        for key, value in values.items():
            index, _, name = key.partition("/")
            state.setdefault(int(index), {})[name] = value
    return state
