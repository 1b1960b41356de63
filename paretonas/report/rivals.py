"""Networks of a search beside those of others, in sentences: published networks, and what another search has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.objective.metric import metric
from paretonas.report.searched import Point, Searched, best_within
from paretonas.report.words import difference, difference_of, faster, numbers

FAMILIES = ("mobilenet-v2", "mnasnet-a1")
"""Published networks that a headline compares with."""


@dataclass(frozen=True)
class Comparison:
    """The best network of a search beside a rival.

    Args:
        best: The search's best network within the target.
        rival: What it is compared with.
        fastest: The search's fastest network that is at least as good as the rival; None if there is none.
        best_as_fast: The search's best network that is at least as fast as the rival; None likewise.
    """

    best: Point
    rival: Point
    fastest: Point | None
    best_as_fast: Point | None

    @property
    def latency_ratio(self) -> float:
        """Latency of the rival over that of `best`: above 1, `best` is faster."""
        return self.rival.latency_ms / self.best.latency_ms

    @property
    def speedup(self) -> float | None:
        """Latency of the rival over that of `fastest`."""
        return None if self.fastest is None else self.rival.latency_ms / self.fastest.latency_ms

    @property
    def gain(self) -> str | None:
        """By how much the quality of `best_as_fast` is above the rival's."""
        if self.best_as_fast is None:
            return None
        return difference(self.rival.pair.quality, self.best_as_fast.quality, self.rival.quality, digits=2)

    @property
    def is_gain(self) -> bool:
        """Whether `best_as_fast` is better than the rival."""
        return self.best_as_fast is not None and self.best_as_fast.merit > self.rival.merit

    def sentence(self) -> str:
        """What the comparison says, for or against the search."""
        quality = self.rival.pair.quality
        title, rival, best = metric(quality).title, f"{self.rival.name} ({numbers(self.rival)})", self.best
        above = difference(quality, best.quality, self.rival.quality)
        beside = f"The best, {best.name}, beside it: {above}, {faster(self.latency_ratio)}."
        if self.fastest is None or self.speedup is None:
            return f"Nothing found is as good as {rival} in {title}. {beside}"
        if self.speedup <= 1:
            return f"Nothing found is faster than {rival} at equal or better {title}. {beside}"
        more = difference_of(quality, self.fastest.quality, self.rival.quality)
        name = self.fastest.name[:1].upper() + self.fastest.name[1:]
        text = f"{name} is {faster(self.speedup)} than {rival} at {more}."
        return text if self.fastest.trial == best.trial else f"{text} {beside}"


def compare(points: Sequence[Point], best: Point, rival: Point) -> Comparison:
    """The best network, the fastest as good as the rival, and the best as fast as the rival."""
    as_good = [p for p in points if p.merit >= rival.merit]
    fastest = min(as_good, key=lambda p: (p.latency_ms, -p.merit), default=None)
    return Comparison(best, rival, fastest, best_within(points, rival.latency_ms))


def rivals(zoo: Sequence[Point], width: float) -> list[Point]:
    """MobileNetV2 and MnasNet-A1 at the width of the search; in all their widths if they are not there in this one."""
    chosen: list[Point] = []
    for family in FAMILIES:
        members = [p for p in zoo if p.name.split(" ")[0] == family]
        chosen += [p for p in members if p.name == f"{family} x{width:g}"] or members
    return chosen


def versus(search: Searched, other: Searched, mine: Sequence[Point], theirs: Sequence[Point]) -> str:
    """Which of two searches has the better network within the target.

    By the search's own scores, of equally many trials; by those of final trainings, of all finalists.

    Args:
        search: The one that it is about.
        other: Another one.
        mine: What the search has to show; at least one point.
        theirs: What the other one has.
    """
    pair, n = mine[0].pair, min(len(search.in_order), len(other.in_order))
    if pair.is_final:
        where = f"of {len(mine)} and {len(theirs)} finalists"
    else:
        mine, theirs = _first(search, mine, n), _first(other, theirs, n)
        where = f"of the first {n} trials of each"
    within = "" if pair.target_ms is None else " within the target"
    a, b = best_within(mine, pair.target_ms), best_within(theirs, pair.target_ms)
    label = "Random search" if other.role == "random" else other.name
    if a is None and b is None:
        return f"Neither the search nor {other.label} has a network{within}, {where}."
    if a is not None and b is not None and a.merit == b.merit:
        return f"{label} is as good, {where}: {numbers(b)} against {numbers(a)}{within}."
    if b is None or (a is not None and a.merit > b.merit):
        return f"The search beats {other.label}, {where}: {numbers(a)} against {numbers(b)}{within}."
    return f"{label} wins, {where}: {numbers(b)} against {numbers(a)}{within}."


def _first(searched: Searched, points: Sequence[Point], n: int) -> list[Point]:
    """The points of the first `n` trials that ended."""
    chosen = {trial.number for trial in searched.in_order[:n]}
    return [p for p in points if p.trial in chosen]
