"""Models without a spec of ours: timm's, torchvision's, and factories of the user's own."""

from __future__ import annotations

import inspect
from contextlib import suppress

import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.registry import blamed
from paretonas.space import ForeignSpec, Interface
from paretonas.space.trust import TIMM, TORCHVISION, load_source

WITH_AUXILIARY = ("googlenet", "inception_v3")
"""Models of torchvision's that give other outputs in training, unless they are told not to."""


def ForeignNetwork(spec: ForeignSpec, interface: Interface, dropout: float = 0.0) -> nn.Module:  # noqa: N802
    """The model with random weights.

    Args:
        spec: `timm:NAME`, `torchvision:NAME`, or `module:factory`, which is called with `num_classes` and `in_chans`.
        interface: Images in, logits out.
        dropout: Before the classifier; timm's only.

    Raises:
        SpecError: The source is not trusted, cannot be found or does not give a module.
    """
    module, _, name = spec.source.partition(":")
    if module == TIMM:
        model = _timm_model(name, interface, dropout)
    else:
        model = _torchvision_model(name, interface) if module == TORCHVISION else _own_model(spec.source, interface)
    strided = [m for m in model.modules() if isinstance(m, nn.Conv2d) and tuple(m.stride) == (2, 2)]
    if len(strided) < spec.strides_dropped:
        raise SpecError(
            f"`strides_dropped` is at most the number of convolutions with stride 2, but {spec.source!r} has "
            f"{len(strided)} and {spec.strides_dropped} are to be dropped."
        )
    for conv in strided[: spec.strides_dropped]:
        conv.stride = (1, 1)
    return model


def _check_timm(name: str) -> None:
    import timm

    if not timm.is_model(name):
        raise SpecError(f"A model of timm's is one of timm.list_models(), but got {name!r}.")


def _timm_model(name: str, interface: Interface, dropout: float) -> nn.Module:
    import timm

    _check_timm(name)
    return timm.create_model(name, num_classes=interface.classes, in_chans=interface.channels, drop_rate=dropout)


def _torchvision_model(name: str, interface: Interface) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise SpecError(f"A classifier of torchvision's is one of {', '.join(known)}, but got {name!r}.")
    if interface.channels != 3:
        raise SpecError(f"Models of torchvision's are fed images of 3 channels, but got {interface.channels}.")
    given = {"aux_logits": False, "init_weights": True} if name in WITH_AUXILIARY else {}
    model: nn.Module = models.get_model(name, weights=None, num_classes=interface.classes, **given)
    return model


def timm_features(name: str, channels: int) -> nn.Module:
    """A model of timm's that gives the features at the ends of its stages, with random weights.

    Raises:
        SpecError: timm has none of that name, or it does not give features.
    """
    import timm

    _check_timm(name)
    with blamed(f"timm's {name!r} does not give the features of its stages", SpecError):
        model: nn.Module = timm.create_model(name, features_only=True, in_chans=channels)
    return model


def _own_model(source: str, interface: Interface) -> nn.Module:
    """What a factory of the user's gives; on the CPU, as it may compute with what it makes."""
    factory, options = load_source(source), {"num_classes": interface.classes, "in_chans": interface.channels}
    try:
        with suppress(ValueError):  # nobody knows what it takes
            inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise SpecError(
            f"A factory is called with `num_classes` and `in_chans`, but {source!r} does not take them: {error}."
        ) from error
    with torch.device("cpu"), blamed(f"A factory returns a torch.nn.Module, but {source!r} failed", SpecError):
        model = factory(**options)
    if not isinstance(model, nn.Module):
        raise SpecError(f"The factory {source!r} returns a torch.nn.Module, but got {type(model).__name__}.")
    return model
