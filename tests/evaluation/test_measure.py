"""Timing of any model, as a whole and block by block; real engines and profilers, but a calm machine."""

import json
import tempfile
from dataclasses import asdict, replace
from math import fsum

import pytest
import torch

from paretonas.device import Device, parse_device
from paretonas.errors import DeviceError, SpecError, StoreError, UnknownNameError, UsageError
from paretonas.evaluation.latencies import RECORD
from paretonas.evaluation.measure import Subject, measure_as_app, measure_blocks, measure_model, spec_blocks
from paretonas.export import formats
from paretonas.latency import Latency
from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.search.boxes import decoding_of, suppression_of
from paretonas.space import ForeignSpec, Interface, spec_to_json
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.store import Store
from paretonas.task.detecting import Anchors
from paretonas.zoo import zoo_spec

PARTS = ["stem", *(f"block{i}" for i in range(1, 8)), "head", "classifier"]
HALF = Subject("mobilenet-v2", 0.5, 32, classes=10, is_small_image=True)
TINY = MnasNetSpec((BlockSpec("mbconv", 3, 8, 1, 2, 3),), stem_filters=8, head_filters=16)


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    """Keep out of the way of real measurements on this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def cache():
    return Store("sqlite://")


class Calm:
    """In the place of the device's measuring, as the machine may be busy: counts, and flags what it is told to."""

    def __init__(self):
        self.count, self.calibrations, self.flags = 0, 0, ()

    def measure(self, candidate, folder, calibrated, protocol):
        latency = Latency((0.02,) * 2, (0.02,) * 2, (0.01,) * 2, (0.01,) * 2, 0.003, flags=self.flags)
        if calibrated is None:
            self.calibrations += 1
            return replace(latency, calibrated=0.003, flags=())
        assert calibrated == 0.015  # the median of the runs of the reference, as `measure` gave them
        assert protocol == RECORD
        self.count += 1
        return latency


@pytest.fixture
def calm(monkeypatch):
    calm = Calm()
    monkeypatch.setattr(Device, "measure", lambda self, *arguments: calm.measure(*arguments))
    return calm


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(spec_to_json(TINY)), encoding="utf-8")
    return str(path)


# Subjects


def test_a_subject_is_a_network_of_the_zoo_a_spec_or_a_file(tiny):
    assert Subject("mobilenet-v2").network() == (zoo_spec("mobilenet-v2"), Interface.of_images(3, 224, 1000))
    assert Subject("ssdlite").network()[1] == zoo_spec("ssdlite").usual_interface(3, 320, 90)
    assert HALF.network() == (zoo_spec("mobilenet-v2", 0.5, 32), Interface.of_images(3, 32, 10))
    large = replace(HALF, is_small_image=False)
    assert large.network()[0] == zoo_spec("mobilenet-v2", 0.5)  # its published strides
    spec = Subject(tiny, 2.0, 16, classes=5, channels=1)
    assert spec.network() == (TINY.scaled(2.0), Interface.of_images(1, 16, 5))
    assert [Subject(name).is_file for name in ("m.onnx", "m.safetensors", tiny, "mobilenet-v2")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_subject_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="'mobilenet-v2'"):
        Subject("mobilenet-v").network()
    with pytest.raises(SpecError, match="A spec is a JSON file"):
        Subject(str(tmp_path / "absent.json")).network()


# As a whole


@pytest.mark.parametrize("device", ["onnxruntime", "torch"])
def test_a_measured_model_says_all_of_its_measurement(tmp_path, cache, calm, device):
    found = measure_model(HALF, device, cache, tmp_path)
    assert found["latency_ms"] == pytest.approx(6.0)
    assert (found["model"], found["ratio"], found["spread"], found["clock"]) == ("mobilenet-v2", 2.0, 0.0, "thread")
    assert (found["pairs"], found["loads"], found["flags"], found["attempts"]) == (2, 1, [], 1)
    assert found["samples"]["candidate_wall"] == (0.02, 0.02)
    assert found["reference"] == {
        "name": "mobilenet-v2",
        "width": 0.5,
        "inputs": asdict(HALF.network()[1])["inputs"],
        "latency_ms": pytest.approx(3.0),
    }
    assert calm.calibrations == 3
    measure_model(HALF, device, cache, tmp_path)
    assert (calm.count, calm.calibrations) == (2, 3)  # the headline is never taken from the cache


@pytest.mark.parametrize("device", ["onnxruntime", "torch"])
def test_a_measured_file_knows_its_own_interface(tmp_path, cache, calm, device):
    interface = Interface.of_images(1, 16, 7)
    torch.manual_seed(0)
    file = parse_device(device).export(build(TINY, interface), TINY, interface, tmp_path / "model")
    found = measure_model(Subject(str(file.path)), device, cache, tmp_path)
    assert found["model"] == str(file.path)
    assert found["reference"]["inputs"] == asdict(interface)["inputs"]


def test_a_model_is_run_as_an_app_does(tmp_path):
    subject = Subject("mobilenet-v2", width=0.25, resolution=32, classes=10)
    found = measure_as_app(subject, "onnxruntime", tmp_path, runs=11, every=0.01)
    assert len(found["wall"]) == 11
    assert 0 < found["fastest_ms"] <= found["median_ms"] <= found["p90_ms"] <= max(found["wall"]) * 1e3
    assert found["p90_ms"] == pytest.approx(sorted(found["wall"])[9] * 1e3)
    assert 10 < found["rss_before_mb"] <= found["rss_mb"] < 1000
    assert found["every_ms"] == 10
    assert found["throttled"] in ("yes", "no", "unknown")
    assert found["conditions"]["core"] is None
    assert not list(tmp_path.iterdir())


def test_a_runtime_that_cannot_be_alone_is_not_run_as_an_app_does(tmp_path):
    with pytest.raises(DeviceError, match="TorchRuntime runs only within paretonas"):
        measure_as_app(Subject("mobilenet-v2", width=0.25, resolution=32), "torch", tmp_path, 3, 0.0)


def test_a_file_that_ends_in_boxes_says_how_many_it_sees_in_noise(tmp_path, cache, calm):
    spec = zoo_spec("ssdlite:backbone=mobilenet-v2,width=0.25,last_filters=32")
    interface, decoding = spec.usual_interface(3, 64, 2), decoding_of(Anchors("ssdlite", 64, 2))
    torch.manual_seed(0)
    file, chosen = tmp_path / "m.onnx", formats.create("onnx:boxes=true")
    chosen.write(build(spec, interface), spec, interface, file, {"suppression": suppression_of(decoding)}, decoding)
    found = measure_model(Subject(str(file)), "onnxruntime", cache, tmp_path)
    assert found["boxes"] == 100  # an untrained one is sure of nothing, and so of everything a little
    assert found["reference"]["inputs"] == asdict(interface)["inputs"]
    assert calm.count == 1
    assert "boxes" not in measure_model(HALF, "onnxruntime", cache, tmp_path)


def test_a_file_that_the_runtime_does_not_take_is_refused(tmp_path, cache):
    with pytest.raises(UsageError, match="A model is a file that exists"):
        measure_model(Subject(str(tmp_path / "absent.onnx")), "onnxruntime", cache, tmp_path)
    for name in ("m.safetensors", "m.pth", "m.tflite", "m"):
        (tmp_path / name).touch()
        with pytest.raises(UsageError, match=rf"takes \.onnx files, but got '{name}'"):
            measure_model(Subject(str(tmp_path / name)), "onnxruntime", cache, tmp_path)
    with pytest.raises(DeviceError):
        measure_model(HALF, "abacus", cache, tmp_path)


# Block by block


@pytest.mark.parametrize("device", ["onnxruntime", "torch"])
def test_measured_blocks_add_up_to_the_headline_and_the_macs(tmp_path, cache, calm, device):
    state = torch.get_rng_state()
    found = measure_blocks(HALF, device, cache, tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    spec, interface = HALF.network()
    cost = spec_cost(spec, interface)
    rows = found["blocks"]
    assert [row["name"] for row in rows] == PARTS
    assert found["latency_ms"] == pytest.approx(6.0)
    assert fsum(row["latency_ms"] for row in rows) == pytest.approx(found["latency_ms"], rel=1e-12)
    assert fsum(row["share"] for row in rows) == pytest.approx(1.0, rel=1e-12)
    assert sum(row["macs"] for row in rows) == cost.macs
    assert fsum(row["macs_share"] for row in rows) == pytest.approx(1.0, rel=1e-12)
    assert rows[3]["macs"] == cost.by_module["blocks.2"][1]
    assert rows[3]["ms_per_mmac"] == pytest.approx(rows[3]["latency_ms"] / (rows[3]["macs"] / 1e6))
    assert (found["spec"], found["interface"]) == (spec_to_json(spec), asdict(interface))
    assert len(found["profile"]["operations"][0]["seconds"]) == 50 == len(found["profile"]["overhead"])

    again = measure_blocks(HALF, device, cache, tmp_path)
    assert json.dumps(again) == json.dumps(found)
    assert spec_blocks(spec, interface, parse_device(device), cache, tmp_path) == rows
    assert calm.count == 1  # taken once
    measure_blocks(replace(HALF, classes=11), device, cache, tmp_path)
    assert calm.count == 2  # another network


def test_blocks_of_a_spec_are_measured_at_any_width(tmp_path, cache, calm, tiny):
    found = measure_blocks(Subject(tiny, 2.0, 16, classes=5, channels=1), "onnxruntime", cache, tmp_path)
    assert found["spec"] == spec_to_json(TINY.scaled(2.0))
    assert [row["name"] for row in found["blocks"]] == ["stem", "block1", "head", "classifier"]
    expected = spec_cost(TINY.scaled(2.0), Interface.of_images(1, 16, 5)).macs
    assert sum(row["macs"] for row in found["blocks"]) == expected


def test_blocks_timed_on_a_busy_machine_are_timed_again(tmp_path, cache, calm, tiny):
    subject = Subject(tiny, resolution=16)
    calm.flags = ("preempted",)
    for count in (1, 2):
        found = measure_blocks(subject, "onnxruntime", cache, tmp_path)
        assert (calm.count, found["flags"]) == (count, ["preempted"])
    calm.flags = ()
    for _ in range(2):
        assert measure_blocks(subject, "onnxruntime", cache, tmp_path)["flags"] == []
    assert calm.count == 3


@pytest.mark.parametrize("damage", [{"operations": []}, {"overhead": [0.0]}, {"operations": "none"}, {"more": 1}])
def test_a_damaged_profile_in_the_cache_is_a_store_error(tmp_path, cache, calm, tiny, damage):
    subject = Subject(tiny, resolution=16)
    measure_blocks(subject, "onnxruntime", cache, tmp_path)
    ((key, whole),) = cache.evaluations("profile")
    cache.put("profile", key, {**whole, "profile": {**whole["profile"], **damage}})
    with pytest.raises(StoreError, match="stored profile holds the times of every run"):
        measure_blocks(subject, "onnxruntime", cache, tmp_path)


def test_a_damaged_latency_in_the_cache_is_a_store_error(tmp_path, cache, calm, tiny):
    subject = Subject(tiny, resolution=16)
    measure_blocks(subject, "onnxruntime", cache, tmp_path)
    ((key, whole),) = cache.evaluations("profile")
    cache.put("profile", key, {"profile": whole["profile"]})
    with pytest.raises(StoreError, match="A stored latency holds its raw samples"):
        measure_blocks(subject, "onnxruntime", cache, tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_a_file_has_no_blocks(tmp_path, cache, name):
    with pytest.raises(UsageError, match=rf"of a spec \(.json\) or of a network of the zoo, .*{name}"):
        measure_blocks(Subject(name), "onnxruntime", cache, tmp_path)


@pytest.mark.parametrize("device", ["torch", pytest.param("onnxruntime", marks=pytest.mark.slow)])  # a slow exporter
def test_blocks_of_a_foreign_model_are_its_top_modules(tmp_path, cache, calm, device):
    spec = ForeignSpec("timm:mobilenetv3_small_050")
    (tmp_path / "spec.json").write_text(json.dumps(spec_to_json(spec)), encoding="utf-8")
    subject = Subject(str(tmp_path / "spec.json"), resolution=64, classes=10)
    found = measure_blocks(subject, device, cache, tmp_path)
    shares = {row["name"]: row["share"] for row in found["blocks"]}
    assert list(shares) == ["conv_stem", "blocks", "conv_head", "classifier"]
    assert 0.5 < shares["blocks"] < 1
    assert all(0 < share < 0.5 for name, share in shares.items() if name != "blocks")
    assert fsum(row["macs_share"] for row in found["blocks"]) == pytest.approx(1.0, rel=1e-12)
    assert fsum(row["latency_ms"] for row in found["blocks"]) == pytest.approx(6.0, rel=1e-12)
