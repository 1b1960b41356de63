"""Knowledge distillation: a network learns from its task and from what another network answers.

Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2. The teacher sees the very images
that its student sees, cut, mirrored and mixed: Beyer et al., Knowledge Distillation: A Good Teacher is Patient and
Consistent, CVPR 2022, section 3.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.errors import TrainingError, UsageError
from paretonas.registry import short
from paretonas.space import Interface, Port
from paretonas.task.task import At, Batch, Counting, Task
from paretonas.task.wrapper import Wrapper

MUST_AGREE = ("kind", "classes", "words", "colours", "layout")
"""What a teacher's file says of its inputs and outputs, where it says it, and what a task does."""
KEPT = "teacher"
"""Before the names of a recurrent teacher's states among what a training keeps."""
HEAVIEST, HOTTEST = 1000.0, 100.0


def divergence(outputs: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """How far the classes' probabilities of a student are from a teacher's: a scalar, 0 where they agree.

    `temperature ** 2 * sum_i p_i * (log p_i - log q_i)`, p and q the softmax over i of `targets / temperature` and of
    `outputs / temperature`, averaged over all but the last side. The square keeps the size of the gradients, whatever
    the temperature. Computed in float32; no gradient flows into `targets`.

    Args:
        outputs: The student's logits, (..., classes).
        targets: The teacher's, of the same shape.
        temperature: Positive; the higher, the more the unlikely classes count.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2.

    >>> import torch
    >>> round(float(divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 1.0]]).log())), 6)  # .75 and .25
    0.130812
    """
    classes = outputs.shape[-1]
    log_q = F.log_softmax(outputs.float().reshape(-1, classes) / temperature, dim=-1)
    log_p = F.log_softmax(targets.detach().float().reshape(-1, classes) / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


class Teacher(ABC):
    """A trained network that others learn from: a frozen, picklable record; what it is, is found out on first use."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hash of its weights, and of what it is built from."""

    @property
    @abstractmethod
    def interface(self) -> Interface:
        """What it is fed and gives."""

    @property
    @abstractmethod
    def metadata(self) -> Mapping[str, Any]:
        """What its file says of how it is used; see `paretonas.task.metadata`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For messages."""

    @abstractmethod
    def network(self) -> nn.Module:
        """With its weights, in evaluation mode."""


class Recorder(nn.Module):
    """A network, of which the last inputs and outputs are kept.

    Args:
        network: Any; of recurrent ones `sequence` passes through too.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.method, self.inputs, self.outputs = "", tuple[Any, ...](), tuple[Tensor, ...]()

    def forward(self, *inputs: Any) -> Any:
        """What the network gives."""
        return self._record("forward", inputs)

    def sequence(self, *inputs: Any) -> Any:
        """What its method of that name gives."""
        return self._record("sequence", inputs)

    def _record(self, method: str, inputs: tuple[Any, ...]) -> Any:
        outputs = _called(self.network, method, inputs)
        self.method, self.inputs = method, inputs
        self.outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        return outputs


@dataclass(frozen=True)
class Distilled(Wrapper):
    """As the task that it wraps, but that its networks also learn to answer as a teacher does.

    The loss is the task's own plus `weight` times the divergence from the teacher's answers to what a student was fed.

    Args:
        task: Of classes or words.
        teacher: Of the same classes or words, fed the same.
        weight: Of the divergence.
        temperature: See `divergence`.

    Raises:
        UsageError: A number out of its range; on first use, a teacher that is fed or gives something else.
    """

    task: Task
    teacher: Teacher
    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name, most in (("weight", HEAVIEST), ("temperature", HOTTEST)):
            if not 0 < getattr(self, name) <= most:
                raise UsageError(f"`0 < {name} <= {most:g}` must hold, but got ({name}={getattr(self, name)}).")

    @property
    def digest(self) -> str:
        parts = (type(self).__name__, self.weight, self.temperature, self.teacher.digest, self.task.digest)
        return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:16]

    @property
    def metadata(self) -> Mapping[str, Any]:
        taught = {"digest": self.teacher.digest, "weight": self.weight, "temperature": self.temperature}
        return {**self.task.metadata, "teacher": taught}

    def prepare(self, cache: Path, progress: Counting | None = None) -> None:
        self.task.prepare(cache, progress)
        self.check()

    def loss(self, model: nn.Module, batch: Batch, at: At) -> Tensor:
        """The task's, and the divergence from the teacher, whose states, if it has some, are kept as the student's."""
        recorder = Recorder(model)
        own = self.task.loss(recorder, batch, at)
        if not recorder.method:
            raise TrainingError(f"A student is run in the loss of its task, but {type(self.task).__name__} does not.")
        fed, *states = recorder.inputs
        teacher, scale, shift = _loaded(self, fed.device, at.memory_format)
        if (scale, shift) != (1.0, 0.0):
            fed = fed * scale + shift
        if any(isinstance(state, Tensor) for state in states):  # else both begin
            states = [at.kept[name] for name in sorted(at.kept) if name.startswith(f"{KEPT}.")]
        with torch.no_grad():
            answers = _called(teacher, recorder.method, (fed, *states))
        answers = (answers,) if isinstance(answers, Tensor) else tuple(answers)
        at.kept.update({f"{KEPT}.{i}": state for i, state in enumerate(answers[1:])})
        return own + self.weight * divergence(recorder.outputs[0], answers[0], self.temperature)

    def check(self) -> None:
        """Whether the teacher is fed and gives what its students are and do.

        Raises:
            UsageError: It is not.
        """
        mine, theirs, name = self.task.interface, self.teacher.interface, self.teacher.name
        if not {"classes", "words"} & self.task.metadata.keys():
            raise UsageError(f"A teacher is of classes or words, but the task {type(self.task).__name__} has neither.")
        for what, own, other in (
            ("is fed", mine.inputs[0], theirs.inputs[0]),
            ("gives", mine.outputs[0], theirs.outputs[0]),
        ):
            if (own.shape[1:], own.dtype) != (other.shape[1:], other.dtype):
                raise UsageError(
                    f"A teacher {what} {own.name} of {_size(own)} as its students here, but {name} {_size(other)}."
                )
        for key in MUST_AGREE:
            said, other_said = self.task.metadata.get(key), self.teacher.metadata.get(key)
            if other_said is not None and said != other_said and not _is_numbered(other_said):
                raise UsageError(
                    f"A teacher has the {key} {short(said)} as its students here, but {name} {short(other_said)}."
                )


@lru_cache(maxsize=1)
def _loaded(task: Distilled, device: torch.device, layout: torch.memory_format) -> tuple[nn.Module, float, float]:
    """The teacher, and scale and shift from what its students are fed to what it is."""
    task.check()
    with torch.random.fork_rng(devices=[]):  # to build a network draws from the generator of the training
        network = task.teacher.network().eval().requires_grad_(False)
    mean, std = (task.teacher.metadata.get(key, usual) for key, usual in (("mean", 0.0), ("std", 1.0)))
    own_mean, own_std = (task.task.metadata.get(key, usual) for key, usual in (("mean", 0.0), ("std", 1.0)))
    return network.to(device, memory_format=layout), own_std / std, (own_mean - mean) / std


def _called(network: nn.Module, method: str, inputs: tuple[Any, ...]) -> Any:
    """What a network gives by its method `forward` or `sequence`."""
    return network(*inputs) if method == "forward" else getattr(network, method)(*inputs)


def _is_numbered(classes: object) -> bool:
    """Whether nothing is known of classes but their order."""
    return isinstance(classes, list) and classes == [str(number) for number in range(len(classes))]


def _size(port: Port) -> str:
    return " x ".join(map(str, port.shape[1:])) or port.dtype
