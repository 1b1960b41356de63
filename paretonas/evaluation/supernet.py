"""Networks that are scored by the weights of a supernet: thousands of candidates for the price of one training.

The evaluator wraps the one that trains each candidate alone, and takes the place of its trainings. Before that a few
networks are scored both ways: where counting MACs ranks them as well as the supernet does, it is not worth the trust,
and candidates are trained alone as ever.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from paretonas.errors import StoreError, UsageError
from paretonas.evaluation import keys
from paretonas.evaluation.around import Around
from paretonas.evaluation.evaluator import WORKERS, About, Call, Evaluator, Evidence, Listens, Phase, Stage
from paretonas.evaluation.keys import Cache, Key, Lesson, Origin
from paretonas.evaluation.pretraining import Runs
from paretonas.evaluation.supernet_job import ScoringJob, SupernetJob, run_scoring, run_supernet
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.objective.metric import metric
from paretonas.objective.trust import Trust, trust
from paretonas.space import Spec, spec_to_json
from paretonas.task.recipe import Recipe
from paretonas.training.progress import read_share
from paretonas.training.supernet import Supernet

FEWEST_CHECKED = 5


@dataclass(frozen=True)
class Mining:
    """How candidates are scored by a supernet.

    Args:
        supernet: Task and space.
        recipe: Of its training.
        examples: For the normalization statistics of each candidate.
        checked: Networks that are also trained alone, to see whether the supernet ranks them; 0: it is trusted.

    Raises:
        UsageError: A number out of its range.
    """

    supernet: Supernet
    recipe: Recipe
    examples: int = 500
    checked: int = 12

    def __post_init__(self) -> None:
        check_numbers(self.examples, self.checked)


def check_numbers(examples: int, checked: int) -> None:
    """Check how many examples statistics are of, and networks are trained alone.

    Raises:
        UsageError: A number out of its range.
    """
    is_checked = checked == 0 or FEWEST_CHECKED <= checked <= 1000
    if not (1 <= examples <= 1_000_000 and is_checked):
        raise UsageError(
            f"`1 <= examples <= 1000000` and `{FEWEST_CHECKED} <= checked <= 1000`, or 0, must hold, but got "
            f"(examples={examples}, checked={checked})."
        )


class SupernetEvaluator(Around):
    """Another evaluator, with scores by a supernet in the place of trainings.

    Args:
        inner: Counts, measures or estimates, and trains alone.
        alone: The evaluator that trains alone, `inner` or what that wraps.
        mining: How.
        run: Runs calls in workers.
        cache: Where evaluations are kept; the inner one's.
        folder: Where the weights go, by all that decides them: other searches are scored by them too.

    Attributes:
        trust: What the check has found; None before, and where none was asked for.
    """

    def __init__(
        self, inner: Evaluator, alone: TrainedEvaluator, mining: Mining, run: Runs, cache: Cache, folder: Path
    ):
        super().__init__(inner)
        self._alone, self._mining, self._run, self._cache = alone, mining, run, cache
        schooling = alone.schooling
        where = schooling.torch_device, folder, schooling.weights
        self._job = SupernetJob(mining.supernet, mining.recipe, schooling.seed, *where).named("supernet")
        self.trust: Trust | None = None

    def phases(self) -> tuple[Phase, ...]:
        """The inner one's, training the supernet and checking it, as far as they are not done."""
        phases, (_, specs) = list(self._inner.phases()), self._to_check()
        if self._job.is_done and not specs:
            return tuple(phases)
        seconds = self._inner.seconds_a_trial()
        if not self._job.is_done:
            phases.append(
                Phase("training the supernet", None if seconds is None else seconds * self._trials_to_train())
            )
        if specs:
            what = f"training {len(specs)} networks alone, to check the supernet"
            phases.append(Phase(what, None if seconds is None else seconds * len(specs)))
        return tuple(phases)

    def begin(self, listener: Listens) -> None:
        """The inner one's; then the supernet is trained, from where it was stopped, and checked."""
        self._inner.begin(listener)
        if self._job.is_done:
            listener.note(f"The supernet was trained before: {self._job.file}.")
        else:
            self._train(listener)
        if self._mining.checked:
            self.trust = self._checked(listener)
            listener.note(f"{self.trust}.")
            if self.is_left_aside:
                seconds = self._inner.seconds_a_trial()
                each = "" if seconds is None else f", about {seconds / 60:.1f} minutes each"
                listener.note(f"MACs rank as well: the supernet is left aside, and candidates are trained alone{each}.")

    @property
    def is_left_aside(self) -> bool:
        """Whether the check has found that the supernet tells no more than MACs do."""
        return self.trust is not None and not self.trust.is_earned

    def stages(self) -> tuple[Stage, ...]:
        """The inner one's, with one score in the place of all trainings, unless the supernet was not to be trusted."""
        if self.is_left_aside:
            return self._inner.stages()
        return (*(stage for stage in self._inner.stages() if stage.share is None), self._stage())

    def about(self) -> About:
        about, mining = self._inner.about(), self._mining
        scored = f"or scored by a supernet of {mining.recipe.epochs:g} epochs, {mining.supernet.sampling.words}"
        return replace(about, lines=(*about.lines, scored))

    def seconds_a_trial(self) -> float | None:
        """What scoring takes is known once the first networks are scored; it is seconds."""
        return self._inner.seconds_a_trial() if self.is_left_aside else 1.0

    # Scores

    def _stage(self) -> Stage:
        return Stage("supernet", WORKERS, self._mining.supernet.scores, self._known, self._call, self._keep)

    def _key(self, spec: Spec) -> Key:
        return keys.scored(spec, self._lesson, self._mining.examples)

    @cached_property
    def _lesson(self) -> Lesson:
        """What decides a score beside the network and the examples."""
        task, origin = self._mining.supernet.task, Origin("supernet", keys.digest(self._job.identity()))
        return Lesson(type(task).__name__, task.digest, self._mining.recipe, self._job.seed, origin)

    def _known(self, spec: Spec) -> Evidence | None:
        known = self._key(spec).get(self._cache)
        if known is None:
            return None
        if self.quality not in known:
            raise StoreError(f"What is stored of a score is {self.quality} and other metrics, but it is {known}.")
        return Evidence(known, self._key(spec).id(self._cache))

    def _call(self, spec: Spec) -> Call:
        job, mining = self._job, self._mining
        where = job.torch_device, job.file, mining.examples
        return Call(run_scoring, (ScoringJob(spec_to_json(spec), job.supernet, job.recipe, job.seed, *where),))

    def _keep(self, spec: Spec, metrics: Mapping[str, float]) -> Evidence:
        evidence = Evidence(metrics)
        return replace(evidence, id=self._key(spec).put(self._cache, metrics))

    # Training and checking it

    def _train(self, listener: Listens) -> None:
        for ended in self._run([Call(run_supernet, (self._job,))]):
            share = 1.0 if ended else read_share(self._job.progress)
            listener.counting("training the supernet", round(100 * share), 100)
            for _, seconds in ended:
                listener.note(f"The supernet was trained in {seconds / 60:.1f} minutes: {self._job.file}.")

    def _trials_to_train(self) -> float:
        """As long as so many trials is what is left of it, by the multiply-adds of drawn networks, so many a step."""
        recipe, alone = self._mining.recipe, self._alone
        drawn = self._mining.supernet.space.build().some(FEWEST_CHECKED)
        size = statistics.fmean(alone.cost(spec).macs for spec in drawn) / alone.cost(alone.typical()).macs
        networks, epochs = self._mining.supernet.sampling.networks, recipe.epochs / alone.schooling.recipe.epochs
        return size * networks * epochs * (1 - read_share(self._job.progress))

    def _to_check(self) -> tuple[Stage, list[Spec]]:
        """How networks are trained alone, and those for the check that have not been."""
        (last,) = (stage for stage in self._alone.stages() if stage.share == 1)
        return last, [spec for spec in self._drawn if last.known(spec) is None]

    @cached_property
    def _drawn(self) -> list[Spec]:
        return self._mining.supernet.space.build().some(self._mining.checked)

    def _checked(self, listener: Listens) -> Trust:
        specs, (last, _) = self._drawn, self._to_check()
        scored = [one.metrics[self.quality] for one in self._evidence(self._stage(), specs, listener, "scoring")]
        found = self._evidence(last, specs, listener, "training alone, to check the supernet")
        macs = [float(self._alone.cost(spec).macs) for spec in specs]
        at_best = metric(self.quality).at_best
        result = trust(
            [at_best(value) for value in scored], [at_best(one.metrics[self.quality]) for one in found], macs
        )
        keys.trust(self._lesson.origin.digest, self._alone.lesson, len(specs)).put(self._cache, asdict(result))
        return result

    def _evidence(self, stage: Stage, specs: Sequence[Spec], listener: Listens, what: str) -> list[Evidence]:
        known = {spec: stage.known(spec) for spec in specs}
        missing = [spec for spec in specs if known[spec] is None]
        left = len(missing)
        for ended in self._run([stage.call(spec) for spec in missing]) if missing else ():
            for place, result in ended:
                known[missing[place]] = stage.keep(missing[place], result)
            left -= len(ended)
            listener.counting(what, len(missing) - left, len(missing))
        return [evidence for evidence in known.values() if evidence is not None]
