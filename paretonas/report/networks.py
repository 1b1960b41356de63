"""The networks that a report shows part by part, with what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paretonas.errors import ParetonasError
from paretonas.objective.metric import metric, metrics
from paretonas.report.aims import Pair
from paretonas.report.architectures import spec_of
from paretonas.report.drawing import DrawnPart, PartLatencies, PartLatency, dearest_and_cheapest, draw
from paretonas.report.graphs import DrawnGraph, drawn_graphs
from paretonas.report.searched import Searched
from paretonas.report.table import drawn_trials
from paretonas.report.words import milliseconds
from paretonas.space import Interface, Spec
from paretonas.trial import Trial


@dataclass(frozen=True)
class Fact:
    """A number of a network, in words.

    Args:
        text: "latency on phone 1.5 ms".
        is_flagged: Whether its timing is not beyond doubt.
    """

    text: str
    is_flagged: bool = False


@dataclass(frozen=True)
class Network:
    """A network that is shown.

    Args:
        trial: It is of.
        finals: What is known of it after the final training; none if it had none.
        facts: What is known of it from the search.
        parts: Of which it is made; None if it cannot be drawn.
        graphs: Its cells, if it has some.
        prices: Device -> the parts in which a million MACs take the longest and the shortest, with the milliseconds.
        measured: Metrics of the latencies that are known of its parts.
    """

    trial: Trial
    finals: Sequence[Fact]
    facts: Sequence[Fact]
    parts: Sequence[DrawnPart] | None
    graphs: Sequence[DrawnGraph]
    prices: Mapping[str, tuple[tuple[str, float], tuple[str, float]]]
    measured: Sequence[str]


def drawn_networks(search: Searched, part_latencies: PartLatencies) -> list[Network]:
    """The networks of a search that are shown, drawn as far as they can be."""
    return [_network(search, trial, part_latencies) for trial in drawn_trials(search.trials, search.aims)]


def _network(search: Searched, trial: Trial, part_latencies: PartLatencies) -> Network:
    spec = spec_of(trial, search.config)
    own = {name: by_spec.get(trial.spec_hash, ()) for name, by_spec in part_latencies.items()}
    parts = _parts(spec, search.interface_of(trial.number), own)
    measured = [name for name in search.aims.latencies if any(name in part.latencies for part in parts or ())]
    dear_and_cheap = {name.partition(".")[2]: dearest_and_cheapest(parts or (), name) for name in measured}
    return Network(
        trial=trial,
        finals=_finals(search, trial),
        facts=_facts(search, trial),
        parts=parts,
        graphs=[] if spec is None else drawn_graphs(spec),
        prices={device: prices for device, prices in dear_and_cheap.items() if prices is not None},
        measured=measured,
    )


def _parts(
    spec: Spec | None, interface: Interface | None, latencies: Mapping[str, Sequence[PartLatency]]
) -> list[DrawnPart] | None:
    if spec is None or interface is None:
        return None
    try:
        return draw(spec, interface, latencies)
    except ParetonasError:  # a model of the user's own that is not here
        return None


def _finals(search: Searched, trial: Trial) -> list[Fact]:
    quality = search.aims.quality
    others = (name for name in trial.metrics if name.startswith("test_") and name != f"test_{quality}")
    scores = [_fact(trial, name) for name in (f"test_{quality}", f"exported_{quality}", *others)]
    return [*filter(None, scores), *_latencies(trial, search.aims.pairs(is_final=True))]


def _facts(search: Searched, trial: Trial) -> list[Fact]:
    costs = [name for name in metrics if metric(name).known == "cost"]
    numbers = [_fact(trial, search.aims.quality), *_latencies(trial, search.aims.pairs())]
    reward = [] if trial.reward is None else [Fact(f"reward {metric('reward').text(trial.reward)}")]
    return [*filter(None, numbers), *reward, *filter(None, (_fact(trial, name) for name in costs))]


def _fact(trial: Trial, name: str) -> Fact | None:
    value = trial.metrics.get(name)
    return None if value is None else Fact(f"{metric(name).title} {metric(name).text(value)}")


def _latencies(trial: Trial, pairs: Sequence[Pair]) -> list[Fact]:
    return [
        Fact(
            f"{metric(pair.latency).title} {milliseconds(trial.metrics[pair.latency])}",
            is_flagged=trial.metrics.get(pair.beside("flags"), 0) > 0,
        )
        for pair in pairs
        if pair.latency in trial.metrics
    ]
