import pytest

from paretonas.errors import SpecError
from paretonas.space import ForeignSpec, Interface, spec_from_json, spec_hash, spec_to_json
from paretonas.space.detector import REGION_LEVELS, DetectorSpec, MergingCell, NeckSpec, RegionSpec
from paretonas.zoo import zoo_spec

BACKBONE = zoo_spec("mobilenet-v2", 0.25)
PAIR = (0, 1)
TWO_STAGES = {"head": "faster-rcnn", "neck": NeckSpec(8, REGION_LEVELS), "regions": RegionSpec()}
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


def test_proposals_are_as_many_as_the_spec_says():
    spec = DetectorSpec(BACKBONE, "faster-rcnn", NeckSpec(8, REGION_LEVELS), regions=RegionSpec(200, 50))
    interface = spec.usual_interface(3, 128, 20)
    assert {port.name: port.shape for port in interface.outputs} == {
        "logits": (1, 50, 21), "offsets": (1, 50, 84), "proposals": (1, 50, 4),
    }  # fmt: skip
    assert spec.sides(128) == (32, 16, 8, 4, 2)
    assert spec.candidates(128) == (200, 200, 192, 48, 12)
    with pytest.raises(SpecError, match="multiple of 64"):
        spec.usual_interface(3, 96, 20)
    few = DetectorSpec(BACKBONE, "faster-rcnn", NeckSpec(8, REGION_LEVELS), regions=RegionSpec(10, 50))
    with pytest.raises(SpecError, match=r"43 at most at 64 pixels, but got \(proposals=50\)"):
        few.usual_interface(3, 64, 20)


def test_a_network_of_a_task_has_proposals_of_its_own_number():
    spec = DetectorSpec(BACKBONE, **{**TWO_STAGES, "regions": RegionSpec(proposals=50)})
    of_task = DetectorSpec(BACKBONE, **TWO_STAGES).usual_interface(3, 128, 20)
    assert spec.with_state(of_task) == spec.usual_interface(3, 128, 20)
    for other in (Interface.of_images(3, 128, 20), DetectorSpec(BACKBONE, "ssdlite").usual_interface(3, 128, 20)):
        assert spec.with_state(other) == other
    assert DetectorSpec(BACKBONE, "ssdlite").with_state(of_task) == of_task


@pytest.mark.parametrize(
    ("name", "digest"),
    [("ssdlite", "1b5945ef6f30417e"), ("retinanet", "368bb1ea7d5021cd"), ("nas-fpn", "16c2e3afaed50927")],
)
def test_what_specs_got_later_changes_no_hash(name, digest):
    plain = spec_to_json(zoo_spec(name))
    assert "regions" not in plain
    assert "is_normalized" not in (plain["neck"] or {})
    assert spec_hash(zoo_spec(name)) == spec_hash(spec_from_json(plain)) == digest


def test_what_specs_got_later_is_written_where_it_is_said():
    spec = zoo_spec("faster-rcnn:normalized=false,box_filters=32")
    plain = spec_to_json(spec)
    assert plain["neck"]["is_normalized"] is False
    assert plain["regions"] == {"candidates": 200, "proposals": 100, "filters": 32}
    assert spec_from_json(plain) == spec
    assert spec_hash(spec) != spec_hash(zoo_spec("faster-rcnn:box_filters=32"))


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
        {**TWO_STAGES, "neck": None},
        {**TWO_STAGES, "neck": NeckSpec()},
        {**TWO_STAGES, "regions": None},
        {**TWO_STAGES, "head": "retinanet"},
        {**TWO_STAGES, "head": "ssdlite", "neck": None},
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


@pytest.mark.parametrize("name", ["candidates", "proposals", "filters"])
@pytest.mark.parametrize("number", [0, 10**6])
def test_regions_that_cannot_be_are_refused(name, number):
    with pytest.raises(SpecError, match=f"{name}={number}"):
        RegionSpec(**{name: number})


def test_parts_name_what_a_detector_consists_of():
    assert [part.name for part in DetectorSpec(ForeignSpec("timm:resnet18"), "ssdlite").parts()] == [
        "backbone",
        "levels",
        "heads",
    ]
    assert [part.name for part in zoo_spec("nas-fpn").parts()] == ["backbone", "neck", "heads"]
    assert [part.name for part in zoo_spec("faster-rcnn").parts()] == ["backbone", "neck", "regions", "boxes"]
