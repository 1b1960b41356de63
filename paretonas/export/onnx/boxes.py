"""What comes after a detector, in ONNX's operators: decoding, thresholds, suppression class by class.

The order of work is torchvision's: the best candidates of each level (RetinaNet) or class (SSD), suppression among the
boxes of a class, the best of all that is left. Of a class no more than `most_boxes` boxes are asked for: of those kept
in the end none can lie behind so many of its own class.

Source: torchvision's `RetinaNet.postprocess_detections` and `SSD.postprocess_detections`.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from paretonas.errors import ExportError
from paretonas.export.boxes import Decoding, boxes_interface
from paretonas.export.onnx.graph import Graph, Value, stamped, whole
from paretonas.space import Interface
from paretonas.space.interface import Port

MODULE = "boxes"
"""Under which the nodes stand in a profile."""


def add_boxes(path: Path, decoding: Decoding) -> None:
    """Let a file that gives logits and offsets end in boxes; its batch is 1 then.

    Args:
        path: An ONNX file, replaced.
        decoding: What comes after its network.

    Raises:
        ExportError: It gives something else, or ONNX does not allow it.
    """
    network, after = onnx.load(path).graph, boxes_model(decoding).graph
    given, wanted = ([value.name for value in values] for values in (network.output, after.input))
    if given != wanted:
        raise ExportError(f"Boxes are made of the outputs {' and '.join(wanted)}, but got {', '.join(given)}.")
    graph = helper.make_graph(
        [*network.node, *after.node],
        network.name,
        network.input,
        after.output,
        [*network.initializer, *after.initializer],
    )
    for value in graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    model = stamped(graph)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"A file that ends in boxes is one that ONNX allows, but: {error}") from error
    onnx.save(model, path)


def boxes_model(decoding: Decoding) -> onnx.ModelProto:
    """What comes after the network, alone: (1, n, classes or one more) `logits` and (1, n, 4) `offsets` to boxes."""
    n, width = len(decoding.anchors), decoding.classes + (decoding.scores == "softmax")
    raw = Interface((Port("logits", (1, n, width)), Port("offsets", (1, n, 4))), (Port("any", (1,)),))
    interface, graph = boxes_interface(raw), Graph("boxes_")
    graph.module = MODULE
    logits = graph.add("Reshape", "logits", whole(n, width))
    offsets = graph.add("Reshape", "offsets", whole(n, 4))
    best = _best_of_levels if decoding.scores == "sigmoid" else _best_of_classes
    found = _suppress(graph, decoding, *best(graph, decoding, logits, offsets))
    ports = zip(interface.outputs, found, strict=True)
    model = graph.model(interface, [Value((None, *port.shape[1:]), port.dtype, name) for port, name in ports])
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    for value in model.graph.output:
        value.type.tensor_type.shape.dim[0].dim_param = "boxes"
    return model


def _best_of_levels(graph: Graph, decoding: Decoding, logits: str, offsets: str) -> tuple[str, str]:
    """Boxes (m, 4) and scores (classes, m), zero but for the class that makes a box a candidate."""
    scores, labels, anchors = list[str](), list[str](), list[str]()
    ends = list(accumulate(decoding.levels))
    for begin, end in zip([0, *ends], ends, strict=False):
        level = graph.add("Reshape", graph.add("Slice", logits, whole(begin), whole(end), whole(0)), whole(-1))
        most = min(decoding.candidates, (end - begin) * decoding.classes)
        best, places = graph.add_several("TopK", [level, whole(most)], {"axis": 0}, 2)
        scores.append(graph.add("Sigmoid", best))
        labels.append(graph.add("Mod", places, whole(decoding.classes)))
        anchors.append(graph.add("Add", graph.add("Div", places, whole(decoding.classes)), whole(begin)))
    score, label, anchor = (graph.add("Concat", *parts, axis=0) for parts in (scores, labels, anchors))
    is_own = graph.add("Equal", label, whole(*range(decoding.classes))[:, None])
    return _boxes(graph, decoding, offsets, anchor), graph.add("Where", is_own, score, 0.0)


def _best_of_classes(graph: Graph, decoding: Decoding, logits: str, offsets: str) -> tuple[str, str]:
    """Boxes (n, 4) and scores (classes, n), zero but for the candidates of a class."""
    shares = graph.add("Softmax", logits, axis=1)
    scores = graph.add("Transpose", graph.add("Slice", shares, whole(1), whole(decoding.classes + 1), whole(1)))
    if len(decoding.anchors) > decoding.candidates:
        best, places = graph.add_several("TopK", [scores, whole(decoding.candidates)], {"axis": 1}, 2)
        nothing = graph.add("ConstantOfShape", whole(decoding.classes, len(decoding.anchors)))
        scores = graph.add("ScatterElements", nothing, places, best, axis=1)
    return _boxes(graph, decoding, offsets, None), scores


def _boxes(graph: Graph, decoding: Decoding, offsets: str, chosen: str | None) -> str:
    """Offsets of anchors as boxes (m, 4) within the image, of those whose numbers are chosen, or of all."""
    sizes = decoding.anchors[:, 2:] - decoding.anchors[:, :2]
    centers = decoding.anchors[:, :2] + np.float32(0.5) * sizes
    own = [graph.weight(centers), graph.weight(sizes)]
    if chosen is not None:
        offsets, *own = (graph.add("Gather", x, chosen, axis=0) for x in (offsets, *own))
    weights = np.array(decoding.weights, np.float32)
    shift, growth = graph.add_several("Split", [offsets, whole(2, 2)], {"axis": 1}, 2)
    center = graph.add("Add", graph.add("Mul", graph.add("Div", shift, weights[:2]), own[1]), own[0])
    growth = graph.add("Min", graph.add("Div", growth, weights[2:]), decoding.most_growth)
    half = graph.add("Mul", graph.add("Mul", graph.add("Exp", growth), own[1]), 0.5)
    corners = graph.add("Concat", graph.add("Sub", center, half), graph.add("Add", center, half), axis=1)
    return graph.add("Clip", corners, 0.0, float(decoding.side))


def _suppress(graph: Graph, decoding: Decoding, boxes: str, scores: str) -> tuple[str, str, str]:
    """Boxes, labels and scores of what stays of each class's boxes, the best of all first."""
    kept = graph.add(
        "NonMaxSuppression",
        graph.add("Unsqueeze", boxes, whole(0)),
        graph.add("Unsqueeze", scores, whole(0)),
        whole(decoding.most_boxes),
        np.array([_as_bound(decoding.most_overlap)], np.float32),
        np.array([decoding.least_score], np.float32),
    )  # (k, 3): image, class, box
    pairs = graph.add("Slice", kept, whole(1), whole(3), whole(1))
    score = graph.add("GatherND", scores, pairs)
    most = graph.add("Min", graph.add("Shape", score), whole(decoding.most_boxes))
    best, places = graph.add_several("TopK", [score, most], {"axis": 0}, 2)
    chosen = graph.add("Gather", pairs, places, axis=0)
    label, box = graph.add_several("Split", [chosen, whole(1, 1)], {"axis": 1}, 2)
    numbers = graph.add("Squeeze", box, whole(1))
    return graph.add("Gather", boxes, numbers, axis=0), graph.add("Squeeze", label, whole(1)), best


def _as_bound(most: float) -> np.float32:
    """The float32 that the same float32 numbers exceed as exceed `most`: torchvision compares in 64 bits.

    >>> float(_as_bound(0.55)) < 0.55 < float(np.float32(0.55))
    True
    """
    bound = np.float32(most)
    return bound if float(bound) <= most else np.nextafter(bound, np.float32(0))
