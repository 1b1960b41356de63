"""Weights that were trained elsewhere, brought into networks of the zoo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from paretonas.errors import ExportError, UsageError
from paretonas.space import Interface, spec_hash, spec_to_json
from paretonas.zoo import zoo, zoo_network

TIMM = (0.5, 0.5)
"""Mean and deviation of the pixels that timm's NASNet-A and PNASNet-5 were trained on, in every channel."""


def export_timm(name: str, weights: Path, format: str, output: Path | None) -> Path:
    """A published network of cells with timm's weights as a file.

    Args:
        name: In the zoo; where the weights are those of a variant, `NAME-large`, of that.
        weights: A .safetensors file of timm's.
        format: A registered export format.
        output: Where to; beside the working folder's other files as NAME and the format's suffix if None.

    Raises:
        UnknownNameError: No such network.
        UsageError: No network of cells, or a folder that does not exist.
        ExportError: They are not its weights.
    """
    from paretonas.export import formats
    from paretonas.network.timm_cells import CLASSIFIER, load_timm_weights, read_timm_weights

    tensors, chosen = read_timm_weights(weights), formats.create(format)
    path = output or Path(f"{name.partition(':')[0]}{chosen.suffix}")
    if not path.parent.exists():
        raise UsageError(f"A file is written to a folder that exists, but there is no {path.parent}.")
    variants = [name, *(other for other in zoo if other.startswith(f"{name}-"))]
    for variant in variants:
        spec, interface, network = _built(variant, len(tensors[f"{CLASSIFIER}.weight"]))
        try:
            load_timm_weights(network, tensors)
        except ExportError as error:
            if variant == variants[-1]:
                raise ExportError(f"{weights} does not fit {' or '.join(variants)}: {error}") from None
            continue
        metadata = _metadata(variant, spec, interface)
        chosen.write(network.eval(), spec, interface, path, metadata)
        break
    return path


def _built(name: str, classes: int) -> tuple[Any, Interface, Any]:
    """The spec with timm's padding, its interface, and the network."""
    from paretonas.network import build, builders
    from paretonas.network.cell import CellNetwork

    published = zoo_network(name)
    spec = published.spec()
    if builders.load(spec.kind) is not CellNetwork:
        raise UsageError(f"Weights of timm's are those of NASNet-A or PNASNet-5, but {name} is no network of cells.")
    spec = replace(spec, padding="same")  # type: ignore[type-var]
    interface = Interface.of_images(3, published.published_resolution, classes)
    return spec, interface, build(spec, interface)


def _metadata(name: str, spec: Any, interface: Interface) -> dict[str, Any]:
    from paretonas.task.metadata import ImageClasses

    classes = tuple(map(str, range(interface.classes)))
    told = ImageClasses.of(classes, 3, TIMM).to_json()
    return {**told, "network": name, "spec_hash": spec_hash(spec), "spec": spec_to_json(spec)}
