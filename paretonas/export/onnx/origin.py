"""Where the nodes of an ONNX file come from."""

from __future__ import annotations

import ast
from pathlib import Path

import onnx


def modules_of_nodes(path: Path) -> dict[str, str]:
    """The dotted path of the module behind every node of a file, by the node's name and by its outputs' names.

    Nodes that PyTorch's exporter wrote carry their modules as metadata; a folded normalization stands for the
    convolution before it. A node of unknown origin is left out; one of the model itself has the path "".
    """
    found: dict[str, str] = {}
    graph = onnx.load(path, load_external_data=False).graph
    for node in graph.node:
        scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), None)
        if scopes is not None:
            module = _innermost(scopes)
        else:
            module = node.name.rpartition("/")[0] if "/" in node.name else None
        if module is not None:
            found |= dict.fromkeys(filter(None, (node.name, *node.output)), module)
    return found


def _innermost(scopes: str) -> str | None:
    """The module of PyTorch's list of scopes, whose last entry is the operation.

    >>> _innermost("['', 'blocks', 'blocks.0', 'relu_1']")
    'blocks.0'
    """
    try:
        names = ast.literal_eval(scopes)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # whatever a stranger's file says
        return None
    return str(names[-2]) if isinstance(names, list) and len(names) > 1 else None
