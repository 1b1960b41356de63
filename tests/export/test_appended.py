"""JSON in a zip behind a flatbuffer."""

import contextlib
import json
import os
import zipfile

import pytest

from paretonas.errors import ExportError
from paretonas.export.appended import LONGEST, append_json, read_appended

FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 40
METADATA = {"classes": ["cat", "dög"], "mean": [0.5], "nested": {"a": None}}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(FLATBUFFER)
    return path


def with_member(path, text, member="paretonas/metadata.json"):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as appended:
        appended.writestr(member, text)


def test_what_is_appended_is_read_and_the_flatbuffer_stays_as_it_was(path):
    append_json(path, {"metadata": METADATA, "interface": {"inputs": 1}})
    assert path.read_bytes().startswith(FLATBUFFER)
    assert read_appended(path, b"TFL3", "metadata") == METADATA
    assert read_appended(path, b"TFL3", "interface") == {"inputs": 1}
    assert read_appended(path, b"TFL3", "other") == {}


def test_appending_the_same_gives_the_same_bytes(path):
    append_json(path, {"metadata": METADATA})
    once = path.read_bytes()
    path.write_bytes(FLATBUFFER)
    append_json(path, {"metadata": METADATA})
    assert path.read_bytes() == once


def test_a_file_says_nothing_where_there_is_nothing_to_say(path):
    append_json(path, {"metadata": {}})
    assert path.read_bytes() == FLATBUFFER
    assert read_appended(path, b"TFL3", "metadata") == {}


def test_what_others_append_says_nothing_to_us(path):
    with_member(path, "cat\ndog", "labels.txt")
    assert read_appended(path, b"TFL3", "metadata") == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "begin"), (b"TFL3", "begin"), (FLATBUFFER.replace(b"TFL3", b"ET12"), "begin"), (b"text " * 9, "TFL3")],
)
def test_a_file_of_another_format_is_refused(path, content, said):
    path.write_bytes(content)
    with pytest.raises(ExportError, match=rf"model\.tflite cannot be read: .*{said}"):
        read_appended(path, b"TFL3", "metadata")


def test_a_zip_alone_is_refused(tmp_path):
    with_member(tmp_path / "a.zip", "{}")
    with pytest.raises(ExportError, match="begin"):
        read_appended(tmp_path / "a.zip", b"TFL3", "metadata")


@pytest.mark.parametrize("text", ["{", "[]", "1", '"words"', b"\xff\xfe", "[" * 100_000])
def test_what_is_no_json_object_is_refused(path, text):
    with_member(path, text)
    with pytest.raises(ExportError, match=r"model\.tflite"):
        read_appended(path, b"TFL3", "metadata")


def test_more_than_a_file_has_to_say_is_refused(path):
    with_member(path, json.dumps({"a": "0" * LONGEST}))
    with pytest.raises(ExportError, match=f"at most {LONGEST} bytes"):
        read_appended(path, b"TFL3", "metadata")


def test_a_damaged_zip_is_refused_or_not_there(path):
    append_json(path, {"metadata": METADATA})
    whole = path.read_bytes()
    for at in range(len(FLATBUFFER), len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(ExportError):
            assert read_appended(path, b"TFL3", "metadata") in ({}, METADATA)


def test_a_missing_file_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(ExportError, match="missing"):
        read_appended(tmp_path / "missing.tflite", b"TFL3", "metadata")
    os.mkfifo(tmp_path / "pipe.tflite")
    with pytest.raises(ExportError, match="no regular file"):
        read_appended(tmp_path / "pipe.tflite", b"TFL3", "metadata")
