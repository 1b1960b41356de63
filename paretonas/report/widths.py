"""What a morph made of the widths of a network: before, alive, and after, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from paretonas.errors import StoreError
from paretonas.objective.metric import latencies, metric
from paretonas.registry import short
from paretonas.trial import Trial

KEY = "morph"
"""Of what a trial was proposed from."""
FIELDS = ("groups", "before", "alive", "widths")
ALIVE, STRENGTH = "#b06f00", "#5a646e"
HEIGHT = 190


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
        curve: Step of the training, strength, what the living channels cost, and the regularizer.
    """

    trial: int
    strength: float
    multiplier: float
    widths: tuple[Width, ...]
    curve: tuple[tuple[float, float, float, float], ...] = ()

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


def curve_chart(step: Step) -> alt.LayerChart | None:
    """What the living channels cost while the network learned, and the strength of the regularizer. None if unknown."""
    if len(step.curve) < 2 or not step.curve[0][2] > 0:
        return None
    first = step.curve[0][2]
    rows = [{"step": at, "share": cost / first, "strength": strength} for at, strength, cost, _ in step.curve]
    base = alt.Chart(alt.Data(values=rows)).encode(x=alt.X("step:Q", title="step of the training"))
    share = base.mark_line(color=ALIVE, strokeWidth=2).encode(
        y=alt.Y("share:Q", title="cost of what lives, over the first", axis=alt.Axis(titleColor=ALIVE)),
        tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("share:Q", format=".3f"), alt.Tooltip("strength:Q", format=".3g")],
    )
    strength = base.mark_line(color=STRENGTH, strokeDash=[5, 3]).encode(
        y=alt.Y("strength:Q", title="strength", scale=alt.Scale(type="log"), axis=alt.Axis(titleColor=STRENGTH))
    )
    return alt.LayerChart(layer=[share, strength]).resolve_scale(y="independent").properties(height=HEIGHT)


def before_and_after(trials: Sequence[Trial], quality: str) -> list[str]:
    """What a morph came to, a line for the network as it was and for each step; none of any other search.

    Args:
        trials: Of the search.
        quality: What it is about.
    """
    steps = {step.trial: step for step in steps_of(trials)}
    if not steps:
        return []
    lines = list[str]()
    for trial in sorted(trials, key=lambda one: one.number):
        step = steps.get(trial.number)
        name = f"after step {len(lines)}" if step else "before"
        facts = [f"{metric(name).title} {metric(name).text(value)}" for name, value in _shown(trial, quality)]
        gone = f", without {', '.join(step.removed)}" if step and step.removed else ""
        lines.append(f"{name} (trial {trial.number}): {', '.join(facts) or trial.state.value}{gone}")
    return lines


def _shown(trial: Trial, quality: str) -> list[tuple[str, float]]:
    """The quality, latencies and costs of a trial."""
    shown = (quality, *latencies(trial.metrics), "macs", "params")
    return [(name, trial.metrics[name]) for name in shown if name in trial.metrics]


def _step(number: int, told: Any) -> Step:
    try:
        _check(told)
        rows = zip(*(told[name] for name in FIELDS), strict=True)
        widths = tuple(Width(str(layer), int(before), int(alive), int(after)) for layer, before, alive, after in rows)
        curve = tuple((float(step), float(s), float(cost), float(sum_)) for step, s, cost, sum_ in told["curve"])
        return Step(number, float(told["strength"]), float(told["multiplier"]), widths, curve)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise StoreError(f"A step of a morph says which widths it found, but trial {number}: {error}") from None


def _check(told: Any) -> None:
    if not isinstance(told, Mapping) or not told["groups"]:
        raise ValueError(f"it has {short(told)}")
