"""What a session of a search counts: what has ended and failed, the best, the time."""

from __future__ import annotations

import time

from paretonas.errors import WorkError
from paretonas.loop.listener import Progress
from paretonas.loop.plan import Plan
from paretonas.trial import State, Trial

HOPELESS = 8
"""So many failures before the first success end a search: something other than the architectures is wrong."""


class Tally:
    """Counts the trials of a search.

    Args:
        plan: What is searched.
        seconds: Wall time of its earlier sessions.

    Attributes:
        ended: How many trials have.
        complete: Hashes of the specs of those that are complete.
    """

    def __init__(self, plan: Plan, seconds: float):
        self._budget, self._quality = plan.budget, plan.objective.quality
        self._begin, self._before = time.monotonic(), seconds
        self._failed, self._earlier = 0, 0
        self._best: Trial | None = None
        self.ended = 0
        self.complete: set[str] = set()

    @property
    def seconds(self) -> float:
        """Wall time of all sessions."""
        return self._before + time.monotonic() - self._begin

    @property
    def is_out_of_time(self) -> bool:
        """Whether the time budget is used up."""
        return self._budget.seconds is not None and self.seconds >= self._budget.seconds

    def take_up(self, trials: list[Trial]) -> None:
        """Count what ended in earlier sessions."""
        for trial in trials:
            self.count(trial)
        self._earlier = self.ended

    def count(self, trial: Trial) -> None:
        """One more has ended."""
        self.ended += 1
        self._failed += trial.state is State.FAILED
        if trial.state is State.COMPLETE:
            self.complete.add(trial.spec_hash)
            if self._best is None or (trial.reward or 0.0) > (self._best.reward or 0.0):
                self._best = trial

    def check_hope(self, error: str | None) -> None:
        """Go on unless all that was tried first has failed.

        Raises:
            WorkError: It has; the message ends with the last error.
        """
        if self.ended == self._failed == HOPELESS:
            raise WorkError(f"The first {HOPELESS} trials all failed, so the search was stopped. The last one: {error}")

    def progress(self, trial: Trial) -> Progress:
        """Where the search stands after `trial` has ended."""
        here, estimates, budget = self.ended - self._earlier, [], self._budget
        if budget.most is not None and here >= 2:
            estimates.append((time.monotonic() - self._begin) / here * (budget.most - self.ended))
        if budget.seconds is not None:
            estimates.append(max(0.0, budget.seconds - self.seconds))
        left = min(estimates, default=None)
        return Progress(trial, self._quality, self.ended, budget.most, self._best, self.seconds, left)
