"""The configuration of a search: everything needed to run it, and to run it again."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from paretonas.errors import UsageError
from paretonas.objective import Limit
from paretonas.objective.reward import REWARDS
from paretonas.space import read_json, spaces

LIMITABLE = ("latency_ms", "macs", "params", "peak_memory_bytes", "weight_bytes")
"""Metrics that are known before an architecture is trained."""

DEFAULT_TRIALS = 100

TABLE = "table:"
"""Data that begin so are a table of networks."""


@dataclass(frozen=True)
class SearchConfig:
    """Everything needed to run a search, and to run it again. Names of plugins may carry options: `ppo:batch=10`.

    Args:
        name: Of the search: letters, digits, `.`, `_` and `-`.
        data: `digits`, a Parquet file or folder, a tree of image folders, or `table:` and a Parquet file of networks.
        target_ms: Latency to aim at; None: that of MobileNetV2 at the same width, measured at the start.
        device: Where latency is measured.
        space: What can be built.
        width: Multiplier of the space's filters.
        strategy: What to try next.
        reward: `soft` or `hard` as in the MnasNet paper, `accuracy`, or two exponents `ALPHA,BETA`.
        limits: Bounds such as `params<=2e6`; an architecture that breaks one is not trained.
        recipe: How a candidate is trained.
        fidelity: How long: `full`, or `asha` to stop those early that fall behind.
        screen: Metric of the untrained network by which candidates are screened, such as `synflow:keep=0.5`; None: not.
        trials: Budget: proposals. None: 100, or as many as fit where `seconds` are given.
        seconds: Budget: wall time of all sessions; None: none.
        trial_seconds: Longest training of one candidate; None: no limit.
        executor: Where training runs.
        seed: Of the strategy and the training.
        torch_device: `auto`, `cpu`, `cuda` or `mps`.
        resolution: Side of the images; None: inferred.
        train_images: Size of the class-balanced part to train on; None: all.
        val_images: Size of the validation split; None: max(4 %, min(1000, 20 %)).
        skip_corrupt: Leave corrupt images out instead of stopping.
        stream: Decode images while training, even if they fit in memory.
        baselines: Also run random search with the same budget, and the zoo; see `companions`.
        metric: Column of accuracies, where the data are a table (`table:FILE.parquet`).
        latency: Column of latencies in milliseconds of a table, if any.
        decisions: Columns that hold a table's architectures; none: `ops` or `arch`.
        models: Models of the user's own among these baselines, each as `module:factory`.
        digest: Of the data and their splits. Filled in when a search is recorded; other data are refused from then on.
        measured_on: Engine and machine. Filled in when a search is recorded; another one is pointed out from then on.

    Raises:
        UsageError: A value out of range.
    """

    name: str
    data: str
    target_ms: float | None = None
    device: str = "onnxruntime"
    space: str = "mnasnet"
    width: float = 1.0
    strategy: str = "surrogate"
    reward: str = "soft"
    limits: tuple[str, ...] = ()
    recipe: str = "search"
    fidelity: str = "full"
    screen: str | None = None
    trials: int | None = None
    seconds: float | None = None
    trial_seconds: float | None = None
    executor: str = "process"
    seed: int = 0
    torch_device: str = "auto"
    resolution: int | None = None
    train_images: int | None = None
    val_images: int | None = None
    skip_corrupt: bool = False
    stream: bool = False
    baselines: bool = False
    metric: str | None = None
    latency: str | None = None
    decisions: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    digest: str | None = None
    measured_on: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.name):
            raise UsageError(f"A search's name is letters, digits, '.', '_' and '-', but got {self.name!r}.")
        if self.name == "cache" or self.name.startswith("store.db"):
            raise UsageError(f"A search's name is not one of the home's own files, but got {self.name!r}.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"`0 <= seed < 2**32` must hold, but got (seed={self.seed}).")
        if self.reward == "accuracy" and self.target_ms is not None:
            raise UsageError(f"The reward `accuracy` has no target latency, but got (target_ms={self.target_ms}).")
        if self.trials is not None and self.trials < 1:
            raise UsageError(f"`trials >= 1` must hold, but got (trials={self.trials}).")
        for name in ("seconds", "trial_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"`{name} > 0` must hold, but got ({name}={value}).")
        if self.models and not self.baselines:
            raise UsageError(f"Models of your own are baselines: ask for `baselines` too, but got {self.models}.")
        self.exponents()

    @property
    def budget(self) -> int | None:
        """How many trials there may be; None: as many as fit the time."""
        return DEFAULT_TRIALS if self.trials is None and self.seconds is None else self.trials

    def exponents(self) -> tuple[float, float]:
        """Alpha and beta of the reward."""
        if self.reward in REWARDS:
            return REWARDS[self.reward]
        try:
            alpha, beta = map(float, self.reward.split(","))
        except ValueError:
            alpha, beta = math.nan, math.nan
        if not (-10 <= alpha <= 0 and -10 <= beta <= 0):
            raise UsageError(
                f"A reward is soft, hard, accuracy or ALPHA,BETA, both from -10 to 0, but got {self.reward!r}."
            )
        return alpha, beta


def companions(config: SearchConfig) -> tuple[SearchConfig, ...]:
    """The searches that give `config` its baselines, if it asks for them.

    `NAME.zoo` tries published networks and the user's own once each, `NAME.random` searches at random with the same
    budget. Both have the same data, device, target and recipe, so that only the choice of networks differs. A table has
    no other networks than its own, and random search needs no second one.

    >>> [c.name for c in companions(SearchConfig("cats", data="digits", baselines=True))]
    ['cats.zoo', 'cats.random']
    """
    if not config.baselines:
        return ()
    found = () if config.data.startswith(TABLE) else (_zoo(config),)
    if config.strategy.partition(":")[0] == "random":
        return found
    other = replace(config, name=f"{config.name}.random", strategy="random", screen=None, baselines=False, models=())
    return (*found, other)


def _zoo(config: SearchConfig) -> SearchConfig:
    space = "zoo" + (f":also={'+'.join(config.models)}" if config.models else "")
    defaults = {"width": config.width, "resolution": config.resolution or 224}
    return replace(
        config,
        name=f"{config.name}.zoo",
        space=space,
        strategy="enumeration",
        fidelity=SearchConfig.fidelity,
        screen=None,
        trials=spaces.create(space, defaults).build().size,
        seconds=None,
        limits=(),
        baselines=False,
        models=(),
    )


def config_to_json(config: SearchConfig) -> dict[str, Any]:
    """Plain data. What is at its default is written too, so that a later version with other defaults reads the same."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(config).items() if v is not None}


def config_from_json(data: object) -> SearchConfig:
    """A configuration from plain data, checked.

    Raises:
        SpecError: An unknown field, or a value that cannot be.
    """
    config: SearchConfig = read_json(SearchConfig, data, "search")
    return config


def parse_limit(text: str) -> Limit:
    """A limit on a metric that is known before training.

    Raises:
        UsageError: Not of the form `metric<=bound`, or another metric.
    """
    limit = Limit.parse(text)
    if limit.metric not in LIMITABLE:
        raise UsageError(f"A limit bounds one of {', '.join(LIMITABLE)}, but got {limit.metric!r}.")
    return limit
