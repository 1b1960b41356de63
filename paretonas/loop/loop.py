"""The loop of a search: ask, evaluate stage by stage, tell.

Proposals are asked for a few at a time. Each walks the stages of the evaluator; between two of them the gates may stop
it. What a trial needs to go on as it would have is in the store before anything follows from it, and a resumed search
walks the stages again: what is known costs nothing. What is the machine's fault ends the session and no trial.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from paretonas.errors import CrashError, MachineError, ParetonasError, StoreError, TrainingError
from paretonas.evaluation.evaluator import INLINE, Evidence, Stage
from paretonas.executor import Job
from paretonas.executor.executor import Failure
from paretonas.loop.asking import Asking
from paretonas.loop.gates import Gate, Objection
from paretonas.loop.listener import Listener
from paretonas.loop.plan import Lanes, Plan
from paretonas.loop.tally import Tally
from paretonas.loop.turns import Turns
from paretonas.space import Spec, spec_hash
from paretonas.store import Store
from paretonas.trial import Proposal, State, Trial

AHEAD = 4
"""Proposals a worker that are measured before training begins, on a machine that does both."""
MOST_CRASHES = 2
"""So many workers that died at a trial fail it: one may have been the machine's fault."""
LONGEST_LOOK = 1200.0
"""Seconds after which counting or timing a candidate is given up; waiting for others that measure counts too."""


class Loop:
    """One session of a search.

    Args:
        plan: What is searched.
        store: Holds its trials.
        lanes: Where stages run, by name.
        listener: Is told what happens.
    """

    def __init__(self, plan: Plan, store: Store, lanes: Lanes, listener: Listener):
        self._plan, self._store, self._listener = plan, store, listener
        self._stages, self._strategy = plan.check(), Asking(plan.start(), plan.name)
        self._turns, self._tally = Turns(self._stages, lanes), Tally(plan, store.seconds(plan.name))
        self._trials = {trial.number: trial for trial in store.trials(plan.name)}
        self._waiting: dict[int, Trial] = {}
        self._taken_up: frozenset[int] = frozenset()
        self._begun = {n: trial.fidelity for n, trial in self._trials.items() if trial.state is State.RUNNING}
        self._specs: dict[int, Spec] = {}
        self._crashes: Counter[int] = Counter()

    def run(self) -> list[Trial]:
        """Go on until the budget is used up; all trials.

        Raises:
            WorkError: The first trials all failed.
            MachineError: The machine refuses; what was at work waits for the next session.
            StoreError: A damaged row, or a stage that the evaluator does not have.
        """
        ended = sorted((t for t in self._trials.values() if t.told is not None), key=lambda t: t.told or 0)
        self._strategy.tell(ended)
        self._tally.take_up(ended)
        self._waiting = {n: replace(t, state=State.WAITING) for n, t in self._trials.items() if t.told is None}
        for trial in (*ended, *self._waiting.values()):
            self._recall(trial)
        if self._waiting:
            self._taken_up = frozenset(self._waiting)
            self._listener.note(f"Taking up {len(self._waiting)} trials that had begun.")
        try:
            with self._store.telling(self._plan.name, self._turns.works):
                while self._step():
                    pass
        finally:
            with suppress(MachineError):  # of which whoever called is told already
                self._store.set_seconds(self._plan.name, self._tally.seconds)
        if self._tally.is_out_of_time:
            self._listener.note(f"The time budget of {self._plan.budget.seconds:g} s is used up.")
        return list(self._trials.values())

    def _step(self) -> bool:
        """Refill and advance as long as anything moves, then collect; whether anything did."""
        moved = False
        while self._refill() or any(map(self._advance, self._turns.order(self._waiting))):
            moved = True
        for trial, stage, job in self._turns.ended():
            moved = True
            self._collect(trial, stage, job)
        return moved

    # Asking

    def _refill(self) -> bool:
        """Ask for proposals; where timing and training exclude each other, only when nothing is left to do."""
        turns, batch, most = self._turns, self._plan.batch, self._plan.budget.most
        wanted = batch or turns.workers * (AHEAD if turns.is_exclusive else 1)
        wanted = wanted if most is None else min(wanted, most - len(self._trials))
        is_room = len(self._waiting) < turns.workers and turns.is_first_lane_idle
        is_nothing_left = not self._waiting and not turns.is_busy
        is_behind = any(self._trials[number].told is None for number in self._taken_up)  # those come first
        if not (is_nothing_left if turns.is_exclusive or batch else is_room) or is_behind or wanted <= 0:
            return False
        if self._tally.is_out_of_time or self._strategy.is_finished:
            return False
        proposals = self._strategy.ask(wanted, first=len(self._trials))
        trials = {proposal.number: self._new_trial(proposal) for proposal in proposals}
        if trials:
            self._store.add_trials(self._plan.name, trials.values())
            self._trials |= trials
            self._waiting |= trials
        return bool(trials)

    def _new_trial(self, proposal: Proposal) -> Trial:
        spec = self._specs[proposal.number] = self._plan.space.decode(proposal.architecture)
        return Trial(
            number=proposal.number,
            architecture=proposal.architecture,
            spec_hash=spec_hash(spec),
            fidelity=next((stage.share for stage in self._stages if stage.share is not None), 1.0),
            seed=self._plan.seed,
            context=proposal.context,
        )

    def _spec(self, trial: Trial) -> Spec:
        """Decoded once a session.

        Raises:
            StoreError: It is not what was stored.
        """
        if trial.number not in self._specs:
            spec = self._specs[trial.number] = self._plan.space.decode(trial.architecture)
            if spec_hash(spec) != trial.spec_hash:
                raise StoreError(
                    f"Trial {trial.number} of {self._plan.name!r} was a network {trial.spec_hash}, but the space "
                    f"{self._plan.space.name!r} makes {spec_hash(spec)} of it now: it has changed. Begin a new search."
                )
        return self._specs[trial.number]

    # Evaluating

    def _advance(self, trial: Trial) -> bool:
        """Take a waiting trial through the next lane, if that is open; whether it moved."""
        job = self._turns.next_job(trial)
        if job is not None and not self._turns.is_open(job, trial, self._waiting.values()):
            return False
        spec, before = self._spec(trial), trial
        del self._waiting[trial.number]
        while trial.told is None:
            stage = self._turns.next_stage(trial)
            is_its_turn = stage is job or stage.lane == INLINE
            evidence = stage.known(spec) if is_its_turn else None
            if evidence is not None:  # of another trial, but where an earlier session ended as it was about to say so
                is_own = stage.share is not None and stage.share == self._begun.get(trial.number)
                trial = self._passed(trial, stage, evidence, not is_own)
            elif stage.lane == INLINE:
                trial = self._look(trial, stage, spec)
            elif is_its_turn and not self._tally.is_out_of_time:
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
        except Exception as error:  # whatever a table or a network of somebody's does when it is asked
            failure = Failure.of(error)
            if issubclass(failure.kind, MachineError):
                raise failure.error() from error
            return self._end(trial, State.FAILED, error=failure.traceback)
        trial = replace(trial, seconds=trial.seconds + time.monotonic() - begin)
        return self._passed(trial, stage, evidence, trial.spec_hash in self._tally.complete)

    def _submit(self, trial: Trial, stage: Stage, spec: Spec) -> None:
        trial = replace(trial, is_reused=False)
        if stage.share is not None:  # all else is too short to be told of; its result is kept by its key
            trial = self._save(replace(trial, state=State.RUNNING))
        limit = LONGEST_LOOK if stage.share is None else self._plan.budget.trial_seconds
        self._turns.begin(trial, stage, spec, limit)

    def _collect(self, trial: Trial, stage: Stage, job: Job[Any]) -> None:
        trial = replace(trial, seconds=trial.seconds + job.seconds)
        if job.attempts > 1:
            trial = self._save(replace(trial, retries=trial.retries + job.attempts - 1))
            self._listener.note(f"Trial {trial.number} lost {job.attempts - 1} of its workers and went on with others.")
        try:
            evidence = stage.keep(self._spec(trial), job.result())
        except (StoreError, MachineError):
            raise
        except ParetonasError as error:
            self._crashes[trial.number] += job.attempts * isinstance(error, CrashError)
            if isinstance(error, CrashError) and self._crashes[trial.number] < MOST_CRASHES:
                again = replace(trial, state=State.WAITING, retries=trial.retries + 1)
                self._waiting[trial.number] = self._save(again)
            else:
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
            objection = self._objection(trial, stage)
            reward = self._plan.objective.reward_of(metrics) if is_last and objection is None else None
        except TrainingError as error:  # what was reached gives no reward
            return self._end(trial, State.FAILED, error=str(error))
        if objection is not None:
            trial = replace(trial, stopped_by=objection.gate)
            return self._end(trial, State.PRUNED, objection.reward, objection.reason)
        if is_last:
            return self._end(trial, State.COMPLETE, reward)
        trial = replace(trial, fidelity=self._turns.next_stage(trial).share or trial.fidelity)
        return self._save(trial) if any(gate.remembers(trial, stage) for gate in self._plan.gates) else trial

    def _objection(self, trial: Trial, stage: Stage) -> Objection | None:
        """Of the first gate that has one."""
        objections = (gate.objection(trial, stage) for gate in self._plan.gates)
        return next((objection for objection in objections if objection is not None), None)

    def _recall(self, trial: Trial) -> None:
        """Show new gates what they were asked in earlier sessions."""
        known = {stage.name for stage in self._stages}
        for name in trial.evidence.keys() - known:
            raise StoreError(
                f"Trials of {self._plan.name!r} go through the stages {', '.join(known)}, but trial {trial.number} has "
                f"passed {name!r}. Go on with the settings that it began with."
            )
        passed = [stage for stage in self._stages if stage.name in trial.evidence]
        for stage in passed:
            then = stage.known(self._spec(trial)) if stage.share not in (None, 1.0) else None
            shown = trial if then is None else replace(trial, metrics={**trial.metrics, **then.metrics})
            for gate in self._asked(trial, is_last=stage is passed[-1]):
                with suppress(TrainingError):  # of which the trial has failed
                    gate.recall(shown, stage)

    def _asked(self, trial: Trial, is_last: bool) -> Sequence[Gate]:
        """The gates that were asked of a trial at a stage: where one stopped it, none of those behind it."""
        gates = self._plan.gates
        stops = [place for place, gate in enumerate(gates) if is_last and gate.name == trial.stopped_by]
        return gates[: stops[0] + 1] if stops else gates

    # Ending

    def _end(self, trial: Trial, state: State, reward: float | None = None, error: str | None = None) -> Trial:
        trial = self._save(replace(trial, state=state, reward=reward, error=error, told=self._tally.ended))
        self._tally.count(trial)
        self._plan.evaluator.forget(self._spec(trial))
        del self._specs[trial.number]
        self._strategy.tell([trial])
        self._listener.progress(self._tally.progress(trial))
        self._tally.check_hope(error)
        return trial

    def _save(self, trial: Trial) -> Trial:
        self._store.update_trial(self._plan.name, trial, self._tally.seconds)
        self._trials[trial.number] = trial
        return trial
