"""The loop of a search: ask, evaluate stage by stage, tell.

Proposals are asked for a few at a time. Each walks the stages of the evaluator; between two of them the gates may stop
it. Stages run in lanes; of the lanes of one machine only one is busy at a time, so that a batch is measured first, and
then trained in parallel. Every step is in the store before the next begins, and a resumed search walks the stages
again: what is known costs nothing.
"""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from dataclasses import replace
from typing import Any

from paretonas.errors import ParetonasError, StoreError, TrainingError, WorkError
from paretonas.evaluation.evaluator import INLINE, WORKERS, Evidence, Stage
from paretonas.executor import Job
from paretonas.loop.listener import Listener, Progress
from paretonas.loop.plan import Lanes, Plan
from paretonas.space import Spec, spec_hash
from paretonas.store import Store
from paretonas.trial import Proposal, State, Trial

HOPELESS = 8
"""So many failures before the first success end a search: something other than the architectures is wrong."""
AHEAD = 4
"""Proposals a worker that are measured before training begins, on a machine that does both."""
PATIENCE = 0.05
"""Seconds that one lane is waited for while another is busy too."""


class Loop:
    """One session of a search.

    Args:
        plan: What is searched.
        store: Holds its trials.
        lanes: Where stages run, by name.
        listener: Is told what happens.
    """

    def __init__(self, plan: Plan, store: Store, lanes: Lanes, listener: Listener):
        self._plan, self._store, self._lanes, self._listener = plan, store, lanes, listener
        self._stages, self._strategy = plan.check(), plan.start()
        self._begin, self._before = time.monotonic(), store.seconds(plan.name)
        self._trials = {trial.number: trial for trial in store.trials(plan.name)}
        self._waiting: dict[int, Trial] = {}
        self._running: dict[str, dict[str, tuple[Trial, Stage]]] = {name: {} for name in lanes}
        self._taken_up: frozenset[int] = frozenset()
        self._complete: set[str] = set()
        self._best: Trial | None = None
        self._ended, self._failed, self._ended_before, self._out_of_time = 0, 0, 0, False

    def run(self) -> list[Trial]:
        """Go on until the budget is used up; all trials.

        Raises:
            WorkError: The first trials all failed.
            StoreError: A damaged row, or a stage that the evaluator does not have.
        """
        ended = sorted((t for t in self._trials.values() if t.told is not None), key=lambda t: t.told or 0)
        self._strategy.tell(ended)
        for trial in ended:
            self._count(trial)
        self._ended_before = self._ended
        self._waiting = {n: replace(t, state=State.WAITING) for n, t in self._trials.items() if t.told is None}
        for trial in (*ended, *self._waiting.values()):
            self._remind(trial)
        if self._waiting:
            self._taken_up = frozenset(self._waiting)
            self._listener.note(f"Taking up {len(self._waiting)} trials that had begun.")
        try:
            while self._step():
                pass
        finally:
            self._store.set_seconds(self._plan.name, self._seconds)
        if self._out_of_time:
            self._listener.note(f"The time budget of {self._plan.budget.seconds:g} s is used up.")
        return list(self._trials.values())

    @property
    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._begin

    def _step(self) -> bool:
        """Refill and advance as long as anything moves, then collect; whether anything did."""
        moved = False
        while self._refill() or any(map(self._advance, sorted(self._waiting.values(), key=self._turn))):
            moved = True
        busy = [name for name, running in self._running.items() if running]
        for name in busy:
            for job in self._lanes[name].executor.wait(None if len(busy) == 1 else PATIENCE):
                self._collect(name, job)
        return moved or bool(busy)

    # Asking

    def _refill(self) -> bool:
        """Ask for proposals; where timing and training exclude each other, only when nothing is left to do."""
        seconds = self._plan.budget.seconds
        self._out_of_time = seconds is not None and self._seconds >= seconds
        workers = self._lanes[WORKERS].executor.workers if WORKERS in self._lanes else 1
        machines = [lane.machine for lane in self._lanes.values()]
        is_exclusive = len(set(machines)) < len(machines)
        first = next((stage.lane for stage in self._stages if stage.lane != INLINE), None)
        is_free = len(self._waiting) < workers and (first is None or self._lanes[first].executor.idle > 0)
        is_idle = not self._waiting and not any(self._running.values())
        is_wanted = is_idle if is_exclusive or self._plan.batch else is_free
        wanted = self._plan.batch or workers * (AHEAD if is_exclusive else 1)
        if self._plan.budget.most is not None:
            wanted = min(wanted, self._plan.budget.most - len(self._trials))
        is_behind = any(self._trials[number].told is None for number in self._taken_up)  # those come first
        if not is_wanted or is_behind or wanted <= 0 or self._out_of_time or self._strategy.is_finished:
            return False
        trials = {proposal.number: self._new_trial(proposal) for proposal in self._strategy.ask(wanted)}
        if trials:
            self._store.add_trials(self._plan.name, trials.values())
            self._trials |= trials
            self._waiting |= trials
        return bool(trials)

    def _new_trial(self, proposal: Proposal) -> Trial:
        return Trial(
            number=proposal.number,
            architecture=proposal.architecture,
            spec_hash=spec_hash(self._plan.space.decode(proposal.architecture)),
            fidelity=next((stage.share for stage in self._stages if stage.share is not None), 1.0),
            seed=self._plan.seed,
            context=proposal.context,
        )

    # Evaluating

    def _next_stage(self, trial: Trial) -> Stage:
        return next(stage for stage in self._stages if stage.name not in trial.evidence)

    def _next_lane(self, trial: Trial) -> Stage | None:
        """The next stage of a trial that does not run inline."""
        return next((s for s in self._stages if s.name not in trial.evidence and s.lane != INLINE), None)

    def _turn(self, trial: Trial) -> tuple[int, int]:
        """Who is furthest goes first."""
        return -self._stages.index(self._next_stage(trial)), trial.number

    def _is_open(self, stage: Stage, trial: Trial) -> bool:
        """Whether a lane takes one more call now: lanes of one machine take turns, the one of the earliest stage first.

        Twins wait for each other, as the result of one serves both.
        """
        machine = self._lanes[stage.lane].machine
        rivals = [name for name, lane in self._lanes.items() if name != stage.lane and lane.machine == machine]
        if not self._lanes[stage.lane].executor.idle or any(self._running[name] for name in rivals):
            return False
        if any(trial.spec_hash == t.spec_hash for running in self._running.values() for t, _ in running.values()):
            return False
        if self._running[stage.lane]:
            return True
        nexts = [s for t in self._waiting.values() if (s := self._next_lane(t)) and s.lane in (stage.lane, *rivals)]
        return min(nexts, key=self._stages.index).lane == stage.lane

    def _advance(self, trial: Trial) -> bool:
        """Take a waiting trial through the next lane, if that is open; whether it moved."""
        turn = self._next_lane(trial)
        if turn is not None and not self._is_open(turn, trial):
            return False
        spec, before = self._plan.space.decode(trial.architecture), trial
        del self._waiting[trial.number]
        while trial.told is None:
            stage = self._next_stage(trial)
            is_its_turn = stage is turn or stage.lane == INLINE
            known = stage.known(spec) if is_its_turn else None
            if known is not None:
                trial = self._passed(trial, stage, known, True)
            elif stage.lane == INLINE:
                trial = self._look(trial, stage, spec)
            elif is_its_turn and not self._out_of_time:
                self._submit(trial, stage, spec)
                return True
            else:
                self._waiting[trial.number] = trial
                break
        return trial is not before

    def _look(self, trial: Trial, stage: Stage, spec: Spec) -> Trial:
        """Run an inline stage."""
        begin = time.monotonic()
        try:
            call = stage.call(spec)
            evidence = stage.keep(spec, call.function(*call.arguments))
        except StoreError:
            raise
        except Exception as error:  # whatever a network of somebody's does when it is built or run
            return self._end(trial, State.FAILED, error="".join(traceback.format_exception(error)))
        trial = replace(trial, seconds=trial.seconds + time.monotonic() - begin)
        return self._passed(trial, stage, evidence, trial.spec_hash in self._complete)

    def _submit(self, trial: Trial, stage: Stage, spec: Spec) -> None:
        trial = replace(trial, is_reused=False)
        if stage.lane == WORKERS:  # a timing is too short to be told of; its result is kept by its key
            trial = self._save(replace(trial, state=State.RUNNING))
        call, limit = stage.call(spec), self._plan.budget.trial_seconds if stage.lane == WORKERS else None
        job = self._lanes[stage.lane].executor.submit(f"{trial.number}", call.function, *call.arguments, timeout=limit)
        self._running[stage.lane][job.key] = trial, stage

    def _collect(self, lane: str, job: Job[Any]) -> None:
        trial, stage = self._running[lane].pop(job.key)
        trial = replace(trial, seconds=trial.seconds + job.seconds)
        try:
            evidence = stage.keep(self._plan.space.decode(trial.architecture), job.result())
        except StoreError:
            raise
        except ParetonasError as error:
            self._end(trial, State.FAILED, error=job.traceback or "".join(traceback.format_exception(error)))
            return
        trial = self._passed(trial, stage, evidence, False)
        if trial.told is None:
            self._waiting[trial.number] = replace(trial, state=State.WAITING)

    def _passed(self, trial: Trial, stage: Stage, evidence: Evidence, is_reused: bool) -> Trial:
        """A stage is behind the trial: it ends, or goes on to the next."""
        metrics, passed = {**trial.metrics, **evidence.metrics}, {**trial.evidence, stage.name: evidence.id}
        is_last = stage is self._stages[-1]
        is_reused = is_reused if is_last or stage.share is not None else trial.is_reused
        fidelity = trial.fidelity if stage.share is None else stage.share
        trial = replace(trial, metrics=metrics, evidence=passed, is_reused=is_reused, fidelity=fidelity)
        try:
            objections = (gate.objection(trial, stage) for gate in self._plan.gates)
            objection = next((said for said in objections if said is not None), None)
            reward = self._plan.objective.reward_of(metrics) if is_last and objection is None else None
        except TrainingError as error:  # what was reached gives no reward
            return self._end(trial, State.FAILED, error=str(error))
        if objection is not None:
            return self._end(trial, State.PRUNED, objection.reward, objection.reason)
        if is_last:
            return self._end(trial, State.COMPLETE, reward)
        return replace(trial, fidelity=self._next_stage(trial).share or trial.fidelity)

    def _remind(self, trial: Trial) -> None:
        """Show new gates what a trial of an earlier session had when they were asked about it."""
        spec, known = self._plan.space.decode(trial.architecture), {stage.name for stage in self._stages}
        for name in trial.evidence.keys() - known:
            raise StoreError(
                f"Trials of {self._plan.name!r} go through the stages {', '.join(known)}, but trial {trial.number} has "
                f"passed {name!r}. Go on with the settings that it began with."
            )
        for stage in self._stages:
            if stage.name in trial.evidence:
                then = stage.known(spec) if stage.share not in (None, 1.0) else None
                shown = trial if then is None else replace(trial, metrics={**trial.metrics, **then.metrics})
                is_stopped = trial.state is State.PRUNED and stage.name == list(trial.evidence)[-1]
                for gate in self._plan.gates:
                    with suppress(TrainingError):  # of which the trial has failed
                        if gate.objection(shown, stage) is not None and is_stopped:
                            break  # the gates behind it were not asked

    # Ending

    def _end(self, trial: Trial, state: State, reward: float | None = None, error: str | None = None) -> Trial:
        trial = self._save(replace(trial, state=state, reward=reward, error=error, told=self._ended))
        self._count(trial)
        self._plan.evaluator.forget(self._plan.space.decode(trial.architecture))
        self._strategy.tell([trial])
        self._listener.progress(self._progress(trial))
        if self._ended == self._failed == HOPELESS:
            raise WorkError(f"The first {HOPELESS} trials all failed, so the search was stopped. The last one: {error}")
        return trial

    def _count(self, trial: Trial) -> None:
        self._ended += 1
        self._failed += trial.state is State.FAILED
        if trial.state is State.COMPLETE:
            self._complete.add(trial.spec_hash)
            if self._best is None or (trial.reward or 0.0) > (self._best.reward or 0.0):
                self._best = trial

    def _save(self, trial: Trial) -> Trial:
        self._store.update_trial(self._plan.name, trial, self._seconds)
        self._trials[trial.number] = trial
        return trial

    def _progress(self, trial: Trial) -> Progress:
        here, estimates, budget = self._ended - self._ended_before, [], self._plan.budget
        if budget.most is not None and here >= 2:
            estimates.append((time.monotonic() - self._begin) / here * (budget.most - self._ended))
        if budget.seconds is not None:
            estimates.append(max(0.0, budget.seconds - self._seconds))
        left = min(estimates, default=None)
        quality = self._plan.objective.quality
        return Progress(trial, quality, self._ended, budget.most, self._best, self._seconds, left)
