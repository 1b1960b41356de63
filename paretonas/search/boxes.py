"""Between a detector's task, which knows what comes after its network, and a file that does it itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from paretonas.device import parse_device
from paretonas.errors import ExportError, UsageError
from paretonas.export import ModelFile, example_inputs
from paretonas.export.boxes import Decoding, boxes_interface
from paretonas.export.checkpoint import Checkpoint
from paretonas.export.export import in_evaluation, outputs_of
from paretonas.export.onnx.boxes import boxes_model
from paretonas.files import scratch_folder
from paretonas.space import Interface
from paretonas.task.detecting import Anchors, Found, read_boxes
from paretonas.task.metadata import Suppression

SCORES: Mapping[str, Literal["sigmoid", "softmax"]] = {"retinanet": "sigmoid", "ssdlite": "softmax"}
"""How detectors of one stage make scores of logits."""
PIXELS, SCORE = 0.1, 1e-3
"""By which a box of a file may differ from the network's own."""
MOST_ODD = 0.02
"""Share of boxes that may have none like them: close calls of suppression fall differently in another engine."""


def anchors_of(metadata: Mapping[str, Any], interface: Interface) -> Anchors:
    """Of a network by what its files say.

    Raises:
        UsageError: It is no detector of one stage.
    """
    if metadata.get("detector") not in SCORES:
        raise UsageError(
            f"Files that end in boxes are of detectors ({', '.join(SCORES)}), but got {metadata.get('detector')!r} of "
            f"the kind {metadata.get('kind')!r}. Export it without boxes=true."
        )
    return Anchors(metadata["detector"], interface.inputs[0].shape[-1], len(metadata["classes"]))


def decoding_of(anchors: Anchors) -> Decoding:
    """What torchvision does after the network, as arrays and numbers."""
    model, boxes = anchors.detector
    places = [side * side for side in anchors.sides]
    at_a_place = len(boxes) // sum(places)
    return Decoding(
        boxes.numpy(),
        tuple(at_a_place * n for n in places),
        tuple(map(float, model.box_coder.weights)),
        float(model.box_coder.bbox_xform_clip),
        anchors.resolution,
        anchors.classes,
        SCORES[anchors.head],
        model.topk_candidates,
        model.score_thresh,
        model.nms_thresh,
        model.detections_per_img,
    )


def suppression_of(decoding: Decoding) -> dict[str, Any]:
    """What a file says of it."""
    return asdict(Suppression(decoding.least_score, decoding.most_overlap, decoding.candidates, decoding.most_boxes))


def check_boxes(path: Path, trained: Checkpoint, anchors: Anchors) -> None:
    """Compare a file's boxes with torchvision's.

    They are those of noise; and, as a network may see little in that, what was added to it is fed made-up outputs with
    many boxes.

    Raises:
        ExportError: They differ in more than rounding.
    """
    runtime = parse_device("onnxruntime")
    with in_evaluation(trained.model), scratch_folder(path.parent) as passing:
        part, raw = passing / "part.onnx", trained.interface.outputs
        onnx.save(boxes_model(decoding_of(anchors)), part)
        files = [(path, trained.interface), (part, Interface(raw, raw))]
        for file, interface in files:
            run = runtime.open(ModelFile(file, boxes_interface(interface)))
            inputs = example_inputs(interface)
            outputs = outputs_of(trained.model, inputs) if file == path else inputs
            odd = disagreement(read_boxes(run(inputs), anchors.classes), anchors.found(*outputs)[0])
            if odd > MOST_ODD:
                raise ExportError(
                    f"The boxes of a file are those of its network, but {odd:.0%} have none like them within "
                    f"{PIXELS:g} pixels and {SCORE:g} in score. Please report this with the spec."
                )


def disagreement(found: Found, expected: Found) -> float:
    """The share of the boxes of both that have none like them among the other's, in [0, 1]."""
    far = np.abs(found.boxes[:, None] - expected.boxes[None]).max(-1, initial=0.0)
    apart = np.abs(found.scores[:, None] - expected.scores[None])
    are_alike = (found.labels[:, None] == expected.labels[None]) & (far <= PIXELS) & (apart <= SCORE)
    alone = np.concatenate([~are_alike.any(1), ~are_alike.any(0)])
    return float(alone.mean()) if len(alone) else 0.0
