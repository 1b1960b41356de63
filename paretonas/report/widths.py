"""What a morph made of the widths of a network: before, alive, and after, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretonas.errors import StoreError
from paretonas.objective.metric import latencies, metric
from paretonas.registry import short
from paretonas.trial import Trial

KEY = "morph"
"""Of what a trial was proposed from."""
FIELDS = ("groups", "before", "alive", "widths")


@dataclass(frozen=True)
class Width:
    """Channels of layers that have one width.

    Args:
        layer: The first of them.
        before: In the network as it was.
        alive: After the training with the regularizer.
        after: In the network that is proposed.
    """

    layer: str
    before: int
    alive: int
    after: int


@dataclass(frozen=True)
class Step:
    """One step of a morph.

    Args:
        trial: Its number.
        strength: Of the regularizer in the end.
        multiplier: Of the living widths.
        widths: Of all groups.
    """

    trial: int
    strength: float
    multiplier: float
    widths: tuple[Width, ...]

    @property
    def widest(self) -> int:
        """Channels of the widest layer."""
        return max(max(one.before, one.alive, one.after) for one in self.widths)

    @property
    def removed(self) -> tuple[str, ...]:
        """Layers of branches that are gone."""
        return tuple(one.layer for one in self.widths if one.after == 0)


def steps_of(trials: Sequence[Trial]) -> list[Step]:
    """The steps of a morph; none of any other search.

    Raises:
        StoreError: A damaged row.
    """
    return [_step(trial.number, trial.context[KEY]) for trial in trials if KEY in trial.context]


def before_and_after(trials: Sequence[Trial]) -> list[str]:
    """What a morph came to, a line for the network as it was and for each step; none of any other search."""
    steps = {step.trial: step for step in steps_of(trials)}
    if not steps:
        return []
    lines = list[str]()
    for trial in sorted(trials, key=lambda one: one.number):
        step = steps.get(trial.number)
        name = f"after step {len(lines)}" if step else "before"
        facts = [f"{metric(name).title} {metric(name).text(value)}" for name, value in _shown(trial)]
        gone = f", without {', '.join(step.removed)}" if step and step.removed else ""
        lines.append(f"{name} (trial {trial.number}): {', '.join(facts) or trial.state.value}{gone}")
    return lines


def _shown(trial: Trial) -> list[tuple[str, float]]:
    """The qualities, latencies and costs of a trial that say what it came to."""
    shown = [name for name in trial.metrics if metric(name).is_rising and metric(name).known == "training"]
    shown += [*latencies(trial.metrics), "macs", "params"]
    return [(name, trial.metrics[name]) for name in dict.fromkeys(shown) if name in trial.metrics]


def _step(number: int, told: Any) -> Step:
    try:
        _check(told)
        rows = zip(*(told[name] for name in FIELDS), strict=True)
        widths = tuple(Width(str(layer), int(before), int(alive), int(after)) for layer, before, alive, after in rows)
        return Step(number, float(told["strength"]), float(told["multiplier"]), widths)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise StoreError(f"A step of a morph says which widths it found, but trial {number}: {error}") from None


def _check(told: Any) -> None:
    if not isinstance(told, Mapping) or not told["groups"]:
        raise ValueError(f"it has {short(told)}")
