"""What a search bought, in sentences. Pure functions of what was measured.

Test accuracies of final trainings and validation accuracies of the search's short training are never mixed: each
verdict is about one of the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from paretonas.report.searched import Kind, Point, Searched, best_within

FAMILIES = ("mobilenet-v2", "mnasnet-a1")
"""Published networks that a headline compares with."""
COMPARABLE = {"digest": "data or splits", "recipe": "recipe", "measured_on": "device", "resolution": "resolution"}
"""Settings that must agree before numbers of two searches are compared."""
ABOUT: dict[Kind, str] = {
    "test_accuracy": "After the final training, on test images",
    "accuracy": "By the short training of the search, on validation images",
}


@dataclass(frozen=True)
class Comparison:
    """The best network of a search beside a rival.

    Args:
        best: The search's most accurate network within the target.
        rival: What it is compared with.
        fastest: The search's fastest network that is at least as accurate as the rival; None if there is none.
        most_accurate: The search's most accurate network that is at least as fast as the rival; None likewise.
    """

    best: Point
    rival: Point
    fastest: Point | None
    most_accurate: Point | None

    @property
    def accuracy_points(self) -> float:
        """How many percentage points `best` is more accurate than the rival."""
        return 100 * (self.best.accuracy - self.rival.accuracy)

    @property
    def latency_ratio(self) -> float:
        """Latency of the rival over that of `best`: above 1, `best` is faster."""
        return self.rival.latency_ms / self.best.latency_ms

    @property
    def speedup(self) -> float | None:
        """Latency of the rival over that of `fastest`."""
        return None if self.fastest is None else self.rival.latency_ms / self.fastest.latency_ms

    @property
    def gain_points(self) -> float | None:
        """How many percentage points `most_accurate` is more accurate than the rival."""
        return None if self.most_accurate is None else 100 * (self.most_accurate.accuracy - self.rival.accuracy)

    def sentence(self) -> str:
        """What the comparison says, for or against the search."""
        rival, best = f"{self.rival.name} ({numbers(self.rival)})", f"The best, {self.best.name},"
        beside = f"{self.accuracy_points:+.1f} points, {faster(self.latency_ratio)}"
        if self.fastest is None or self.speedup is None:
            return f"Nothing found is as accurate as {rival}. {best} beside it: {beside}."
        if self.speedup <= 1:
            return f"Nothing found is faster than {rival} at equal or better accuracy. {best} beside it: {beside}."
        more = 100 * (self.fastest.accuracy - self.rival.accuracy)
        name = self.fastest.name[:1].upper() + self.fastest.name[1:]
        text = f"{name} is {faster(self.speedup)} than {rival} at {more:+.1f} points of accuracy."
        return text if self.fastest.trial == self.best.trial else f"{text} {best} beside it: {beside}."


@dataclass(frozen=True)
class Verdict:
    """What can be said by one kind of accuracy.

    Args:
        kind: Which.
        about: The kind in words.
        best: The most accurate network within the target, or the fastest one if none is.
        is_within: Whether `best` is within the target.
        comparisons: With every published network.
        headlines: Those of them that the headline tells.
        sentences: About the other searches.
        cautions: What limits the comparisons, or forbids them.
    """

    kind: Kind
    about: str
    best: Point
    is_within: bool
    comparisons: list[Comparison]
    headlines: list[Comparison]
    sentences: list[str]
    cautions: list[str]


def verdicts(searches: Sequence[Searched]) -> list[Verdict]:
    """By test accuracy if there are finalists, then by the search's accuracy; none where nothing is complete.

    Args:
        searches: The one that it is about, then its companions and those it is compared with.
    """
    kinds: tuple[Kind, ...] = ("test_accuracy", "accuracy")
    return [_verdict(searches, kind) for kind in kinds if searches[0].points(kind)]


def _verdict(searches: Sequence[Searched], kind: Kind) -> Verdict:
    search, target = searches[0], searches[0].target_ms
    points = search.points(kind)
    inside = best_within(points, target)
    best = inside or min(points, key=lambda p: p.latency_ms)
    alike = [p for p in points if _same_recipe(search, best, search, p, kind)]
    sentences, cautions, zoo = [], _cautions(search, kind, best), []
    for other in searches[1:]:
        differing = [words for key, words in COMPARABLE.items() if search.config.get(key) != other.config.get(key)]
        theirs = [p for p in other.points(kind) if _same_recipe(search, best, other, p, kind)]
        if differing:
            cautions.append(f"{other.name} is not compared: it differs in {', '.join(differing)}.")
        elif not theirs:
            cautions.append(f"{other.name} is not compared: it has no {_trained(kind)}.")
        elif other.role == "zoo":
            zoo += theirs
        else:
            sentences.append(versus(search, other, kind, alike, theirs))
    cautions += [text for role, text in _MISSING.items() if role not in {other.role for other in searches}]
    comparisons = [compare(alike, best, p) for p in zoo]
    chosen = {p.name for p in rivals(zoo, float(search.config.get("width", 1.0)))}
    headlines = [c for c in comparisons if c.rival.name in chosen]
    return Verdict(kind, ABOUT[kind], best, inside is not None, comparisons, headlines, sentences, cautions)


_MISSING = {
    "random": "No random search stands beside it, so that what the strategy adds to chance is not known.",
    "zoo": "No published networks stand beside it, so that there is no comparison with them.",
}


def compare(points: Sequence[Point], best: Point, rival: Point) -> Comparison:
    """The best network, the fastest as accurate as the rival, and the most accurate as fast as the rival."""
    as_accurate = [p for p in points if p.accuracy >= rival.accuracy]
    fastest = min(as_accurate, key=lambda p: (p.latency_ms, -p.accuracy), default=None)
    return Comparison(best, rival, fastest, best_within(points, rival.latency_ms))


def rivals(zoo: Sequence[Point], width: float) -> list[Point]:
    """MobileNetV2 and MnasNet-A1 at the width of the search; in all their widths if they are not there in this one."""
    found: list[Point] = []
    for family in FAMILIES:
        members = [p for p in zoo if p.name.split(" ")[0] == family]
        found += [p for p in members if p.name == f"{family} x{width:g}"] or members
    return found


def versus(search: Searched, other: Searched, kind: Kind, mine: Sequence[Point], theirs: Sequence[Point]) -> str:
    """Which of two searches has the more accurate network within the target.

    By the search's accuracy, of equally many trials; by test accuracy, of all finalists.

    Args:
        search: Sets the target.
        other: Another one.
        kind: Of accuracy.
        mine: What the search has to show.
        theirs: What the other one has.
    """
    n = min(len(search.in_order), len(other.in_order))
    if kind == "accuracy":
        mine, theirs = _first(search, mine, n), _first(other, theirs, n)
        where = f"of the first {n} trials of each"
    else:
        where = f"of {len(mine)} and {len(theirs)} finalists"
    a, b = best_within(mine, search.target_ms), best_within(theirs, search.target_ms)
    label = "Random search" if other.role == "random" else other.name
    if a is None and b is None:
        return f"Neither the search nor {other.label} has a network within the target, {where}."
    if a is not None and b is not None and a.accuracy == b.accuracy:
        return f"{label} is as good, {where}: {numbers(b)} against {numbers(a)} within the target."
    if b is None or (a is not None and a.accuracy > b.accuracy):
        return f"The search beats {other.label}, {where}: {numbers(a)} against {numbers(b)} within the target."
    return f"{label} wins, {where}: {numbers(b)} against {numbers(a)} within the target."


def noise_points(accuracy: float, images: int) -> float:
    """One standard error of a difference between two accuracies, each scored on `images` images, in points.

    As if the images were different ones; that they are the same makes it an upper estimate.

    >>> round(noise_points(0.5, 2000), 2)
    1.58
    """
    return 100 * math.sqrt(2 * accuracy * (1 - accuracy) / images)


def numbers(point: Point | None) -> str:
    """Accuracy and latency as sentences give them."""
    return "nothing" if point is None else f"{100 * point.accuracy:.2f} %, {point.latency_ms:.3g} ms"


def faster(ratio: float) -> str:
    """A ratio of latencies in words: above 1, faster.

    >>> faster(1.5), faster(0.5)
    ('1.50 times faster', '2.00 times slower')
    """
    if ratio == 1:
        return "equally fast"
    return f"{ratio:.2f} times faster" if ratio > 1 else f"{1 / ratio:.2f} times slower"


def _first(searched: Searched, points: Sequence[Point], n: int) -> list[Point]:
    """The points of the first `n` trials that ended."""
    chosen = {trial.number for trial in searched.in_order[:n]}
    return [p for p in points if p.trial in chosen]


def _cautions(search: Searched, kind: Kind, best: Point) -> list[str]:
    images = search.config.get("val_images")
    if kind == "accuracy":
        text = "The best of many was chosen on the very images that it is scored on, which flatters it."
        if isinstance(images, int) and images > 0:
            noise = noise_points(best.accuracy, images)
            text += f" One standard error of a difference is {noise:.1f} points with {images:,} validation images."
        return [text]
    finals = search.finals or {}
    unknown = [p.trial for p in search.points(kind) if p.trial not in finals]
    other = [p.trial for p in search.points(kind) if not _same_recipe(search, best, search, p, kind)]
    finalists = len(search.points(kind))
    texts = []
    if finalists > 1:
        texts.append(f"The best of {finalists} finalists is named by the very accuracy that is shown.")
    if unknown:
        texts.append(f"The files of finalists {_list(unknown)} are gone, and with them how they were trained.")
    if other:
        texts.append(f"Finalists {_list(other)} were trained by another recipe than {best.name}: not compared.")
    return texts


def _same_recipe(search: Searched, best: Point, other: Searched, point: Point, kind: Kind) -> bool:
    """Whether two networks were trained alike, as far as is known; in a search all are."""
    mine, theirs = (search.finals or {}).get(best.trial), (other.finals or {}).get(point.trial)
    return kind == "accuracy" or mine is None or theirs is None or mine.recipe == theirs.recipe


def _trained(kind: Kind) -> str:
    return "complete trial" if kind == "accuracy" else "network with the same final training"


def _list(items: Sequence[int]) -> str:
    return ", ".join(map(str, items))
