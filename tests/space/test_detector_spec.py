from random import Random

import pytest

from paretonas.errors import SpecError
from paretonas.space import ForeignSpec, spec_from_json, spec_hash, spec_to_json
from paretonas.space.detector import DetectorSpec, MergingCell, NeckSpec
from paretonas.space.detectors import SSDLiteSpace
from paretonas.space.mnasnet import MnasNetSpace
from paretonas.zoo import zoo_spec

BACKBONE = zoo_spec("mobilenet-v2", 0.25)
PAIR = (0, 1)
THREE = tuple(MergingCell(level, "sum", PAIR) for level in (3, 4, 5))


def test_a_spec_within_a_spec_is_read_as_it_was_written():
    spec = DetectorSpec(BACKBONE, "retinanet", NeckSpec(32, (3, 4, 5), THREE, stacks=2))
    plain = spec_to_json(spec)
    assert plain["kind"] == "detector"
    assert plain["backbone"]["kind"] == "mnasnet"
    assert spec_from_json(plain) == spec
    assert spec_hash(spec_from_json(plain)) == spec_hash(spec)
    with pytest.raises(SpecError, match="kind"):
        spec_from_json({**plain, "backbone": {"blocks": []}})


def test_anchors_are_counted_by_level():
    ssd = DetectorSpec(BACKBONE, "ssdlite").usual_interface(3, 320, 20)
    places = 20 * 20 + 10 * 10 + 5 * 5 + 3 * 3 + 2 * 2 + 1
    assert [port.shape for port in ssd.outputs] == [(1, 6 * places, 21), (1, 6 * places, 4)]
    retina = DetectorSpec(BACKBONE, "retinanet", NeckSpec()).usual_interface(3, 256, 20)
    with pytest.raises(SpecError, match="multiple of 128"):
        DetectorSpec(BACKBONE, "retinanet", NeckSpec()).usual_interface(3, 224, 20)
    places = 32 * 32 + 16 * 16 + 8 * 8 + 4 * 4 + 2 * 2
    assert [port.shape for port in retina.outputs] == [(1, 9 * places, 20), (1, 9 * places, 4)]


def test_a_wider_detector_has_a_wider_backbone_and_all_its_strides():
    spec = DetectorSpec(BACKBONE, "ssdlite")
    assert spec.scaled(2.0).backbone == BACKBONE.scaled(2.0)
    assert spec.scaled(resolution=64) == spec


@pytest.mark.parametrize(
    "wrong",
    [
        {"head": "yolo"},
        {"head": "retinanet"},
        {"head": "ssdlite", "neck": NeckSpec()},
        {"backbone": DetectorSpec(BACKBONE, "ssdlite"), "head": "ssdlite"},
        {"backbone": "mobilenet-v2", "head": "ssdlite"},
        {"head": "ssdlite", "last_filters": 0},
        {"head": "ssdlite", "head_layers": 17},
    ],
)
def test_a_detector_that_cannot_be_is_refused(wrong):
    with pytest.raises(SpecError):
        DetectorSpec(**{"backbone": BACKBONE, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"filters": 0},
        {"stacks": 0},
        {"stacks": 2},
        {"levels": (3,)},
        {"levels": (1, 2)},
        {"levels": (3, 5, 4)},
        {"levels": (3, 4, 5), "cells": THREE[:2]},
        {"levels": (3, 4, 5), "cells": (*THREE[:2], MergingCell(3, "sum", PAIR))},
        {"levels": (3, 4, 5), "cells": (MergingCell(3, "max", PAIR), *THREE[1:])},
        {"levels": (3, 4, 5), "cells": (MergingCell(3, "sum", (1, 0)), *THREE[1:])},
        {"levels": (3, 4, 5), "cells": (MergingCell(3, "sum", (0, 3)), *THREE[1:])},
        {"levels": (3, 4, 5), "cells": (MergingCell(3, "sum", (0, 1, 2)), *THREE[1:])},
    ],
)
def test_a_neck_that_cannot_be_is_refused(wrong):
    with pytest.raises(SpecError):
        NeckSpec(**wrong)


def test_mnasnet_for_detection_is_the_space_of_its_backbones():
    space, inner = SSDLiteSpace(320, 0.5).build(), MnasNetSpace(width=0.5).build()
    assert space.size == inner.size
    assert space.decode(space.sample(Random(0))).head == "ssdlite"
    with pytest.raises(SpecError, match="of detnas, elastic, mnasnet"):
        SSDLiteSpace(backbone="nasnet")


def test_parts_name_what_a_detector_consists_of():
    assert [part.name for part in DetectorSpec(ForeignSpec("timm:resnet18"), "ssdlite").parts()] == [
        "backbone",
        "levels",
        "heads",
    ]
    assert [part.name for part in zoo_spec("nas-fpn").parts()] == ["backbone", "neck", "heads"]
