"""Weights of timm's NASNet-A and PNASNet-5, brought into our networks.

Source: timm.models.nasnet and timm.models.pnasnet, whose modules are named after the cells' blocks; the order of blocks
and of their halves is that of the released cells, as ours in the zoo is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor, nn

from paretonas.errors import ExportError
from paretonas.network.cell import CellModule, CellNetwork, FactorizedReduction
from paretonas.network.weights import read_tensors

SEPARABLE = (
    "act_1", "separable_1.depthwise_conv2d", "separable_1.pointwise_conv2d", "bn_sep_1",
    "act_2", "separable_2.depthwise_conv2d", "separable_2.pointwise_conv2d", "bn_sep_2",
)  # fmt: skip
PLAIN = ("act", "conv", "bn")
"""What timm calls the layers of a separable and of a plain op, in the order of ours."""
CLASSIFIER = "last_linear"


def read_timm_weights(path: Path) -> dict[str, Tensor]:
    """What a file of timm's holds.

    Raises:
        ExportError: It cannot be read, or has no classifier.
    """
    try:
        weights, _ = read_tensors(path)
    except ValueError as error:
        raise ExportError(f"Weights of timm's are a .safetensors file, but {path} cannot be read: {error}") from None
    if getattr(weights.get(f"{CLASSIFIER}.weight"), "ndim", 0) != 2:
        raise ExportError(f"Weights of timm's nasnetalarge and pnasnet5large have a {CLASSIFIER}, but {path} has none.")
    return weights


def load_timm_weights(network: CellNetwork, weights: Mapping[str, Tensor]) -> None:
    """Load what timm's `nasnetalarge` or `pnasnet5large` calls its own.

    Args:
        network: Of the same cell and size; with the padding `same` it then gives the same outputs.
        weights: By timm's names.

    Raises:
        ExportError: They are not those of this network: names that lack, that are too many, or other shapes.
    """
    theirs = dict(timm_names(network, weights))
    own = network.state_dict()
    loaded = {}
    for name, tensor in own.items():
        given = weights.get(theirs.get(name, ""))
        if given is None and name.endswith("num_batches_tracked"):  # which counts nothing that is used
            given = tensor
        if given is None or given.shape != tensor.shape:
            got = "nothing" if given is None else tuple(given.shape)
            raise ExportError(
                f"Weights of timm's have for {theirs.get(name, name)} the shape {tuple(tensor.shape)}, but got {got}."
            )
        loaded[name] = given
    unused = set(weights) - set(theirs.values())
    if unused:
        raise ExportError(f"All weights of timm's are used, but {sorted(unused)[0]} belongs to another network.")
    network.load_state_dict(loaded)


def timm_names(network: CellNetwork, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Our name and timm's of every tensor."""
    stem = "conv0" if any(name.startswith("conv0.") for name in weights) else "conv_0"
    yield from _tensors(network.stem[0], "stem.0", f"{stem}.conv")
    yield from _tensors(network.stem[1], "stem.1", f"{stem}.bn")
    for i, (cell, name) in enumerate(zip(network.cells, _cell_names(network), strict=True)):
        assert isinstance(cell, CellModule)
        yield from _of_cell(cell, f"cells.{i}", name, stem == "conv_0")
    yield from _tensors(network.classifier, "classifier", CLASSIFIER)


def _cell_names(network: CellNetwork) -> Iterator[str]:
    """`cell_stem_0`, `cell_0`, `reduction_cell_0`, …: each counted by itself."""
    counts = {"cell": 0, "reduction_cell": 0}
    for i, is_inserted in enumerate(network.is_inserted):
        if i < 2:
            yield f"cell_stem_{i}"
            continue
        kind = "reduction_cell" if is_inserted else "cell"
        yield f"{kind}_{counts[kind]}"
        counts[kind] += 1


def _of_cell(cell: CellModule, own: str, theirs: str, is_nested: bool) -> Iterator[tuple[str, str]]:
    """Where `is_nested`, a factorized reduction is a module of its own, as in PNASNet, and not part of the cell."""
    yield from _layers(cell.current, f"{own}.current", f"{theirs}.conv_1x1", PLAIN)
    reduction = cell.previous[1] if isinstance(cell.previous, nn.Sequential) else None
    if isinstance(reduction, FactorizedReduction):
        prefix = f"{theirs}.conv_prev_1x1" if is_nested else theirs
        for name, other in (("straight", "path_1.conv"), ("shifted", "path_2.conv"), ("norm", "final_path_bn")):
            yield from _tensors(getattr(reduction, name), f"{own}.previous.1.{name}", f"{prefix}.{other}")
    elif reduction is not None:
        yield from _layers(cell.previous, f"{own}.previous", f"{theirs}.conv_prev_1x1", PLAIN)
    for i, op in enumerate(cell.ops):
        name = f"{theirs}.comb_iter_{i // 2}_{('left', 'right')[i % 2]}"
        yield from _layers(op, f"{own}.ops.{i}", name, SEPARABLE if _length(op) == len(SEPARABLE) else PLAIN)


def _length(op: nn.Module) -> int:
    return len(op) if isinstance(op, nn.Sequential) else 0


def _layers(op: nn.Module, own: str, theirs: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, layer in op.named_children():
        if re.fullmatch(r"\d+", name):
            yield from _tensors(layer, f"{own}.{name}", f"{theirs}.{names[int(name)]}")


def _tensors(layer: nn.Module, own: str, theirs: str) -> Iterator[tuple[str, str]]:
    for name in layer.state_dict():
        yield f"{own}.{name}", f"{theirs}.{name}"
