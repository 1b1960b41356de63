"""What limits the comparisons of a report, or forbids them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from paretonas.report.aims import Aims, Pair
from paretonas.report.searched import Point, Searched

COMPARABLE = {
    ("recorded", "digest"): "data or splits",
    ("recipe",): "recipe",
    ("recorded", "measured_on"): "device",
    ("task", "resolution"): "resolution",
}
"""Settings that must agree before numbers of two searches are compared, and what they are about."""
SHARES = ("accuracy",)
"""Qualities that are the share of the examples which a network gets right."""


def cautions(search: Searched, best: Point) -> list[str]:
    """What to keep in mind about the best network of a search."""
    return _of_finalists(search, best) if best.pair.is_final else [_of_choosing(search, best)]


def _of_choosing(search: Searched, best: Point) -> str:
    text = "The best of many was chosen on the very examples that it is scored on, which flatters it."
    examples = search.config.get("recorded", {}).get("validation", 0)
    if examples and best.pair.quality in SHARES:
        noise = noise_points(best.quality, examples)
        text += f" One standard error of a difference is {noise:.1f} points with {examples:,} validation examples."
    return text


def _of_finalists(search: Searched, best: Point) -> list[str]:
    finalists = search.points(best.pair)
    unknown = [p.trial for p in finalists if p.trial not in search.finals]
    others = [p.trial for p in finalists if not is_trained_alike(search, best, search, p)]
    texts = []
    if len(finalists) > 1:
        texts.append(f"The best of {len(finalists)} finalists is named by the very scores that are shown.")
    if unknown:
        texts.append(f"The files of finalists {_list(unknown)} are gone, and with them how they were trained.")
    if others:
        texts.append(f"Finalists {_list(others)} were trained by another recipe than {best.name}: not compared.")
    return texts


def missing(searches: Sequence[Searched]) -> list[str]:
    """What stands not beside a search, and could."""
    search, roles = searches[0], {searched.role for searched in searches}
    texts = []
    if "random" not in roles and search.config.get("strategy", {}).get("name") != "random":
        texts.append("No random search stands beside it, so that what the strategy adds to chance is not known.")
    if "zoo" not in roles and not search.is_table:
        texts.append("No published networks stand beside it, so that there is no comparison with them.")
    return texts


def why_not(search: Searched, other: Searched, pair: Pair, theirs: Sequence[Point]) -> str:
    """Why another search is not compared; empty if it can be.

    Args:
        search: The one that it is about.
        other: Another one.
        pair: By which quality and latency.
        theirs: What the other one has, trained alike.
    """
    differing = [
        words for path, words in COMPARABLE.items() if _setting(search.config, path) != _setting(other.config, path)
    ]
    if Aims.of(search.config).quality != Aims.of(other.config).quality:
        differing.append("what is scored")
    if differing:
        return f"{other.name} is not compared: it differs in {', '.join(differing)}."
    if not theirs:
        trained = "network with the same final training" if pair.is_final else "complete trial"
        return f"{other.name} is not compared: it has no {trained}."
    return ""


def is_trained_alike(search: Searched, best: Point, other: Searched, point: Point) -> bool:
    """Whether two networks were trained by one recipe, as far as is known; in a search all are."""
    mine, theirs = search.finals.get(best.trial), other.finals.get(point.trial)
    return not best.pair.is_final or mine is None or theirs is None or mine.recipe == theirs.recipe


def noise_points(accuracy: float, examples: int) -> float:
    """One standard error of a difference between two accuracies, each scored on `examples` examples, in points.

    As if the examples were different ones; that they are the same makes it an upper estimate.

    >>> round(noise_points(0.5, 2000), 2)
    1.58
    """
    return 100 * math.sqrt(2 * accuracy * (1 - accuracy) / examples)


def _setting(config: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = config
    for key in path:
        value = (value or {}).get(key)
    return value


def _list(items: Sequence[int]) -> str:
    return ", ".join(map(str, items))
