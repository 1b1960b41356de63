"""How good what runs found is, after every number of evaluations; all computed from the rows that they saw."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretonas.compare.contest import Contest, Run
from paretonas.errors import UsageError
from paretonas.objective import front, hypervolume, metric

Floats = NDArray[np.float64]


def best_so_far(contest: Contest, runs: Sequence[Run]) -> Floats:
    """The judge's value of the row that is best by the metric so far.

    Returns:
        (runs, trials), in the table's unit; NaN before the first row that is no gap. A run that ended early keeps its
        last value.
    """
    seen, judge = (np.array(contest.table.column(c)) for c in (contest.metric, contest.judged_by))
    merit = _sign(contest) * seen
    values = np.full((len(runs), contest.trials), np.nan)
    for i, one in enumerate(runs):
        best = math.nan
        for j in range(contest.trials):
            row = one.rows[j] if j < len(one.rows) else -1
            if row >= 0 and not merit[row] <= best and not math.isnan(merit[row]):
                best, values[i, j:] = merit[row], judge[row]
    return values


def _sign(contest: Contest) -> float:
    """What a column of the quality is multiplied by so that the largest is the best."""
    return metric(contest.quality).at_best(1.0)


def _within(contest: Contest, column: str) -> Floats:
    """(rows,): a column of the table, NaN for what is over the limit."""
    return np.where(contest.is_within, np.array(contest.table.column(column), np.float64), np.nan)


def hypervolume_share(contest: Contest, runs: Sequence[Run]) -> Floats:
    """Hypervolume of what was found so far, by judge and latency, over that of the table's whole front.

    The reference point is the table's median quality and its 90th percentile of latency: with the worst point, random
    search would reach nearly all of it. What is over a limit belongs to neither.

    Returns:
        (runs, trials); NaN where no row of the table is better than the reference point.

    Raises:
        UsageError: No latency.
    """
    if contest.latency is None:
        raise UsageError("A hypervolume is of quality and latency: name the latency's column.")
    quality, latency = (_within(contest, column) for column in (contest.judged_by, contest.latency))
    merit = _sign(contest) * quality
    points = np.stack([merit, -latency], axis=1)
    reference = (float(np.nanmedian(merit)), -float(np.nanquantile(latency, 0.9)))
    everything = [tuple(p) for p in points if all(p > reference)]
    whole = hypervolume([everything[i] for i in front(everything)], reference) or math.nan
    return np.array([_shares(one, points, reference, contest.trials) for one in runs]) / whole


def _shares(one: Run, points: Floats, reference: tuple[float, float], trials: int) -> list[float]:
    held: list[tuple[float, ...]] = []
    volume, volumes = 0.0, []
    for j in range(trials):
        row = one.rows[j] if j < len(one.rows) else -1
        point = tuple(map(float, points[row])) if row >= 0 else (math.nan, math.nan)
        if all(x > r for x, r in zip(point, reference, strict=True)) and not any(
            all(q >= x for q, x in zip(other, point, strict=True)) for other in held
        ):
            held.append(point)
            held = [held[k] for k in front(held)]
            volume = hypervolume(held, reference)
        volumes.append(volume)
    return volumes


def repeated_share(one: Run) -> float:
    """Share of the evaluations whose row the run had seen before."""
    return 1 - len(set(one.rows)) / len(one.rows) if one.rows else 0.0


def summary(contest: Contest, runs: Sequence[Run]) -> dict[str, Any]:
    """What there is to say of the runs, as JSON data.

    Returns:
        The contest's own fields, and whether its quality `is_rising`; `within`, the share of the table that keeps the
        limit; `best`, the judge's best value there; and under `strategies` for each, over seeds and at every evaluation
        count from 1 on, `mean`, `median`, `quartiles` (two lists) and `standard_error` of best-so-far in the table's
        unit, the mean `regret`, the same under `hypervolume` where there is a latency, and `repeated` (share of
        evaluations that were made before), `fewest` (evaluations of a run), `ask_seconds` (mean and largest).
    """
    sign = _sign(contest)
    best = float(sign * np.nanmax(sign * _within(contest, contest.judged_by)))
    summary: dict[str, Any] = {
        "table": contest.table.name,
        "metric": contest.metric,
        "judge": contest.judged_by,
        "quality": contest.quality,
        "is_rising": metric(contest.quality).is_rising,
        "latency": contest.latency,
        "target_ms": contest.objective().targets.get("latency_ms"),
        "limit_ms": contest.limit_ms,
        "within": float(contest.is_within.mean()),
        "trials": contest.trials,
        "batch": contest.batch,
        "best": best,
        "strategies": {},
    }
    bests = best_so_far(contest, runs)
    shares = None if contest.latency is None else hypervolume_share(contest, runs)
    for name in dict.fromkeys(one.strategy for one in runs):
        is_own = np.array([one.strategy == name for one in runs])
        own, values = [one for one in runs if one.strategy == name], bests[is_own]
        seconds = [s for one in own for s in one.ask_seconds]
        summary["strategies"][name] = {
            "seeds": len(own),
            **_spread(values),
            "regret": _plain(sign * (best - values.mean(0))),
            "repeated": statistics.fmean(map(repeated_share, own)),
            "fewest": min(len(one.rows) for one in own),
            "ask_seconds": {"mean": statistics.fmean(seconds), "largest": max(seconds)},
        }
        if shares is not None:
            summary["strategies"][name]["hypervolume"] = _spread(shares[is_own])
    return summary


def _spread(values: Floats) -> dict[str, Any]:
    """Mean, median, quartiles and standard error of each column of (seeds, trials)."""
    error = values.std(0, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else np.full(values.shape[1], np.nan)
    return {
        "mean": _plain(values.mean(0)),
        "median": _plain(np.median(values, 0)),
        "quartiles": [_plain(row) for row in np.quantile(values, [0.25, 0.75], axis=0)],
        "standard_error": _plain(error),
    }


def _plain(values: Floats) -> list[float | None]:
    """NaN is no JSON."""
    return [None if math.isnan(v) else float(v) for v in values]
