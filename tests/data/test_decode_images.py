import errno
import os

import numpy as np
import pytest
from pictures import coloured, encode, identities, noise, pixels_of, prepare, write_parquet
from PIL import Image

from paretonas.data import decode, pixels
from paretonas.data.decode import survey, write_decoded
from paretonas.data.images import open_data
from paretonas.data.listing import list_images
from paretonas.data.source import DataSource
from paretonas.errors import DataError, MachineError


def spoil(tree):
    (tree / "cat" / "0.png").write_bytes(b"not an image")
    whole = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)), "JPEG")
    (tree / "cat" / "1.png").write_bytes(whole[:-50])
    (tree / "dog" / "60.png").write_bytes(encode(Image.new("F", (8, 8), 0.5), "TIFF"))


def test_corrupt_images_stop_with_a_list(tree, cache):
    spoil(tree)
    with pytest.raises(DataError, match="3 of 100 are corrupt") as caught:
        prepare(tree, cache)
    message = str(caught.value)
    assert "cat/0.png: not an image of a known format" in message
    assert "cat/1.png: OSError: image file is truncated" in message
    assert "dog/60.png: floating-point pixels (mode F)" in message
    assert "--skip-corrupt" in message
    assert list(cache.iterdir()) == []


def test_corrupt_images_are_listed_up_to_ten(tree, cache):
    for number in range(30):
        (tree / "cat" / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="30 of 100") as caught:
        prepare(tree, cache)
    assert str(caught.value).count("cat/") == 10
    assert "; and 20 more" in str(caught.value)


def test_corrupt_images_are_skipped_on_demand(tree, cache):
    spoil(tree)
    prepared = prepare(tree, cache, skip_corrupt=True)
    assert [line.split(":")[0] for line in prepared.skipped] == ["cat/0.png", "cat/1.png", "dog/60.png"]
    assert len(prepared.full_train) + len(prepared.test) == 97
    kept = identities(prepared.full_train) + identities(prepared.test)
    assert sorted(kept) == sorted(set(range(100)) - {0, 1, 60})
    assert open_data(prepared.folder).skipped == prepared.skipped


def test_corrupt_images_of_parquet_are_named_by_row(tmp_path, cache):
    rows = [encode(coloured(row)) for row in range(20)]
    write_parquet(tmp_path / "set.parquet", [0, 1] * 10, encoded=[*rows[:18], None, b"x"])
    with pytest.raises(DataError, match=r"set\.parquet row 18: no bytes"):
        prepare(tmp_path / "set.parquet", cache)


@pytest.fixture
def odd_tree(tree):
    """With entries called like images that are none."""
    cats = tree / "cat"
    for number in range(6):
        (cats / f"{number}.png").unlink()
    (cats / "0.png").mkdir()
    os.mkfifo(cats / "1.png")
    (cats / "2.png").symlink_to("/dev/zero")
    (cats / "3.png").touch()
    (cats / "4.png").write_bytes(noise(1)[:-40])
    (cats / "5.png").write_bytes(encode(coloured(1, (300, 300))))
    return tree


@pytest.mark.parametrize("stream", [False, True])
def test_unreadable_files_of_every_kind_are_named_or_skipped(odd_tree, cache, monkeypatch, stream):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200 * 200)
    with pytest.raises(DataError, match=r"5 of 99 are corrupt") as caught:
        prepare(odd_tree, cache, stream=stream)
    for number in range(1, 6):
        assert f"cat/{number}.png: " in str(caught.value)
    prepared = prepare(odd_tree, cache, stream=stream, skip_corrupt=True)
    assert len(prepared.full_train) + len(prepared.test) == 94
    allowed = prepare(odd_tree, cache, stream=stream, skip_corrupt=True, max_pixels=300 * 300)
    assert len(allowed.full_train) + len(allowed.test) == 95


def test_image_that_may_not_be_read_is_corrupt(tree, cache, monkeypatch):
    def refuse(path):
        if path.name == "7.png":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    real = pixels.open_regular
    monkeypatch.setattr(pixels, "open_regular", refuse)
    with pytest.raises(DataError, match=r"1 of 100 are corrupt: cat/7\.png: Permission denied\. "):
        prepare(tree, cache)
    assert len(prepare(tree, cache, skip_corrupt=True).skipped) == 1


@pytest.mark.parametrize(
    "fault", [OSError(errno.EMFILE, os.strerror(errno.EMFILE)), OSError(errno.EIO, "dead"), MemoryError("9 GB")]
)
def test_fault_of_the_machine_is_no_corrupt_image(tree, cache, monkeypatch, fault):
    def refuse(*_):
        raise fault

    monkeypatch.setattr(decode, "to_pixels", refuse)
    with pytest.raises(MachineError, match=r"The image cat/\d+\.png cannot be read: .*then go on"):
        prepare(tree, cache, skip_corrupt=True)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("side", [17, 40])  # Pillow raises above twice its limit
def test_decompression_bombs_are_corrupt_unless_they_are_allowed(tree, cache, monkeypatch, side):
    coloured(0, (side, side)).save(tree / "cat" / "0.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16 * 16)
    with pytest.raises(DataError, match=r"1 of 100 are corrupt: cat/0\.png: Image size .*max_pixels=N\. "):
        prepare(tree, cache)
    assert len(prepare(tree, cache, max_pixels=side * side).full_train) == 80
    streamed = prepare(tree, cache, max_pixels=side * side, stream=True)
    assert sum(len(pixels_of(part)) for part in (streamed.full_train, streamed.test)) == 100


def test_imagenette_mixes_grey_and_colour(tmp_path, real_data):
    listing = list_images(DataSource(str(real_data / "imagenette224_5k/val.parquet")))
    found = write_decoded(listing, tmp_path / "decoded", 64)
    assert found.corrupt == {}
    assert (tmp_path / "decoded").stat().st_size == len(listing.labels) * 3 * 64 * 64
    assert found.rows.tolist() == list(range(len(listing.labels)))
    assert 0 < found.is_grey.mean() < 0.05
    assert survey(listing)[0] == [224] * 500
    assert listing.classes[0] == "tench"
