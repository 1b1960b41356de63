"""The loop of a search: ask, measure, train, tell.

The strategy is asked for a few proposals, they are measured, and those that break no limit are trained, by stages if
the scheduler has any. On the machine that both measures and trains, the two never overlap: a batch is measured first,
then trained in parallel. Every step is in the store before the next begins.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from paretonas.errors import ParetonasError, StoreError, WorkError
from paretonas.evaluation.trained import latency_metrics
from paretonas.executor import Executor, Job
from paretonas.loop.halving import Scheduler
from paretonas.loop.listener import Listener, Progress
from paretonas.loop.screen import Screening
from paretonas.objective import Objective
from paretonas.search.config import SearchConfig
from paretonas.search.task import Evaluates
from paretonas.space import SearchSpace, Spec, spec_hash
from paretonas.store import Store
from paretonas.strategy import Strategy
from paretonas.trial import Proposal, State, Trial

HOPELESS = 8
"""So many failures before the first success end a search: something other than the architectures is wrong."""


class Loop:
    """One session of a search.

    Args:
        config: Its budget, name and seed.
        store: Holds its trials.
        home: Folder of its files.
        space: What can be built.
        strategy: One that has been told nothing.
        evaluator: Measures and trains.
        objective: Rewards and limits.
        executor: Where training runs.
        scheduler: One that has been told nothing.
        listener: Is told what happens.
    """

    def __init__(
        self,
        config: SearchConfig,
        store: Store,
        home: Path,
        space: SearchSpace,
        strategy: Strategy,
        evaluator: Evaluates,
        objective: Objective,
        executor: Executor,
        scheduler: Scheduler,
        listener: Listener,
    ):
        self._config, self._store, self._space, self._strategy = config, store, space, strategy
        self._evaluator, self._objective, self._executor, self._listener = evaluator, objective, executor, listener
        self._scheduler = scheduler
        self._name, self._folder = config.name, home / config.name
        self._begin, self._before = time.monotonic(), store.seconds(config.name)
        self._ended, self._ended_before, self._failed = 0, 0, 0
        self._best: Trial | None = None
        self._trials = {trial.number: trial for trial in store.trials(config.name)}
        self._screen = None if config.screen is None else Screening(config.screen, self._trials.values())
        self._queue: list[Trial] = []
        self._running: dict[str, Trial] = {}
        self._taken_up: set[int] = set()
        self._out_of_time = False

    @property
    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._begin

    def run(self) -> list[Trial]:
        """Go on until the budget is used up; all trials.

        Raises:
            WorkError: The first trials all failed.
            StoreError: A damaged row.
        """
        ended = sorted((t for t in self._trials.values() if t.told is not None), key=lambda t: t.told or 0)
        self._strategy.tell(ended)
        for trial in ended:
            self._count(trial)
        self._ended_before = self._ended
        waiting = [replace(t, state=State.WAITING) for t in self._trials.values() if t.told is None]
        self._check_stages(waiting)
        for trial in (*ended, *waiting):
            self._remind(trial)
        if waiting:
            self._taken_up = {trial.number for trial in waiting}
            self._listener.note(f"Taking up {len(waiting)} trials that had begun.")
        try:
            self._measure(waiting)
            while self._step():
                pass
        finally:
            self._store.set_seconds(self._name, self._seconds)
        if self._out_of_time:
            self._listener.note(f"The time budget of {self._config.seconds:g} s is used up.")
        return list(self._trials.values())

    def _step(self) -> bool:
        """Refill, dispatch, collect; whether anything moved."""
        self._out_of_time = self._config.seconds is not None and self._seconds >= self._config.seconds
        moved = self._refill() + self._dispatch()
        ended = self._executor.wait()
        for job in ended:
            self._collect(job)
        return bool(moved or ended)

    # Asking and measuring

    def _refill(self) -> int:
        """Measure new proposals, but on this machine only while nothing trains; how many there were."""
        is_here = self._evaluator.is_here
        is_wanted = not self._running and not self._queue if is_here else len(self._queue) < self._executor.workers
        wanted = self._executor.workers * (4 if is_here else 1)
        if self._config.budget is not None:
            wanted = min(wanted, self._config.budget - len(self._trials))
        is_behind = any(self._trials[number].told is None for number in self._taken_up)  # those come first
        if not is_wanted or is_behind or wanted <= 0 or self._out_of_time or self._strategy.is_finished:
            return 0
        proposals = self._strategy.ask(wanted)
        trials = [self._new_trial(proposal) for proposal in proposals]
        if trials:
            self._store.add_trials(self._name, trials)
            self._trials |= {trial.number: trial for trial in trials}
            self._measure(trials)
        return len(trials)

    def _new_trial(self, proposal: Proposal) -> Trial:
        return Trial(
            number=proposal.number,
            architecture=proposal.architecture,
            spec_hash=spec_hash(self._space.decode(proposal.architecture)),
            fidelity=self._scheduler.shares[0],
            seed=self._config.seed,
            context=proposal.context,
        )

    def _measure(self, trials: list[Trial]) -> None:
        """Cost and latency; what breaks a limit or is screened out ends here, the rest waits for training."""
        for trial in trials:
            begin, objection, is_admitted = time.monotonic(), None, bool(trial.metrics)  # by an earlier session
            spec = self._space.decode(trial.architecture)
            try:
                trial = replace(trial, metrics=self._evaluator.cost(spec))
                broken = self._objective.broken_limit(trial.metrics)
                if broken is None and self._screen is not None:
                    trial, objection = self._screened(self._screen, trial, spec, is_admitted)
                if broken is None and objection is None:
                    latency = self._evaluator.latency(spec)
                    timed = {} if latency is None else latency_metrics(latency)
                    trial = replace(trial, metrics={**trial.metrics, **timed})
                    broken = self._objective.broken_limit(trial.metrics)
            except StoreError:
                raise
            except Exception as error:  # whatever a network of somebody's does when it is built or run
                self._end(trial, State.FAILED, error="".join(traceback.format_exception(error)))
                continue
            trial = replace(trial, seconds=trial.seconds + time.monotonic() - begin)
            if broken is not None:
                self._end(trial, State.PRUNED, reward=0.0, error=f"over the limit {broken}")
            elif objection is not None:
                self._end(trial, State.PRUNED, error=f"screened out: {objection}")
            else:
                self._queue.append(trial)

    def _screened(self, screen: Screening, trial: Trial, spec: Spec, is_admitted: bool) -> tuple[Trial, str | None]:
        """The trial with the screen's metric, and why it is not trained, if so."""
        if screen.is_zero_cost:
            trial = replace(trial, metrics={**trial.metrics, **self._evaluator.proxies(spec)})
        return trial, None if is_admitted else screen.objection(trial)

    # Training

    def _dispatch(self) -> int:
        """Give free workers something to do, and take what an earlier trial has paid for; how many trials moved."""
        moved = 0
        for trial in list(self._queue):
            if not self._executor.idle:
                break
            if trial.spec_hash in {t.spec_hash for t in self._running.values()}:
                continue  # its twin is training; the result will serve both
            spec = self._space.decode(trial.architecture)
            known = self._evaluator.trained(spec, trial.fidelity)
            if known is not None:
                self._queue.remove(trial)
                self._scored(replace(trial, is_reused=True), dict(known))
            elif not self._out_of_time:
                self._queue.remove(trial)
                trial = self._save(replace(trial, state=State.RUNNING, is_reused=False))
                job = self._evaluator.job(spec, trial.fidelity, self._state_file(trial))
                limit = self._config.trial_seconds
                submitted = self._executor.submit(f"{trial.number}", self._evaluator.run, job, timeout=limit)
                self._running[submitted.key] = trial
            else:
                continue
            moved += 1
        return moved

    def _collect(self, job: Job[Any]) -> None:
        trial = self._running.pop(job.key)
        trial = replace(trial, seconds=trial.seconds + job.seconds)
        try:
            metrics = job.result()
        except ParetonasError as error:
            self._end(trial, State.FAILED, error=job.traceback or "".join(traceback.format_exception(error)))
            return
        spec = self._space.decode(trial.architecture)
        self._evaluator.remember(spec, trial.fidelity, metrics)
        self._scored(trial, metrics)

    def _scored(self, trial: Trial, metrics: dict[str, float]) -> None:
        """A trial has been trained as far as it was to be: it ends, or waits for its next stage before all others."""
        trial = replace(trial, metrics={**trial.metrics, **metrics})
        reward, share = self._objective.reward(trial.metrics), trial.fidelity
        if share == self._scheduler.shares[-1]:
            self._end(trial, State.COMPLETE, reward=reward)
        elif self._scheduler.goes_on(share, reward):
            further = replace(trial, state=State.WAITING, fidelity=self._scheduler.after(share))
            self._queue.insert(0, self._save(further))
        else:
            reason = f"stopped after {100 * share:.0f} % of its training: others were better by then"
            self._end(trial, State.PRUNED, reward=reward, error=reason)

    def _check_stages(self, waiting: list[Trial]) -> None:
        for trial in waiting:
            if trial.fidelity not in self._scheduler.shares:
                known = ", ".join(f"{share:g}" for share in self._scheduler.shares)
                raise StoreError(
                    f"Trials of {self._name!r} are trained for the shares {known}, but trial {trial.number} for "
                    f"{trial.fidelity:g}."
                )

    def _remind(self, trial: Trial) -> None:
        """Tell a new scheduler what a trial of an earlier session reached at its stages."""
        spec, is_trained = self._space.decode(trial.architecture), "accuracy" in trial.metrics
        for share in self._scheduler.shares[:-1]:
            is_past = share < trial.fidelity or (share == trial.fidelity and trial.told is not None)
            known = self._evaluator.trained(spec, share) if is_trained and is_past else None
            if known is not None:
                self._scheduler.goes_on(share, self._objective.reward({**trial.metrics, **known}))

    # Ending

    def _end(self, trial: Trial, state: State, reward: float | None = None, error: str | None = None) -> None:
        trial = self._save(replace(trial, state=state, reward=reward, error=error, told=self._ended))
        self._count(trial)
        self._state_file(trial).unlink(missing_ok=True)
        self._strategy.tell([trial])
        self._listener.progress(self._progress(trial))
        if self._ended == self._failed == HOPELESS:
            raise WorkError(f"The first {HOPELESS} trials all failed, so the search was stopped. The last one: {error}")

    def _count(self, trial: Trial) -> None:
        self._ended += 1
        self._failed += trial.state is State.FAILED
        is_best = self._best is None or (trial.reward or 0.0) > (self._best.reward or 0.0)
        if trial.state is State.COMPLETE and is_best:
            self._best = trial

    def _state_file(self, trial: Trial) -> Path:
        """From where the trial's training goes on if it is interrupted."""
        return self._folder / f"trial-{trial.number}.search-state"

    def _save(self, trial: Trial) -> Trial:
        self._store.update_trial(self._name, trial, self._seconds)
        self._trials[trial.number] = trial
        return trial

    def _progress(self, trial: Trial) -> Progress:
        here, estimates = self._ended - self._ended_before, []
        if self._config.budget is not None and here >= 2:
            estimates.append((time.monotonic() - self._begin) / here * (self._config.budget - self._ended))
        if self._config.seconds is not None:
            estimates.append(max(0.0, self._config.seconds - self._seconds))
        return Progress(
            trial,
            self._ended,
            self._config.budget,
            self._best,
            self._seconds,
            min(estimates, default=None),
        )
