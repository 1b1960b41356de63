"""Recipes: how a network is trained, as data."""

from __future__ import annotations

from dataclasses import dataclass

from paretonas.errors import UsageError


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
        weight_decay: Of all weights but biases and normalization.
        warmup: Share of the steps over which the learning rate rises from 0; it then falls to 0 along a cosine.
        label_smoothing: In [0, 1).
        crop: Padding around the image, as a share of its side, before a random crop of the old size.
        is_flipped: Whether images are mirrored at random (never done where the data set says it does harm).
        mixup: timm's alpha; 0 is off.
        cutmix: timm's alpha; 0 is off.
        ema: Decay of the weights' moving average, which is what is scored; 0 is off.
        dropout: Before the classifier.
        bn_momentum: PyTorch's momentum of the normalization statistics.
        clip: Largest norm of the gradient; 0 is off.

    Raises:
        UsageError: A value out of range.
    """

    about: str = ""
    epochs: float = 2.0
    batch_size: int = 128
    optimizer: str = "nesterov"
    lr: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-5
    warmup: float = 0.1
    label_smoothing: float = 0.0
    crop: float = 0.125
    is_flipped: bool = True
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    dropout: float = 0.0
    bn_momentum: float = 0.1
    clip: float = 5.0

    def __post_init__(self) -> None:
        rules = {
            "epochs": self.epochs > 0,
            "batch_size": self.batch_size >= 2,
            "lr": self.lr > 0,
            "weight_decay": self.weight_decay >= 0,
            "warmup": 0 <= self.warmup < 1,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "crop": 0 <= self.crop < 1,
            "ema": 0 <= self.ema < 1,
            "dropout": 0 <= self.dropout < 1,
            "bn_momentum": 0 < self.bn_momentum <= 1,
            "momentum": 0 <= self.momentum < 1,
            "mixup": self.mixup >= 0,
            "cutmix": self.cutmix >= 0,
            "clip": self.clip >= 0,
        }
        for name, holds in rules.items():
            if not holds:
                raise UsageError(
                    "A recipe has positive epochs, lr and bn_momentum, 2 or more images a batch, momentum, warmup, "
                    "crop, ema, dropout and label_smoothing in [0, 1), and no negative weight_decay, mixup, cutmix or "
                    f"clip, but got {name}={getattr(self, name)}."
                )


SEARCH = Recipe(
    about="Short proxy for the search: few epochs, cosine with warm-up, no regularization to speak of",
    epochs=2,
    batch_size=64,
    lr=0.3,
    warmup=0.2,
    crop=0.0,
)

SMALL_IMAGE = Recipe(
    about="Final training of images of 32 to 96 pixels",
    epochs=60,
    weight_decay=2e-4,
    warmup=0.05,
    label_smoothing=0.1,
    mixup=0.2,
    cutmix=0.0,
    ema=0.999,
    dropout=0.2,
)
