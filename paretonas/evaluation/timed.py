"""Latencies of networks on one device, through a cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from paretonas.device import Device
from paretonas.device.timing import Protocol
from paretonas.evaluation import keys
from paretonas.evaluation.device_job import ConvertingJob, MeasuringJob, device_text, run_converting, run_measuring
from paretonas.evaluation.evaluator import WORKERS, Call, Evidence, Stage, device_lane
from paretonas.evaluation.keys import Cache, Key
from paretonas.evaluation.latencies import LATENCIES, QUICK, calibrated_seconds, latency_metrics
from paretonas.files import refusals, written_aside
from paretonas.latency import Latency, latency_from_json
from paretonas.objective.metric import on_device
from paretonas.space import Interface, Spec, spec_hash, spec_to_json

CONVERSION = "conversion"
"""Name of a stage; of several devices with that of the device."""


@dataclass(frozen=True)
class Timed:
    """A device, and networks that it times.

    Args:
        device: Where.
        interface: Of the task; a spec may add its state.
        cache: Keeps latencies and the device's calibration.
        folder: For the reference network's file, and for what is needed for a moment.
        seed: Of the weights.
    """

    device: Device
    interface: Interface
    cache: Cache
    folder: Path
    seed: int = 0

    def calibrated(self) -> float:
        """Seconds of the device's reference network: measured once, then known."""
        return calibrated_seconds(self.device, self.interface, self.folder, self.cache)

    def key(self, spec: Spec, protocol: Protocol) -> Key:
        """Of a latency."""
        fed = spec.with_state(self.interface)
        return keys.latency(spec, fed, self.device.identity, self.device.runtime.precision, protocol.pairs)

    def latency(self, spec: Spec, protocol: Protocol) -> Latency:
        """Of one example through a network of `spec`; measured here and now if the cache does not know it.

        Raises:
            ExportError: The network could not be exported, or its file disagrees with it.
            MeasureError: The file could not be timed.
        """
        key = self.key(spec, protocol)
        known = key.get(self.cache)
        if known is not None:
            return latency_from_json(known)
        call = self.call(spec, protocol)
        latency: Latency = call.function(*call.arguments)
        key.put(self.cache, asdict(latency))
        return latency

    def call(self, spec: Spec, protocol: Protocol) -> Call:
        """What the device's process is asked for."""
        fed, seconds = spec.with_state(self.interface), self.calibrated()
        text = device_text(self.device)
        stem = self._stem(spec) if self.device.is_converted_ahead else None
        job = MeasuringJob(spec_to_json(spec), fed, text, self.folder, seconds, protocol, self.seed, stem)
        return Call(run_measuring, (job,))

    def conversion(self) -> Stage:
        """The stage before, which makes the file of a candidate where networks are trained."""

        def known(spec: Spec) -> Evidence | None:
            is_there = self.device.found(self._stem(spec), self.interface) is not None
            return Evidence({}) if is_there or self._known(spec) is not None else None

        def call(spec: Spec) -> Call:
            fed, text = spec.with_state(self.interface), device_text(self.device)
            return Call(run_converting, (ConvertingJob(spec_to_json(spec), fed, text, self.seed),))

        def keep(spec: Spec, data: bytes) -> Evidence:
            path = self.device.path(self._stem(spec))
            with refusals(f"{path.parent} cannot be made"):
                path.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(path) as draft:
                draft.write_bytes(data)
            return Evidence({})

        return Stage(on_device(CONVERSION, self.device.name), WORKERS, (), known, call, keep)

    def forget(self, spec: Spec) -> None:
        """Remove what the conversion made."""
        self.device.path(self._stem(spec)).unlink(missing_ok=True)

    def _stem(self, spec: Spec) -> Path:
        """Of the file of a network; devices of one format and precision share it."""
        made = json.dumps([asdict(spec.with_state(self.interface)), self.seed])
        digest = hashlib.sha256(made.encode()).hexdigest()[:16]
        return self.folder / "converted" / f"{spec_hash(spec)}-{digest}"

    def stage(self) -> Stage:
        """The stage of an evaluator that times candidates here."""
        name, lane = on_device("latency_ms", self.device.name), device_lane(self.device.name)
        names = tuple(on_device(name, self.device.name) for name in LATENCIES)
        return Stage(name, lane, names, self._known, lambda spec: self.call(spec, QUICK), self._keep)

    def _known(self, spec: Spec) -> Evidence | None:
        kept = self.key(spec, QUICK)
        latency = kept.get(self.cache)
        if latency is None:
            return None
        return Evidence(latency_metrics(latency_from_json(latency), self.device.name), kept.id(self.cache))

    def _keep(self, spec: Spec, latency: Latency) -> Evidence:
        id = self.key(spec, QUICK).put(self.cache, asdict(latency))
        return Evidence(latency_metrics(latency, self.device.name), id)
