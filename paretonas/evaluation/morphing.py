"""A morph: a network learns which channels it can spare, is widened until the budget is used up, and so on.

What is found is evaluated as the candidates of any search are: trained from scratch without the regularizer, and timed.

Source: Gordon et al., MorphNet, CVPR 2018, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from paretonas.device import Device
from paretonas.device.predictor import Predictor, Scope, fit, spread_out
from paretonas.errors import WorkError
from paretonas.evaluation import keys
from paretonas.evaluation.around import Around
from paretonas.evaluation.evaluator import About, Call, Evaluator, Listens, Phase
from paretonas.evaluation.keys import Cache, Key
from paretonas.evaluation.latencies import QUICK
from paretonas.evaluation.morph_job import Alive, MorphJob, Pruning, alive_from_json, network_of, run_morph
from paretonas.evaluation.pretraining import Runs
from paretonas.evaluation.trained import TrainedEvaluator
from paretonas.evaluation.widening import drawn_widths, estimable, widen, widen_measured
from paretonas.network.layout import Layout
from paretonas.network.operations import operations
from paretonas.network.widths import spec_layout
from paretonas.objective.metric import metric
from paretonas.space import Architecture, SearchSpace, Spec, spec_to_json
from paretonas.task.recipe import Recipe
from paretonas.training.autotune import SpeedJob, seconds_of_training
from paretonas.training.progress import read_share
from paretonas.training.weights import Weights
from paretonas.trial import Proposal

WIDER = 0.6
"""Share of the budget that living channels are to cost where the strength is found: what is left pays for widening."""
MOST_LEFT = 0.95
"""Share of what a network takes that is wanted at most: less would not show which channels are spared."""


@dataclass(frozen=True)
class Bounded:
    """The budget.

    Args:
        metric: `macs`, `params`, or the name of a latency.
        device: Of the latency; None: it is none.
        bound: Of the metric; None: what the network takes as it is.
    """

    metric: str
    device: Device | None
    bound: float | None


@dataclass(frozen=True)
class Morphing:
    """How the widths of a network are sought.

    Args:
        base: The network.
        steps: How often it learns which channels it can spare.
        pruning: How channels are made to die; its shrink follows from the budget.
        budget: What is bounded.
        recipe: Of these trainings.
        weights: That the network as it was begins with; None: fresh ones.
        samples: Networks whose latency is measured, where that is what is saved.
        most: Times its widths that a group may have.
        aligned: Widths are multiples of this where they were.
    """

    base: Spec
    steps: int
    pruning: Pruning
    budget: Bounded
    recipe: Recipe
    weights: Weights | None
    samples: int
    most: int
    aligned: int


class MorphingEvaluator(Around):
    """Another evaluator, before whose first trial the widths are found that are to be tried.

    Args:
        inner: What is passed on.
        alone: The part of it that trains and times.
        morphing: How.
        space: Of the widths.
        run: Runs calls in workers.
        kept: Where evaluations are kept, and the folder for states of trainings.

    Attributes:
        proposals: The network as it was, and what each step gave; there after `begin`.
    """

    proposals: tuple[Proposal, ...]

    def __init__(
        self,
        inner: Evaluator,
        alone: TrainedEvaluator,
        morphing: Morphing,
        space: SearchSpace,
        run: Runs,
        kept: tuple[Cache, Path],
    ):
        super().__init__(inner)
        self._alone, self._morphing, self._space, self._run = alone, morphing, space, run
        self._cache, self._folder = kept
        self._interface = morphing.base.with_state(alone.task.interface)
        self._predictor: Predictor | None = None

    @property
    def _layout(self) -> Layout:
        return spec_layout(self._morphing.base, self._interface)

    def phases(self) -> tuple[Phase, ...]:
        """The inner one's, and a training for each step, unless the first was done."""
        morphing, widths = self._morphing, self._layout.widths
        if self._stored(self._job(1, widths, self._bound())) is not None:
            return self._inner.phases()
        job = SpeedJob(
            spec_to_json(morphing.base), self._alone.task, morphing.recipe, self._alone.schooling.torch_device
        )
        seconds = seconds_of_training(job)
        times = "once" if morphing.steps == 1 else f"{morphing.steps} times"
        whole = None if seconds is None else seconds * morphing.steps
        return (*self._inner.phases(), Phase(f"learning {times} which channels are spared", whole))

    def about(self) -> About:
        about, morphing = self._inner.about(), self._morphing
        budget = morphing.budget
        bound = "what it takes as it is" if budget.bound is None else f"{budget.bound:g}"
        groups = self._layout.groups
        words = f"{len(groups)} groups of channels, {budget.metric} at most {bound}"
        fixed = [f"the width of {layer} stays: {why}" for layer, why in self._layout.fixed.items()]
        return replace(about, lines=(*about.lines, words, *fixed[:5]))

    def begin(self, listener: Listens) -> None:
        """The inner one's; then step by step, from where it was stopped."""
        self._inner.begin(listener)
        layout, morphing = self._layout, self._morphing
        bound = self._bound()
        least = self._spent(self._least)
        if least > bound:
            raise WorkError(
                f"A network is narrowed to its budget, but with one channel a layer it takes {least:.4g} "
                f"{morphing.budget.metric}, which is more than {bound:.4g}."
            )
        if morphing.pruning.resource.is_estimated:
            self._predictor = self._fit(listener)
        found, widths = [Proposal(0, self._architecture(layout.widths))], layout.widths
        for step in range(1, morphing.steps + 1):
            living = self._living(step, widths, bound, listener)
            kept = living.widths
            before, own = sum(widths), self._spent(layout.widths)
            multiplier, widths = self._widened(kept, bound)
            told = {"groups": [group.name for group in layout.groups], "before": list(layout.widths)}
            told |= {"alive": list(kept), "widths": list(widths), "multiplier": multiplier}
            context = {"morph": {"step": step, **told, **living.told()}}
            found.append(Proposal(step, self._architecture(widths), context))
            spent = self._spent(widths)
            listener.note(
                f"Step {step}: {living.living} of {before} channels live (strength "
                f"{living.curve[-1][1]:.3g}); x{multiplier:.3g} they take {spent:.4g} {morphing.budget.metric}, "
                f"{spent / own:.2f} of what the network took."
            )
            score = metric(self.quality)
            file = f" (step-{step}.safetensors in its folder)" if self._file(step).exists() else ""
            lives = f"{score.title} {score.text(living.metrics[self.quality])}"
            listener.note(f"As it lives, with its weights: {lives}{file}.")
        self.proposals = tuple(found)

    def _bound(self) -> float:
        bound = self._morphing.budget.bound
        return self._spent(self._layout.widths) if bound is None else bound

    @property
    def _is_protected(self) -> tuple[bool, ...]:
        return self._morphing.pruning.is_protected or (False,) * len(self._layout.groups)

    @property
    def _limits(self) -> tuple[tuple[int, int], ...]:
        """Of each group the narrowest and the widest that it may be: of what is protected, as it is."""
        pairs = zip(self._layout.groups, self._is_protected, strict=True)
        return tuple(
            (group.width, group.width) if is_protected else (group.floor, self._morphing.most * group.width)
            for group, is_protected in pairs
        )

    @property
    def _least(self) -> tuple[int, ...]:
        return tuple(narrowest for narrowest, _ in self._limits)

    def _architecture(self, widths: Sequence[int]) -> Architecture:
        choices = (decision.choices.index(width) for decision, width in zip(self._space.decisions, widths, strict=True))
        return self._space.architecture(tuple(choices))

    def _spent(self, widths: Sequence[int]) -> float:
        """What a network of these widths takes of the budget."""
        spec = network_of(self._morphing.base, self._layout, tuple(widths))
        budget = self._morphing.budget
        if budget.device is None:
            return float(self._alone.cost(spec).metrics()[budget.metric])
        return self._alone.latency(spec, budget.device, QUICK).latency_ms

    def _estimated(self, widths: Sequence[int]) -> float:
        """What follows a latency: the predictor's, or MACs where none is fitted."""
        spec = network_of(self._morphing.base, self._layout, estimable(self._layout, widths))
        if self._predictor is None:
            return float(self._alone.cost(spec).macs)
        return self._predictor.estimate(operations(spec, self._interface)).latency_ms

    def _widened(self, alive: Sequence[int], bound: float) -> tuple[float, tuple[int, ...]]:
        """The multiplier of living widths that uses up the budget, and the widths."""
        layout, aligned = self._layout, self._morphing.aligned
        if self._morphing.budget.device is None:
            return widen(layout, alive, bound, self._spent, self._limits, aligned)
        return widen_measured(layout, alive, bound, (self._spent, self._estimated), self._limits, aligned)

    @property
    def _device(self) -> Device:
        """Whose latency is estimated."""
        return self._morphing.budget.device or self._alone.devices[0]

    @property
    def _fitted_on(self) -> str:
        """What the predictor follows from; empty where there is none."""
        text = f"{self._morphing.samples} networks on {sorted(self._device.identity.items())}"
        return text if self._morphing.pruning.resource.is_estimated else ""

    # Learning what lives

    def _living(self, step: int, widths: tuple[int, ...], bound: float, listener: Listens) -> Alive:
        """What lives after the training of a step; known ones are looked up."""
        job = self._job(step, widths, bound)
        if (known := self._stored(job)) is not None:
            return known
        what = f"step {step}: learning which channels are spared"
        alive: Alive | None = None
        for ended in self._run([Call(run_morph, (job,))]):
            listener.counting(what, round(100 * (1.0 if ended else read_share(job.progress))), 100)
            alive = ended[0][1] if ended else alive
        assert alive is not None
        if alive.living == 0:
            raise WorkError(
                "Channels live on where the strength of the regularizer is right, but none did. Give a smaller one "
                f"(--strength, {alive.curve[-1][1]:.3g} at the end), or a longer training."
            )
        self._key(job).put(self._cache, asdict(alive))
        return alive

    def _file(self, step: int) -> Path:
        """The network of what lives after a step, with its weights."""
        return self._folder / f"step-{step}.safetensors"

    def _key(self, job: MorphJob) -> Key:
        return keys.morph(self._morphing.base, job.widths, job.lesson)

    def _stored(self, job: MorphJob) -> Alive | None:
        stored = self._key(job).get(self._cache)
        return None if stored is None else alive_from_json(stored)

    def _job(self, step: int, widths: tuple[int, ...], bound: float) -> MorphJob:
        morphing, schooling = self._morphing, self._alone.schooling
        least = self._spent(self._least)  # whatever dies, so much is left
        wanted = (least + WIDER * max(0.0, bound - least)) / self._spent(widths)
        pruning = replace(morphing.pruning, shrink=min(MOST_LEFT, wanted))
        return MorphJob(
            spec_to_json(morphing.base), widths, self._alone.task, pruning, morphing.recipe, schooling.seed,
            schooling.torch_device, self._folder, morphing.weights, self._predictor, self._fitted_on,
            self._file(step),
        )  # fmt: skip

    def _fit(self, listener: Listens) -> Predictor:
        """A predictor of the latency of this network in other widths.

        Raises:
            MeasureError: Too few could be measured.
        """
        device, layout, base = self._device, self._layout, self._morphing.base
        drawn = [network_of(base, layout, widths) for widths in drawn_widths(layout, 4 * self._morphing.samples)]
        listings = [operations(spec, self._interface) for spec in drawn]
        chosen = spread_out(listings, self._morphing.samples)
        latencies = []
        for done, place in enumerate(chosen):
            listener.counting("measuring widths", done, len(chosen))
            latencies.append(self._alone.latency(drawn[place], device, QUICK).latency_ms)
        listener.counting("measuring widths", len(chosen), len(chosen))
        scope = Scope((base.kind, "widths"), self._alone.task.interface, device.identity)
        predictor = fit(scope, [listings[place] for place in chosen], latencies)
        listener.note(
            f"The latency of widths is estimated from {len(chosen)} that were measured; held out, they are off by "
            f"{100 * predictor.held_out.error:.1f} % on average. What is found is measured."
        )
        return predictor
