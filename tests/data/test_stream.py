import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import pixels_of, prepare
from PIL import Image

from paretonas.data.images import prepare_data
from paretonas.data.source import DataSource
from paretonas.data.stream import scoring_stream, stream_batches, train_transform
from paretonas.errors import WorkerError
from paretonas.executor import executors

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


# --- batches ----------------------------------------------------------------------------------------------------------


def test_batches_have_the_images_and_labels_asked_for(encoded):
    plain = train_transform(16, min_area=1.0, padding=0, flip=False)
    found = _stream(encoded, transform=plain)
    assert [labels.tolist() for _, labels in found] == [[3, 1, 4], [1, 1, 1], [1], [0, 2]]
    for batch, (pixels, labels) in zip(BATCHES, found, strict=True):
        assert (pixels.dtype, labels.dtype) == (torch.uint8, torch.int64)
        np.testing.assert_array_equal(pixels, np.stack([encoded.pixels(index) for index, _ in batch]))


def test_grey_images_have_batches_of_one_channel(encoded):
    assert _stream(replace(encoded, channels=1))[0][0].shape == (3, 1, 16, 16)


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


@pytest.mark.parametrize(("loaders", "first"), [(0, 2), pytest.param(1, 0, marks=pytest.mark.slow), (2, 1)])
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


@pytest.mark.slow
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
def test_loaders_die_with_their_process(noisy_tree, tmp_path):
    folder = prepare_data(DataSource(str(noisy_tree), stream=True), tmp_path / "cache").folder
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


# --- real data --------------------------------------------------------------------------------------------------------


def test_imagenette_streams_as_it_lies_in_memory(tmp_path, real_data):
    source = {"resolution": 96, "train_images": 40, "val_images": 20}
    memory, stream = (
        prepare(real_data / "imagenette224_5k/val.parquet", tmp_path, stream=stream, **source)
        for stream in (False, True)
    )
    np.testing.assert_array_equal(torch.cat(list(scoring_stream(stream.val.images, 0))), memory.val.images)
    np.testing.assert_array_equal(pixels_of(stream.train), memory.train.images)
    augment = train_transform(96, min_area=0.08, padding=0, flip=True)
    labels, batches = (
        torch.from_numpy(stream.train.labels),
        [[(i, i) for i in range(8)], [(i, i) for i in range(8, 16)]],
    )
    here = list(stream_batches(stream.train.images, labels, batches, augment, 0))
    _assert_equal(list(stream_batches(stream.train.images, labels, batches[1:], augment, 0)), here[1:])
    assert here[0][0].shape == (8, 3, 96, 96)
