"""Whose turn it is: the jobs that run in lanes, and which lane takes the next.

Lanes of one machine exclude each other, so that what is timed on it is not disturbed by what is trained on it; the one
of the earliest stage goes first, and a batch is measured before it is trained in parallel.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paretonas.evaluation.evaluator import INLINE, WORKERS, Stage
from paretonas.executor import Job
from paretonas.loop.plan import Lanes
from paretonas.space import Spec
from paretonas.store import Work
from paretonas.trial import Trial

PATIENCE = 0.05
"""Seconds that one lane is waited for while another is busy too."""


@dataclass(frozen=True)
class Running:
    """A job that a lane has.

    Args:
        trial: Whose it is.
        stage: That it is of.
        spec: Of the trial.
        job: The lane's handle.
        begun: When it was handed over, on the monotonic clock.
    """

    trial: Trial
    stage: Stage
    spec: Spec
    job: Job[Any]
    begun: float

    def work(self) -> Work:
        """What others are told of it."""
        name = self.stage.name
        seconds, done = time.monotonic() - self.begun, self.stage.done(self.spec)
        return Work(self.trial.number, name, self.job.node, round(seconds, 1), None if done is None else round(done, 4))


class Turns:
    """The lanes of a search, and what runs in them.

    Args:
        stages: Of the evaluator.
        lanes: By name.
    """

    def __init__(self, stages: tuple[Stage, ...], lanes: Lanes):
        self._stages, self._lanes = stages, lanes
        self._places = {stage.name: place for place, stage in enumerate(stages)}
        self._rivals = {
            name: [other for other in lanes if other != name and lanes[other].machine == lane.machine]
            for name, lane in lanes.items()
        }
        self._running: dict[str, dict[str, Running]] = {name: {} for name in lanes}
        self.workers = lanes[WORKERS].executor.workers if WORKERS in lanes else 1
        self.is_exclusive = any(self._rivals.values())

    @property
    def is_busy(self) -> bool:
        """Whether anything runs."""
        return any(self._running.values())

    @property
    def is_first_lane_idle(self) -> bool:
        """Whether the first lane on a trial's way takes a job at once."""
        first = next((stage.lane for stage in self._stages if stage.lane != INLINE), None)
        return first is None or self._lanes[first].executor.idle > 0

    def next_stage(self, trial: Trial) -> Stage:
        """The first that the trial has not passed."""
        return next(stage for stage in self._stages if stage.name not in trial.evidence)

    def next_job(self, trial: Trial) -> Stage | None:
        """The first that the trial has not passed and that runs in a lane of its own."""
        return next((s for s in self._stages if s.lane != INLINE and s.name not in trial.evidence), None)

    def order(self, trials: Mapping[int, Trial]) -> list[Trial]:
        """Who is furthest goes first."""
        return sorted(trials.values(), key=lambda trial: (-self._places[self.next_stage(trial).name], trial.number))

    def is_open(self, stage: Stage, trial: Trial, waiting: Iterable[Trial]) -> bool:
        """Whether the lane of a stage takes the trial now.

        Twins wait for each other, as the result of one serves both.

        Args:
            stage: The trial's next job.
            trial: One of those that wait.
            waiting: All that wait.
        """
        rivals = self._rivals[stage.lane]
        if not self._lanes[stage.lane].executor.idle or any(self._running[name] for name in rivals):
            return False
        if any(trial.spec_hash == one.trial.spec_hash for lane in self._running.values() for one in lane.values()):
            return False
        if self._running[stage.lane] or not rivals:
            return True
        jobs = (job for other in waiting if (job := self.next_job(other)) is not None)
        earliest = min((job for job in jobs if job.lane in (stage.lane, *rivals)), key=lambda j: self._places[j.name])
        return earliest.lane == stage.lane

    def begin(self, trial: Trial, stage: Stage, spec: Spec, seconds: float | None) -> None:
        """Submit a job; it fails after so many seconds."""
        executor, call = self._lanes[stage.lane].executor, stage.call(spec)
        job = executor.submit(f"{trial.number}", call.function, *call.arguments, timeout=seconds)
        self._running[stage.lane][job.key] = Running(trial, stage, spec, job, time.monotonic())

    def works(self) -> list[Work]:
        """What runs now; may be called in another thread."""
        return [one.work() for lane in self._running.values() for one in list(lane.values())]

    def ended(self) -> Iterator[tuple[Trial, Stage, Job[Any]]]:
        """Wait for what runs, at least until some of it has ended; nothing at once where nothing runs.

        What ends the session comes last, so that the results of those that ended with it are kept.
        """
        busy = [name for name, running in self._running.items() if running]
        has_ended = not busy
        while not has_ended:
            for name in busy:
                done = self._lanes[name].executor.wait(None if len(busy) == 1 else PATIENCE)
                for job in sorted(done, key=lambda one: one.is_refused):
                    has_ended = True
                    ended = self._running[name].pop(job.key)
                    yield ended.trial, ended.stage, job
