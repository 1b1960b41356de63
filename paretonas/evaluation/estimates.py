"""Latencies that are estimated: networks of the space are measured, a predictor is fitted, and a stage asks that.

The evaluator wraps another one, whose latency stage it asks for the measurements and takes the place of. So they are
kept under the keys of measurements, are taken once, and an interrupted preparation goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from paretonas.device import Device
from paretonas.device.predictor import Predictor, Scope, fit, spread_out
from paretonas.errors import ExportError, MeasureError
from paretonas.evaluation import keys
from paretonas.evaluation.around import Around
from paretonas.evaluation.device_job import CountingJob, run_listing
from paretonas.evaluation.evaluator import Call, Evaluator, Evidence, Listens, Stage
from paretonas.evaluation.fitting import LARGEST_ERROR, Fitting, Sample, in_use, keep, of_digest, of_other_devices
from paretonas.evaluation.keys import Cache, Key
from paretonas.evaluation.latencies import ESTIMATES, QUICK, estimate_metrics
from paretonas.evaluation.own_table import OwnTable
from paretonas.evaluation.timed import CONVERSION
from paretonas.latency import Estimate, estimate_from_json
from paretonas.network.operations import Operation, operations
from paretonas.objective.metric import LATENCY, LATENCY_FLAGS, metric, on_device
from paretonas.space import Interface, SearchSpace, Spec, spec_from_json, spec_hash, spec_to_json

DRAWN = 8
"""Networks that are drawn for each one that is measured."""


@dataclass(frozen=True)
class Estimating:
    """Where latencies are estimated.

    Args:
        space: Gives the one whose networks are measured; asked when they are.
        networks: How many, by the name of the device; on others every candidate is measured.
    """

    space: Callable[[], SearchSpace]
    networks: Mapping[str, int]


@dataclass(frozen=True)
class Fitted:
    """A predictor, and the id under which what it follows from is stored."""

    predictor: Predictor
    id: str


class EstimatingEvaluator(Around):
    """Another evaluator, with estimates in the place of measured latencies.

    Args:
        inner: Measures, and gives all else.
        interface: Of the task.
        devices: Of the inner one.
        estimating: Where and from how many networks.
        cache: Where evaluations are kept; the inner one's.
    """

    def __init__(
        self, inner: Evaluator, interface: Interface, devices: Sequence[Device], estimating: Estimating, cache: Cache
    ):
        super().__init__(inner)
        self._interface, self._estimating, self._cache = interface, estimating, cache
        self._devices = {device.name: device for device in devices if device.name in estimating.networks}
        self._fitted: dict[str, Fitted] = {}

    def prepare(self, listener: Listens) -> None:
        """The inner one's, and for each device a predictor; where that is not good enough, candidates are measured."""
        self._inner.prepare(listener)
        for name, device in list(self._devices.items()):
            try:
                self._fitted[name], fitting = self._fit(device, listener)
                _check(fitting)
            except MeasureError as error:
                listener.note(f"{error} So each candidate is measured{_on(device)}.")
                del self._devices[name]
            else:
                title = metric(on_device(LATENCY.name, name)).title
                listener.note(
                    f"The {title} is estimated by a predictor: {fitting} on average, and ranks them with a "
                    f"Kendall's tau of {fitting.rank:.2f}. Finalists are measured."
                )
                _tell_of_flags(fitting, listener)

    def stages(self) -> tuple[Stage, ...]:
        """The inner one's, with a stage of estimates in the place of each latency that is estimated, and its file."""
        estimated = {on_device(LATENCY.name, name): device for name, device in self._devices.items()}
        needless = {on_device(CONVERSION, name) for name in self._devices}
        return tuple(
            self._stage(estimated[stage.name], stage.lane) if stage.name in estimated else stage
            for stage in self._inner.stages()
            if stage.name not in needless
        )

    def usual_ms(self, name: str, listener: Listens) -> float:
        """What the inner one measures on the device, for an estimate too."""
        return self._inner.usual_ms(on_device(LATENCY.name, name.partition(".")[2]), listener)

    def estimate(self, spec: Spec, device: Device) -> Estimate:
        """What the predictor of a device says of a network, here and now; nothing is stored.

        Raises:
            MeasureError: It was not fitted for such.
        """
        return self._estimate(spec, device, operations(spec, self._fed(spec)))

    def _estimate(self, spec: Spec, device: Device, listing: tuple[Operation, ...]) -> Estimate:
        predictor = self._fitted[device.name].predictor
        predictor.scope.check(spec.kind, self._interface, device.identity)
        return predictor.estimate(listing)

    def _fed(self, spec: Spec) -> Interface:
        return spec.with_state(self._interface)

    def _stage(self, device: Device, lane: str) -> Stage:
        def key(spec: Spec) -> Key:
            return keys.estimate(spec, self._fitted[device.name].id)

        def known(spec: Spec) -> Evidence | None:
            kept = key(spec)
            estimate = kept.get(self._cache)
            if estimate is None:
                return None
            return Evidence(estimate_metrics(estimate_from_json(estimate), device.name), kept.id(self._cache))

        def call(spec: Spec) -> Call:
            return Call(run_listing, (CountingJob(spec_to_json(spec), self._fed(spec)),))

        def keep(spec: Spec, listing: tuple[Operation, ...]) -> Evidence:
            estimate = self._estimate(spec, device, listing)
            id = key(spec).put(self._cache, asdict(estimate))
            return Evidence(estimate_metrics(estimate, device.name), id)

        names = tuple(on_device(name, device.name) for name in ESTIMATES)
        return Stage(names[0], lane, names, known, call, keep)

    # Predictors

    def fit(self, device: Device, listener: Listens, table: OwnTable | None = None) -> Fitting:
        """A predictor for a device, good or not, from networks that are stored or measured now.

        Args:
            device: Whose latencies it foretells.
            listener: Is told how far it is.
            table: Of a user's own measurements; they take the place of ours.

        Raises:
            MeasureError: Too few networks could be measured.
        """
        return self._fit(device, listener, table)[1]

    def _fit(self, device: Device, listener: Listens, table: OwnTable | None = None) -> tuple[Fitted, Fitting]:
        networks = self._estimating.networks[device.name]
        drawn = self._estimating.space().some(DRAWN * networks)
        digest = hashlib.sha256(" ".join(map(spec_hash, drawn)).encode()).hexdigest()[:16]
        use = keys.fitted(digest, networks, self._interface, device.identity, QUICK.pairs)
        fitting = in_use(self._cache, use) if table is None else None
        if fitting is not None:
            samples, origin = fitting.samples, fitting.table
            earlier = {one: of_digest(self._cache, one) for one in fitting.earlier}
        else:
            samples = self._measure(device, drawn, listener) if table is None else table.samples
            origin = table.name if table else ""
            earlier = of_other_devices(self._cache, self._interface, device.identity)
        others = [self._fitted_on(one.samples, {}, listener) for one in earlier.values()]
        predictor = self._fitted_on(samples, device.identity, listener, others)
        if fitting is None:
            held_out = predictor.held_out
            fitting = Fitting(samples, held_out.error, held_out.within, held_out.rank, tuple(earlier), origin)
            keep(self._cache, use, fitting)
        return Fitted(predictor, keys.predictor(fitting.digest).id(self._cache)), fitting

    def _fitted_on(
        self,
        samples: Sequence[Sample],
        identity: Mapping[str, Any],
        listener: Listens,
        earlier: Sequence[Predictor] = (),
    ) -> Predictor:
        specs = [spec_from_json(sample.spec) for sample in samples]
        scope = Scope(tuple(sorted({spec.kind for spec in specs})), self._interface, identity)
        return fit(scope, self._listings(specs, listener), [sample.latency_ms for sample in samples], earlier)

    def _measure(self, device: Device, drawn: Sequence[Spec], listener: Listens) -> tuple[Sample, ...]:
        """Those that are furthest apart, through the inner one's stage; what cannot be measured is left out."""
        (stage,) = (one for one in self._inner.stages() if one.name == on_device(LATENCY.name, device.name))
        chosen = spread_out(self._listings(drawn, listener), self._estimating.networks[device.name])
        samples = []
        for done, place in enumerate(chosen):
            listener.counting(f"measuring networks{_on(device)}", done, len(chosen))
            with suppress(ExportError, MeasureError):
                found = stage.evidence(drawn[place])
                flags = found.metrics.get(on_device(LATENCY_FLAGS.name, device.name), 0.0)
                spec = spec_to_json(drawn[place])
                samples.append(Sample(spec, found.metrics[stage.name], found.id or "", flags))
        listener.counting(f"measuring networks{_on(device)}", len(chosen), len(chosen))
        return tuple(samples)

    def _listings(self, specs: Sequence[Spec], listener: Listens) -> list[tuple[Operation, ...]]:
        listings = []
        for done, spec in enumerate(specs):
            listener.counting("looking at networks", done, len(specs))
            listings.append(operations(spec, self._fed(spec)))
        listener.counting("looking at networks", len(specs), len(specs))
        return listings


def _check(fitting: Fitting) -> None:
    """Whether a predictor is good enough for a search.

    Raises:
        MeasureError: It errs too much.
    """
    if fitting.error > LARGEST_ERROR:
        raise MeasureError(f"A predictor errs by {100 * LARGEST_ERROR:g} % at most on average, but {fitting}.")


def _tell_of_flags(fitting: Fitting, listener: Listens) -> None:
    flagged = sum(sample.flags > 0 for sample in fitting.samples)
    if flagged > len(fitting.samples) / 2:
        listener.note(f"{flagged} of these timings are flagged, as taken on a busy machine: all may be too long.")


def _on(device: Device) -> str:
    return f" on {device.name}" if device.name else ""
