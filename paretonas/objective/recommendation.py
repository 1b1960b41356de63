"""Which network to take: one for each device, and one for all of several, with the reason.

It is the one of the best quality within the target; where none is within it, the nearest. Finalists are judged by their
exported file's score on the test part and by their own timing, all else by the numbers of the search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from paretonas.objective.metric import ESTIMATED, LATENCY, LATENCY_SPREAD, metric
from paretonas.trial import State, Trial

Targets = Mapping[str, float | None]
"""Name of each device's latency (`latency_ms.phone`) -> milliseconds to aim at; None: no target."""


@dataclass(frozen=True)
class Recommendation:
    """A network to take, and why.

    Args:
        device: Whose latency counts; empty: the only one's, or none; None: those of all of several devices.
        trial: Its number.
        quality: Name of the metric.
        value: Of the quality.
        latencies: Name of the search's metric -> milliseconds.
        targets: Likewise, as far as there are some.
        is_final: Whether the numbers are a finalist's own, or else those of the search.
        is_within: Whether all targets are kept.
        notes: What to keep in mind, in sentences.
    """

    device: str | None
    trial: int
    quality: str
    value: float
    latencies: Mapping[str, float]
    targets: Mapping[str, float]
    is_final: bool
    is_within: bool
    notes: tuple[str, ...] = ()

    def reason(self, name: str = "") -> str:
        """In a sentence.

        Args:
            name: Of the network; empty: "trial N".
        """
        name = name or f"trial {self.trial}"
        numbers = f"{metric(self.quality).phrase(self.value)}{self._at}"
        source = "after the final training, exported and timed again" if self.is_final else "by the search's numbers"
        if not self.is_final and any(_is_estimate(name) for name in self.latencies):
            source += ", with the latency estimated"
        if not self.is_within:
            nobody = "finalist" if self.is_final else "network"
            return f"No {nobody} is within {self._target}. The nearest is {name}: {numbers}, {source}."
        within = f" within {self._target}" if self.targets else ""
        return f"{name[:1].upper()}{name[1:]} has {_best(self.quality)}{within}: {numbers}, {source}."

    def to_json(self) -> dict[str, Any]:
        """All of it, and the reason."""
        return {**asdict(self), "notes": list(self.notes), "reason": self.reason()}

    @property
    def _target(self) -> str:
        if len(self.targets) > 1:
            return "the targets of all devices"
        ((name, target),) = self.targets.items()
        return f"the target of {metric(name).text(target)}{_on(name)}"

    @property
    def _at(self) -> str:
        """The latencies, and by how much they miss their targets."""
        texts, are_several = [], len(self.latencies) > 1
        for name, latency in self.latencies.items():
            ratio = latency / self.targets[name] if name in self.targets else 0.0
            missed = (
                f" ({ratio:.1f} times that)" if ratio >= 2 else f" ({_percent(ratio - 1)} above)" if ratio > 1 else ""
            )
            texts.append(metric(name).text(latency) + (_on(name) if are_several else "") + missed)
        return " at " + " and ".join(texts) if texts else ""


@dataclass(frozen=True)
class _Candidate:
    """A trial as it is judged: by the search's numbers, or by a finalist's own."""

    trial: Trial
    quality: str
    value: float
    latencies: Mapping[str, float]
    targets: Mapping[str, float]
    is_final: bool

    @property
    def merit(self) -> float:
        return metric(self.quality).at_best(self.value)

    @property
    def slowness(self) -> float:
        """Of the latencies over their targets the largest; without targets, the product of the latencies."""
        ratios = [self.latencies[name] / target for name, target in self.targets.items()]
        return max(ratios) if ratios else math.prod(self.latencies.values())

    @property
    def is_within(self) -> bool:
        return not self.targets or self.slowness <= 1

    @property
    def is_flagged(self) -> bool:
        return any(self._beside(name, "flags") > 0 for name in self.latencies)

    @property
    def is_in_doubt(self) -> bool:
        """Whether each target that is missed, or the nearest one if all are kept, is so by less than the spread."""
        gaps = {name: self.latencies[name] / target - 1 for name, target in self.targets.items()}
        decisive = {name: gap for name, gap in gaps.items() if gap > 0} or gaps
        doubts = [abs(gap) < self.spread(name) for name, gap in decisive.items()]
        return any(doubts) if self.is_within else all(doubts)

    def spread(self, name: str) -> float:
        """Of a latency's timing, as a share of it."""
        return self._beside(name, "spread")

    def _beside(self, name: str, what: str) -> float:
        """Another metric of a latency's timing; 0 where there is none."""
        base, dot, device = _measured(name, self.is_final).partition(".")
        return self.trial.metrics.get(f"{base.removesuffix('_ms')}_{what}{dot}{device}", 0.0)


def recommend(
    trials: Sequence[Trial], quality: str, targets: Targets, ignore_finalists: bool = False
) -> tuple[Recommendation, ...]:
    """The network to take for all devices, then for each of several; none if no trial is complete.

    Equally good ones: the faster, then one whose timing has no flag, then the earlier.

    Args:
        trials: Of a search.
        quality: Name of its metric.
        targets: Of all its latencies.
        ignore_finalists: Judge everything by the numbers of the search.
    """
    scopes: list[tuple[str | None, Targets]] = [(None if len(targets) > 1 else "", targets)]
    if len(targets) > 1:
        scopes += [(name.partition(".")[2], {name: target}) for name, target in targets.items()]
    found = []
    for device, scope in scopes:
        finals = [] if ignore_finalists else _candidates(trials, quality, scope, is_final=True)
        trained = {one.trial.spec_hash for one in finals}
        others = [c for c in _candidates(trials, quality, scope) if c.trial.spec_hash not in trained]
        chosen = _best_within(finals) or _best_within(others) or _nearest(finals or others)
        if chosen is not None:
            found.append(_recommendation(device, chosen, finals, others))
    return tuple(found)


def _candidates(trials: Sequence[Trial], quality: str, targets: Targets, is_final: bool = False) -> list[_Candidate]:
    aimed = {name: target for name, target in targets.items() if target is not None}
    found = []
    for trial in trials:
        scores = (f"exported_{quality}", f"test_{quality}") if is_final else (quality,)
        score = next((trial.metrics[name] for name in scores if name in trial.metrics), None)
        latencies = {name: trial.metrics.get(_measured(name, is_final), math.nan) for name in targets}
        is_known = score is not None and all(map(math.isfinite, (score, *latencies.values())))
        if trial.state is State.COMPLETE and score is not None and is_known:
            found.append(_Candidate(trial, quality, score, latencies, aimed, is_final))
    return found


def _best_within(candidates: Sequence[_Candidate]) -> _Candidate | None:
    inside = (c for c in candidates if c.is_within)
    return max(inside, key=lambda c: (c.merit, -c.slowness, not c.is_flagged, -c.trial.number), default=None)


def _nearest(candidates: Sequence[_Candidate]) -> _Candidate | None:
    return min(candidates, key=lambda c: (c.slowness, -c.merit, c.is_flagged, c.trial.number), default=None)


def _recommendation(
    device: str | None, chosen: _Candidate, finals: Sequence[_Candidate], others: Sequence[_Candidate]
) -> Recommendation:
    """The chosen one with what is to be said of it."""
    notes = []
    if finals and not chosen.is_final:
        notes.append("No finalist is within the target; this one is not trained to the end yet.")
    if chosen.is_in_doubt:
        kept = "keeps" if chosen.is_within else "misses"
        notes.append(f"It {kept} the target by less than {_spread(chosen)}.")
    if chosen.is_flagged:
        notes.append("Its timing is flagged: time it again on a quiet machine.")
    alike = finals if chosen.is_final else others
    almost = [c for c in alike if not c.is_within and c.is_in_doubt and c.merit > chosen.merit]
    if chosen.is_within and almost:
        other = max(almost, key=lambda c: c.merit)
        notes.append(
            f"{_named(other)} is better and misses the target by {_percent(other.slowness - 1)}, less than "
            f"{_spread(other)}."
        )
    rival = _best_within(others)
    if chosen.is_final and rival is not None:
        before = chosen.trial.metrics.get(chosen.quality)
        if before is None or rival.merit > metric(chosen.quality).at_best(before):
            notes.append(f"{_named(rival)} was better in the search and is no finalist yet.")
    return Recommendation(
        device,
        chosen.trial.number,
        chosen.quality,
        chosen.value,
        chosen.latencies,
        chosen.targets,
        chosen.is_final,
        chosen.is_within,
        tuple(notes),
    )


def _measured(name: str, is_final: bool) -> str:
    """The name in a trial of a latency that the search measured or estimated; finalists are measured."""
    base, dot, device = name.partition(".")
    if not is_final:
        return name
    return f"final_{name}" if base == LATENCY.name else f"{LATENCY.name}{dot}{device}"


def _named(candidate: _Candidate) -> str:
    return f"Trial {candidate.trial.number} ({metric(candidate.quality).phrase(candidate.value)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.1g} %"


def _spread(candidate: _Candidate) -> str:
    """The widest, in words."""
    widest = max(candidate.targets, key=candidate.spread)
    what = "estimate" if _is_estimate(widest) and not candidate.is_final else "timing"
    return f"the spread of its {what}, {LATENCY_SPREAD.text(candidate.spread(widest))}"


def _is_estimate(name: str) -> bool:
    return name.partition(".")[0] == ESTIMATED.name


def _best(quality: str) -> str:
    declared = metric(quality)
    return f"the {'highest' if declared.is_rising else 'lowest'} {declared.title}"


def _on(name: str) -> str:
    device = name.partition(".")[2]
    return f" on {device}" if device else ""
