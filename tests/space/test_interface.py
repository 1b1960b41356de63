import json
import pickle
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.errors import SpecError
from paretonas.space import Interface, Port, read_json

TOKENS = Port("tokens", (1, 35), "int64")
HIDDEN = Port("hidden", (1, 1, 200))
RECURRENT = Interface((TOKENS, HIDDEN), (Port("logits", (1, 35, 10_000)), replace(HIDDEN, name="next_hidden")))
examples = settings(max_examples=50, deadline=None, database=None, derandomize=True)


def test_image_classifier_takes_images_and_gives_logits():
    interface = Interface.of_images(channels=3, resolution=224, classes=1000)
    assert interface.inputs == (Port("images", (1, 3, 224, 224), "float32"),)
    assert interface.outputs == (Port("logits", (1, 1000), "float32"),)
    assert interface.image_shape == (3, 224, 224)
    assert (interface.channels, interface.classes) == (3, 1000)


def test_channels_and_classes_are_the_sides_after_the_batch():
    assert (RECURRENT.channels, RECURRENT.classes) == (35, 35)
    vectors = Interface((Port("x", (1, 4)),), (Port("y", (1, 2)),))
    assert (vectors.channels, vectors.classes) == (4, 2)


@pytest.mark.parametrize(
    "inputs",
    [
        (Port("x", (1, 4)),),
        (Port("sound", (1, 1, 16_000)),),
        (Port("video", (1, 3, 8, 32, 32)),),
        (TOKENS, HIDDEN),
        (Port("left", (1, 3, 32, 32)), Port("right", (1, 3, 32, 32))),
    ],
)
def test_what_is_not_fed_images_alone_has_no_image_shape(inputs):
    assert Interface(inputs, (Port("y", (1, 2)),)).image_shape is None


def test_image_need_not_be_square():
    assert Interface((Port("images", (1, 3, 512, 1024)),), (HIDDEN,)).image_shape == (3, 512, 1024)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        ("", (1, 4), "float32", "has a name and the shape of one example"),
        ("x", (), "float32", r"positive, but got 'x' \(\)"),
        ("x", (2, 4), "float32", r"positive, but got 'x' \(2, 4\)"),
        ("x", (1, 0), "float32", r"but got 'x' \(1, 0\)"),
        ("x", (1, -3), "float32", r"but got 'x' \(1, -3\)"),
        ("x", (1, 4), "bfloat16", "one of float32, int64, .*, but got 'bfloat16'"),
        ("x", (1, 4), "", "one of float32, int64, .*, but got ''"),
    ],
)
def test_port_that_is_no_tensor_is_refused(name, shape, dtype, message):
    with pytest.raises(SpecError, match=message):
        Port(name, shape, dtype)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ((), (HIDDEN,), r"has inputs with names of their own, but got \[\]"),
        ((HIDDEN,), (), r"has outputs with names of their own, but got \[\]"),
        ((HIDDEN, TOKENS, HIDDEN), (HIDDEN,), "inputs with .*'hidden', 'tokens', 'hidden'"),
        ((HIDDEN,), (HIDDEN, HIDDEN), "outputs with names"),
    ],
)
def test_interface_of_nothing_or_of_one_name_twice_is_refused(inputs, outputs, message):
    with pytest.raises(SpecError, match=message):
        Interface(inputs, outputs)


def test_output_may_have_the_name_of_an_input():
    assert Interface((HIDDEN,), (HIDDEN,)).outputs[0].name == "hidden"


@pytest.mark.parametrize("side", [("channels", 0), ("resolution", -1), ("classes", 0)])
def test_image_classifier_without_pixels_or_classes_is_refused(side):
    with pytest.raises(SpecError, match="but got"):
        Interface.of_images(**{"channels": 3, "resolution": 32, "classes": 10, side[0]: side[1]})


ports = st.builds(
    Port,
    st.text(min_size=1, max_size=8),
    st.lists(st.integers(1, 100), max_size=4).map(lambda sides: (1, *sides)),
    st.sampled_from(["float32", "int64"]),
)
some_ports = st.lists(ports, min_size=1, max_size=3, unique_by=lambda port: port.name).map(tuple)


@examples
@given(interface=st.builds(Interface, some_ports, some_ports))
def test_interface_travels_as_json_and_pickled(interface):
    assert read_json(Interface, json.loads(json.dumps(asdict(interface))), "interface") == interface
    assert pickle.loads(pickle.dumps(interface)) == interface
    assert {interface: 1}[pickle.loads(pickle.dumps(interface))] == 1  # costs are looked up by it


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"inputs": []}, "interface lacks 'outputs'"),
        ({"inputs": [], "outputs": []}, "interface: A network has inputs"),
        ({"inputs": [{"name": "x"}], "outputs": []}, r"interface\.inputs\[0\] lacks 'shape'"),
        ({"inputs": [{"name": "x", "shape": [1, 2.5]}], "outputs": []}, r"shape\[1\] is of type int"),
        ({"inputs": [{"name": "x", "shape": [1], "dtype": "int4"}], "outputs": []}, r"dtype is one of 'float32'"),
    ],
)
def test_what_is_no_interface_is_refused(data, message):
    with pytest.raises(SpecError, match=message):
        read_json(Interface, data, "interface")


def test_words_go_in_by_number():
    interface = Interface.of_words(9)
    assert interface.inputs == (Port("tokens", (1,), "int64"),)
    assert (interface.classes, interface.image_shape) == (9, None)
    with pytest.raises(SpecError, match=r"this task feeds Port\(name='tokens'.*another space"):
        interface.channels  # noqa: B018
    for words in (0, 10**7):
        with pytest.raises(SpecError, match="1 <= words <= 1000000"):
            Interface.of_words(words)
