import json
import pickle
import shutil

import numpy as np
import pytest
from boxed import SIDEWAYS, annotation, document, picture, prepare, prepared_in, write, write_coco

from paretonas.data import box_images
from paretonas.data.box_images import PADDING, BoxSource, Ragged, open_boxes, prepare_boxes
from paretonas.errors import DataError, MachineError


@pytest.fixture
def tree(tmp_path):
    """Twenty images of 40 x 30 pixels; the first is stored turned, and the second twice as large as stated."""
    root = write_coco(tmp_path / "tree", document(20))
    write(root / "images/0.jpg", picture(0, exif=SIDEWAYS))
    write(root / "images/1.jpg", picture(1, (80, 60)))
    return root


def everything(prepared):
    """Image, boxes, labels, size by number."""
    return {
        int(name.split("/")[1].split(".")[0]): (image, boxes, labels, size)
        for part in (prepared.full_train, prepared.test)
        for image, boxes, labels, size, name in zip(
            part.images, part.boxes, part.labels, part.sizes.tolist(), part.names, strict=True
        )
    }


def test_boxes_are_in_pixels_of_the_prepared_images(tree, cache):
    prepared = prepare(tree, cache)
    found = everything(prepared)
    assert sorted(found) == list(range(20))
    assert (prepared.resolution, prepared.classes) == (64, ("cat", "dog"))
    expected = {
        0: ([13, 4, 25, 14], 1.6, [30, 40]),
        1: ([8, 10, 28, 34], 0.8, [80, 60]),
        3: ([4, 5, 14, 17], 1.6, [40, 30]),
    }
    for number, (box, scale, size) in expected.items():
        image, boxes, labels, original = found[number]
        np.testing.assert_allclose(boxes[0], np.array(box) * scale, rtol=1e-6)
        assert (labels[0], original) == (0, size)
        padding = image[:, :, 48:] if number == 0 else image[:, 48:]
        assert (image.shape, image.dtype, set(padding.ravel().tolist())) == ((3, 64, 64), np.uint8, {PADDING})


def test_boxes_come_back_to_the_original_images(tree, cache):
    test = prepare(tree, cache).test
    for image, boxes in enumerate(test.boxes):
        scale = np.tile(test.scales[image], 2)
        np.testing.assert_allclose(test.original(image, boxes), boxes / scale, rtol=1e-6)
        beyond = test.original(image, np.array([[-5.0, -5.0, 64.0, 64.0]]))
        assert beyond.tolist() == [[0, 0, *test.sizes[image].tolist()]]


def test_parts_are_slices_of_one_file(tree, cache):
    prepared = prepare(tree, cache, train_images=5, val_images=3)
    lengths = [len(part) for part in (prepared.train, prepared.val, prepared.test, prepared.full_train)]
    assert lengths == [5, 3, 4, 16]
    for part, first in ((prepared.train, 0), (prepared.val, 13)):
        same = slice(first, first + len(part))
        np.testing.assert_array_equal(part.images, prepared.full_train.images[same])
        assert part.names == prepared.full_train.names[same]
        for boxes, others in zip(part.boxes, list(prepared.full_train.boxes)[same], strict=True):
            np.testing.assert_array_equal(boxes, others)
    assert sorted(file.name for file in prepared.folder.iterdir()) == [
        "boxes.npy", "images.npy", "is_ignored.npy", "labels.npy", "meta.json", "offsets.npy", "sizes.npy",
    ]  # fmt: skip


def test_images_without_boxes_have_none(tmp_path, cache):
    given = document(10)
    given["annotations"] = [
        item | {"iscrowd": int(item["category_id"] == 7 and item["image_id"] == 2)}
        for item in given["annotations"]
        if item["image_id"] != 4
    ]
    found = prepare(write_coco(tmp_path / "set", given), cache)
    _, boxes, labels, _ = everything(found)[4]
    assert (boxes.shape, labels.shape) == ((0, 4), (0,))
    assert sum(int(flags.sum()) for part in (found.full_train, found.test) for flags in part.is_ignored) == 1


def test_ragged_arrays_are_indexed_as_sequences_are():
    ragged = Ragged(np.arange(6), np.array([0, 2, 2, 6]))
    assert [one.tolist() for one in ragged] == [[0, 1], [], [2, 3, 4, 5]]
    assert ragged[-1].tolist() == ragged[np.int64(2)].tolist() == [2, 3, 4, 5]
    assert [one.tolist() for one in ragged.part(1, 3)] == [[], [2, 3, 4, 5]]
    assert ragged.part(1, 3).whole.tolist() == [2, 3, 4, 5]
    assert len(ragged.part(2, 2)) == 0
    with pytest.raises(IndexError):
        ragged[3]


def test_prepare_reuses_the_cache(tree, cache, monkeypatch):
    calls = []
    source = BoxSource(str(tree), resolution=64)
    first = prepare_boxes(source, cache, lambda done, total: calls.append((done, total)))
    assert calls == [(20, 20)]
    monkeypatch.setattr(box_images, "write_boxes", lambda *_: pytest.fail("prepared again"))
    second = prepare_boxes(source, cache, lambda *_: pytest.fail("no progress to report"))
    assert (second.folder, second.digest, second.notes) == (first.folder, first.digest, first.notes)
    assert "1 image turned upright, as EXIF data tell: images/0.jpg" in second.notes
    assert prepared_in(cache) == [first.folder]


def test_prepare_notices_changed_data_and_options(tree, cache):
    found = [prepare(tree, cache), prepare(tree, cache, resolution=96), prepare(tree, cache, seed=5)]
    given = document(20)
    given["annotations"].append(annotation(99, 3, bbox=[1, 1, 5, 5]))
    write(tree / "train.json", json.dumps(given))
    found.append(prepare(tree, cache))
    assert len({one.folder for one in found}) == len({one.digest for one in found}) == 4


def test_digests_are_of_contents(tree, cache, tmp_path):
    shutil.copytree(tree, tmp_path / "copy")
    assert prepare(tree, cache).digest == prepare(tmp_path / "copy", tmp_path / "other").digest


def test_box_data_pickle_as_their_folder(tree, cache):
    prepared = prepare(tree, cache)
    pickled = pickle.dumps(prepared)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).train.boxes[0], prepared.train.boxes[0])


def test_writing_leaves_the_cache_alone(tree, cache):
    prepared = prepare(tree, cache)
    before = int(prepared.train.images[0, 0, 0, 0])
    prepared.train.images[0, 0, 0, 0] = before ^ 1
    assert int(open_boxes(prepared.folder).train.images[0, 0, 0, 0]) == before


def test_test_images_that_are_learned_from_are_told_of(tree, cache):
    other = document(2)
    for image in other["images"]:
        image["file_name"] = f"t{image['id']}.jpg"
    write_coco(tree, other, "test.json")
    write(tree / "images/t0.jpg", (tree / "images/5.jpg").read_bytes())
    assert any(note.startswith("1 of 2 test images are among the others too") for note in prepare(tree, cache).notes)


def test_classes_that_are_not_scored_are_told_of(tree, cache):
    other = document(2)
    other["annotations"] = other["annotations"][:2]
    for image in other["images"]:
        image["file_name"] = f"t{image['id']}.jpg"
    write_coco(tree, other, "test.json")
    assert "no test image is of 1 of 2 classes: dog" in prepare(tree, cache).notes


def damage(name, change):
    def spoil(folder):
        array = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", change(array))

    return spoil


def edit(old, new):
    return lambda folder: write(folder / "meta.json", (folder / "meta.json").read_text().replace(old, new))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "meta.json").unlink(),
        lambda folder: (folder / "meta.json").write_text("{"),
        lambda folder: (folder / "meta.json").write_text("[]"),
        edit('"format": 1', '"format": 2'),
        edit('"names": [', '"names": ["more", '),
        edit('"resolution": 64', '"resolution": 96'),
        lambda folder: (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-1]),
        damage("images", lambda images: images[1:]),
        damage("boxes", lambda boxes: boxes[1:]),
        damage("boxes", lambda boxes: boxes + 60),
        damage("boxes", lambda boxes: boxes * np.nan),
        damage("boxes", lambda boxes: boxes.astype(np.float64)),
        damage("labels", lambda labels: labels + 1),
        damage("labels", lambda labels: labels - 1),
        damage("is_ignored", lambda flags: flags.astype(np.uint8)),
        damage("offsets", lambda offsets: offsets + 1),
        damage("offsets", lambda offsets: np.concatenate([[0], offsets[:0:-1]])),
        damage("offsets", lambda offsets: np.append(offsets[:-1], 2**62)),
        damage("sizes", lambda sizes: sizes * 0),
        lambda folder: np.save(folder / "labels.npy", np.array([print] * 30), allow_pickle=True),
    ],
)
def test_damaged_data_are_refused_and_prepared_anew(tree, cache, spoil):
    folder = prepare(tree, cache).folder
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    spoil(folder)
    with pytest.raises(DataError, match="delete this folder"):
        open_boxes(folder)
    assert prepare(tree, cache).folder == folder
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
    assert prepared_in(cache) == [folder]


def test_what_the_machine_refuses_is_not_damaged(tree, cache, monkeypatch):
    def refuse(*_, **__):
        raise OSError(24, "Too many open files")

    folder = prepare(tree, cache).folder
    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    with pytest.raises(MachineError, match=f"{folder.name} cannot be opened"):
        prepare(tree, cache)


def test_open_refuses_an_absent_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        open_boxes(tmp_path / "nowhere")


def test_bccd_is_prepared(real_data, cache):
    prepared = prepare(real_data / "bccd", cache)
    assert [len(part) for part in (prepared.train, prepared.val, prepared.test)] == [205, 87, 72]
    assert sum(len(part.labels.whole) for part in (prepared.full_train, prepared.test)) == 4886
    assert (prepared.notes, prepared.skipped) == ((), ())
    assert prepared.train.scales.tolist() == [[0.1, 0.1]] * 205
    assert (prepared.train.images[:, :, 48:] == PADDING).all()


def test_voc2012_is_divided(real_data, cache):
    prepared = prepare(real_data / "voc2012_100/gt.json", cache)
    assert [len(part) for part in (prepared.train, prepared.val, prepared.test)] == [64, 16, 20]
    assert sum(len(part.labels.whole) for part in (prepared.full_train, prepared.test)) == 273
    assert len(set(prepared.train.labels.whole.tolist())) >= 15
