"""Models without a spec of ours: timm's, and factories of the user's own."""

from __future__ import annotations

import importlib

from torch import nn

from paretonas.errors import SpecError
from paretonas.space import ForeignSpec, Interface


def ForeignNetwork(spec: ForeignSpec, interface: Interface, dropout: float = 0.0) -> nn.Module:  # noqa: N802
    """The model with random weights.

    Args:
        spec: `timm:NAME` or `module:factory`; a factory is called with `num_classes` and `in_chans`.
        interface: Images in, logits out.
        dropout: Before the classifier; timm's only.

    Raises:
        SpecError: The source cannot be found or does not give a module.
    """
    model = _make(spec, interface.classes, interface.channels, dropout)
    strided = [m for m in model.modules() if isinstance(m, nn.Conv2d) and tuple(m.stride) == (2, 2)]
    if len(strided) < spec.strides_dropped:
        raise SpecError(
            f"`strides_dropped` is at most the number of convolutions with stride 2, but {spec.source!r} has "
            f"{len(strided)} and {spec.strides_dropped} are to be dropped."
        )
    for conv in strided[: spec.strides_dropped]:
        conv.stride = (1, 1)
    return model


def _make(spec: ForeignSpec, classes: int, channels: int, dropout: float) -> nn.Module:
    module, _, name = spec.source.partition(":")
    if module == "timm":
        import timm

        if not timm.is_model(name):
            raise SpecError(f"A model of timm's is one of timm.list_models(), but got {name!r}.")
        return timm.create_model(name, num_classes=classes, in_chans=channels, drop_rate=dropout)
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError) as error:  # TypeError: a relative name
        raise SpecError(f"A foreign model is an importable 'module:factory', but {spec.source!r}: {error}.") from None
    try:
        model = factory(num_classes=classes, in_chans=channels)
    except TypeError as error:
        raise SpecError(
            f"A factory is called with `num_classes` and `in_chans`, but {spec.source!r} does not take them: {error}."
        ) from error
    if not isinstance(model, nn.Module):
        raise SpecError(f"The factory {spec.source!r} returns a torch.nn.Module, but got {type(model).__name__}.")
    return model
