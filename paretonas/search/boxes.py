"""Between a detector's task, which knows what comes after its network, and a file that does it itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from paretonas.device import parse_device
from paretonas.errors import ExportError, UsageError
from paretonas.export import ModelFile, example_inputs
from paretonas.export.boxes import Decoding
from paretonas.export.checkpoint import Checkpoint
from paretonas.export.onnx.boxes import boxes_model
from paretonas.files import scratch_folder
from paretonas.space import Interface
from paretonas.task.detecting import Anchors, read_boxes
from paretonas.task.found import Found
from paretonas.task.metadata import Suppression

SCORES: Mapping[str, Literal["sigmoid", "softmax"]] = {"retinanet": "sigmoid", "ssdlite": "softmax"}
"""How detectors of one stage make scores of logits."""
PIXELS, SCORE = 0.1, 1e-3
"""By which a box of a file may differ from the network's own."""
MOST_ODD = 0.02
"""Share of boxes that may have none like them: engines choose among equal scores as they like."""


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
    """Whether a file's boxes are those of its network.

    What comes after the network gives torchvision's boxes, of made-up outputs with many of them; the raw file gives the
    network's outputs; and the file gives what the two give one after the other. So no close call of suppression is
    judged on outputs that differ by the rounding of two engines.

    Raises:
        ExportError: They differ in more than rounding.
    """
    device, interface = parse_device("onnxruntime"), trained.interface
    with scratch_folder(path.parent) as passing:
        network = device.export(trained.model, trained.spec, interface, passing / "network")
        device.verify(trained.model, network)
        after = ModelFile(passing / "after.onnx", Interface(interface.outputs, interface.outputs))
        onnx.save(boxes_model(decoding_of(anchors)), after.path)
        run, images, outputs = device.open(after), example_inputs(interface), example_inputs(after.interface)
        whole, raw = device.open(replace(network, path=path)), device.open(network)
        _compare(read_boxes(run(outputs), anchors.classes), anchors.found(*outputs)[0])
        _compare(read_boxes(whole(images), anchors.classes), read_boxes(run(raw(images)), anchors.classes))


def _compare(found: Found, expected: Found) -> None:
    odd = disagreement(found, expected)
    if odd > MOST_ODD:
        raise ExportError(
            f"The boxes of a file are those of its network, but {odd:.0%} have none like them within {PIXELS:g} pixels "
            f"and {SCORE:g} in score. Please report this with the spec."
        )


def disagreement(found: Found, expected: Found) -> float:
    """The share of the boxes of both that have none like them among the other's, in [0, 1]."""
    far = np.abs(found.boxes[:, None] - expected.boxes[None]).max(-1, initial=0.0)
    apart = np.abs(found.scores[:, None] - expected.scores[None])
    are_alike = (found.labels[:, None] == expected.labels[None]) & (far <= PIXELS) & (apart <= SCORE)
    alone = np.concatenate([~are_alike.any(1), ~are_alike.any(0)])
    return float(alone.mean()) if len(alone) else 0.0
