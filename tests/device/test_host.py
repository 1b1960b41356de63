"""What a device answers to whoever asks."""

import hashlib
from dataclasses import asdict

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from paretonas.device.runner import host as module
from paretonas.device.runner.host import Host
from paretonas.device.runner.wire import Message
from paretonas.device.timing import Protocol

OPTIONS = {"engine": "onnxruntime", "options": {"threads": 1}}


def negating(path, weights=()):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    node = helper.make_node("Add", ["x", "w"], ["y"]) if weights else helper.make_node("Neg", ["x"], ["y"])
    graph = helper.make_graph([node], "test", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path.read_bytes()


def named(data, suffix="onnx"):
    return f"{hashlib.sha256(data).hexdigest()}.{suffix}"


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path / "device")


@pytest.fixture
def model(host, tmp_path):
    data = negating(tmp_path / "a.onnx")
    assert host.answer(Message({"ask": "has", "file": named(data)})).head == {"has": False}
    assert host.answer(Message({"ask": "put", "file": named(data)}, body=data)).head == {"has": True}
    assert host.answer(Message({"ask": "has", "file": named(data)})).head == {"has": True}
    return named(data)


def refusal(host, head, arrays=(), body=b""):
    return host.answer(Message(head, arrays, body)).head


def test_a_device_says_what_it_is(host):
    told = host.answer(Message({"ask": "identify", **OPTIONS})).head
    assert {type(told[name]) for name in ("version", "cpu", "machine")} == {str}


def test_a_file_that_was_put_runs(host, model):
    x = np.arange(4, dtype=np.float32)[None]
    (y,) = host.answer(Message({"ask": "run", **OPTIONS, "file": model}, (x,))).arrays
    np.testing.assert_array_equal(y, -x)


def test_two_files_are_measured_in_turn(host, model):
    protocol, x = Protocol(pairs=4, loads=2), np.zeros((1, 4), np.float32)
    asked = {"ask": "measure", **OPTIONS, "clock": "thread", "protocol": asdict(protocol), "inputs": 1}
    told = host.answer(Message({**asked, "candidate": model, "reference": model}, (x, x))).head
    assert {len(told["samples"][name]) for name in ("candidate_wall", "reference_cpu")} == {4}
    assert told["samples"]["loads"] == (2, 2)
    assert {"core", "load", "date", "celsius", "throttled"} <= set(told["conditions"])


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "a.onnx",
        "0" * 64,
        f"{'0' * 64}.sh",
        f"{'0' * 64}.onnx\n",
        f"{'A' * 64}.onnx",
        None,
        3,
        ["a"],
    ],
)
def test_a_file_has_no_name_but_that_of_its_contents(host, tmp_path, name):
    for asked in ("has", "put", "run"):
        told = refusal(host, {"ask": asked, **OPTIONS, "file": name})
        assert told["error"] == "MeasureError"
        assert "SHA256.SUFFIX" in told["text"]
    assert not (tmp_path / "device").exists()


@pytest.mark.parametrize("suffix", ["onnx", "tflite", "pte", "ncnn"])
@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\nrm -rf /\n", b"\x7fELF" + bytes(100)])
def test_what_is_no_model_is_not_kept(host, tmp_path, suffix, data):
    told = refusal(host, {"ask": "put", "file": named(data, suffix)}, body=data)
    assert told["error"] == "MeasureError"
    assert not list(tmp_path.rglob("*"))


def test_a_file_is_what_its_name_says(host, tmp_path):
    told = refusal(host, {"ask": "put", "file": f"{'0' * 64}.onnx"}, body=b"\x08model")
    assert "what came is not" in told["text"]


def test_weights_outside_of_the_file_are_not_read(host, tmp_path):
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="/etc/passwd")
    data = negating(tmp_path / "a.onnx", [weight])
    assert "lie in another file" in refusal(host, {"ask": "put", "file": named(data)}, body=data)["text"]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({}, "asked one of"),
        ({"ask": ["run"]}, "asked one of"),
        ({"ask": "delete"}, "asked one of"),
        ({"ask": "identify", "engine": "os"}, "An engine is one of"),
        ({"ask": "identify", "engine": None}, "`engine` is a text"),
        ({"ask": "run", "engine": "onnxruntime", "options": []}, "plain data"),
        ({"ask": "run", "engine": "onnxruntime", "options": {"threads": [1]}}, "plain data"),
        ({"ask": "run", "engine": "onnxruntime", "options": {}}, "cannot load"),
        ({"ask": "run", "engine": "onnxruntime", "options": {"threads": "x"}}, "cannot load"),
        ({"ask": "run", **OPTIONS}, "ONNX Runtime cannot run"),  # it is fed nothing
        ({"ask": "measure", **OPTIONS, "clock": "sun"}, "A clock is"),
        ({"ask": "measure", **OPTIONS, "clock": "wall", "protocol": {"pairs": 10**9}}, "pairs <= 100000"),
        ({"ask": "measure", **OPTIONS, "clock": "wall", "protocol": {"pears": 3}}, "A protocol has"),
        ({"ask": "measure", **OPTIONS, "clock": "wall", "protocol": 3}, "A protocol has"),
        ({"ask": "measure", **OPTIONS, "clock": "wall", "protocol": {}, "inputs": 3}, "`inputs` is how many"),
    ],
)
def test_what_cannot_be_is_refused(host, model, head, said):
    told = refusal(host, {**head, "file": model})
    assert said in told["text"]


@pytest.mark.parametrize("written", [b"\x0a\x08location", b"\x0a\x88\x00location"])
def test_however_a_place_is_written_it_is_seen(host, written):
    data = b"\x08\x0a" + written + b"\x12\x01x"
    assert "another file" in refusal(host, {"ask": "put", "file": named(data)}, body=data)["text"]


def test_a_file_that_is_not_there_is_not_run(host):
    assert "is not here" in refusal(host, {"ask": "run", **OPTIONS, "file": f"{'0' * 64}.onnx"})["text"]


def test_a_damaged_model_is_an_answer(host):
    data = b"\x08\x0a" + bytes(range(200))
    assert refusal(host, {"ask": "put", "file": named(data)}, body=data) == {"has": True}
    assert "cannot load" in refusal(host, {"ask": "run", **OPTIONS, "file": named(data)})["text"]


def test_a_full_disk_is_the_machines_fault(tmp_path):
    (tmp_path / "device").write_text("a file where the folder would be")
    data = b"\x08model"
    told = Host(tmp_path / "device").answer(Message({"ask": "put", "file": named(data)}, body=data)).head
    assert told["error"] == "MachineError"


def test_the_oldest_files_make_room(host, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 250)
    models = [b"\x08" + bytes([i]) * 99 for i in range(3)]
    for data in models:
        assert refusal(host, {"ask": "put", "file": named(data)}, body=data) == {"has": True}
        refusal(host, {"ask": "has", "file": named(models[0])})  # is used
    there = [refusal(host, {"ask": "has", "file": named(data)})["has"] for data in models]
    assert there == [True, False, True]
