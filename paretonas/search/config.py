"""The configuration of a search: everything needed to run it, and to run it again, in the sections of its file.

    name, seed, executor, torch_device, weights, frozen, baselines, models
    [task]       what is learned: a kind of task and its options; or [table], a table of networks that others trained
    [space]      what can be built
    [strategy]   what to try next, its goals, and earlier searches that it learns from
    [objective]  reward and limits
    [[device]]   where latency is measured, and the latency to aim at there
    [recipe]     how a candidate is trained
    [pretrain]   what backbones learn before: [pretrain.task], and how
    [supernet]   how weights are trained that all candidates share, and by which they are scored instead
    [morph]      how the widths of one network are fitted to a budget instead of a search
    [budget]     how much may be spent: trials, time, fidelity, screen
    [recorded]   what the search has found out about its circumstances

Wherever a plugin is named, `name:option=value` and a section with `name` and options mean the same. `sections.py` reads
and writes the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paretonas.errors import UsageError
from paretonas.evaluation.table import TableSource
from paretonas.loop.plan import Budget
from paretonas.objective import Limit
from paretonas.registry import Selection
from paretonas.search.morph_config import MorphConfig
from paretonas.store import LONGEST_NAME, check_name
from paretonas.task import tasks

if TYPE_CHECKING:
    from paretonas.task.task import Task

FEWEST, MOST = 10, 500
"""Networks that a predictor of latency is fitted on."""
LONGEST = LONGEST_NAME - len(".random")
"""Of the name of a search with baselines, whose own names are longer."""


@dataclass(frozen=True)
class DeviceConfig:
    """One device.

    Args:
        device: As users write it, `runtime[:options][@transport:address]`.
        name: Short, for the names of its metrics; may be empty where there is only one device.
        target_ms: Latency to aim at; None: what a typical network takes, measured at the start.
        estimate: Networks that are measured to fit a predictor, which then says the latency of each candidate; None:
            each candidate is measured.

    Raises:
        UsageError: No device, a name of other characters, a target that is not positive, or too few or too many
            networks for a predictor.
    """

    device: str = "onnxruntime"
    name: str = ""
    target_ms: float | None = None
    estimate: int | None = None

    def __post_init__(self) -> None:
        if not self.device:
            raise UsageError("A device is written `runtime[:options][@transport:address]`, but got an empty one.")
        if self.target_ms is not None and not 0 < self.target_ms < float("inf"):
            raise UsageError(f"A target latency is a positive number of milliseconds, but got {self.target_ms}.")
        if self.estimate is not None and not FEWEST <= self.estimate <= MOST:
            raise UsageError(
                f"A predictor of latency is fitted on {FEWEST} to {MOST} measured networks, but got {self.estimate}."
            )
        if self.name and not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise UsageError(f"A device's name is letters, digits, '_' and '-', but got {self.name!r}.")

    @classmethod
    def parse(cls, text: str) -> DeviceConfig:
        """From `device` or `name=device`.

        >>> DeviceConfig.parse("phone=onnxruntime:threads=2").name
        'phone'
        """
        name, equals, device = text.partition("=")
        return cls(device, name) if equals and not set(":@") & set(name) else cls(text)


@dataclass(frozen=True)
class SupernetConfig:
    """How candidates are scored by weights that they share.

    Args:
        sampling: Which networks learn in a step.
        recipe: How.
        examples: For the normalization statistics of a candidate.
        checked: Networks that are also trained alone, to see whether the supernet ranks them; 0: it is trusted.
        fallback: The strategy where it does not, and candidates are trained alone.
    """

    sampling: Selection = Selection("sandwich")
    recipe: Selection = Selection("supernet")
    examples: int = 500
    checked: int = 12
    fallback: Selection = Selection("surrogate")


@dataclass(frozen=True)
class PretrainConfig:
    """What the classifiers that candidates are, or stand on, learn before the search.

    Args:
        task: Of classification.
        recipe: How.
        sampling: Which networks learn in a step, where candidates differ in their classifiers; None: `balanced`.
    """

    task: Selection
    recipe: Selection = Selection("pretrain")
    sampling: Selection | None = None

    def learned(self, seed: int) -> Task:
        """The task, its split by the seed of the search unless it has one of its own."""
        task: Task = tasks.create(self.task, {"split_seed": seed})
        return task


@dataclass(frozen=True)
class Recorded:
    """What a search has found out about its circumstances when it began.

    Args:
        quality: The metric that training is about.
        digest: Of the data and their splits; with other data it does not go on.
        measured_on: Engines and machines; another one is pointed out.
        validation: Examples that candidates are scored on.
        baseline_of: Name of the search whose baseline this is; empty: of none.
        home: Folder of its files, from that of an SQLite store; empty: nobody wrote it down.
    """

    quality: str = ""
    digest: str = ""
    measured_on: str = ""
    validation: int = 0
    baseline_of: str = ""
    home: str = ""


@dataclass(frozen=True)
class SearchConfig:
    """Everything needed to run a search, and to run it again.

    Args:
        name: Of the search: letters, digits, `.`, `_` and `-`.
        task: What is learned; None where `table` is given.
        table: A table of networks that others trained; None where `task` is given.
        space: What can be built; that of a table is its own.
        strategy: What to try next.
        goals: What the strategy pursues; none: the reward, or for a strategy of fronts quality and latencies.
        prior: Searches of the same store whose trials it learns from, as `prior.py` reads them.
        reward: What scores a trial.
        limits: Bounds such as `params<=2e6`; an architecture that breaks one is not trained.
        devices: Where latency is measured.
        recipe: How a candidate is trained.
        supernet: How candidates are scored by shared weights; None: each is trained.
        morph: How the widths of a network are fitted to a budget; None: they are not.
        budget: How much may be spent.
        fidelity: How long a candidate is trained: `full`, or `asha` to stop those early that fall behind.
        screen: Cheap metric by which candidates are screened; None: not.
        executor: Where training runs.
        torch_device: `auto`, `cpu`, `cuda` or `mps`.
        weights: File of the weights that candidates, or their backbones, begin with; empty: fresh ones.
        pretrain: What they learn first instead; None: nothing.
        frozen: Whether the backbone that all candidates have keeps these weights.
        seed: Of the strategy and the training.
        baselines: Also run random search with the same budget, and the zoo; see `companions`.
        models: Models of the user's own among these baselines, each as `module:factory`.
        recorded: What was found out when the search was recorded.

    Raises:
        UsageError: A value out of range, or settings that exclude each other.
    """

    name: str
    task: Selection | None = None
    table: TableSource | None = None
    space: Selection = Selection("mnasnet")
    strategy: Selection = Selection("surrogate")
    goals: tuple[str, ...] = ()
    prior: tuple[str, ...] = ()
    reward: Selection | None = None
    limits: tuple[str, ...] = ()
    devices: tuple[DeviceConfig, ...] = (DeviceConfig(),)
    recipe: Selection = Selection("search")
    supernet: SupernetConfig | None = None
    morph: MorphConfig | None = None
    budget: Budget = Budget()
    fidelity: Selection = Selection("full")
    screen: Selection | None = None
    executor: Selection = Selection("process")
    torch_device: str = "auto"
    weights: str = ""
    pretrain: PretrainConfig | None = None
    frozen: bool = False
    seed: int = 0
    baselines: bool = False
    models: tuple[str, ...] = ()
    recorded: Recorded = Recorded()

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.baselines and len(self.name) > LONGEST:
            raise UsageError(
                f"With baselines, a search's name has {LONGEST} letters at most, but got {len(self.name)}."
            )
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"`0 <= seed < 2**32` must hold, but got (seed={self.seed}).")
        if (self.task is None) == (self.table is None):
            raise UsageError("A search is of a task (--data DATA) or of a table (--data table:FILE), of just one.")
        if self.models and not self.baselines:
            raise UsageError(f"Models of your own are baselines: ask for `baselines` too, but got {self.models}.")
        self._check_devices()
        self._check_weights()
        for text in self.limits:
            Limit.parse(text)
        if self.morph is not None:
            self._check_morph()
        if self.table is not None:
            self._check_table()

    def _check_devices(self) -> None:
        names = [device.name for device in self.devices]
        if not names or len(set(names)) < len(names) or (len(names) > 1 and "" in names):
            raise UsageError(
                "Of several devices each has a name of its own (--device phone=… --device pi=…), but got "
                f"{', '.join(name or 'none' for name in names) or 'no device'}."
            )

    def _check_weights(self) -> None:
        if self.supernet is not None and self.fidelity.name != "full":
            raise UsageError(
                f"What a supernet scores is not trained, so none is stopped early, but got (fidelity={self.fidelity})."
            )
        if self.weights and self.pretrain is not None:
            raise UsageError(
                f"Candidates begin with weights of a file or of a training before the search, but got "
                f"(weights={self.weights}) and (pretrain={self.pretrain.task})."
            )
        if self.frozen and (self.supernet is not None or not (self.weights or self.pretrain)):
            raise UsageError(
                "A backbone that stays as it is has weights (--weights FILE or --pretrain-data DATA) and is no "
                "supernet's, but got (frozen=True)."
            )

    def _check_morph(self) -> None:
        usual = SearchConfig("x", task=Selection("x"))
        for name in ("table", "supernet", "pretrain", "frozen", "fidelity", "screen", "prior", "limits"):
            if getattr(self, name) != getattr(usual, name):
                raise UsageError(f"A morph is of one network, but got ({name}={getattr(self, name)}).")
        if self.strategy.name not in (usual.strategy.name, "enumeration"):
            raise UsageError(f"A morph's trials are what its steps find, but got (strategy={self.strategy}).")
        if self.space.name != "widths":
            raise UsageError(f"A morph is of the space of a network's widths, but got (space={self.space}).")

    def _check_table(self) -> None:
        """What a table has was built, trained and timed by others: settings of that would have no effect."""
        assert self.table is not None
        unknown = {device.name for device in self.devices} - {"", *self.table.names}
        if unknown:
            names = ", ".join(self.table.names) or "none"
            raise UsageError(f"A device of a table is one of its latencies ({names}), but got {sorted(unknown)[0]!r}.")
        usual, by_others = SearchConfig("x", task=Selection("x")), "What a table has was trained by others"
        settings = {
            name: (by_others, getattr(self, name), getattr(usual, name))
            for name in ("recipe", "executor", "torch_device", "weights", "pretrain", "frozen")
        }
        devices = (one.device for one in self.devices if one.device not in ("onnxruntime", "table"))
        estimated = (one.estimate for one in self.devices if one.estimate is not None)
        settings |= {
            "estimate": ("What a table has was timed by others", next(estimated, None), None),
            "trial_seconds": (by_others, self.budget.trial_seconds, None),
            "space": ("The space of a table is its own", self.space, usual.space),
            "fidelity": ("What a table has was trained to the end", self.fidelity, usual.fidelity),
            "supernet": (by_others, self.supernet, None),
            "devices": ("Devices of a table are columns", next(devices, None), None),
        }
        for name, (rule, got, expected) in settings.items():
            if got != expected:
                raise UsageError(f"{rule}, but got ({name}={got}).")
