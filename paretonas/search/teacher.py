"""A finalist, or any network with its weights in a checkpoint of ours, as a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from paretonas.errors import UsageError
from paretonas.export.checkpoint import Checkpoint, load_checkpoint
from paretonas.space import Interface
from paretonas.task.distilled import Distilled, Teacher
from paretonas.task.task import Task
from paretonas.training.weights import weights_digest


@dataclass(frozen=True)
class SavedTeacher(Teacher):
    """A checkpoint of ours: weights, and what they are built into; nothing of it is unpickled.

    Args:
        file: `.safetensors`.
    """

    file: Path

    @property
    def digest(self) -> str:
        return weights_digest(self.file)

    @property
    def interface(self) -> Interface:
        return self._checkpoint.interface

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self._checkpoint.info

    @property
    def name(self) -> str:
        return str(self.file)

    def network(self) -> nn.Module:
        return load_checkpoint(self.file).model

    @property
    def _checkpoint(self) -> Checkpoint:
        return _read(self.file, self.digest)


@dataclass(frozen=True)
class Teaching:
    """How finalists are taught.

    Args:
        file: The teacher's.
        weight: Of the divergence from it.
        temperature: See `divergence`.

    Raises:
        UsageError: No such file.
    """

    file: Path
    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.file.suffix != ".safetensors":
            raise UsageError(f"A teacher is a .safetensors file that paretonas wrote, but got {self.file}.")
        weights_digest(self.file)  # says so if there is none

    def of(self, task: Task) -> Distilled:
        """The task with its teacher."""
        return Distilled(task, SavedTeacher(self.file.resolve()), self.weight, self.temperature)


@lru_cache(maxsize=1)
def _read(file: Path, digest: str) -> Checkpoint:
    """`digest` tells changed files apart."""
    return load_checkpoint(file)
