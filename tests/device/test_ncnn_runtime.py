"""What the contract does not ask of it: what it is fed, files that are none or lie, and an absent package."""

import json
import os
import re
import sys
import time
import zipfile
from dataclasses import asdict

import numpy as np
import pytest

from paretonas.device import runtimes
from paretonas.device.engine import ncnn as engine
from paretonas.device.runtime.ncnn import Ncnn
from paretonas.errors import DeviceError, MeasureError, MissingPackageError
from paretonas.export.ncnn import METADATA, PARAM, WEIGHTS
from paretonas.space import Interface
from paretonas.space.interface import Port

INTERFACE = Interface((Port("images", (1, 2, 3, 4)), Port("word", (1,), "int64")), (Port("y", (1, 2, 3, 4)),))
LAYERS = """\
7767517
6 7
Input      in0    0 1 in0
Input      in1    0 1 in1
Embed      embed  1 1 in1 0 0=24 1=5 2=0 3=120
Reshape    shape  1 1 0 1 0=4 1=3 2=2
BinaryOp   add    2 1 in0 1 2 0=0
Split      split  1 2 2 out0 3
"""
"""A word finds its row of a table, which is added to images."""
TABLE = np.arange(120, dtype=np.float32).reshape(5, 24)


@pytest.fixture
def file(tmp_path):
    return written(tmp_path / "model.ncnn")


def written(path, layers=LAYERS, weights=None, **options):
    """A file as paretonas writes it."""
    weights = b"\0\0\0\0" + TABLE.tobytes() if weights is None else weights
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr(PARAM, layers)
        archive.writestr(WEIGHTS, weights)
        archive.writestr(METADATA, json.dumps({"interface": asdict(INTERFACE), "info": {}}))
    return path


def fed(word=2, number=1.0):
    return np.full((1, 2, 3, 4), number, np.float32), np.array([word])


def test_options_are_conditions():
    assert (Ncnn().clock, runtimes.create("ncnn:threads=2").clock) == ("thread", "wall")
    with pytest.raises(DeviceError, match=r"1 <= threads <= 1024.*threads=0"):
        Ncnn(threads=0)


def test_inputs_have_the_order_of_the_interface_and_outputs_are_copies(file):
    assert Ncnn().interface(file) == INTERFACE
    run = Ncnn().load(file)
    (first,) = run(fed())
    (other,) = run(fed(3, 5.0))
    np.testing.assert_array_equal(first, TABLE[2].reshape(1, 2, 3, 4) + 1)
    np.testing.assert_array_equal(other, TABLE[3].reshape(1, 2, 3, 4) + 5)
    assert first.flags.writeable


def test_what_works_in_place_leaves_inputs_alone(tmp_path):
    layers = LAYERS.replace("BinaryOp   add    2 1 in0 1 2 0=0", "ReLU       relu   1 1 in0 2")
    run = Ncnn().load(written(tmp_path / "model.ncnn", layers))
    inputs = fed(number=-1.0)
    (output,) = run(inputs)
    np.testing.assert_array_equal(inputs[0], fed(number=-1.0)[0])
    np.testing.assert_array_equal(output, np.zeros((1, 2, 3, 4)))


def test_one_thread_computes_in_the_thread_that_calls(file):
    """What computes elsewhere would not count on that clock."""
    run = Ncnn().load(file)
    run(fed())
    thread, process = time.thread_time(), time.process_time()
    for _ in range(1000):
        run(fed())
    assert time.thread_time() - thread > 0.8 * (time.process_time() - process)


@pytest.mark.parametrize(
    "inputs",
    [(), fed()[:1], fed()[::-1], (fed()[0][:, :1], fed()[1]), (fed()[0].astype(float), fed()[1])],
)
def test_what_a_network_does_not_take_is_refused(file, inputs):
    """ncnn would read beyond the end of it."""
    run = Ncnn().load(file)
    with pytest.raises(MeasureError, match=r"cannot run .*model\.ncnn: it takes .* but got"):
        run(inputs)
    assert run(fed())[0].shape == (1, 2, 3, 4)


def test_an_output_of_another_shape_is_refused(tmp_path):
    path = written(tmp_path / "model.ncnn", LAYERS.replace("2 1 in0 1 2 0=0", "2 1 in1 in1 2 0=0"))
    with pytest.raises(MeasureError, match=r"cannot run .*model\.ncnn: it gives \(1,\) as out0, not \(1, 2, 3, 4\)"):
        Ncnn().load(path)(fed())


READS = pytest.mark.parametrize("read", [Ncnn().load, Ncnn().interface])


@READS
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("compressed", "not compressed, but has"),
        ("more", "is a zip of .param, .bin, .json, one of each .*but has"),
        ("fewer", "is a zip of .param, .bin, .json, one of each .*but has"),
        ("renamed", "is a zip of .param, .bin, .json, one of each .*but has"),
        ("damaged", "Bad CRC-32"),
        ("pipe", "no regular file"),
        ("onnx", "not a zip file"),
    ],
)
def test_what_is_no_file_of_ours_is_refused(tmp_path, fault, said, read):
    path = tmp_path / "model.ncnn"
    if fault == "pipe":
        os.mkfifo(path)
    elif fault == "onnx":
        path.write_bytes(b"\x08\x07\x12\x00" * 9)
    else:
        written(path, compression=zipfile.ZIP_DEFLATED if fault == "compressed" else zipfile.ZIP_STORED)
    if fault == "more":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("../more", "")
    if fault == "damaged":
        path.write_bytes(path.read_bytes().replace(TABLE[3].tobytes(), TABLE[4].tobytes()))
    if fault in ("fewer", "renamed"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(METADATA, "{}")
            if fault == "renamed":
                archive.writestr("net.txt", LAYERS)
                archive.writestr("net.bin", b"")
    with pytest.raises(MeasureError, match=rf"model\.ncnn.*{said}"):
        read(path)


def test_a_bomb_is_not_unpacked(tmp_path):
    """Compressed, or said to be as large as it is not."""
    with zipfile.ZipFile(tmp_path / "a.ncnn", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (PARAM, WEIGHTS, METADATA):
            archive.writestr(name, b"0" * 2**24)
    path = written(tmp_path / "b.ncnn")
    size = len(LAYERS).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size * 2, (2**31).to_bytes(4, "little") * 2))
    for path in (tmp_path / "a.ncnn", tmp_path / "b.ncnn"):
        with pytest.raises(MeasureError, match=rf"{path}: .*(not compressed|more than it has bytes)"):
            Ncnn().load(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("7767517", "7767518", "begins with 7767517"),
        ("7767517", "", "begins with 7767517"),
        ("6 7", "7 7", "numbers of its layers and tensors"),
        ("6 7", "999999999 7", "numbers of its layers and tensors"),
        ("6 7", "6", "numbers of its layers and tensors"),
        ("6 7", "6 8", "does not have the tensors"),
        ("6 7", "6 999999999", "does not have the tensors"),
        ("6 7", "six 7", "numbers of its layers and tensors"),
        ("out0", "gone", "does not have the tensors"),
        ("add    2 1", "add    9 1", "layer BinaryOp add .* not follow"),
        ("split  1 2", "split  1 9", "layer Split split .* not say all"),
        ("add    2 1 in0 1", "add    2 1 in0 2", "layer BinaryOp add .* not follow"),
        ("shape  1 1 0 1", "shape  1 1 0 in0", "layer Reshape shape .* not follow"),
        ("0=4 1=3 2=2", "0=4 and more", "layer Reshape shape .* not say all"),
        ("shape  1 1 0 1", "shape  -1 0 -1", "layer Reshape shape .* what it takes and gives"),
        ("in1 0 0=24", "in1 " + 300 * "0" + " 0=24", "layer Embed embed .* what it takes and gives"),
        ("0=4 1=3 2=2", "-23300=999999999,1", "layer Reshape shape .* not say all"),
        ("0=4 1=3 2=2", "0=4 1=", "layer Reshape shape .* not say all"),
        ("Embed ", "Émbed ", "can't decode"),
        ("Reshape ", "nn.Reshape ", "layer nn.Reshape shape .* not follow"),
        ("Reshape ", "Unheard ", "does not know its layers"),
    ],
)
def test_a_description_that_does_not_hold_together_is_refused(tmp_path, old, new, said):
    path = written(tmp_path / "model.ncnn", LAYERS.replace(old, new, 1))
    with pytest.raises(MeasureError, match=rf"cannot load .*model\.ncnn: .*{said}"):
        Ncnn().load(path)


@pytest.mark.parametrize("count", [0, 3, 4, 300])
def test_weights_that_end_too_soon_are_refused(tmp_path, count):
    path = written(tmp_path / "model.ncnn", weights=(b"\0\0\0\0" + TABLE.tobytes())[:count])
    with pytest.raises(MeasureError, match=r"cannot load .*not all of their weights"):
        Ncnn().load(path)


@READS
@pytest.mark.parametrize("told", ["", "[]", "{}", '{"interface": {}}', '{"interface": {"inputs": 7, "outputs": []}}'])
def test_an_interface_that_is_none_is_refused(tmp_path, told, read):
    with zipfile.ZipFile(tmp_path / "model.ncnn", "w") as archive:
        for name, data in ((PARAM, LAYERS), (WEIGHTS, b""), (METADATA, told)):
            archive.writestr(name, data)
    with pytest.raises(MeasureError, match=r"model\.ncnn"):
        read(tmp_path / "model.ncnn")


def test_no_number_has_less_than_its_32_bits_unless_it_is_asked_for(file, monkeypatch):
    nets = []

    class Net(engine._package().Net):
        def __init__(self):
            super().__init__()
            nets.append(self)

    monkeypatch.setattr(engine._package(), "Net", Net)
    Ncnn(threads=3).load(file)
    options = {name: getattr(nets[0].opt, name) for name in dir(nets[0].opt) if re.match(r"use_\w*(16|int8)_", name)}
    assert len(options) >= 6
    assert not any(on for name, on in options.items() if "int8" not in name or name == "use_int8_inference")
    assert (nets[0].opt.use_vulkan_compute, nets[0].opt.num_threads) == (False, 3)
    half = Ncnn(precision="float16")
    half.load(file)
    found = {name for name in options if getattr(nets[1].opt, name)}
    assert {name for name in found if "int8" not in name} == set(engine.FLOAT16)
    assert (half.tolerance, half.conditions()["precision"]) == (0.02, "float16")


def test_an_absent_package_is_named_with_its_install_line(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "ncnn", None)
    for use in (Ncnn().version, lambda: Ncnn().load(file), lambda: Ncnn().interface(file)):
        with pytest.raises(MissingPackageError, match=r"The runtime 'ncnn' needs .*: pip install ncnn$"):
            use()
    assert Ncnn().conditions() == {"threads": 1, "precision": "float32"}
