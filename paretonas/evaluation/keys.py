"""Under which keys evaluations are kept: all that decides a number, and nothing else. The one place for all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from paretonas.space import Interface, Spec, spec_hash
from paretonas.task.recipe import Recipe


class Cache(Protocol):
    """Where evaluations are kept; a store is one."""

    def get(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was put under `key`, or None."""
        ...

    def put(self, kind: str, key: Mapping[str, Any], value: Mapping[str, Any]) -> str:
        """Keep `value` under `key`; its id."""
        ...

    def id_of(self, kind: str, key: Mapping[str, Any]) -> str:
        """The id of what is, or would be, kept under `key`."""
        ...

    def evaluations(self, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Keys and values of all of a kind, oldest first."""
        ...


@dataclass(frozen=True)
class Key:
    """Of one evaluation.

    Args:
        kind: Of evaluation.
        fields: JSON data that decide the number.
    """

    kind: str
    fields: Mapping[str, Any]

    def get(self, cache: Cache) -> dict[str, Any] | None:
        """What is kept."""
        return cache.get(self.kind, self.fields)

    def put(self, cache: Cache, value: Mapping[str, Any]) -> str:
        """Keep a value; its id."""
        return cache.put(self.kind, self.fields, value)

    def id(self, cache: Cache) -> str:
        """The id of what is kept."""
        return cache.id_of(self.kind, self.fields)


@dataclass(frozen=True)
class Origin:
    """Where the weights come from with which a training, or a score, begins.

    Args:
        kind: `scratch`, or what gave them.
        digest: Of what gave them; empty for scratch.
    """

    kind: str = "scratch"
    digest: str = ""


SCRATCH = Origin()


@dataclass(frozen=True)
class Lesson:
    """What decides a training beside the network.

    Args:
        task: Its kind.
        digest: Of the task.
        recipe: How.
        seed: Of weights and training.
        origin: Of the weights.
        engine: That runs the int8 file by which the network is scored; empty: the network itself is scored.
    """

    task: str
    digest: str
    recipe: Recipe
    seed: int
    origin: Origin = SCRATCH
    engine: str = ""

    def to_json(self) -> dict[str, Any]:
        """Without the recipe's words about itself, and without an engine that there is not."""
        data = asdict(replace(self, recipe=replace(self.recipe, about="")))
        return data if self.engine else {name: value for name, value in data.items() if name != "engine"}


def digest(identity: Mapping[str, Any]) -> str:
    """What tells files apart that hold the outcome of a training: 16 digits of all that decides it."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def training(spec: Spec, lesson: Lesson, share: float) -> Key:
    """That share of a training, and its score on the validation part."""
    return Key("training", {"spec": spec_hash(spec), **lesson.to_json(), "share": share})


def latency(spec: Spec, interface: Interface, identity: Mapping[str, Any], precision: str, pairs: int) -> Key:
    """A latency on a device, of so many pairs."""
    fed = {"spec": spec_hash(spec), "interface": asdict(interface)}
    return Key("latency", {**fed, "device": dict(identity), "precision": precision, "pairs": pairs})


def calibration(interface: Interface, identity: Mapping[str, Any]) -> Key:
    """The device's reference network of that interface."""
    return Key("calibration", {"inputs": asdict(interface)["inputs"], "device": dict(identity)})


def fitted(drawn: str, networks: int, interface: Interface, identity: Mapping[str, Any], pairs: int) -> Key:
    """Which predictor is in use: of latencies of so many pairs, of so many networks that are chosen among those drawn.

    The device's identity says the precision, too.
    """
    fed = {"drawn": drawn, "networks": networks, "interface": asdict(interface)}
    return Key("fitted", {**fed, "device": dict(identity), "pairs": pairs})


def predictor(digest: str) -> Key:
    """All that a predictor follows from, by its digest: it stays when another one takes its place."""
    return Key("predictor", {"digest": digest})


def estimate(spec: Spec, predictor_id: str) -> Key:
    """What a predictor says of a latency; `predictor_id` is that of its stored evaluation."""
    return Key("estimate", {"spec": spec_hash(spec), "predictor": predictor_id})


def profile(spec: Spec, interface: Interface, identity: Mapping[str, Any]) -> Key:
    """A latency with the time of every operation."""
    fed = {"spec": spec_hash(spec), "interface": asdict(interface)}
    return Key("profile", {**fed, "device": dict(identity)})


def untrained(spec: Spec, digest: str, seed: int) -> Key:
    """Metrics of a network before training, on a task's data."""
    return Key("untrained", {"spec": spec_hash(spec), "digest": digest, "seed": seed})


def tuning(spec: Spec, interface: Interface, recipe: Recipe, machine: Mapping[str, Any]) -> Key:
    """The fastest way to train such networks on a machine."""
    trained = asdict(replace(recipe, about="", epochs=1))
    fed = {"spec": spec_hash(spec), "interface": asdict(interface)}
    return Key("tuning", {**fed, "recipe": trained, "machine": dict(machine)})


def scored(spec: Spec, lesson: Lesson, examples: int) -> Key:
    """A score by shared weights, which the lesson is the origin of, after so many examples for the statistics."""
    return Key("scored", {"spec": spec_hash(spec), **lesson.to_json(), "examples": examples})


def trust(supernet: str, alone: Lesson, networks: int) -> Key:
    """How a supernet, by its digest, ranks so many networks that were trained alone too."""
    return Key("trust", {"supernet": supernet, "alone": alone.to_json(), "networks": networks})


def morph(base: Spec, widths: Sequence[int], lesson: Lesson) -> Key:
    """Which channels live after a training with MorphNet's regularizer, of a network in these widths."""
    return Key("morph", {"spec": spec_hash(base), "widths": list(widths), **lesson.to_json()})
