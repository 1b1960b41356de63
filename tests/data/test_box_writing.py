from types import SimpleNamespace

import numpy as np
import pytest
from boxed import SIDEWAYS, document, picture, prepare, prepared_in, write_coco
from pictures import encode
from PIL import Image

from paretonas.data import writing
from paretonas.data.box_writing import PADDING, to_letterbox
from paretonas.data.pixels import to_upright
from paretonas.errors import DataError, MachineError


@pytest.fixture
def tree(tmp_path):
    return write_coco(tmp_path / "tree", document(20))


def test_images_are_scaled_to_the_upper_left_and_the_rest_is_grey():
    content = picture(1, (40, 30), "PNG")
    square = to_letterbox(content, (40, 30), 64)
    assert (square.shape, square.dtype) == ((3, 64, 64), np.uint8)
    scaled = to_upright(content)[0].resize((64, 48), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(square[:, :48], np.asarray(scaled).transpose(2, 0, 1))
    assert (square[:, 48:] == PADDING).all()
    assert (to_letterbox(picture(1, (30, 40)), (30, 40), 64)[:, :, 48:] == PADDING).all()


def test_images_of_the_resolution_stay_as_they_are():
    content = picture(1, (64, 64), "PNG")
    np.testing.assert_array_equal(
        to_letterbox(content, (64, 64), 64), np.asarray(to_upright(content)[0]).transpose(2, 0, 1)
    )


def test_images_are_turned_and_grey_ones_have_three_channels():
    assert (to_letterbox(picture(1, exif=SIDEWAYS), (30, 40), 64)[:, :, 48:] == PADDING).all()
    square = to_letterbox(encode(Image.new("L", (64, 32), 200)), (64, 32), 64)
    assert (square[:, :32] == 200).all()


def test_an_image_that_is_not_of_the_size_of_its_header_is_corrupt():
    with pytest.raises(ValueError, match=r"its size is \(40, 30\) once decoded, but its header says \(30, 40\)"):
        to_letterbox(picture(1), (30, 40), 64)


def test_truncated_images_are_named_or_left_out(tree, cache):
    file = tree / "images/3.jpg"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"1 of 20 are corrupt: images/3\.jpg: .*truncated.*--skip-corrupt"):
        prepare(tree, cache)
    assert prepared_in(cache) == []
    prepared = prepare(tree, cache, skip_corrupt=True)
    assert len(prepared.full_train) + len(prepared.test) == 19
    assert prepared.skipped[0].startswith("images/3.jpg: ")


def test_what_was_left_out_of_the_listing_is_kept_in_mind(tree, cache):
    (tree / "images/3.jpg").write_bytes(b"no image")
    prepared = prepare(tree, cache, skip_corrupt=True)
    assert prepared.skipped == ("images/3.jpg: not an image of a known format",)
    assert prepare(tree, cache, skip_corrupt=True).skipped == prepared.skipped


def test_a_split_of_corrupt_images_is_an_error(tree, cache):
    other = document(1)
    other["images"][0]["file_name"] = "t.jpg"
    write_coco(tree, other, "test.json")
    (tree / "images/t.jpg").write_bytes(picture(0)[:-100])
    with pytest.raises(DataError, match="all images of test are corrupt"):
        prepare(tree, cache, skip_corrupt=True)


def test_images_that_exceed_the_disk_are_an_error(tree, cache, monkeypatch):
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(MachineError, match=r"on disk, but .*cache has only 0 MB free"):
        prepare(tree, cache)
    assert prepared_in(cache) == []


def test_a_full_disk_is_an_error_and_leaves_nothing(tree, cache, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writing, "rename_folder", refuse)
        with pytest.raises(MachineError, match=r"cannot be written to .*No space left on device\. Free some space"):
            prepare(tree, cache)
    assert prepared_in(cache) == []
    assert len(prepare(tree, cache).test) == 4


def test_another_process_may_be_faster(tree, cache, tmp_path, monkeypatch):
    other = prepare(tree, tmp_path / "other").folder

    def faster(draft, folder):
        other.rename(folder)
        real(draft, folder)

    real = writing.rename_folder
    monkeypatch.setattr(writing, "rename_folder", faster)
    assert len(prepare(tree, cache).test) == 4
    assert len(prepared_in(cache)) == 1


def test_fault_of_the_machine_is_no_corrupt_image(tree, cache, monkeypatch):
    def refuse(*_):
        raise MemoryError("9 GB")

    monkeypatch.setattr("paretonas.data.box_writing.to_upright", refuse)
    with pytest.raises(MachineError, match=r"The image images/\d+\.jpg cannot be read"):
        prepare(tree, cache, skip_corrupt=True)
