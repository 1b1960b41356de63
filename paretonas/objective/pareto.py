"""Pareto fronts and hypervolumes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paretonas.objective.metric import metric
from paretonas.trial import State, Trial


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the points that no other point dominates, in their order.

    A point dominates another if it is nowhere smaller and somewhere larger. Of equal points the first is kept. A point
    with a NaN is never on the front.

    Args:
        points: n points of m objectives, all to be maximized.

    >>> front([(1, 1), (2, 0), (0, 0), (2, 0)])
    [0, 1]
    """
    best: list[int] = []
    known = [i for i, p in enumerate(points) if not any(x != x for x in p)]  # a NaN would upset the sorting
    for i in sorted(known, key=lambda i: tuple(-x for x in points[i])):
        p = points[i]
        if not any(all(q >= x for q, x in zip(points[j], p, strict=True)) for j in best):
            best.append(i)
    return sorted(best)


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Volume of the region that the points dominate, down to the reference point.

    Exact, by slicing along the last objective; meant for fronts of up to some hundred points and four objectives.

    Args:
        points: n points of m objectives, all to be maximized.
        reference: The worst corner; points not better than it everywhere count nothing.

    >>> hypervolume([(1, 2), (2, 1)], (0, 0))
    3.0
    """
    inside = [tuple(p) for p in points if all(x > r for x, r in zip(p, reference, strict=True))]
    if not inside:
        return 0.0
    if len(reference) == 1:
        return float(max(p[0] for p in inside) - reference[0])
    inside.sort(key=lambda p: -p[-1])
    volume = 0.0
    for i, p in enumerate(inside):
        floor = inside[i + 1][-1] if i + 1 < len(inside) else reference[-1]
        if p[-1] > floor:
            volume += (p[-1] - floor) * hypervolume([q[:-1] for q in inside[: i + 1]], reference[:-1])
    return volume


def front_trials(trials: Sequence[Trial], quality: str, latencies: Iterable[str]) -> list[Trial]:
    """The complete trials that no other beats in quality and all latencies, fastest first; equal specs once.

    Args:
        trials: Those without one of these metrics are left out.
        quality: Name of the metric.
        latencies: Names of the metrics; fastest is by the first. None: the best in quality alone.
    """
    names = (quality, *latencies)
    goals = [metric(name) for name in names]
    complete = [t for t in trials if t.state is State.COMPLETE and t.metrics.keys() >= set(names)]
    chosen = front([[goal.at_best(t.metrics[goal.name]) for goal in goals] for t in complete])
    return sorted((complete[i] for i in chosen), key=lambda t: [t.metrics[name] for name in names[1:]])
