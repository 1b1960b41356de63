"""Strategies on a table, beside each other: `contest.py` runs them, `scores.py` says how good they were."""

from paretonas.compare.contest import Contest, Run, compare, earlier, run
from paretonas.compare.scores import best_so_far, hypervolume_share, repeated_share, summary

__all__ = [
    "Contest",
    "Run",
    "best_so_far",
    "compare",
    "earlier",
    "hypervolume_share",
    "repeated_share",
    "run",
    "summary",
]
