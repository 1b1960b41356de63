import os
import re
import resource
import socket
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import fails, pixels_of, prepare
from PIL import Image

from paretonas import files
from paretonas.data import writing
from paretonas.errors import MachineError


def test_arrays_are_written_as_numpy_does(tmp_path):
    array = np.arange(60).reshape(5, 3, 4)
    writing.write_array(tmp_path / "one.npy", np.int64, array.shape, [array[:2], array[2:2], array[2:]])
    np.save(tmp_path / "other.npy", array)
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "other.npy").read_bytes()


def test_prepare_accepts_that_another_process_was_faster(tree, cache, tmp_path, monkeypatch):
    other = prepare(tree, tmp_path / "other").folder

    def faster(draft, folder):
        other.rename(folder)
        real(draft, folder)

    real = writing.rename_folder
    monkeypatch.setattr(writing, "rename_folder", faster)
    assert len(prepare(tree, cache).train) == 64
    assert len(list(cache.iterdir())) == 1


def test_folder_has_the_mode_that_the_umask_gives(tree, cache):
    before = os.umask(0o027)
    try:
        folder = prepare(tree, cache).folder
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o640}


# The machine


def test_images_that_exceed_the_disk_are_an_error(tree, cache, monkeypatch):
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(MachineError, match=r"on disk, but .*cache has only 0 MB free"):
        prepare(tree, cache)
    assert list(cache.iterdir()) == []


def test_cache_that_is_a_file_is_an_error(tree, cache):
    cache.write_text("a file")
    with pytest.raises(MachineError, match="cache"):
        prepare(tree, cache)


@contextmanager
def longest_file(size):
    """Meanwhile the system refuses to write more than so many bytes into a file, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # Python ignores the signal
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_write_that_the_system_refuses_leaves_nothing(tree, cache, tmp_path, stream, share):
    whole = prepare(tree, tmp_path / "other", stream=stream)
    largest = max(file.stat().st_size for file in whole.folder.iterdir())
    with longest_file(int(share * largest)), pytest.raises(MachineError, match=r"cache: .*File too large|other"):
        prepare(tree, cache, stream=stream)
    assert list(cache.iterdir()) == []
    assert prepare(tree, cache, stream=stream).digest == whole.digest


def test_what_a_killed_process_left_goes(tree, cache):
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = cache / f"scratch-x.{re.sub(r'[^A-Za-z0-9_-]', '_', socket.gethostname())}.{gone.pid}.part"
    (left / "0123456789abcdef0123").mkdir(parents=True)
    (left / "0123456789abcdef0123" / "decoded").write_bytes(b"half")
    folder = prepare(tree, cache).folder
    assert list(cache.iterdir()) == [folder]


def test_nothing_has_its_name_before_it_is_whole_and_synced(tree, cache, monkeypatch):
    synced, renamed = [], []
    monkeypatch.setattr(files, "_sync", synced.append)
    real = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, to: renamed.append((path, list(synced))) or real(path, to))
    folder = prepare(tree, cache).folder
    ((draft, before),) = renamed
    assert set(before) == {draft, *(draft / file.name for file in folder.iterdir())}
    assert synced[len(before) :] == [cache]


# What is plausible


def grey_tree(root, pixels):
    """Twenty images in two classes, each of such pixels times a random number below 1."""
    rng = np.random.default_rng(0)
    for number in range(20):
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        values = (rng.random((16, 16)) * pixels).astype(pixels.dtype)
        Image.fromarray(values).save(root / "ab"[number % 2] / f"{number}.png")
    return root


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("brightest", [np.uint8(2), np.uint8(16)])
def test_pixels_that_are_next_to_black_are_refused(tmp_path, cache, brightest, stream):
    """Masks; 4 bits of 8."""
    fails(grey_tree(tmp_path / "tree", brightest), cache, r"in 8 bits all of them lie in 0\.\.\d+ of", stream=stream)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("stream", [False, True])
def test_pixels_of_16_bits_are_seen_as_those_of_8(tmp_path, cache, stream):
    deep = prepare(grey_tree(tmp_path / "deep", np.uint16(65535)), cache, stream=stream)
    shallow = prepare(grey_tree(tmp_path / "shallow", np.uint8(255)), cache, stream=stream)
    assert deep.channels == 1
    seen, expected = (pixels_of(one.full_train).astype(int) for one in (deep, shallow))
    assert np.abs(seen - expected).max() <= 1


def test_file_of_which_8_bits_leave_nothing_is_named(tmp_path, cache):
    root = grey_tree(tmp_path / "tree", np.uint16(65535))
    Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16)).save(root / "a/0.png")
    fails(root, cache, r"1 of 20 are corrupt: a/0\.png: .* from 0 to 255 where they could reach 65535")
    assert len(prepare(root, cache, skip_corrupt=True).skipped) == 1
