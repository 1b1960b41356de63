"""What the candidates of a search are judged on: images and a device, or a table of what others measured."""

from __future__ import annotations

import hashlib
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from paretonas.data.images import ImageData, prepare_data
from paretonas.data.source import DataSource
from paretonas.device import Device, parse_device
from paretonas.errors import TrainingError, UsageError
from paretonas.evaluation.table import TableEvaluator, TabularTask
from paretonas.evaluation.trained import RECORD, Cache, Evaluator
from paretonas.executor import executors
from paretonas.latency import Latency
from paretonas.loop.screen import Screening
from paretonas.search.config import TABLE, SearchConfig
from paretonas.search.tune import tune
from paretonas.space import SearchSpace, Spec, spaces
from paretonas.space.table import read_table
from paretonas.task import recipes
from paretonas.task.recipe import Recipe
from paretonas.training.classification import torch_device
from paretonas.training.optimization import check_recipe
from paretonas.trial import Metrics
from paretonas.zoo.zoo import zoo_spec

Note = Callable[[str], None]


class Evaluates(Protocol):
    """What gives a candidate's metrics; what was paid for before costs nothing."""

    @property
    def is_here(self) -> bool:
        """Whether measuring and training take place on one machine, so that they must not overlap."""
        ...

    @property
    def run(self) -> Callable[[Any], dict[str, float]]:
        """What a worker calls with a job."""
        ...

    def cost(self, spec: Spec) -> Metrics:
        """What is known without running anything."""
        ...

    def proxies(self, spec: Spec) -> Metrics:
        """Zero-cost metrics of the untrained network."""
        ...

    def latency(self, spec: Spec) -> Latency | None:
        """Measured; None where there are no latencies."""
        ...

    def trained(self, spec: Spec, fidelity: float) -> Metrics | None:
        """What that share of the training gave, if it was paid for."""
        ...

    def remember(self, spec: Spec, fidelity: float, metrics: Metrics) -> None:
        """Keep what training gave."""
        ...

    def job(self, spec: Spec, fidelity: float, state: Path) -> Any:
        """The training, for a worker; `state` is the file from which it can go on."""
        ...


class Task(ABC):
    """What a search needs to know of that on which its candidates are judged.

    An implementer sets these in `__init__`, after checking all that the configuration says of them.

    Attributes:
        space: What can be built.
        evaluator: Gives a candidate's metrics.
        digest: Identifies what is judged on; a search does not go on with another.
        measured_on: Where latencies come from, in words.
        executor: Where the work runs.
        recipe: As it is recorded.
        is_buildable: Whether candidates are networks, that can be trained and exported.
    """

    space: SearchSpace
    evaluator: Evaluates
    digest: str
    measured_on: str
    executor: str
    recipe: str
    is_buildable = True

    @abstractmethod
    def usual_ms(self, note: Note) -> float | None:
        """The latency to aim at where none was given; None if there are no latencies."""

    @abstractmethod
    def tune(self, note: Note) -> None:
        """Pick by measuring what recipe and executor leave open."""

    @abstractmethod
    def about(self) -> list[str]:
        """Lines for the beginning of a search: where it is measured, and what the data are."""

    @abstractmethod
    def seconds_a_trial(self) -> float | None:
        """An estimate; None if training diverges at once."""


def new_task(
    config: SearchConfig, cache: Cache, folder: Path, note: Note, decoding: Callable[[int, int], None] | None = None
) -> Task:
    """The task of a configuration.

    Args:
        config: What to search.
        cache: Where evaluations are kept.
        folder: For prepared images and the reference network.
        note: Is told what a user should know.
        decoding: Is told how many images are decoded, of how many.

    Raises:
        UsageError: Whatever of the configuration cannot be.
    """
    if config.data.startswith(TABLE):
        return TableTask(config)
    return ImageTask(config, cache, folder, note, decoding)


class ImageTask(Task):
    """Classification of images, on a device."""

    def __init__(
        self,
        config: SearchConfig,
        cache: Cache,
        folder: Path,
        note: Note,
        decoding: Callable[[int, int], None] | None = None,
    ):
        if config.metric is not None or config.latency is not None or config.decisions:
            raise UsageError(
                f"Columns are those of a table, but the data are {config.data!r}: write --data {TABLE}FILE.parquet."
            )
        self._config, self._cache = config, cache
        self.device: Device = parse_device(config.device)
        self.tuned: Recipe = recipes.create(config.recipe)
        check_recipe(self.tuned)
        torch_device(config.torch_device)
        executors.create(config.executor)
        spaces.create(config.space)
        source = DataSource(
            config.data,
            resolution=config.resolution,
            train_images=config.train_images,
            val_images=config.val_images,
            skip_corrupt=config.skip_corrupt,
            seed=config.seed,
            stream=config.stream,
        )
        self.data: ImageData = prepare_data(source, folder, decoding)
        if self.data.skipped:
            names = ", ".join(self.data.skipped[:3]) + (", …" if len(self.data.skipped) > 3 else "")
            note(f"{len(self.data.skipped)} corrupt images are left out: {names}")
        self.digest, self.executor, self.recipe = self.data.digest, config.executor, config.recipe
        self.measured_on = ", ".join(f"{key} {value}" for key, value in self.device.identity.items())
        defaults = {"resolution": self.data.resolution, "width": config.width}
        self.space: SearchSpace = spaces.create(config.space, defaults).build()
        self.evaluator: Evaluator = Evaluator(
            cache, self.device, folder, self.data, self.tuned, config.seed, config.torch_device
        )

    def usual_ms(self, note: Note) -> float:
        """What MobileNetV2 takes at the search's width and resolution."""
        latency = self.evaluator.latency(self.typical_spec(), RECORD)
        flags = f" (flagged {', '.join(latency.flags)})" if latency.flags else ""
        note(
            f"No target latency was given: aiming at {latency.latency_ms:.3g} ms, what MobileNetV2 "
            f"x{self._config.width:g} takes{flags}."
        )
        return latency.latency_ms

    def typical_spec(self) -> Spec:
        """MobileNetV2 at the search's width and resolution: the skeleton of the space, for estimates."""
        return zoo_spec("mobilenet-v2", self._config.width, self.data.resolution)

    def tune(self, note: Note) -> None:
        self.tuned, self.executor = tune(
            self.tuned,
            self._config.executor,
            self.typical_spec(),
            self.data,
            self._config.torch_device,
            self._cache,
            note,
        )
        self.recipe = recipes.written_out(self._config.recipe, self.tuned)
        self.evaluator.recipe = self.tuned

    def about(self) -> list[str]:
        data = self.data
        return [
            f"on {self.device.name} ({self.device.transport.conditions()['cpu']})",
            f"data {self._config.data}: {len(data.train):,} training, {len(data.val):,} validation, "
            f"{len(data.test):,} test images, {data.channels} x {data.resolution} x {data.resolution}, "
            f"{len(data.classes)} classes; {self.tuned.epochs:g} epochs a trial",
        ]

    def seconds_a_trial(self) -> float | None:
        try:
            return self.evaluator.estimate(self.typical_spec())
        except TrainingError:
            return None


class TableTask(Task):
    """A table: what a trial costs and gives was paid for by others."""

    is_buildable = False

    def __init__(self, config: SearchConfig):
        if config.metric is None:
            raise UsageError(
                f"A search of a table names the column of accuracies: --data {config.data} --metric COLUMN."
            )
        if config.space != SearchConfig.space:
            raise UsageError(f"The space of a table is its own, but got (space={config.space!r}).")
        if config.fidelity.partition(":")[0] != SearchConfig.fidelity:
            raise UsageError(f"What a table has was trained to the end, but got (fidelity={config.fidelity!r}).")
        file = Path(config.data.removeprefix(TABLE)).expanduser()
        self._table = read_table(file, config.decisions)
        self._task = TabularTask(self._table, config.metric, config.latency)
        self._check_screen(config.screen)
        self.space = self._table.space()
        self.evaluator = TableEvaluator(self._task)
        self.digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        self.measured_on = ", column ".join(filter(None, (self._table.name, config.latency)))
        self.executor, self.recipe = "serial", config.recipe

    def _check_screen(self, screen: str | None) -> None:
        known = self._task.known_costs
        if screen is not None and Screening(screen).metric not in known:
            names = ", ".join(known) or "none"
            raise UsageError(
                f"A table is screened by the costs that it has, {self._table.name} by {names}, but got ({screen=})."
            )

    def usual_ms(self, note: Note) -> float | None:
        """The median of the table."""
        if self._task.latency is None:
            return None
        found = statistics.median(v for v in self._table.column(self._task.latency) if v == v)
        note(f"No target latency was given: aiming at {found:.3g} ms, the median of {self._task.latency}.")
        return found

    def tune(self, note: Note) -> None:
        pass

    def about(self) -> list[str]:
        latency = f", latencies {self._task.latency}" if self._task.latency else ""
        return [f"on the table {self._table.name}", f"accuracies {self._task.metric}{latency}"]

    def seconds_a_trial(self) -> float | None:
        return 0.0
