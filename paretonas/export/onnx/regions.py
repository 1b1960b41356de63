"""How a detector of two stages chooses regions, and what it takes of each: as functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx import TensorProto

from paretonas.export.onnx.graph import Graph, Value, whole
from paretonas.network.faster_rcnn import SAMPLES, SIDE, aligned
from paretonas.network.regions import anchors_at, best, rows


def _aligned(graph: Graph, features: Value, regions: Value) -> str:
    number = graph.add("Squeeze", graph.add("Slice", regions, whole(0), whole(1), whole(1)), whole(1))
    return graph.add(
        "RoiAlign",
        features,
        graph.add("Slice", regions, whole(1), whole(5), whole(1)),
        graph.add("Cast", number, to=TensorProto.INT64),
        output_height=SIDE,
        output_width=SIDE,
        sampling_ratio=SAMPLES,
        coordinate_transformation_mode="half_pixel",
    )


def _anchors_at(graph: Graph, anchors: Value, places: Value) -> str:
    return graph.add("Gather", anchors, places)


def _best(graph: Graph, scores: Value, count: int) -> tuple[str, ...]:
    return graph.add_top(scores, count, 1)


def _rows(graph: Graph, x: Value, places: Value) -> str:
    return graph.add("GatherND", x, graph.add("Unsqueeze", places, whole(2)), batch_dims=1)


REGION_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    aligned: _aligned,
    anchors_at: _anchors_at,
    best: _best,
    rows: _rows,
}
