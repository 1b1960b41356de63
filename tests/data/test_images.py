import pickle
import shutil

import numpy as np
import pytest
from pictures import coloured, encode, pixels_of, prepare, write_parquet, write_tree
from PIL import Image

from paretonas.data import images
from paretonas.data.images import open_data, prepare_data
from paretonas.data.source import DataSource
from paretonas.errors import DataError, MachineError


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
    assert calls == [(64, 100), (100, 100)]
    monkeypatch.setattr(images, "write_prepared", lambda *_: pytest.fail("prepared again"))
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


def lie(name, shape, descr="<i8"):
    """A header that tells of more than any memory holds."""

    def damage(folder):
        with (folder / name).open("wb") as file:
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(file, header)
            file.write(bytes(800))

    return damage


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
        lie("labels.npy", (10**12,)),
        lie("labels.npy", (2**62, 2**62)),
        lie("labels.npy", (-1,)),
        lie("images.npy", (100, 3, 10**6, 10**6), "|u1"),
        lie("images.npy", (100, 3, 16, 16), "<f8"),
        lambda folder: (folder / "meta.json").write_text("[" * 100_000),
        lambda folder: (folder / "meta.json").write_bytes(b"\xff\xfe"),
        lambda folder: (folder / "labels.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + b"(" * 118),
    ],
)
def test_damaged_data_are_refused_and_prepared_anew(tree, cache, damage):
    folder = prepare(tree, cache).folder
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    damage(folder)
    with pytest.raises(DataError, match="delete this folder"):
        open_data(folder)
    assert prepare(tree, cache).folder == folder
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole
    assert list(cache.iterdir()) == [folder]


@pytest.mark.parametrize("shape", [(10**12, 2), (3, 2), (100, 2, 2)])
def test_damaged_streamed_data_are_prepared_anew(tree, cache, shape):
    folder = prepare(tree, cache, stream=True).folder
    lie("offsets.npy", shape)(folder)
    with pytest.raises(DataError, match="delete this folder"):
        open_data(folder)
    assert len(pixels_of(prepare(tree, cache, stream=True).test)) == 20


def test_file_in_place_of_the_folder_is_replaced(tree, cache):
    folder = prepare(tree, cache).folder
    shutil.rmtree(folder)
    folder.write_text("a file")
    assert len(prepare(tree, cache).test) == 20


@pytest.mark.parametrize(
    "fault", [PermissionError(13, "Permission denied"), OSError(24, "Too many open files"), MemoryError()]
)
def test_what_the_machine_refuses_is_not_damaged(tree, cache, monkeypatch, fault):
    def refuse(*_, **__):
        raise fault

    folder = prepare(tree, cache).folder
    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    with pytest.raises(MachineError, match=f"{folder.name} cannot be opened"):
        prepare(tree, cache)
    assert folder.exists()


def test_classes_that_are_not_scored_are_told_of(tmp_path, cache):
    write_tree(tmp_path / "set" / "train", {"cat": 20, "dog": 20, "eel": 1})
    write_tree(tmp_path / "set" / "test", {"cat": 5})
    assert prepare(tmp_path / "set", cache).notes[-2:] == (
        "no validation image is of 1 of 3 classes: eel",
        "no test image is of 2 of 3 classes: dog, eel",
    )


def test_open_refuses_an_absent_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        open_data(tmp_path / "nowhere")


def test_a_split_of_corrupt_images_is_an_error(tmp_path, cache):
    write_tree(tmp_path / "tree" / "train", {"a": 10, "b": 10})
    write_tree(tmp_path / "tree" / "test", {"a": 1})
    (tmp_path / "tree/test/a/0.png").write_bytes(b"")
    with pytest.raises(DataError, match="all images of test are corrupt"):
        prepare(tmp_path / "tree", cache, skip_corrupt=True)
