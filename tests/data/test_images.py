import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import coloured, encode, fails, prepare, write_parquet, write_tree
from PIL import Image

from paretonas.data import images
from paretonas.data.images import open_data, prepare_data
from paretonas.data.source import DataSource
from paretonas.errors import DataError


def test_data_of_grey_images_have_one_channel_unless_one_is_coloured(tmp_path, cache):
    rows = [encode(Image.new("L", (16, 16), row)) for row in range(20)]
    write_parquet(tmp_path / "grey.parquet", [0, 1] * 10, encoded=rows)
    grey = prepare(tmp_path / "grey.parquet", cache)
    assert grey.full_train.images.shape == (16, 1, 16, 16)
    everything = np.concatenate([grey.full_train.images, grey.test.images])
    assert sorted(everything[:, 0, 3, 3].tolist()) == list(range(20))

    write_parquet(tmp_path / "mixed.parquet", [0, 1] * 10, encoded=[encode(coloured(1)), *rows[1:]])
    assert prepare(tmp_path / "mixed.parquet", cache).full_train.images.shape == (16, 3, 16, 16)


@pytest.mark.parametrize(
    ("size", "resolution"), [((28, 28), 32), ((50, 33), 32), ((3, 3), 8), ((40, 36), 40), ((300, 500), 224)]
)
def test_resolution_is_inferred_from_the_shorter_sides(tmp_path, cache, size, resolution):
    write_parquet(tmp_path / "set.parquet", [0, 1] * 5, encoded=[encode(coloured(row, size)) for row in range(10)])
    assert prepare(tmp_path / "set.parquet", cache).resolution == resolution
    assert prepare(tmp_path / "set.parquet", cache, resolution=20).test.images.shape[1:] == (3, 20, 20)


def test_prepare_reuses_the_cache(tree, cache, monkeypatch):
    calls = []
    first = prepare_data(DataSource(str(tree)), cache, lambda done, total: calls.append((done, total)))
    assert calls == [(100, 100)]
    monkeypatch.setattr(images, "decode_images", lambda *_: pytest.fail("decoded again"))
    second = prepare_data(DataSource(str(tree)), cache, lambda *_: pytest.fail("no progress to report"))
    assert second.folder == first.folder
    np.testing.assert_array_equal(second.train.images, first.train.images)
    assert sorted(file.name for file in first.folder.iterdir()) == ["images.npy", "labels.npy", "meta.json"]
    assert list(cache.iterdir()) == [first.folder]


def test_prepare_notices_changed_files_and_options(tree, cache):
    folders = [
        prepare(tree, cache).folder,
        prepare(tree, cache, resolution=24).folder,
        prepare(tree, cache, seed=5).folder,
    ]
    coloured(3, (20, 20)).save(tree / "cat" / "3.png")
    folders.append(prepare(tree, cache).folder)
    assert len(set(folders)) == 4


def test_prepare_knows_parquet_by_its_content(tmp_path, cache):
    write_parquet(tmp_path / "a.parquet", [0, 1] * 10)
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes())
    assert prepare(tmp_path / "a.parquet", cache).folder == prepare(tmp_path / "b.parquet", cache).folder
    (tmp_path / "classes.json").write_text('["x", "y"]')
    assert prepare(tmp_path / "a.parquet", cache).classes == ("x", "y")


def test_keys_and_digests_of_earlier_versions_stay_valid(cache):
    prepared = prepare("digits", cache)
    assert prepared.folder.name == "c065076bf57c2a304e6c"
    assert prepared.digest == "544fcaa1d3cc51d79d47e32fe94553d669bb9b1f76847cbc0cf0c54c447d6365"


def test_prepare_accepts_that_another_process_was_faster(tree, cache, tmp_path, monkeypatch):
    other = prepare(tree, tmp_path / "other").folder

    def faster(source, destination):
        if not destination.exists():
            other.rename(destination)
        real(source, destination)

    real = os.replace
    monkeypatch.setattr(images.os, "replace", faster)
    assert len(prepare(tree, cache).train) == 64
    assert len(list(cache.iterdir())) == 1


def test_image_data_pickle_as_their_folder(tree, cache):
    prepared = prepare(tree, cache)
    pickled = pickle.dumps(prepared)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).train.images, prepared.train.images)


def test_image_data_can_become_tensors_and_writing_leaves_the_cache_alone(tree, cache):
    torch = pytest.importorskip("torch")
    prepared = prepare(tree, cache)
    tensor = torch.from_numpy(np.ascontiguousarray(prepared.train.images))
    assert tensor.shape == (64, 3, 16, 16)
    before = int(tensor[0, 0, 0, 0])
    tensor[0, 0, 0, 0] = before + 1
    assert int(open_data(prepared.folder).train.images[0, 0, 0, 0]) == before


def damage_shape(folder):
    np.save(folder / "images.npy", np.zeros((3, 3, 16, 16), dtype=np.uint8))


def damage_labels(folder):
    labels = np.load(folder / "labels.npy")
    np.save(folder / "labels.npy", labels + 1)


def damage_with_pickle(folder):
    np.save(folder / "labels.npy", np.array([print] * 100), allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "meta.json").unlink(),
        lambda folder: (folder / "meta.json").write_text("{"),
        lambda folder: (folder / "meta.json").write_text("[]"),
        lambda folder: (folder / "meta.json").write_text("{}"),
        lambda folder: (folder / "meta.json").write_text((folder / "meta.json").read_text().replace("format", "f")),
        lambda folder: (folder / "meta.json").write_text(
            (folder / "meta.json").read_text().replace('"format": 1', '"format": 2')
        ),
        lambda folder: (folder / "images.npy").unlink(),
        lambda folder: (folder / "images.npy").write_bytes(b""),
        lambda folder: (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-1]),
        lambda folder: (folder / "labels.npy").write_bytes(b"not an array"),
        damage_shape,
        damage_labels,
        damage_with_pickle,
    ],
)
def test_open_says_how_to_get_rid_of_damaged_data(tree, cache, damage):
    folder = prepare(tree, cache).folder
    damage(folder)
    with pytest.raises(DataError, match="delete this folder"):
        open_data(folder)
    with pytest.raises(DataError, match=folder.name):
        prepare(tree, cache)


def test_open_refuses_an_absent_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        open_data(tmp_path / "nowhere")


def test_a_split_of_corrupt_images_is_an_error(tmp_path, cache):
    write_tree(tmp_path / "tree" / "train", {"a": 10, "b": 10})
    write_tree(tmp_path / "tree" / "test", {"a": 1})
    (tmp_path / "tree/test/a/0.png").write_bytes(b"")
    with pytest.raises(DataError, match="all images of test are corrupt"):
        prepare(tmp_path / "tree", cache, skip_corrupt=True)


def test_images_that_exceed_the_disk_are_an_error(tree, cache, monkeypatch):
    monkeypatch.setattr(images.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    fails(tree, cache, "on disk")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_an_error(tree, cache):
    cache.write_text("a file")
    fails(tree, cache, "writing failed")
