"""What candidates begin with: what a search's configuration says of weights becomes a training before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paretonas.errors import UsageError
from paretonas.evaluation.pretraining import DRAWN, Pretraining
from paretonas.loop.listener import Listener
from paretonas.registry import Selection
from paretonas.search.config import PretrainConfig, SearchConfig
from paretonas.search.rehearsal import rehearse_classifiers
from paretonas.space import SearchSpace, Spec
from paretonas.space.classifiers import Classifiers
from paretonas.task import recipes
from paretonas.task.recipe import Recipe
from paretonas.task.task import Task
from paretonas.training import samplings
from paretonas.training.autotune import like
from paretonas.training.optimization import check_recipe
from paretonas.training.supernet import Sampling, Supernet
from paretonas.training.weights import Weights


@dataclass(frozen=True)
class Beginning:
    """What candidates begin with.

    Args:
        weights: None: fresh ones.
        frozen: The backbone that keeps them; None: all learn.
        pretraining: What gives the weights; None: a file, or nothing.
    """

    weights: Weights | None = None
    frozen: Spec | None = None
    pretraining: Pretraining | None = None

    def of(self, spec: Spec) -> Path | None:
        """The weights that a finalist begins with."""
        if self.pretraining is not None:
            return self.pretraining.alone(spec).checkpoint
        return None if self.weights is None else self.weights.file


def beginning(
    config: SearchConfig, space: SearchSpace, options: Any, searched: tuple[Task, Recipe], where: Where
) -> Beginning:
    """What a configuration says of it, checked.

    Args:
        config: Of the search.
        space: Its own.
        options: Of the space.
        searched: What its candidates learn, and the recipe, tuned.
        where: Folders of files, and who is told.

    Raises:
        UsageError: It cannot be.
    """
    if config.morph is not None:
        return Beginning()  # weights are those of the network as it was, and its trials learn from scratch
    weights = Weights.of(Path(config.weights)) if config.weights else None
    pretraining = None
    if config.pretrain is not None:
        pretraining = _pretraining(config, config.pretrain, options, searched[1], where.pretrained)
        pretraining.task.prepare(where.cache, lambda n, of: where.listener.counting("decoding images", n, of))
        rehearse_classifiers(pretraining.task, pretraining.recipe, space, searched[0])
        weights = pretraining.weights
    return Beginning(weights, frozen_backbone(space) if config.frozen else None, pretraining)


@dataclass(frozen=True)
class Where:
    """Folders of a search, and who is told.

    Args:
        cache: For prepared data.
        pretrained: For weights.
        listener: Is told what happens.
    """

    cache: Path
    pretrained: Path
    listener: Listener


def check_pretraining(config: SearchConfig) -> None:
    """Whether what is said of what backbones learn first can be.

    Raises:
        UsageError: It cannot.
    """
    if config.pretrain is None:
        return
    sampling = _sampling(config, config.pretrain)
    if config.supernet is not None:
        shared: Sampling = samplings.create(config.supernet.sampling)
        if shared.is_sliced != sampling.is_sliced:
            raise UsageError(
                "A supernet that begins with another's weights slices as that does, but got "
                f"(is_sliced={shared.is_sliced}) and, to learn first, (is_sliced={sampling.is_sliced})."
            )
    check_recipe(recipes.create(config.pretrain.recipe))


def _pretraining(
    config: SearchConfig, pretrain: PretrainConfig, space: Any, searched: Recipe, folder: Path
) -> Pretraining:
    supernet = Supernet(pretrain.learned(config.seed), Classifiers(space), _sampling(config, pretrain))
    return Pretraining(
        supernet, like(recipes.create(pretrain.recipe), searched), config.seed, config.torch_device, folder
    )


def _sampling(config: SearchConfig, pretrain: PretrainConfig) -> Sampling:
    """DetNAS's, unless another is named; sliced where the supernet that goes on with the weights is."""
    sampling: Sampling = samplings.create(pretrain.sampling or "balanced")
    if pretrain.sampling is None and config.supernet is not None:
        shared: Sampling = samplings.create(config.supernet.sampling)
        sampling = samplings.create(Selection("balanced", {"is_sliced": shared.is_sliced}))
    return sampling


def frozen_backbone(space: SearchSpace) -> Spec:
    """The backbone of all networks of a space.

    Raises:
        UsageError: They have several, or none.
    """
    specs: Sequence[Spec] = space.some(DRAWN)
    backbones = {spec.classifier for spec in specs}
    if len(backbones) > 1 or specs[0] in backbones:
        raise UsageError(
            f"A backbone that stays as it is is the same for all networks, but the space {space.name!r} has "
            f"{'several' if len(backbones) > 1 else 'networks without one'}. Choose a space of necks, such as nas-fpn."
        )
    return backbones.pop()
