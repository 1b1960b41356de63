"""How good the timings are that a report's latencies rest on, and where they were made."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretonas.latency import Latency
from paretonas.report.searched import Searched, Timing


@dataclass(frozen=True)
class Quality:
    """The timings of one search, counted.

    Args:
        name: Of the search.
        timed: Networks that were timed; a repeated network uses the timing of the first.
        flagged: How many are flagged.
        flags: How many have which flag.
        repeated: How many took more than one attempt.
        pairs: Smallest and largest number of pairs.
        spread: Median and largest spread, as fractions.
        unproved: Trials with a latency whose raw samples are not in the store.
    """

    name: str
    timed: int
    flagged: int
    flags: Mapping[str, int]
    repeated: int
    pairs: tuple[int, int] | None
    spread: tuple[float, float] | None
    unproved: tuple[int, ...]


def timing_rows(searches: Sequence[Searched]) -> list[dict[str, Any]]:
    """One row for each timing: those of networks, each once a search, then those of finalists; widest spread first."""
    rows = []
    for searched in searches:
        names = {p.trial: p.name for p in searched.points("accuracy")}
        seen: set[str] = set()
        for trial in searched.trials:
            timing = (searched.timings or {}).get(trial.number)
            if timing is not None and trial.spec_hash not in seen:
                seen.add(trial.spec_hash)
                rows.append(_row(searched.name, trial.number, names.get(trial.number, ""), timing))
        for number, final in (searched.finals or {}).items():
            rows.append(_row(searched.name, number, names.get(number, ""), final.timing))
    return sorted(rows, key=lambda row: -row["spread"])


def quality(searched: Searched) -> Quality:
    """Count what speaks for and against the timings of a search, its finalists' included."""
    rows = timing_rows([searched])
    flags = [flag for row in rows for flag in row["flag_list"]]
    pairs, spreads = [row["pairs"] for row in rows], [row["spread"] for row in rows]
    timings = searched.timings or {}
    return Quality(
        name=searched.name,
        timed=len(rows),
        flagged=sum(bool(row["flag_list"]) for row in rows),
        flags={flag: flags.count(flag) for flag in sorted(set(flags))},
        repeated=sum(row["attempts"] > 1 for row in rows),
        pairs=(min(pairs), max(pairs)) if pairs else None,
        spread=(statistics.median(spreads), max(spreads)) if spreads else None,
        unproved=tuple(t.number for t in searched.trials if "latency_ms" in t.metrics and t.number not in timings),
    )


def all_timings(searches: Sequence[Searched]) -> list[Timing]:
    """Those of trials and of finalists."""
    of_trials = [timing for searched in searches for timing in (searched.timings or {}).values()]
    return of_trials + [final.timing for searched in searches for final in (searched.finals or {}).values()]


def conditions(timings: Sequence[Timing]) -> dict[str, list[str]]:
    """Every condition that was recorded with the timings, with all the values it had; numbers and dates as a range."""
    found: dict[str, list[Any]] = {}
    for timing in timings:
        for name, value in {"clock": timing.latency.clock, **timing.latency.conditions}.items():
            found.setdefault(name, []).append(value)
    return {name: _summary(name, values) for name, values in found.items()}


def calibration_rows(calibrations: Sequence[tuple[dict[str, Any], Latency]], used: set[float]) -> list[dict[str, Any]]:
    """The calibrations that the timings used: the reference network timed against itself.

    Args:
        calibrations: All of the store, with their keys.
        used: Seconds that the timings were multiplied with.
    """
    rows = []
    for key, latency in calibrations:
        if latency.calibrated in used:
            rows.append(
                {
                    "device": ", ".join(f"{name} {value}" for name, value in key.items()),
                    "milliseconds": 1e3 * latency.calibrated,
                    "spread": latency.spread,
                    "ratio": latency.ratio,
                    "pairs": len(latency.pair_ratios),
                    "flags": ", ".join(latency.flags),
                    "attempts": latency.attempts,
                    "date": str(latency.conditions.get("date", "")),
                }
            )
    return rows


def _row(search: str, trial: int, name: str, timing: Timing) -> dict[str, Any]:
    latency = timing.latency
    return {
        "search": search,
        "trial": trial,
        "what": (name or f"trial {trial}") + (", final" if timing.source == "final" else ""),
        "latency ms": latency.latency_ms,
        "spread": latency.spread,
        "flag_list": list(latency.flags),
        "flags": ", ".join(latency.flags) or "none",
        "state": "flagged" if latency.flags else "without flags",
        "attempts": latency.attempts,
        "pairs": len(latency.pair_ratios),
        "date": str(latency.conditions.get("date", "")),
    }


def _summary(name: str, values: Sequence[Any]) -> list[str]:
    distinct = list(dict.fromkeys(map(str, values)))
    if name == "date" and len(distinct) > 1:
        return [f"{min(distinct)} to {max(distinct)}"]
    if name == "load" and len(distinct) > 1 and all(isinstance(v, int | float) for v in values):
        return [f"{min(values):g} to {max(values):g}"]
    return distinct
