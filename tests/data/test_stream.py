import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from paretonas.data import images
from paretonas.data.decode import to_pixels
from paretonas.data.images import open_data, prepare_data
from paretonas.data.source import DataSource
from paretonas.data.stream import EncodedImages, scoring_stream, stream_batches, train_transform
from paretonas.errors import DataError, WorkerError
from paretonas.executor import executors

SHARED = Path(os.environ.get("PARETONAS_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_shared_data = pytest.mark.skipif(not SHARED.exists(), reason=f"no shared data at {SHARED}; set PARETONAS_DATA")


def _image(number, size=(40, 30)):
    values = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Twelve images of noise, 40 x 30 pixels, to be seen at 16 x 16."""
    file = tmp_path_factory.mktemp("encoded") / "encoded.bin"
    contents = [_image(number) for number in range(12)]
    file.write_bytes(b"".join(contents))
    sizes = np.array([len(content) for content in contents])
    return EncodedImages(file, np.stack([np.cumsum(sizes) - sizes, sizes], axis=1), channels=3, resolution=16)


LABELS = torch.arange(12) % 5
BATCHES = [[(i, 100 + i) for i in (3, 1, 4)], [(1, 7), (1, 8), (1, 7)], [(11, 0)], [(0, 2**63 - 1), (2, 5)]]
AUGMENT = train_transform(16, min_area=0.25, padding=0, flip=True)


def _stream(images, batches=BATCHES, transform=AUGMENT, loaders=0):
    return list(stream_batches(images, LABELS, batches, transform, loaders))


def _assert_equal(found, expected):
    assert len(found) == len(expected)
    for (pixels, labels), (other_pixels, other_labels) in zip(found, expected, strict=True):
        assert torch.equal(pixels, other_pixels)
        assert torch.equal(labels, other_labels)


# --- encoded images ---------------------------------------------------------------------------------------------------


def test_encoded_images_have_the_pixels_of_images_in_memory(encoded):
    for number in range(12):
        np.testing.assert_array_equal(encoded.pixels(number), to_pixels(_image(number), 16)[0])
    assert encoded.pixels(0).dtype == np.uint8


def test_slices_are_encoded_images(encoded):
    part = encoded[3:9][1:]
    assert (len(encoded), len(part), part.channels, part.resolution) == (12, 5, 3, 16)
    np.testing.assert_array_equal(part.pixels(0), encoded.pixels(4))


def test_grey_data_have_one_channel(encoded):
    grey = replace(encoded, channels=1)
    np.testing.assert_array_equal(grey.pixels(2), encoded.pixels(2)[:1])
    assert _stream(grey)[0][0].shape == (3, 1, 16, 16)


# --- batches ----------------------------------------------------------------------------------------------------------


def test_batches_have_the_images_and_labels_asked_for(encoded):
    plain = train_transform(16, min_area=1.0, padding=0, flip=False)
    found = _stream(encoded, transform=plain)
    assert [labels.tolist() for _, labels in found] == [[3, 1, 4], [1, 1, 1], [1], [0, 2]]
    for batch, (pixels, labels) in zip(BATCHES, found, strict=True):
        assert (pixels.dtype, labels.dtype) == (torch.uint8, torch.int64)
        np.testing.assert_array_equal(pixels, np.stack([encoded.pixels(index) for index, _ in batch]))


def test_seed_alone_decides_the_augmentation(encoded):
    state = torch.get_rng_state()
    first, second, third, last = (pixels for pixels, _ in _stream(encoded))
    assert torch.equal(second[0], second[2])
    assert not torch.equal(second[0], second[1])
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    alone = _stream(encoded, [[(2, 5)], [(4, 104)], [(11, 0)]])
    assert torch.equal(alone[0][0][0], last[1])
    assert torch.equal(alone[1][0][0], first[2])
    assert torch.equal(alone[2][0], third)


@pytest.mark.parametrize(("loaders", "first"), [(0, 2), (1, 0), (2, 1)])
def test_outcome_is_the_same_for_any_number_of_loaders_and_from_any_step(encoded, loaders, first):
    _assert_equal(_stream(encoded, BATCHES[first:], loaders=loaders), _stream(encoded)[first:])


def test_endless_batches_can_be_left(encoded):
    def endless():
        while True:
            yield BATCHES[0]

    stream = stream_batches(encoded, LABELS, endless(), AUGMENT, 0)
    assert torch.equal(next(stream)[0], next(stream)[0])
    stream.close()


def test_scoring_gives_all_images_in_order(encoded, monkeypatch):
    monkeypatch.setattr("paretonas.data.stream.SCORING_BATCH", 5)
    found = list(scoring_stream(encoded, loaders=0))
    assert [len(pixels) for pixels in found] == [5, 5, 2]
    np.testing.assert_array_equal(torch.cat(found), np.stack([encoded.pixels(i) for i in range(12)]))


# --- augmentation -----------------------------------------------------------------------------------------------------


def _gradient():
    """Red tells the column, green the row, of 0 to 199."""
    values = np.zeros((200, 200, 3), dtype=np.uint8)
    values[:, :, 0] = np.arange(200)[None, :]
    values[:, :, 1] = np.arange(200)[:, None]
    return Image.fromarray(values)


def _draw(transform, n=200):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.stack([transform(_gradient()) for _ in range(n)])


def test_random_parts_have_the_area_and_aspect_asked_for():
    found = _draw(train_transform(40, min_area=0.25, padding=0, flip=False)).float()
    assert found.shape == (200, 3, 40, 40)
    width = (found[:, 0, 20, -1] - found[:, 0, 20, 0]) * 40 / 39  # of the part, in pixels of the source
    height = (found[:, 1, -1, 20] - found[:, 1, 0, 20]) * 40 / 39
    area, aspect = width * height / 200**2, width / height
    assert 0.22 < area.min() < 0.35
    assert 0.85 < area.max() < 1.05
    assert 0.5 < area.mean() < 0.7  # uniform in 0.25..1, but for parts that do not fit
    assert 0.72 < aspect.min() < 0.8
    assert 1.25 < aspect.max() < 1.38


def test_padding_shifts_by_at_most_so_many_pixels_and_brings_zeros():
    values = np.full((8, 8, 3), 255, dtype=np.uint8)
    transform = train_transform(8, min_area=1.0, padding=2, flip=False)
    seen = set()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(200):
            found = transform(Image.fromarray(values))[0]
            rows, columns = (found.amax(1) > 0).nonzero()[:, 0], (found.amax(0) > 0).nonzero()[:, 0]
            seen.add((int(rows[0]), 8 - len(rows), int(columns[0]), 8 - len(columns)))
    zeros = {(0, 0), (0, 1), (0, 2), (1, 1), (2, 2)}  # where the image begins, how much of it is lost
    assert seen == {(*vertical, *horizontal) for vertical in zeros for horizontal in zeros}


def test_half_of_the_images_are_mirrored_where_allowed():
    found = _draw(train_transform(40, min_area=0.9, padding=0, flip=True)).int()
    mirrored = found[:, 0, 20, 0] > found[:, 0, 20, -1]
    assert 80 < int(mirrored.sum()) < 120
    plain = _draw(train_transform(40, min_area=0.9, padding=0, flip=False)).int()
    assert not (plain[:, 0, 20, 0] > plain[:, 0, 20, -1]).any()


# --- loaders ----------------------------------------------------------------------------------------------------------


def threads(image):
    return torch.full((3, 16, 16), torch.get_num_threads(), dtype=torch.uint8)


def stream_in_worker(encoded):
    torch.set_num_threads(2)
    return [pixels.flatten().tolist() for pixels, _ in _stream(encoded, [[(0, 0)], [(1, 1)]], threads, loaders=1)]


def test_loaders_work_inside_a_worker_with_one_thread(encoded):
    with executors.create("process:workers=1").start() as executor:
        job = executor.submit("stream", stream_in_worker, encoded)
        executor.wait()
    assert job.result() == [[1] * 768] * 2


def die(image):
    os.kill(os.getpid(), signal.SIGKILL)


def test_dead_loader_is_our_error(encoded):
    with pytest.raises(WorkerError, match="fewer workers"):
        _stream(encoded, transform=die, loaders=1)


HANG = """
import os, sys, time
from pathlib import Path
from paretonas.data.images import open_data
from paretonas.data.stream import stream_batches
import torch

def tell(image):
    Path(sys.argv[2], str(os.getpid())).touch()
    return torch.zeros(3, 16, 16, dtype=torch.uint8)

if __name__ == "__main__":
    train = open_data(Path(sys.argv[1])).train
    endless = iter(lambda: [(0, 0)], None)
    for _ in stream_batches(train.images, torch.from_numpy(train.labels), endless, tell, 2):
        time.sleep(0.01)
"""


@pytest.mark.slow
def test_loaders_die_with_their_process(tree, tmp_path):
    folder = prepare_data(DataSource(str(tree), stream=True), tmp_path / "cache").folder
    script, loaders = tmp_path / "hang.py", tmp_path / "loaders"
    script.write_text(HANG)
    loaders.mkdir()
    process = subprocess.Popen([sys.executable, script, folder, loaders])
    while len(list(loaders.iterdir())) < 2 and process.poll() is None:
        time.sleep(0.1)
    process.kill()
    process.wait()
    numbers = [int(file.name) for file in loaders.iterdir()]
    assert len(numbers) == 2
    while any(Path(f"/proc/{number}").exists() for number in numbers):
        time.sleep(0.1)  # they look after their parent every five seconds


# --- streamed data ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    for number in range(60):
        folder = tmp_path / "tree" / ("cat" if number < 40 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(_image(number, (16, 16 + number % 3)))
    return tmp_path / "tree"


def _prepare(path, cache, **asked):
    return prepare_data(DataSource(str(path), **asked), cache)


def _pixels(split):
    if isinstance(split.images, EncodedImages):
        return np.stack([split.images.pixels(i) for i in range(len(split))])
    return split.images


@pytest.mark.parametrize("asked", [{}, {"train_images": 10, "seed": 3}])
def test_streamed_data_are_those_in_memory(tree, tmp_path, asked):
    memory, stream = (_prepare(tree, tmp_path / "cache", stream=stream, **asked) for stream in (False, True))
    assert (memory.is_streamed, stream.is_streamed) == (False, True)
    for name in ("train", "val", "test", "full_train"):
        one, other = getattr(memory, name), getattr(stream, name)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(_pixels(one), _pixels(other))
    for name in ("classes", "resolution", "channels", "flip", "skipped"):
        assert getattr(memory, name) == getattr(stream, name)
    assert memory.digest != stream.digest
    assert sorted(file.name for file in stream.folder.iterdir()) == [
        "encoded.bin", "labels.npy", "meta.json", "offsets.npy",
    ]  # fmt: skip


def test_streamed_data_hold_the_bytes_of_the_files(tree, tmp_path):
    prepared = _prepare(tree, tmp_path / "cache", stream=True)
    content = (prepared.folder / "encoded.bin").read_bytes()
    places = np.concatenate([prepared.full_train.images.places, prepared.test.images.places])
    found = sorted(content[begin : begin + size] for begin, size in places)
    assert found == sorted(file.read_bytes() for file in tree.glob("*/*"))
    assert sum(map(len, found)) == len(content)


def test_streamed_grey_data_have_one_channel(tmp_path):
    prepared = _prepare("digits", tmp_path, stream=True)
    memory = _prepare("digits", tmp_path)
    assert prepared.channels == 1
    np.testing.assert_array_equal(_pixels(prepared.val), memory.val.images)


def test_data_that_exceed_half_of_the_memory_are_streamed(tree, tmp_path, monkeypatch):
    needed = 60 * 3 * 16 * 16
    monkeypatch.setattr(images.os, "sysconf", {"SC_PHYS_PAGES": 2 * needed, "SC_PAGE_SIZE": 1}.__getitem__)
    assert not _prepare(tree, tmp_path / "exact", resolution=16).is_streamed
    monkeypatch.setattr(images.os, "sysconf", {"SC_PHYS_PAGES": 2 * needed - 2, "SC_PAGE_SIZE": 1}.__getitem__)
    assert _prepare(tree, tmp_path / "over", resolution=16).is_streamed
    assert not _prepare(tree, tmp_path / "over", resolution=16, train_images=30).is_streamed


def test_digest_of_streamed_data_changes_with_images_and_splits(tree, tmp_path):
    digests = {_prepare(tree, tmp_path / "cache", stream=True).digest}
    digests.add(_prepare(tree, tmp_path / "cache", stream=True, seed=1).digest)
    (tree / "cat/0.png").write_bytes(_image(999, (16, 16)))
    digests.add(_prepare(tree, tmp_path / "cache", stream=True).digest)
    (tree / "cat/0.png").write_bytes(_image(0, (16, 16)))
    os.utime(tree / "cat/0.png", (1, 1))
    digests.add(_prepare(tree, tmp_path / "cache", stream=True).digest)
    assert len(digests) == 3


def test_corrupt_images_are_found_before_streaming(tree, tmp_path):
    (tree / "cat/3.png").write_bytes(_image(3)[:-40])
    with pytest.raises(DataError, match=r"1 of 60 are corrupt:\n  cat/3\.png: "):
        _prepare(tree, tmp_path / "cache", stream=True)
    assert list((tmp_path / "cache").iterdir()) == []
    prepared = _prepare(tree, tmp_path / "cache", stream=True, skip_corrupt=True)
    assert len(prepared.full_train) + len(prepared.test) == 59
    assert prepared.skipped[0].startswith("cat/3.png: ")
    memory = _prepare(tree, tmp_path / "cache", skip_corrupt=True)
    np.testing.assert_array_equal(_pixels(prepared.test), memory.test.images)


def test_disk_that_is_full_is_no_corrupt_image(tree, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "write_encoded", full)
    with pytest.raises(DataError, match=r"writing failed: .*No space left"):
        _prepare(tree, tmp_path / "cache", stream=True, skip_corrupt=True)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("loaders", [0, 1])
def test_image_that_was_spoilt_since_is_named(tree, tmp_path, loaders):
    prepared = _prepare(tree, tmp_path / "cache", stream=True)
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
def test_damaged_folder_of_streamed_data_is_refused(tree, tmp_path, name, damage):
    folder = _prepare(tree, tmp_path / "cache", stream=True).folder
    file = folder / name
    assert damage(file.read_bytes()) != file.read_bytes()
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="delete this folder"):
        open_data(folder)


@needs_shared_data
def test_imagenette_streams_as_it_lies_in_memory(tmp_path):
    source = {"resolution": 96, "train_images": 40, "val_images": 20}
    memory, stream = (
        _prepare(SHARED / "imagenette224_5k/val.parquet", tmp_path, stream=stream, **source) for stream in (False, True)
    )
    np.testing.assert_array_equal(torch.cat(list(scoring_stream(stream.val.images, 0))), memory.val.images)
    np.testing.assert_array_equal(_pixels(stream.train), memory.train.images)
    augment = train_transform(96, min_area=0.08, padding=0, flip=True)
    labels, batches = (
        torch.from_numpy(stream.train.labels),
        [[(i, i) for i in range(8)], [(i, i) for i in range(8, 16)]],
    )
    here = list(stream_batches(stream.train.images, labels, batches, augment, 0))
    _assert_equal(list(stream_batches(stream.train.images, labels, batches[1:], augment, 0)), here[1:])
    assert here[0][0].shape == (8, 3, 96, 96)
