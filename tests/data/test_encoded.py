import errno
import os
from dataclasses import replace

import numpy as np
import pytest
from pictures import noise, pixels_of, prepare

from paretonas.data import writing
from paretonas.data.images import open_data
from paretonas.data.pixels import to_pixels
from paretonas.data.stream import scoring_stream
from paretonas.errors import DataError, MachineError


def test_encoded_images_have_the_pixels_of_images_in_memory(encoded):
    for number in range(12):
        np.testing.assert_array_equal(encoded.pixels(number), to_pixels(noise(number), 16)[0])
    assert encoded.pixels(0).dtype == np.uint8


def test_what_the_machine_refuses_is_no_spoilt_image(encoded, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(type(encoded.file), "open", refuse)
    for read in (lambda: encoded.pixels(3), lambda: list(scoring_stream(encoded, 0))):
        with pytest.raises(
            MachineError, match=r"Image \d of .*encoded\.bin cannot be read: Too many open files.*ulimit"
        ):
            read()


def test_slices_are_encoded_images(encoded):
    part = encoded[3:9][1:]
    assert (len(encoded), len(part), part.channels, part.resolution) == (12, 5, 3, 16)
    np.testing.assert_array_equal(part.pixels(0), encoded.pixels(4))


def test_grey_images_have_one_channel(encoded):
    grey = replace(encoded, channels=1)
    np.testing.assert_array_equal(grey.pixels(2), encoded.pixels(2)[:1])


@pytest.mark.parametrize("asked", [{}, {"train_images": 10, "seed": 3}])
def test_streamed_data_are_those_in_memory(noisy_tree, tmp_path, asked):
    memory, stream = (prepare(noisy_tree, tmp_path / "cache", stream=stream, **asked) for stream in (False, True))
    assert (memory.is_streamed, stream.is_streamed) == (False, True)
    for name in ("train", "val", "test", "full_train"):
        one, other = getattr(memory, name), getattr(stream, name)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(pixels_of(one), pixels_of(other))
    for name in ("classes", "resolution", "channels", "flip", "skipped"):
        assert getattr(memory, name) == getattr(stream, name)
    assert memory.digest != stream.digest
    assert sorted(file.name for file in stream.folder.iterdir()) == [
        "encoded.bin", "labels.npy", "meta.json", "offsets.npy",
    ]  # fmt: skip


def test_streamed_data_hold_the_bytes_of_the_files(noisy_tree, tmp_path):
    prepared = prepare(noisy_tree, tmp_path / "cache", stream=True)
    content = (prepared.folder / "encoded.bin").read_bytes()
    places = np.concatenate([prepared.full_train.images.places, prepared.test.images.places])
    found = sorted(content[begin : begin + size] for begin, size in places)
    assert found == sorted(file.read_bytes() for file in noisy_tree.glob("*/*"))
    assert sum(map(len, found)) == len(content)


def test_streamed_grey_data_have_one_channel(tmp_path):
    prepared = prepare("digits", tmp_path, stream=True)
    memory = prepare("digits", tmp_path)
    assert prepared.channels == 1
    np.testing.assert_array_equal(pixels_of(prepared.val), memory.val.images)


def test_data_that_exceed_half_of_the_memory_are_streamed(noisy_tree, tmp_path, monkeypatch):
    needed = 60 * 3 * 16 * 16
    monkeypatch.setattr(writing.os, "sysconf", {"SC_PHYS_PAGES": 2 * needed, "SC_PAGE_SIZE": 1}.__getitem__)
    assert not prepare(noisy_tree, tmp_path / "exact", resolution=16).is_streamed
    monkeypatch.setattr(writing.os, "sysconf", {"SC_PHYS_PAGES": 2 * needed - 2, "SC_PAGE_SIZE": 1}.__getitem__)
    assert prepare(noisy_tree, tmp_path / "over", resolution=16).is_streamed
    assert not prepare(noisy_tree, tmp_path / "over", resolution=16, train_images=30).is_streamed


def test_digest_of_streamed_data_changes_with_images_and_splits(noisy_tree, tmp_path):
    digests = {prepare(noisy_tree, tmp_path / "cache", stream=True).digest}
    digests.add(prepare(noisy_tree, tmp_path / "cache", stream=True, seed=1).digest)
    (noisy_tree / "cat/0.png").write_bytes(noise(999, (16, 16)))
    digests.add(prepare(noisy_tree, tmp_path / "cache", stream=True).digest)
    (noisy_tree / "cat/0.png").write_bytes(noise(0, (16, 16)))
    os.utime(noisy_tree / "cat/0.png", (1, 1))
    digests.add(prepare(noisy_tree, tmp_path / "cache", stream=True).digest)
    assert len(digests) == 3


def test_corrupt_images_are_found_before_streaming(noisy_tree, tmp_path):
    (noisy_tree / "cat/3.png").write_bytes(noise(3)[:-40])
    with pytest.raises(DataError, match=r"1 of 60 are corrupt: cat/3\.png: "):
        prepare(noisy_tree, tmp_path / "cache", stream=True)
    assert list((tmp_path / "cache").iterdir()) == []
    prepared = prepare(noisy_tree, tmp_path / "cache", stream=True, skip_corrupt=True)
    assert len(prepared.full_train) + len(prepared.test) == 59
    assert prepared.skipped[0].startswith("cat/3.png: ")
    memory = prepare(noisy_tree, tmp_path / "cache", skip_corrupt=True)
    np.testing.assert_array_equal(pixels_of(prepared.test), memory.test.images)


@pytest.mark.parametrize("loaders", [0, pytest.param(1, marks=pytest.mark.slow)])  # which takes seconds to start
def test_image_that_was_spoilt_since_is_named(noisy_tree, tmp_path, loaders):
    prepared = prepare(noisy_tree, tmp_path / "cache", stream=True)
    begin, size = map(int, prepared.val.images.places[2])
    with (prepared.folder / "encoded.bin").open("r+b") as file:
        file.seek(begin)
        file.write(bytes(size))
    with pytest.raises(DataError, match=rf"image 2, bytes {begin} to .*encoded\.bin.* known format.*Delete") as caught:
        list(scoring_stream(prepared.val.images, loaders))
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("encoded.bin", lambda content: content[:-1]),
        ("offsets.npy", lambda content: content[:-1]),
        ("meta.json", lambda content: content.replace(b'"encoded"', b'"elsewhere"')),
        ("meta.json", lambda content: content.replace(b'"val": ', b'"val": 1')),
    ],
)
def test_damaged_folder_of_streamed_data_is_refused(noisy_tree, tmp_path, name, damage):
    folder = prepare(noisy_tree, tmp_path / "cache", stream=True).folder
    file = folder / name
    assert damage(file.read_bytes()) != file.read_bytes()
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="delete this folder"):
        open_data(folder)
