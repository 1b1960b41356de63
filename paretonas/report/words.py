"""Numbers in words, as sentences and tables give them."""

from __future__ import annotations

from paretonas.objective.metric import LATENCY, metric
from paretonas.report.searched import Point


def milliseconds(latency_ms: float | None) -> str:
    """A latency.

    >>> milliseconds(1.25), milliseconds(1234.5)
    ('1.25 ms', '1,234 ms')
    """
    if latency_ms is None:
        return "-"
    return LATENCY.text(latency_ms) if latency_ms < 1000 else f"{latency_ms:,.0f} {LATENCY.unit}"


def numbers(point: Point | None) -> str:
    """Quality and latency of a network."""
    if point is None:
        return "nothing"
    return f"{metric(point.pair.quality).text(point.quality)}, {milliseconds(point.latency_ms)}"


def difference(name: str, number: float, other: float, digits: int = 1) -> str:
    """By how much a value of a metric is above another: in points where it is printed in percent.

    Args:
        name: Of the metric.
        number: Of the one.
        other: Of the other.
        digits: Of points.

    >>> difference("accuracy", 0.60, 0.58), difference("perplexity", 61.5, 64.0)
    ('+2.0 points', '-2.50 perplexity')
    """
    declared = metric(name)
    above = declared.scale * (number - other)
    if declared.unit == "%":
        return f"{above:+.{digits}f} points"
    return f"{above:+{declared.form}} {declared.unit or declared.title}"


def difference_of(name: str, number: float, other: float) -> str:
    """`difference`, saying of what.

    >>> difference_of("accuracy", 0.60, 0.58), difference_of("perplexity", 61.5, 64.0)
    ('+2.0 points of accuracy', '-2.50 perplexity')
    """
    declared, text = metric(name), difference(name, number, other)
    return f"{text} of {declared.title}" if declared.unit else text


def faster(ratio: float) -> str:
    """A ratio of latencies: above 1, faster.

    >>> faster(1.5), faster(0.5)
    ('1.50 times faster', '2.00 times slower')
    """
    if ratio == 1:
        return "equally fast"
    return f"{ratio:.2f} times faster" if ratio > 1 else f"{1 / ratio:.2f} times slower"
