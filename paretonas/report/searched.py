"""What a report reads: searches with what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from paretonas.errors import StoreError
from paretonas.objective.metric import metric
from paretonas.report.aims import Aims, Pair
from paretonas.report.architectures import is_zoo, network_names
from paretonas.report.evidence import Final, Timings, read_final, read_timings
from paretonas.space import Interface
from paretonas.store import Store
from paretonas.trial import State, Trial

Role = Literal["search", "random", "zoo", "compared"]
LABELS: dict[Role, str] = {"random": "random search", "zoo": "published networks"}


@dataclass(frozen=True)
class Point:
    """A network as comparisons see it: one quality and one latency that belong together.

    Args:
        pair: Which quality and latency.
        search: Its search.
        trial: Its number.
        name: Of a published network, else "trial N".
        spec_hash: Of what it is made of.
        quality: Its value.
        latency_ms: Its value.
    """

    pair: Pair
    search: str
    trial: int
    name: str
    spec_hash: str
    quality: float
    latency_ms: float

    @property
    def merit(self) -> float:
        """The quality; its sign is changed if less is better."""
        return metric(self.pair.quality).at_best(self.quality)


@dataclass(frozen=True)
class Searched:
    """A search as it stands in a store.

    Args:
        name: Its name.
        role: What it is to the report.
        label: How charts and sentences call it.
        config: Its configuration, as stored.
        trials: All of them.
        created: When it began.
        seconds: Wall time of all its sessions.
        timings: The raw samples behind the latencies, as far as the store has them.
        finals: The finalists whose files are there, by trial.
    """

    name: str
    role: Role
    label: str
    config: Mapping[str, Any]
    trials: Sequence[Trial]
    created: str = ""
    seconds: float = 0.0
    timings: Timings = field(default_factory=dict)
    finals: Mapping[int, Final] = field(default_factory=dict)

    @cached_property
    def aims(self) -> Aims:
        """Its quality, latencies and targets."""
        return Aims.of(self.config)

    @property
    def is_table(self) -> bool:
        """Whether it looks networks up that others trained and timed."""
        return "table" in self.config

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Spec hash -> name of the published networks among its trials."""
        return network_names(self.trials, self.config)

    @property
    def in_order(self) -> list[Trial]:
        """The trials that have ended, in the order in which they did."""
        return sorted((t for t in self.trials if t.told is not None), key=lambda t: t.told or 0)

    def name_of(self, trial: Trial) -> str:
        """The name of a published network, else the number of the trial."""
        return self.names.get(trial.spec_hash, f"trial {trial.number}")

    def points(self, pair: Pair) -> list[Point]:
        """The complete trials that have both."""
        return [
            Point(
                pair,
                self.name,
                trial.number,
                self.name_of(trial),
                trial.spec_hash,
                trial.metrics[pair.quality],
                trial.metrics[pair.latency],
            )
            for trial in self.trials
            if trial.state is State.COMPLETE and pair.is_in(trial.metrics)
        ]

    def interface_of(self, trial: int) -> Interface | None:
        """What a trial's network is fed and gives, if a timing of it tells."""
        measured = [by_trial[trial] for by_trial in self.timings.values() if trial in by_trial]
        final = self.finals.get(trial)
        everything = [*measured, *(final.timings.values() if final else ())]
        return next((timing.interface for timing in everything if timing.interface is not None), None)


def read_searches(store: Store, name: str, home: Path, compare: Sequence[str] = ()) -> list[Searched]:
    """The search `name`, its baselines where they exist, and the compared ones.

    Args:
        store: Of the searches.
        name: Of the search.
        home: Where the files of finalists lie.
        compare: Names of further searches.

    Raises:
        StoreError: No such search, or a damaged row or file.
    """
    known, searches = {summary.name: summary for summary in store.searches()}, []
    for each, role in _roles(store, name, list(known), compare).items():
        config, trials = store.config(each), store.trials(each)
        label, aims = LABELS.get(role, each), Aims.of(config)
        if role == "compared" and is_zoo(config):
            role = "zoo"
        files = {trial.number: home / each / f"trial-{trial.number}.json" for trial in trials}
        finals = {t.number: final for t in trials if (final := read_final(t, files[t.number], aims))}
        timings, summary = read_timings(store, trials, aims), known[each]
        searches.append(Searched(each, role, label, config, trials, summary.created, summary.seconds, timings, finals))
    return searches


def companions(
    store: Store, name: str, compare: Sequence[str] = ()
) -> tuple[dict[str, Sequence[Trial]], dict[str, str]]:
    """What `front_figure` shows beside a search: trials by label, and names of published networks by spec hash.

    Raises:
        StoreError: No such search.
    """
    roles = _roles(store, name, [summary.name for summary in store.searches()], compare)
    beside: dict[str, Sequence[Trial]] = {}
    names: dict[str, str] = {}
    for each, role in roles.items():
        if role != "search":
            beside[LABELS.get(role, each)] = trials = store.trials(each)
            names |= network_names(trials, store.config(each))
    return beside, names


def _roles(store: Store, name: str, known: Sequence[str], compare: Sequence[str]) -> dict[str, Role]:
    """Searches by name, in the order in which they are shown: random search, published networks, the compared ones."""
    baselines: dict[str, Role] = {}
    for other in known:
        config = _config_of_another(store, other)
        if config.get("recorded", {}).get("baseline_of") == name:
            is_random = config.get("strategy", {}).get("name") == "random"
            role: Role = "zoo" if is_zoo(config) else "random" if is_random else "compared"
            baselines[other] = role if role not in baselines.values() else "compared"
    order = sorted(baselines, key=lambda other: ("random", "zoo", "compared").index(baselines[other]))
    roles: dict[str, Role] = {name: "search"}
    roles |= {other: baselines[other] for other in order if other != name}
    return roles | {other: "compared" for other in compare if other not in roles}


def _config_of_another(store: Store, name: str) -> dict[str, Any]:
    """Empty where it is damaged: that is no reason not to report a search which it may not belong to."""
    try:
        return store.config(name)
    except StoreError:
        return {}


def best_within(points: Sequence[Point], target_ms: float | None) -> Point | None:
    """The best network at or below the target, the faster of equals; None if all are slower."""
    inside = [p for p in points if target_ms is None or p.latency_ms <= target_ms]
    return max(inside, key=lambda p: (p.merit, -p.latency_ms), default=None)
