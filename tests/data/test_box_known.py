import os
import zipfile

import numpy as np
import pytest
from boxed import document, pack, picture, prepare, write, write_coco

from paretonas.data import box_headers
from paretonas.data.box_files import list_archive
from paretonas.data.box_headers import read_headers
from paretonas.data.box_known import keep_known, known_file, read_known
from paretonas.errors import DataError


@pytest.fixture
def opened(monkeypatch):
    """Images whose headers are read."""
    opened, read = [], box_headers._read_header

    def watch(encoded):
        opened.append(encoded if isinstance(encoded, bytes) else encoded.name)
        return read(encoded)

    monkeypatch.setattr(box_headers, "_read_header", watch)
    return opened


def test_headers_are_read_once(tmp_path, opened):
    write_coco(tmp_path / "set")
    first = prepare(tmp_path / "set", tmp_path / "cache")
    assert sorted(opened) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    again = prepare(tmp_path / "set", tmp_path / "cache")
    assert len(opened) == 4
    assert (again.digest, again.folder) == (first.digest, first.folder)


def test_headers_in_archives_are_read_once(tmp_path, opened):
    pack(tmp_path / "set/images.zip", {f"{i}.jpg": picture(i) for i in range(4)})
    write(tmp_path / "set/train.json", write_coco(tmp_path / "other").joinpath("train.json").read_bytes())
    for _ in range(2):
        prepare(tmp_path / "set", tmp_path / "cache")
    assert len(opened) == 4


@pytest.mark.parametrize("change", ["content", "time"])
def test_of_a_file_that_changed_the_header_is_read_again(tmp_path, opened, change):
    write_coco(tmp_path / "set")
    first = prepare(tmp_path / "set", tmp_path / "cache")
    file = tmp_path / "set/images/1.jpg"
    if change == "content":
        write(file, picture(9, (80, 60)))
    else:
        os.utime(file, (1, 1))
    second = prepare(tmp_path / "set", tmp_path / "cache")
    assert opened[4:] == ["1.jpg"]
    assert second.folder != first.folder
    assert ([80, 60] in second.full_train.sizes.tolist()) == (change == "content")


def test_other_images_or_another_limit_are_other_headers(tmp_path, opened):
    write_coco(tmp_path / "set")
    prepare(tmp_path / "set", tmp_path / "cache")
    with pytest.raises(DataError, match="more than is safe to decode"):
        prepare(tmp_path / "set", tmp_path / "cache", max_pixels=100)
    assert len(opened) == 8
    write_coco(tmp_path / "set", document(5))
    prepare(tmp_path / "set", tmp_path / "cache")
    assert len(opened) == 13


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_headers_that_are_gone_or_damaged_are_read_again(tmp_path, opened, damage):
    write_coco(tmp_path / "set")
    first = prepare(tmp_path / "set", tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob("headers-*.npy")
    whole = kept.read_bytes()
    kept.unlink() if damage is None else kept.write_bytes(damage)
    assert prepare(tmp_path / "set", tmp_path / "cache").digest == first.digest
    assert len(opened) == 8
    assert kept.read_bytes() == whole


def test_what_cannot_be_read_is_not_known(tmp_path, opened):
    write_coco(tmp_path / "set")
    write(tmp_path / "set/images/2.jpg", b"no image")
    for _ in range(2):
        prepare(tmp_path / "set", tmp_path / "cache", skip_corrupt=True)
    assert opened[4:] == ["2.jpg"]


def test_a_folder_that_takes_no_files_is_no_hindrance(tmp_path):
    write(tmp_path / "file", "")
    keep_known(tmp_path / "file" / "headers.npy", np.ones((2, 5), np.int64))
    assert read_known(tmp_path / "file" / "headers.npy", 2).tolist() == [[0] * 5] * 2


def test_numbers_of_another_shape_are_not_taken(tmp_path):
    keep_known(tmp_path / "headers.npy", np.ones((2, 5), np.int64))
    assert read_known(tmp_path / "headers.npy", 2).tolist() == [[1] * 5] * 2
    assert not read_known(tmp_path / "headers.npy", 3).any()
    keep_known(tmp_path / "headers.npy", np.ones((3, 5)))
    assert not read_known(tmp_path / "headers.npy", 3).any()


def test_an_entry_of_an_archive_is_known_by_its_checksum(tmp_path):
    pack(tmp_path / "a.zip", {"1.jpg": picture(1)}, zipfile.ZIP_DEFLATED)
    places = list_archive(tmp_path / "a.zip")
    known = read_headers(places).known
    pack(tmp_path / "a.zip", {"1.jpg": picture(2, (80, 60))}, zipfile.ZIP_DEFLATED)
    changed = list_archive(tmp_path / "a.zip")
    assert known_file(tmp_path, places, None) == known_file(tmp_path, changed, None)
    assert read_headers(changed, known).sizes.tolist() == [[80, 60]]
