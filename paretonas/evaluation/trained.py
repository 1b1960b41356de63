"""Networks that are built, timed on devices and trained: the evaluator of a search on data.

What was paid for is cached and never computed twice; `keys.py` says under which keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretonas.device import Device
from paretonas.device.timing import Protocol
from paretonas.errors import StoreError
from paretonas.evaluation import keys
from paretonas.evaluation.device_job import CountingJob, device_text, run_counting
from paretonas.evaluation.evaluator import (
    WORKERS,
    About,
    Call,
    Evaluator,
    Evidence,
    Listens,
    Stage,
    device_lane,
)
from paretonas.evaluation.job import Folders, LookingJob, Schooling, TrainingJob, run_looking, run_training
from paretonas.evaluation.keys import Cache, Key, Lesson
from paretonas.evaluation.latencies import RECORD
from paretonas.evaluation.timed import Timed
from paretonas.latency import Latency
from paretonas.network.cost import Cost, spec_cost
from paretonas.objective.metric import metric, on_device
from paretonas.space import Interface, Spec, spec_hash, spec_to_json
from paretonas.task.task import Task
from paretonas.training.autotune import SpeedJob, seconds_of_training
from paretonas.training.progress import read_share

COSTS = ("params", "macs", "weight_bytes", "peak_memory_bytes")
UNTRAINED = ("synflow", "jacobian_covariance", "gradient_norm")


class TrainedEvaluator(Evaluator):
    """Counts, times and trains, through a cache.

    Args:
        task: What is learned.
        devices: Where latency is measured.
        schooling: How candidates are trained.
        cache: Where evaluations are kept.
        folders: Where files are left.
        is_looking_at_untrained: Whether metrics of the untrained network are wanted, before latencies.
    """

    def __init__(
        self,
        task: Task,
        devices: tuple[Device, ...],
        schooling: Schooling,
        cache: Cache,
        folders: Folders,
        is_looking_at_untrained: bool = False,
    ):
        self.task, self.devices, self.schooling = task, devices, schooling
        self._learned = schooling.learned(task, folders.cache)
        self.quality = task.quality
        self._cache, self._folders, self._is_looking = cache, folders, is_looking_at_untrained

    def prepare(self, listener: Listens) -> None:
        self.task.prepare(self._folders.cache, lambda done, total: listener.counting("decoding images", done, total))
        for device in self.devices:
            self._timed(device).calibrated()

    def stages(self) -> tuple[Stage, ...]:
        stages = [self._cost_stage()]
        if self._is_looking:
            stages.append(self._untrained_stage())
        timed = [self._timed(device) for device in self.devices]
        stages += [one.conversion() for one in timed if one.device.is_converted_ahead]
        stages += [one.stage() for one in timed]
        stages += [self._training_stage(share) for share in self.schooling.shares]
        return tuple(stages)

    def about(self) -> About:
        conditions = [{"cpu": d.identity.get("cpu", "?"), "name": device_text(d)} for d in self.devices]
        where = " and ".join(f"{one['name']} ({one['cpu']})" for one in conditions)
        epochs = f"{self.schooling.recipe.epochs:g} epochs a trial"
        measured_on = "; ".join(
            ", ".join(f"{key} {value}" for key, value in {**_named(d), **d.identity}.items()) for d in self.devices
        )
        if self.schooling.weights is not None:
            epochs += f", from the weights of {self.schooling.weights.file.name}"
        if self.schooling.frozen is not None:
            epochs += ", whose backbone stays as it is"
        if self._int8 is not None:
            epochs += ", scored in int8"
        digest = f"{self.task.digest} {self.schooling.origin.digest}".rstrip()
        return About((f"on {where}", *self.task.about(), epochs), digest, measured_on)

    # Stages

    def cost(self, spec: Spec) -> Cost:
        """Of one example through the network."""
        return spec_cost(spec, self._interface(spec))

    def _interface(self, spec: Spec) -> Interface:
        """What the network of a spec is fed and gives."""
        return spec.with_state(self.task.interface)

    @property
    def _int8(self) -> Device | None:
        """The first device that computes in int8: what is shipped to it is worth least."""
        return next((device for device in self.devices if device.runtime.quantization), None)

    @property
    def _first_lane(self) -> str:
        """Where networks are built that are not trained as yet: not in the search's own process, as they may crash."""
        return device_lane(self.devices[0].name) if self.devices else WORKERS

    def _cost_stage(self) -> Stage:
        def call(spec: Spec) -> Call:
            return Call(run_counting, (CountingJob(spec_to_json(spec), self._interface(spec)),))

        return Stage("cost", self._first_lane, COSTS, lambda spec: None, call, lambda spec, costs: Evidence(costs))

    def _untrained_stage(self) -> Stage:
        schooling = self.schooling

        def key(spec: Spec) -> Key:
            return keys.untrained(spec, self.task.digest, schooling.seed)

        def call(spec: Spec) -> Call:
            return Call(run_looking, (LookingJob(spec_to_json(spec), self.task, schooling.recipe, schooling.seed),))

        return Stage(
            "untrained",
            self._first_lane,
            UNTRAINED,
            lambda spec: self._stored(key(spec), spec, UNTRAINED),
            call,
            lambda spec, metrics: Evidence(metrics, key(spec).put(self._cache, metrics)),
        )

    def untrained(self, spec: Spec) -> Mapping[str, float]:
        """Metrics of the untrained network; see `zero_cost`."""
        return self._untrained_stage().evidence(spec).metrics

    def _training_stage(self, share: float) -> Stage:
        def known(spec: Spec) -> Evidence | None:
            return self._stored(self.training_key(spec, share), spec, (self.quality,))

        def call(spec: Spec) -> Call:
            job = TrainingJob(
                spec_to_json(spec),
                self._learned,
                self.schooling.recipe,
                self.schooling.seed,
                self.schooling.torch_device,
                progress=self._progress_file(spec),
                state=self._state_file(spec),
                until=share,
                weights=None if self.schooling.weights is None else self.schooling.weights.file,
                quantized=None if self._int8 is None else (self._int8.text, self._folders.cache),
            )
            return Call(run_training, (job,))

        def keep(spec: Spec, metrics: Mapping[str, float]) -> Evidence:
            for name in metrics:
                metric(name)
            evidence = Evidence(metrics)  # checked before anything is kept
            return replace(evidence, id=self.training_key(spec, share).put(self._cache, metrics))

        name = "training" if share == 1 else f"training/{share:.4g}"
        gives = (*self.task.scores, "train_loss", "train_seconds", "examples_per_second")
        return Stage(name, WORKERS, gives, known, call, keep, share, lambda spec: self._done(spec, share))

    def _done(self, spec: Spec, share: float) -> float | None:
        """How much of a training is done that runs where its progress can be read."""
        file = self._progress_file(spec)
        return min(1.0, read_share(file) / share) if file.exists() else None

    def forget(self, spec: Spec) -> None:
        for file in (self._state_file(spec), self._progress_file(spec)):
            file.unlink(missing_ok=True)
        for device in self.devices:
            if device.is_converted_ahead:
                self._timed(device).forget(spec)

    def _progress_file(self, spec: Spec) -> Path:
        return self._state_file(spec).with_suffix(".progress")

    def _state_file(self, spec: Spec) -> Path:
        """From where the training of a spec goes on if it is interrupted."""
        return self._folders.run / f"{spec_hash(spec)}.search-state"

    # Keys, and what is known under them

    def training_key(self, spec: Spec, share: float) -> Key:
        """Of a share of the training of a spec."""
        return keys.training(spec, self.lesson, share)

    @property
    def lesson(self) -> Lesson:
        """What decides a training beside the network."""
        schooling, task = self.schooling, self._learned
        lesson = Lesson(type(task).__name__, task.digest, schooling.recipe, schooling.seed, schooling.origin)
        return lesson if self._int8 is None else replace(lesson, engine=repr(self._int8.runtime))

    def latency_key(self, spec: Spec, device: Device, protocol: Protocol) -> Key:
        """Of a latency of a spec."""
        return self._timed(device).key(spec, protocol)

    def _stored(self, key: Key, spec: Spec, needed: tuple[str, ...]) -> Evidence | None:
        known = key.get(self._cache)
        if known is None:
            return None
        numbers = all(isinstance(v, int | float) and math.isfinite(v) for v in known.values())
        if not (numbers and set(needed) <= known.keys()):
            raise StoreError(
                f"What is stored of {key.kind} is finite numbers and {', '.join(needed)}, but of {spec_hash(spec)} it "
                f"is {known}."
            )
        return Evidence(known, key.id(self._cache))

    # Latencies

    def latency(self, spec: Spec, device: Device, protocol: Protocol) -> Latency:
        """Of one example through a network of `spec`; see `Timed`."""
        return self._timed(device).latency(spec, protocol)

    def _timed(self, device: Device) -> Timed:
        return Timed(device, self.task.interface, self._cache, self._folders.cache, self.schooling.seed)

    def usual_ms(self, name: str, listener: Listens) -> float:
        """What the task's typical network takes on the device."""
        (device,) = (one for one in self.devices if on_device("latency_ms", one.name) == name)
        latency = self.latency(self.typical(), device, RECORD)
        flags = f" (flagged {', '.join(latency.flags)})" if latency.flags else ""
        where = f" on {device.name}" if device.name else ""
        listener.note(
            f"No target latency was given: aiming at {latency.latency_ms:.3g} ms{where}, what a typical network "
            f"takes{flags}."
        )
        return latency.latency_ms

    # Estimates

    def typical(self) -> Spec:
        """The task's typical network, at the width of the search."""
        return self.task.typical.scaled(self.schooling.width)

    def seconds_a_trial(self) -> float | None:
        """Of a typical network."""
        schooling = self.schooling
        job = SpeedJob(spec_to_json(self.typical()), self.task, schooling.recipe, schooling.torch_device)
        return seconds_of_training(job)


def _named(device: Device) -> dict[str, Any]:
    return {"device": device.name} if device.name else {}
