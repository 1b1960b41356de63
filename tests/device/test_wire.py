import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretonas.device.runner.wire import MARK, MOST_NOISE, Message, WireError, read_message, to_bytes, write_message


def read(data):
    return read_message(io.BytesIO(data))


def sent(header, rest=b""):
    return MARK + str(len(header)).encode() + b"\n" + header + rest


def test_what_is_written_is_read():
    arrays = (
        np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        np.array(7, np.int64),
        np.zeros((1, 0), np.uint8),
        np.array([[True, False]]),
        np.arange(4, dtype=">f4"),
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
    )
    message = Message({"ask": "run", "deep": {"a": [1, None, "ü"]}}, arrays, b"\nparetonas-1 9\n\0")
    stream = io.BytesIO()
    write_message(stream, message)
    write_message(stream, Message({"next": True}))
    stream.seek(0)
    found = read_message(stream)
    assert found.head == message.head
    assert found.body == message.body
    assert len(found.arrays) == len(arrays)
    for ours, theirs in zip(arrays, found.arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert theirs.shape == ours.shape
        assert theirs.dtype == ours.dtype.newbyteorder("=")
        theirs.flat[:0] = 0  # an engine may want to write
    assert read_message(stream).head == {"next": True}


def test_what_a_login_prints_is_passed_over():
    assert read(b"Welcome to the board!\n\nLast login: today\n" + to_bytes(Message({"a": 1}))).head == {"a": 1}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the end"),
        (b"bash: python3: not found\n", "the end, after 'bash: python3: not found'"),
        (b"x" * (2 * MOST_NOISE) + b"\n", "no message"),
        (MARK + b"many\n", "length"),
        (MARK + b"9999999999\n", "length"),
        (MARK + b"99999999\n", "length"),
        (MARK + b"10\n{}", "middle"),
        (sent(b"nonsense"), "no JSON"),
        (sent(b"[" * 100_000), "no JSON"),
        (sent(b"[]"), "no object"),
        (sent(b"{}"), "what follows"),
        (sent(b'{"arrays": [], "body": -1}'), "what follows"),
        (sent(b'{"arrays": [], "body": true}'), "what follows"),
        (sent(b'{"arrays": [], "body": 1e9}'), "what follows"),
        (sent(b'{"arrays": [], "body": 5}', b"1234"), "middle"),
        (sent(b'{"arrays": [["object", [1]]], "body": 0}'), "known type"),
        (sent(b'{"arrays": [["float32", [-1]]], "body": 0}'), "no shape"),
        (sent(b'{"arrays": [["float32", "11"]], "body": 0}'), "no shape"),
        (sent(b'{"arrays": [["float32", [1000000, 1000000]]], "body": 0}'), "at most"),
        (sent(b'{"arrays": [["float32", [2]]], "body": 0}', b"1234567"), "middle"),
    ],
)
def test_what_is_no_message_is_an_error(data, said):
    with pytest.raises(WireError, match=said):
        read(data)


@given(st.binary(max_size=200))
def test_bytes_of_anybody_are_an_error_or_a_message(data):
    for stream in (data, sent(data), sent(b'{"arrays": [["float32", [2]]], "body": 3}', data)):
        with suppress(WireError):
            assert isinstance(read(stream), Message)
