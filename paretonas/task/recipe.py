"""Recipes: how a network is trained, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paretonas.errors import UsageError

SCHEDULES = ("cosine", "exponential")
LAYOUTS = ("auto", "channels-last", "contiguous")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Args:
        about: One line.
        epochs: Passes over the training images; a fraction is allowed.
        batch_size: Images a step.
        optimizer: A name that timm's `create_optimizer_v2` knows.
        lr: Peak learning rate at 256 images a step; scaled linearly to `batch_size`.
        momentum: Of the optimizer.
        eps: Of the optimizer's denominator; 0 leaves the optimizer's own.
        weight_decay: Of all weights but biases and normalization.
        decay_biases: Whether biases decay too (never those of normalization).
        schedule: After the warm-up: `cosine` falls to 0; `exponential` is multiplied by `decay_rate` every
            `decay_epochs`, counted from the first step.
        warmup: Share of the steps over which the learning rate rises from 0.
        decay_rate: Of the exponential schedule.
        decay_epochs: Of the exponential schedule.
        label_smoothing: In [0, 1).
        crop: Padding around the image, as a share of its side, before a random crop of the old size.
        min_area: Below 1: instead of `crop`, a random part of the image, of this share of its area or more and of
            aspect 3/4 to 4/3, is scaled to the whole.
        min_side: Below 1: images are first shown smaller, by this share of their side, and grow to their full size over
            three quarters of the training, which makes it shorter.
        is_flipped: Whether images are mirrored at random (never done where the data set says it does harm).
        mixup: timm's alpha; 0 is off.
        cutmix: timm's alpha; 0 is off.
        ema: Decay of the moving average of weights and normalization statistics, which is what is scored; 0 is off.
        dropout: Before the classifier.
        drop_path: Probability of ScheduledDropPath in the last cell at the end, in [0, 1), where a network has such
            paths (networks of cells).
        auxiliary: Weight of the loss of an auxiliary classifier, where a network has a place for one (networks of
            cells); 0 is off.
        branch_scale: Of residual branches at the start, where they end in a normalization; 0 lets every block begin as
            the identity.
        bn_momentum: PyTorch's momentum of the normalization statistics.
        clip: Largest norm of the gradient; 0 is off.
        layout: Of tensors in memory: `channels-last`, `contiguous`, or `auto`, the faster one.
        precision: Of the forward and backward pass: `float32`, `bfloat16`, or `auto`, the faster one.

    Raises:
        UsageError: A value out of range.
    """

    about: str = ""
    epochs: float = 2.0
    batch_size: int = 128
    optimizer: str = "nesterov"
    lr: float = 0.2
    momentum: float = 0.9
    eps: float = 0.0
    weight_decay: float = 5e-5
    decay_biases: bool = False
    schedule: str = "cosine"
    warmup: float = 0.1
    decay_rate: float = 0.97
    decay_epochs: float = 2.4
    label_smoothing: float = 0.0
    crop: float = 0.125
    min_area: float = 1.0
    min_side: float = 1.0
    is_flipped: bool = True
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    dropout: float = 0.0
    drop_path: float = 0.0
    auxiliary: float = 0.0
    branch_scale: float = 1.0
    bn_momentum: float = 0.1
    clip: float = 5.0
    layout: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        rules = {
            "epochs": 0 < self.epochs < 1e6,
            "batch_size": 2 <= self.batch_size <= 2**20,
            "lr": self.lr > 0,
            "eps": self.eps >= 0,
            "weight_decay": self.weight_decay >= 0,
            "warmup": 0 <= self.warmup < 1,
            "decay_rate": 0 < self.decay_rate <= 1,
            "decay_epochs": self.decay_epochs > 0,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "crop": 0 <= self.crop < 1,
            "min_area": 0 < self.min_area <= 1,
            "min_side": 0 < self.min_side <= 1 and (self.min_side == 1 or self.auxiliary == 0),
            "branch_scale": 0 <= self.branch_scale <= 1,
            "ema": 0 <= self.ema < 1,
            "dropout": 0 <= self.dropout < 1,
            "drop_path": 0 <= self.drop_path < 1,
            "auxiliary": self.auxiliary >= 0,
            "bn_momentum": 0 < self.bn_momentum <= 1,
            "momentum": 0 <= self.momentum < 1,
            "mixup": self.mixup >= 0,
            "cutmix": self.cutmix >= 0,
            "clip": self.clip >= 0,
        }
        for name, holds in rules.items():
            if not holds:
                raise UsageError(
                    "A recipe has positive epochs, lr, bn_momentum, decay_rate, decay_epochs and min_area, "
                    "2 to 1048576 images a batch, momentum, warmup, crop, ema, dropout, drop_path and "
                    "label_smoothing in [0, 1), a branch_scale in [0, 1], a min_side in (0, 1], which is 1 beside "
                    "an auxiliary classifier, and no negative eps, weight_decay, mixup, cutmix, auxiliary or clip, "
                    f"but got {name}={getattr(self, name)}."
                )
        for name, known in (("schedule", SCHEDULES), ("layout", LAYOUTS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise UsageError(f"A recipe's {name} is one of {', '.join(known)}, but got {getattr(self, name)!r}.")

    def sets(self, names: Iterable[str]) -> list[str]:
        """Those of its fields that are set to something: neither to nothing nor to the whole.

        >>> Recipe(mixup=0.2, crop=0.0).sets(("mixup", "crop", "min_area"))
        ['mixup']
        """
        off = {"min_area": 1.0, "min_side": 1.0, "branch_scale": 1.0}
        return [name for name in names if getattr(self, name) != off.get(name, 0.0)]

    def batch_of(self, examples: int) -> int:
        """Examples a step, where there are so many in all."""
        return min(self.batch_size, examples)
