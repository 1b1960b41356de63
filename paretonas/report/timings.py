"""How good the timings are that a report's latencies rest on, and where they were made."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paretonas.latency import Latency
from paretonas.report.evidence import Timing
from paretonas.report.searched import Searched


@dataclass(frozen=True)
class Quality:
    """The timings of one search on one device, counted.

    Args:
        name: Of the search.
        device: Empty where it is the only one.
        timed: Networks that were timed; a repeated network uses the timing of the first.
        flagged: How many are flagged.
        flags: How many have which flag.
        repeated: How many took more than one attempt.
        pairs: Smallest and largest number of pairs.
        spread: Median and largest spread, as fractions.
        unproved: Trials with a latency whose raw samples are not in the store.
        disagreeing: Trials with another latency than their raw samples give.
    """

    name: str
    device: str
    timed: int
    flagged: int
    flags: Mapping[str, int]
    repeated: int
    pairs: tuple[int, int] | None
    spread: tuple[float, float] | None
    unproved: tuple[int, ...]
    disagreeing: tuple[int, ...]


def timing_rows(searches: Sequence[Searched], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each timing: those of networks, each once a search, then those of finalists; widest spread first.

    Args:
        searches: Whose.
        names: Of the latencies' metrics, `Aims.latencies`.
    """
    rows = []
    for searched in searches:
        for name in names:
            rows += _rows(searched, name)
    return sorted(rows, key=lambda row: -row["spread"])


def _rows(searched: Searched, name: str) -> list[dict[str, Any]]:
    trials = {trial.number: searched.name_of(trial) for trial in searched.trials}
    timings, rows, seen = searched.timings.get(name, {}), [], set[str]()
    for trial in searched.trials:
        if trial.number in timings and trial.spec_hash not in seen:
            seen.add(trial.spec_hash)
            rows.append(_row(searched.name, trial.number, trials[trial.number], name, timings[trial.number]))
    for number, final in searched.finals.items():
        if name in final.timings:
            rows.append(_row(searched.name, number, f"{trials[number]}, final", name, final.timings[name]))
    return rows


def quality(searched: Searched, name: str) -> Quality:
    """Count what speaks for and against the timings of a search on one device, its finalists' included.

    Args:
        searched: The search.
        name: Of the latency's metric.
    """
    rows = _rows(searched, name)
    flags = [flag for row in rows for flag in row["flag_list"]]
    pairs, spreads = [row["pairs"] for row in rows], [row["spread"] for row in rows]
    timings = {number: timing.latency.latency_ms for number, timing in searched.timings.get(name, {}).items()}
    said = {trial.number: trial.metrics[name] for trial in searched.trials if name in trial.metrics}
    if name not in searched.aims.latencies:  # what trials have under it is of their final files
        said = {number: ms for number, ms in said.items() if number not in searched.finals}
    return Quality(
        name=searched.name,
        device=name.partition(".")[2],
        timed=len(rows),
        flagged=sum(bool(row["flag_list"]) for row in rows),
        flags={flag: flags.count(flag) for flag in sorted(set(flags))},
        repeated=sum(row["attempts"] > 1 for row in rows),
        pairs=(min(pairs), max(pairs)) if pairs else None,
        spread=(statistics.median(spreads), max(spreads)) if spreads else None,
        unproved=tuple(number for number in said if number not in timings),
        disagreeing=tuple(n for n, ms in timings.items() if not math.isclose(ms, said[n], rel_tol=1e-9)),
    )


def timings_of(searches: Sequence[Searched], name: str) -> list[Timing]:
    """Those of trials and of finalists on one device.

    Args:
        searches: Whose.
        name: Of the latency's metric.
    """
    of_trials = [timing for searched in searches for timing in searched.timings.get(name, {}).values()]
    finals = [final for searched in searches for final in searched.finals.values()]
    return of_trials + [final.timings[name] for final in finals if name in final.timings]


def conditions(timings: Sequence[Timing]) -> dict[str, list[str]]:
    """Every condition that was recorded with the timings, with all the values it had; numbers and dates as a range."""
    values: dict[str, list[Any]] = {}
    for timing in timings:
        for name, value in {"clock": timing.latency.clock, **timing.latency.conditions}.items():
            values.setdefault(name, []).append(value)
    return {name: _summary(name, each) for name, each in values.items()}


def calibration_rows(calibrations: Sequence[tuple[Mapping[str, Any], Latency]]) -> list[dict[str, Any]]:
    """Calibrations: the reference network timed against itself.

    Args:
        calibrations: With the keys under which they are stored.
    """
    return [
        {
            "device": ", ".join(f"{name} {value}" for name, value in key["device"].items()),
            "input": " x ".join(map(str, key["inputs"][0]["shape"][1:])),
            "milliseconds": 1e3 * latency.calibrated,
            "spread": latency.spread,
            "ratio": latency.ratio,
            "pairs": len(latency.pair_ratios),
            "flags": ", ".join(latency.flags),
            "attempts": latency.attempts,
            "date": str(latency.conditions.get("date", "")),
        }
        for key, latency in calibrations
    ]


def _row(search: str, trial: int, what: str, name: str, timing: Timing) -> dict[str, Any]:
    latency = timing.latency
    return {
        "search": search,
        "trial": trial,
        "what": what,
        "device": name.partition(".")[2],
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
