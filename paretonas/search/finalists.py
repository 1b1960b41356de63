"""From a searched architecture to a trained, exported, re-scored and re-timed network.

The final training uses all training examples; the test part is scored once for each finalist, and never for a choice.
A finalist is exported in the format of every device, and as ONNX; each file is scored too, through a device that runs
it, must agree with the model that it came from, and is timed there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from paretonas.errors import ParetonasError, UsageError, WorkError
from paretonas.evaluation.job import TrainingJob, known_metrics, run_training
from paretonas.executor import executors
from paretonas.files import refusals
from paretonas.search.circumstances import held
from paretonas.search.finish import Finalist, Finishing, finish
from paretonas.search.rehearsal import tell_unused
from paretonas.search.search import Search
from paretonas.space import spec_from_json, spec_to_json
from paretonas.task import recipes
from paretonas.task.task import Task
from paretonas.training.autotune import like
from paretonas.training.optimization import check_recipe
from paretonas.training.progress import read_share
from paretonas.training.weights import weights_digest
from paretonas.trial import Trial

Shares = dict[int, float]


def train_trials(
    search: Search,
    trials: Sequence[Trial],
    finishing: Finishing | None = None,
    on_progress: Callable[[Shares], None] = lambda shares: None,
) -> list[Finalist]:
    """Train, score, export, re-score and re-time trials of a search.

    Args:
        search: Theirs.
        trials: Complete ones.
        finishing: How; by the recipe that suits the task if None.
        on_progress: Told every second which share of its training each trial has done.

    Raises:
        UsageError: The recipe cannot be.
        StoreError: Another process holds the search.
        WorkError: A training failed, or an exported file disagrees with its model. The others are finished first.
    """
    finishing, evaluator = finishing or Finishing(), search.trained_evaluator()
    recipe = finishing.recipe or recipes.create(evaluator.task.usual.final)
    check_recipe(recipe)
    recipe = like(recipe, evaluator.schooling.recipe)
    finishing, folder = replace(finishing, recipe=recipe), search.home / search.config.name
    with held(search.config.name, search.store, search.home):
        with refusals(f"{folder} cannot be made"):
            folder.mkdir(parents=True, exist_ok=True)
        task = _task(search, finishing)
        tell_unused(task, recipe, search.listener.note)
        jobs = {trial.number: _job(search, task, trial, finishing) for trial in trials}
        _check_teacher(finishing, jobs.values())
        _pretrain(search, jobs, on_progress)
        scores, failed = _train(search, jobs, on_progress)
        finalists = []
        for trial in (trial for trial in trials if trial.number in scores):
            try:
                finalists.append(finish(search, trial, jobs[trial.number], scores[trial.number], finishing))
            except WorkError as error:
                failed[trial.number] = error
    if failed:
        done = ", ".join(str(finalist.trial) for finalist in finalists) or "none"
        reasons = "; ".join(f"trial {number}: {error}" for number, error in failed.items())
        raise WorkError(f"{reasons} (finished: {done})")
    return finalists


def _task(search: Search, finishing: Finishing) -> Task:
    """The task of the search, of images of another size or of other data, or with a teacher, if that is asked for."""
    task = _resized(search, finishing)
    if finishing.teaching is None:
        return task
    taught = finishing.teaching.of(task)
    taught.check()
    return taught


def _check_teacher(finishing: Finishing, jobs: Iterable[TrainingJob]) -> None:
    """Whether the teacher stays what it is while its students are trained."""
    if finishing.teaching is not None:
        file = finishing.teaching.file.resolve()
        if any(job.checkpoint is not None and job.checkpoint.resolve() == file for job in jobs):
            raise UsageError(
                f"A teacher's file is kept, but {file.name} is where its student's weights go: copy it first."
            )


def _resized(search: Search, finishing: Finishing) -> Task:
    """What else the task of the search was told is said of the search's data, and not of others."""
    task = search.trained_evaluator().task
    asked = {"resolution": finishing.transform.resolution, "data": finishing.data}
    changes = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        return task
    try:
        changed: Task = type(task)(**changes) if finishing.data else replace(task, **changes)  # type: ignore[type-var]
    except TypeError:
        what = " and ".join(
            {"resolution": "of images in other sizes", "data": "of other data"}[name] for name in changes
        )
        raise UsageError(f"There are tasks {what}, but {type(task).__name__} is none of them.") from None
    changed.prepare(search.home / "cache")
    return changed


def _job(search: Search, task: Task, trial: Trial, finishing: Finishing) -> TrainingJob:
    assert finishing.recipe is not None
    seed = search.config.seed if finishing.seed is None else finishing.seed
    spec = finishing.transform.apply(search.space.decode(trial.architecture))
    changes = [
        "" if finishing.is_final else "val",
        str(finishing.transform),
        "" if finishing.data is None else f"data-{task.digest[:8]}",
        "" if finishing.weights is None else f"weights-{weights_digest(finishing.weights)[:8]}",
        "" if seed == search.config.seed else f"seed{seed}",
    ]
    name = "-".join((f"trial-{trial.number}", *filter(None, changes)))
    place = search.home / search.config.name
    return TrainingJob(
        spec_to_json(spec),
        task,
        finishing.recipe,
        seed,
        search.config.torch_device,
        finishing.is_final,
        checkpoint=place / f"{name}.safetensors",
        progress=place / f"{name}.progress",
        state=place / f"{name}.state",
        weights=finishing.weights or (search.beginning.of(spec) if finishing.is_as_found else None),
    )


def _pretrain(search: Search, jobs: dict[int, TrainingJob], on_progress: Callable[[Shares], None]) -> None:
    """Train the classifiers that finalists stand on, where a search has them learn first.

    Raises:
        WorkError: One could not be trained.
    """
    if search.beginning.pretraining is None:
        return
    wanted = {number: search.beginning.pretraining.alone(spec_from_json(job.spec)) for number, job in jobs.items()}
    different = {job.checkpoint: number for number, job in wanted.items() if jobs[number].weights == job.checkpoint}
    missing = {number: wanted[number] for number in different.values() if known_metrics(wanted[number]) is None}
    if missing:
        search.listener.note(f"First the backbones of {len(missing)} finalists learn to classify.")
        _, failed = _train(search, missing, on_progress)
        for number, error in failed.items():
            raise WorkError(f"The backbone of trial {number} could not be trained: {error}") from error


def _train(
    search: Search, jobs: dict[int, TrainingJob], on_progress: Callable[[Shares], None]
) -> tuple[dict[int, dict[str, float]], dict[int, ParetonasError]]:
    """Train in parallel what was not trained before; scores and errors by trial."""
    scores: dict[int, dict[str, float]] = {}
    failed: dict[int, ParetonasError] = {}
    with executors.create(search.config.executor).start() as executor:
        for number, job in jobs.items():
            known = known_metrics(job)
            if known is not None:
                scores[number] = known
            else:
                executor.submit(str(number), run_training, job)
        while len(scores) + len(failed) < len(jobs):
            for done in executor.wait(timeout=1.0):
                try:
                    scores[int(done.key)] = done.result()
                except ParetonasError as error:
                    failed[int(done.key)] = error
            on_progress({n: 1.0 if n in scores else _share(job) for n, job in jobs.items()})
    for job in jobs.values():
        if job.progress is not None:
            job.progress.unlink(missing_ok=True)
    return scores, failed


def _share(job: TrainingJob) -> float:
    return 0.0 if job.progress is None else read_share(job.progress)
