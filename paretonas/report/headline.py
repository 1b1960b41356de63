"""What a search bought, in sentences. Pure functions of what was measured.

Scores of final trainings on the test part and those of the search's short training are never mixed, nor are the
latencies of two devices: each verdict is about one pair of a quality and a latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.objective.metric import metric
from paretonas.report.aims import Pair
from paretonas.report.architectures import width_of
from paretonas.report.cautions import cautions, is_trained_alike, missing, why_not
from paretonas.report.rivals import Comparison, compare, rivals, versus
from paretonas.report.searched import Point, Searched, best_within
from paretonas.report.words import milliseconds


@dataclass(frozen=True)
class Verdict:
    """What can be said by one pair of a quality and a latency.

    Args:
        pair: Which.
        about: Where the two come from, in words.
        best: The best network within the target, or the fastest one if none is.
        is_within: Whether `best` is within the target.
        comparisons: With every published network.
        headlines: Those of them that the headline tells.
        sentences: About the other searches.
        cautions: What limits the comparisons, or forbids them.
    """

    pair: Pair
    about: str
    best: Point
    is_within: bool
    comparisons: list[Comparison]
    headlines: list[Comparison]
    sentences: list[str]
    cautions: list[str]

    @property
    def heading(self) -> str:
        """The best network, in a sentence."""
        best = self.best
        numbers = f"{metric(self.pair.quality).phrase(best.quality)} at {milliseconds(best.latency_ms)}"
        if not self.is_within:
            nobody = "finalist" if self.pair.is_final else "network"
            return f"No {nobody} is within the target. The fastest is {best.name}: {numbers}."
        within = "" if self.pair.target_ms is None else " within the target"
        return f"The best network{within} is {best.name}: {numbers}."


def verdicts(searches: Sequence[Searched]) -> list[Verdict]:
    """By the final trainings if there are finalists, then by the search's own scores; for each device.

    Those of a network within the target stand before all others.

    Args:
        searches: The one that it is about, then its companions and those it is compared with.
    """
    aims = searches[0].aims
    pairs = (*aims.pairs(is_final=True), *aims.pairs())
    found = [_verdict(searches, pair) for pair in pairs if searches[0].points(pair)]
    return sorted(found, key=lambda verdict: not verdict.is_within)


def _verdict(searches: Sequence[Searched], pair: Pair) -> Verdict:
    search = searches[0]
    points = search.points(pair)
    inside = best_within(points, pair.target_ms)
    best = inside or min(points, key=lambda p: p.latency_ms)
    alike = [p for p in points if is_trained_alike(search, best, search, p)]
    sentences: list[str] = []
    zoo: list[Point] = []
    limits = cautions(search, best)
    for other in searches[1:]:
        theirs = [p for p in other.points(pair) if is_trained_alike(search, best, other, p)]
        reason = why_not(search, other, pair, theirs)
        if reason:
            limits.append(reason)
        elif other.role == "zoo":
            zoo += theirs
        else:
            sentences.append(versus(search, other, alike, theirs))
    comparisons = [compare(alike, best, p) for p in zoo]
    chosen = {p.name for p in rivals(zoo, width_of(search.config))}
    headlines = [c for c in comparisons if c.rival.name in chosen]
    limits += missing(searches)
    return Verdict(pair, _about(search, pair), best, inside is not None, comparisons, headlines, sentences, limits)


def _about(search: Searched, pair: Pair) -> str:
    where = f", with the latency on {pair.device}" if pair.device else ""
    if pair.is_final:
        return f"After the final training, on test examples{where}"
    source = "By the table" if search.is_table else "By the short training of the search, on validation examples"
    return source + where
