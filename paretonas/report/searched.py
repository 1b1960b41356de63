"""What a report reads: searches with their companions, and the raw timings behind their numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from paretonas.errors import StoreError, UnknownNameError
from paretonas.latency import Latency, latency_from_json
from paretonas.space import SearchSpace, Spec, spaces
from paretonas.store import Store
from paretonas.trial import State, Trial

Role = Literal["search", "random", "zoo", "compared"]
Kind = Literal["accuracy", "test_accuracy"]
"""Which accuracy: of the search's short training on validation images, or of the final one on test images."""

LABELS: dict[Role, str] = {"random": "random search", "zoo": "published networks"}
LATENCY_OF: dict[Kind, str] = {"accuracy": "latency_ms", "test_accuracy": "final_latency_ms"}


@dataclass(frozen=True)
class Point:
    """A network as comparisons see it: one accuracy and one latency that belong together."""

    search: str
    trial: int
    name: str
    spec_hash: str
    accuracy: float
    latency_ms: float


@dataclass(frozen=True)
class Timing:
    """A stored latency, and where it came from.

    Args:
        latency: With its raw samples.
        source: "search" for the screening of a candidate, "final" for a finalist's exported file.
        input_shape: (N, C, H, W) of one run; None if it was not kept.
        classes: Outputs of the network; None if they were not kept.
    """

    latency: Latency
    source: Literal["search", "final"]
    input_shape: tuple[int, ...] | None
    classes: int | None


@dataclass(frozen=True)
class Final:
    """What the file of a finalist tells beyond its trial."""

    timing: Timing
    recipe: Mapping[str, Any]
    date: str


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
        timings: The timing behind `latency_ms`, by trial; a trial whose samples the store lacks is absent.
        finals: The finalists whose files are there, by trial.
    """

    name: str
    role: Role
    label: str
    config: Mapping[str, Any]
    trials: Sequence[Trial]
    created: str = ""
    seconds: float = 0.0
    timings: Mapping[int, Timing] | None = None
    finals: Mapping[int, Final] | None = None

    @property
    def target_ms(self) -> float | None:
        """The latency that it aimed at."""
        target: float | None = self.config.get("target_ms")
        return target

    @property
    def in_order(self) -> list[Trial]:
        """The trials that have ended, in the order in which they did."""
        return sorted((t for t in self.trials if t.told is not None), key=lambda t: t.told or 0)

    def points(self, kind: Kind) -> list[Point]:
        """The trials that have this accuracy and the latency that goes with it."""
        names = network_names(self.trials)
        return [
            Point(
                self.name,
                trial.number,
                names.get(trial.spec_hash, f"trial {trial.number}"),
                trial.spec_hash,
                trial.metrics[kind],
                trial.metrics[LATENCY_OF[kind]],
            )
            for trial in self.trials
            if trial.state is State.COMPLETE and {kind, LATENCY_OF[kind]} <= trial.metrics.keys()
        ]


def read_searches(store: Store, name: str, home: Path, compare: Sequence[str] = ()) -> list[Searched]:
    """The search `name`, its companions `NAME.random` and `NAME.zoo` where they exist, and the compared ones.

    Raises:
        StoreError: No such search, or a damaged row or file.
    """
    known = {summary.name: summary for summary in store.searches()}
    roles = _roles(name, list(known), compare)
    stored: dict[Any, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for key, value in store.evaluations("latency"):
        stored.setdefault(key.get("spec"), []).append((key, value))
    found = []
    for each, role in roles.items():
        config, trials = store.config(each), store.trials(each)
        label = LABELS.get(role, each)
        if role == "compared" and network_names(trials):
            role = "zoo"
        timings = {t.number: timing for t in trials if (timing := _timing(t, stored.get(t.spec_hash, [])))}
        finals = {t.number: final for t in trials if (final := _final(t, home / each / f"trial-{t.number}.json"))}
        summary = known[each]
        found.append(Searched(each, role, label, config, trials, summary.created, summary.seconds, timings, finals))
    return found


def companions(
    store: Store, name: str, compare: Sequence[str] = ()
) -> tuple[dict[str, Sequence[Trial]], dict[str, str]]:
    """What `front_figure` shows beside a search: trials by label, and names of published networks by spec hash.

    Raises:
        StoreError: No such search.
    """
    roles = _roles(name, [summary.name for summary in store.searches()], compare)
    beside: dict[str, Sequence[Trial]] = {
        LABELS.get(role, each): store.trials(each) for each, role in roles.items() if role != "search"
    }
    return beside, {spec: text for trials in beside.values() for spec, text in network_names(trials).items()}


def _roles(name: str, known: Sequence[str], compare: Sequence[str]) -> dict[str, Role]:
    """Searches by name, in the order in which they are shown."""
    roles: dict[str, Role] = {name: "search"}
    companions: dict[str, Role] = {f"{name}.random": "random", f"{name}.zoo": "zoo"}
    roles |= {companion: role for companion, role in companions.items() if companion in known}
    return roles | {other: "compared" for other in compare if other not in roles}


def best_within(points: Sequence[Point], target_ms: float | None) -> Point | None:
    """The most accurate network at or below the target, the faster of equals; None if all are slower."""
    inside = [p for p in points if target_ms is None or p.latency_ms <= target_ms]
    return max(inside, key=lambda p: (p.accuracy, -p.latency_ms), default=None)


def network_names(trials: Sequence[Trial]) -> dict[str, str]:
    """Spec hash -> name, for trials of a space whose only decision is `network`: published networks."""
    names = {}
    for trial in trials:
        space = built_space(trial.architecture.space)
        if space is not None and [decision.name for decision in space.decisions] == ["network"]:
            names[trial.spec_hash] = str(space.decisions[0].choices[trial.architecture.choices[0]])
    return names


def decoded(trial: Trial) -> Spec | None:
    """What a trial's architecture means; None if its space is not installed here."""
    space = built_space(trial.architecture.space)
    return None if space is None else space.decode(trial.architecture)


@lru_cache(maxsize=64)
def built_space(name: str) -> SearchSpace | None:
    """The space that a stored architecture names with all its options; None if it is not installed here."""
    try:
        space: SearchSpace = spaces.create(name).build()
    except UnknownNameError:
        return None
    return space


def _timing(trial: Trial, stored: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> Timing | None:
    """The stored timing that gives exactly the latency of the trial."""
    wanted = trial.metrics.get("latency_ms")
    if wanted is None:
        return None
    for key, value in stored:
        latency = latency_from_json(value)
        if math.isclose(latency.latency_ms, wanted, rel_tol=1e-9):
            return _checked(latency, "search", key.get("input_shape"), key.get("classes"))
    return None


def _final(trial: Trial, path: Path) -> Final | None:
    """The finalist's file, if there is one and it tells of the training that the trial has the score of."""
    if "test_accuracy" not in trial.metrics or not path.exists():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        latency, scored = latency_from_json(data["latency"]), data["metrics"]["test_accuracy"]
        timing = _checked(latency, "final", data["input"]["shape"], len(data["classes"]))
        final = Final(timing, dict(data["recipe"]), str(data["date"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, StoreError) as error:
        raise StoreError(
            f"A finalist's file holds its metrics, latency, recipe and date, but {path} does not: {error!r}. "
            "Move it away, or train the finalist again."
        ) from None
    return final if scored == trial.metrics["test_accuracy"] else None


def _checked(latency: Latency, source: Literal["search", "final"], shape: Any, classes: Any) -> Timing:
    is_shape = isinstance(shape, list) and len(shape) == 4 and all(isinstance(side, int) for side in shape)
    return Timing(latency, source, tuple(shape) if is_shape else None, classes if isinstance(classes, int) else None)
