import json
import os
import pickle
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from paretonas.data import images
from paretonas.data.decode import decode_images, survey, to_pixels
from paretonas.data.images import open_data, prepare_data
from paretonas.data.listing import list_images
from paretonas.data.source import DataSource, pick, split_images
from paretonas.errors import DataError

SHARED = Path(os.environ.get("PARETONAS_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_shared_data = pytest.mark.skipif(not SHARED.exists(), reason=f"no shared data at {SHARED}; set PARETONAS_DATA")


def encode(image, kind="PNG", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def coloured(number, size=(16, 16)):
    """An image that its first pixel identifies: (number // 256, number % 256, 7)."""
    return Image.new("RGB", size, (number // 256, number % 256, 7))


def identities(split):
    return [int(image[0, 0, 0]) * 256 + int(image[1, 0, 0]) for image in split.images]


def write_parquet(file, labels, first=0, encoded=None):
    if encoded is None:
        encoded = [encode(coloured(first + row)) for row in range(len(labels))]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": encoded, "label": labels}), file)


def write_tree(root, counts, first=0):
    """`counts[class]` images a class, numbered from `first`."""
    for name, count in counts.items():
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(first, first + count):
            coloured(number).save(folder / f"{number}.png")
        first += count


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    write_tree(root, {"cat": 60, "dog": 30, "eel": 10})
    return root


def prepare(path, cache, **asked):
    return prepare_data(DataSource(str(path), **asked), cache)


# --- pixels -----------------------------------------------------------------------------------------------------------


def pixel(image, kind="PNG", **options):
    pixels, is_grey = to_pixels(encode(image, kind, **options), 8)
    assert pixels.shape == (3, 8, 8)
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[:, :1, :1]).all()
    return pixels[:, 0, 0].tolist(), is_grey


def grey16(value, dtype=np.uint16):
    return Image.fromarray(np.full((8, 8), value, dtype=dtype))


def palette(transparent=False):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    if transparent:
        image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("image", "kind", "expected", "is_grey"),
    [
        (Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", [1, 2, 3], False),
        (Image.new("L", (8, 8), 77), "PNG", [77] * 3, True),
        (Image.new("1", (8, 8), 1), "PNG", [255] * 3, True),
        (Image.new("LA", (8, 8), (100, 0)), "PNG", [255] * 3, True),
        (Image.new("LA", (8, 8), (100, 255)), "PNG", [100] * 3, True),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 0)), "PNG", [255] * 3, False),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 51)), "PNG", [206, 208, 210], False),  # 255 * 0.8 + c * 0.2
        (palette(), "PNG", [10, 20, 30], False),
        (palette(transparent=True), "PNG", [255] * 3, False),
        (Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF", [0, 255, 255], False),
        (grey16(0x1234), "PNG", [0x12] * 3, True),
        (grey16(0xFFFF, ">u2"), "TIFF", [0xFF] * 3, True),
        (grey16(0x8000, np.int32), "TIFF", [0x80] * 3, True),
    ],
)
def test_pixels_of_each_mode(image, kind, expected, is_grey):
    assert pixel(image, kind) == (expected, is_grey)


def test_pixels_of_transparent_grey_and_colour_are_white():
    assert pixel(Image.new("L", (8, 8), 9), transparency=9) == ([255] * 3, True)
    assert pixel(Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)) == ([255] * 3, False)


def test_pixels_of_palette_with_alpha_per_entry_are_over_white():
    assert pixel(palette(), transparency=bytes([255, 51]))[0] == [206, 208, 210]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM"])
def test_pixels_of_each_format(kind):
    pixels, is_grey = to_pixels(encode(Image.new("RGB", (8, 8), (200, 100, 50)), kind), 8)
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), [200, 100, 50], atol=3)
    assert not is_grey


@pytest.mark.parametrize("value", [-1, 70_000])
def test_pixels_beyond_16_bits_are_refused(value):
    with pytest.raises(ValueError, match=r"0\.\.65535"):
        pixel(grey16(value, np.int32), "TIFF")


def test_pixels_of_floats_are_refused():
    with pytest.raises(ValueError, match="mode F"):
        pixel(grey16(0.5, np.float32), "TIFF")


def test_pixels_follow_exif_orientation():
    image = Image.new("RGB", (16, 16))
    image.paste((255, 0, 0), (0, 0, 16, 8))  # red above black
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    pixels, _ = to_pixels(encode(image, "PNG", exif=exif), 16)
    assert (pixels[0, :, 8:] == 255).all()
    assert (pixels[0, :, :8] == 0).all()


def test_pixels_are_the_centre_of_the_scaled_image():
    image = Image.new("RGB", (64, 32), "black")
    image.paste("white", (16, 0, 48, 32))
    pixels, _ = to_pixels(encode(image), 16)
    assert (pixels[:, :, 1:-1] == 255).all()  # the bilinear filter reaches one pixel beyond each side


def test_pixels_of_the_right_size_are_unchanged():
    values = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    pixels, _ = to_pixels(encode(Image.fromarray(values)), 24)
    np.testing.assert_array_equal(pixels, values.transpose(2, 0, 1))


def test_pixels_shrink_with_antialiasing():
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    pixels, _ = to_pixels(encode(Image.fromarray(stripes)), 8)
    assert np.abs(pixels[:, :, 1:-1].astype(int) - 127).max() <= 2


# --- sources ----------------------------------------------------------------------------------------------------------


def test_digits_are_grey_8x8_and_not_flipped(cache):
    digits = prepare("digits", cache)
    assert digits.classes == tuple("0123456789")
    assert (digits.resolution, digits.channels, digits.flip) == (8, 1, False)
    assert [len(split) for split in (digits.train, digits.val, digits.test)] == [1151, 287, 359]
    assert digits.train.images.max() == 255
    assert prepare("digits", cache, resolution=16).train.images.shape == (1151, 1, 16, 16)


def test_tree_is_one_pool_with_the_labels_of_its_folders(tree, cache):
    (tree / ".hidden").mkdir()
    (tree / "cat" / ".DS_Store").write_bytes(b"no image")
    (tree / "cat" / "notes.txt").write_text("no image")
    (tree / "README.md").write_text("no class")
    prepared = prepare(tree, cache)
    assert prepared.classes == ("cat", "dog", "eel")
    assert (prepared.channels, prepared.resolution, prepared.flip) == (3, 16, True)
    for split in (prepared.full_train, prepared.test):
        assert [0 if number < 60 else 1 if number < 90 else 2 for number in identities(split)] == split.labels.tolist()


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_tree_keeps_splits_it_names(tmp_path, cache, name):
    for split, first in (("train", 0), (name, 100), ("test", 200)):
        write_tree(tmp_path / "tree" / split, {"a": 6, "b": 4}, first)
    prepared = prepare(tmp_path / "tree", cache)
    assert sorted(identities(prepared.train)) == list(range(10))
    assert sorted(identities(prepared.val)) == list(range(100, 110))
    assert sorted(identities(prepared.test)) == list(range(200, 210))
    assert sorted(identities(prepared.full_train)) == [*range(10), *range(100, 110)]


def test_tree_may_have_classes_named_like_splits(tmp_path, cache):
    write_tree(tmp_path / "tree", {"pass": 10, "test": 10})
    assert prepare(tmp_path / "tree", cache).classes == ("pass", "test")


def test_parquet_folder_reads_shards_of_named_splits(tmp_path, cache):
    write_parquet(tmp_path / "set/train-00000-of-00002.parquet", [0, 1] * 10)
    write_parquet(tmp_path / "set/train-00001-of-00002.parquet", [1, 0] * 10, first=100)
    write_parquet(tmp_path / "set/test.parquet", [0, 1], first=300)
    prepared = prepare(tmp_path / "set", cache)
    assert sorted(identities(prepared.full_train)) == [*range(20), *range(100, 120)]
    assert sorted(identities(prepared.test)) == [300, 301]
    for number, label in zip(identities(prepared.full_train), prepared.full_train.labels, strict=True):
        assert label == (number % 2 if number < 100 else 1 - number % 2)


def test_parquet_folder_of_other_names_is_one_pool(tmp_path, cache):
    write_parquet(tmp_path / "set/a.parquet", [0, 1] * 5)
    write_parquet(tmp_path / "set/b.parquet", [0, 1] * 5, first=10)
    prepared = prepare(tmp_path / "set", cache)
    assert sorted(identities(prepared.full_train) + identities(prepared.test)) == list(range(20))


def test_parquet_reads_the_struct_of_hugging_face(tmp_path, cache):
    rows = [{"bytes": encode(coloured(row)), "path": None} for row in range(20)]
    write_parquet(tmp_path / "set.parquet", [0, 1] * 10, encoded=rows)
    assert len(prepare(tmp_path / "set.parquet", cache).full_train) == 16


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["dog", "cat"], ("cat", "dog")),
        (pa.array(["dog", "cat"] * 10).dictionary_encode(), ("cat", "dog")),
        (pa.array([7, 3] * 10, pa.int8()), ("3", "7")),
    ],
)
def test_parquet_without_class_names_takes_them_from_the_labels(tmp_path, cache, labels, classes):
    labels = labels * 10 if isinstance(labels, list) else labels
    write_parquet(tmp_path / "set.parquet", labels)
    prepared = prepare(tmp_path / "set.parquet", cache)
    assert prepared.classes == classes
    assert [1 - number % 2 for number in identities(prepared.train)] == prepared.train.labels.tolist()


@pytest.mark.parametrize(
    "names", [["cat", "dog"], {"0": "cat", "1": "dog"}, {"classes": ["cat", "dog"], "licence": "none"}]
)
@pytest.mark.parametrize("labels", [[0, 1], ["cat", "dog"]])
def test_parquet_takes_class_names_from_classes_json(tmp_path, cache, names, labels):
    write_parquet(tmp_path / "set.parquet", labels * 10)
    (tmp_path / "classes.json").write_text(json.dumps(names))
    prepared = prepare(tmp_path / "set.parquet", cache)
    assert prepared.classes == ("cat", "dog")
    assert [number % 2 for number in identities(prepared.train)] == prepared.train.labels.tolist()


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


# --- splits -----------------------------------------------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=6), seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1)
)
def test_pick_is_stratified_or_balanced(counts, seed, share):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    size = round(len(counts) + share * (len(labels) - len(counts)))

    balanced = pick(labels, size, np.random.default_rng(seed), stratified=False)
    assert len(set(balanced.tolist())) == size
    taken = np.bincount(labels[balanced], minlength=len(counts))
    assert all(number == count or number >= taken.max() - 1 for number, count in zip(taken, counts, strict=True))

    size = min(size, len(labels) - len(counts))
    stratified = pick(labels, size, np.random.default_rng(seed), stratified=True)
    assert len(set(stratified.tolist())) == size
    taken = np.bincount(labels[stratified], minlength=len(counts))
    assert all(number < count for number, count in zip(taken, counts, strict=True))


def test_pick_keeps_the_proportions_of_the_classes():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    assert np.bincount(labels[pick(labels, 50, np.random.default_rng(3), stratified=True)]).tolist() == [30, 15, 5]
    assert np.bincount(labels[pick(labels, 50, np.random.default_rng(3), stratified=False)]).max() == 17


def test_splits_are_stratified_and_disjoint(tree, cache):
    prepared = prepare(tree, cache)
    splits = (prepared.train, prepared.val, prepared.test)
    assert [np.bincount(split.labels).tolist() for split in splits] == [[39, 19, 6], [9, 5, 2], [12, 6, 2]]
    assert sorted(number for split in splits for number in identities(split)) == list(range(100))
    assert sorted(identities(prepared.full_train)) == sorted(identities(prepared.train) + identities(prepared.val))


def test_splits_depend_on_the_seed_except_for_test(tree, cache, tmp_path):
    one, again, other = prepare(tree, cache), prepare(tree, tmp_path / "again"), prepare(tree, cache, seed=1)
    assert identities(one.train) == identities(again.train)
    assert one.digest == again.digest != other.digest
    assert set(identities(one.val)) != set(identities(other.val))
    assert set(identities(one.test)) == set(identities(other.test))


def test_splits_are_shuffled(tree, cache):
    labels = prepare(tree, cache).train.labels
    assert np.count_nonzero(np.diff(labels)) > 10


@pytest.mark.parametrize(("images", "expected"), [(40_000, 1_600), (10_000, 1_000), (2_000, 400), (20, 5)])
def test_val_size_follows_the_rule(images, expected):
    labels = np.arange(images) % 5
    splits = np.full(images, "train")
    splits[:5] = "test"
    labels, splits = np.append(labels, labels[:5]), np.append(splits, ["train"] * 5)
    parts = split_images(labels, splits, "abcde", DataSource(""))
    assert [len(part) for part in parts] == [images - expected, 0, expected, 5]


def test_named_val_without_test_becomes_test(tmp_path, cache):
    write_parquet(tmp_path / "set/train.parquet", [0, 1] * 25)
    write_parquet(tmp_path / "set/validation.parquet", [0, 1] * 5, first=100)
    prepared = prepare(tmp_path / "set", cache)
    assert sorted(identities(prepared.test)) == list(range(100, 110))
    assert (len(prepared.train), len(prepared.val)) == (40, 10)


def test_val_images_and_train_images_set_the_sizes(tree, cache):
    prepared = prepare(tree, cache, val_images=9, train_images=21)
    assert (len(prepared.train), len(prepared.val), len(prepared.test)) == (21, 9, 20)
    assert np.bincount(prepared.train.labels).tolist() == [7, 7, 7]
    whole = prepare(tree, cache, val_images=9)
    assert identities(prepared.full_train) != identities(whole.full_train)
    assert sorted(identities(prepared.full_train)) == sorted(identities(whole.full_train))
    assert set(identities(prepared.val)) == set(identities(whole.val))


def test_val_images_takes_part_of_a_named_split_and_full_train_keeps_the_rest(tmp_path, cache):
    for split, first in (("train", 0), ("val", 100), ("test", 200)):
        write_parquet(tmp_path / f"set/{split}.parquet", [0, 1] * 10, first=first)
    prepared = prepare(tmp_path / "set", cache, val_images=4, train_images=10)
    assert (len(prepared.train), len(prepared.val), len(prepared.full_train)) == (10, 4, 40)


# --- cache ------------------------------------------------------------------------------------------------------------


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


def test_data_source_is_plain_data():
    source = DataSource("digits", resolution=16, seed=3)
    assert DataSource(**json.loads(json.dumps(asdict(source)))) == source


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


# --- corrupt images ---------------------------------------------------------------------------------------------------


def spoil(tree):
    (tree / "cat" / "0.png").write_bytes(b"not an image")
    whole = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)), "JPEG")
    (tree / "cat" / "1.png").write_bytes(whole[:-50])
    (tree / "dog" / "60.png").write_bytes(encode(grey16(0.5, np.float32), "TIFF"))


def test_corrupt_images_stop_with_a_list(tree, cache):
    spoil(tree)
    with pytest.raises(DataError, match="3 of 100 are corrupt") as caught:
        prepare(tree, cache)
    message = str(caught.value)
    assert "cat/0.png: not an image of a known format" in message
    assert "cat/1.png: OSError: image file is truncated" in message
    assert "dog/60.png: ValueError: floating-point pixels (mode F)" in message
    assert "--skip-corrupt" in message
    assert list(cache.iterdir()) == []


def test_corrupt_images_are_listed_up_to_twenty(tree, cache):
    for number in range(30):
        (tree / "cat" / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="30 of 100") as caught:
        prepare(tree, cache)
    assert str(caught.value).count("cat/") == 20


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
    with pytest.raises(DataError, match=r"set\.parquet row 18: ValueError: no bytes"):
        prepare(tmp_path / "set.parquet", cache)


@pytest.mark.parametrize(("side", "kind"), [(17, "Warning"), (40, "Error")])  # Pillow raises above twice its limit
def test_decompression_bombs_are_corrupt(tree, cache, monkeypatch, side, kind):
    coloured(0, (side, side)).save(tree / "cat" / "0.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16 * 16)
    with pytest.raises(DataError, match=rf"1 of 100 are corrupt:\n  cat/0\.png: DecompressionBomb{kind}"):
        prepare(tree, cache)


def test_a_split_of_corrupt_images_is_an_error(tmp_path, cache):
    write_tree(tmp_path / "tree" / "train", {"a": 10, "b": 10})
    write_tree(tmp_path / "tree" / "test", {"a": 1})
    (tmp_path / "tree/test/a/0.png").write_bytes(b"")
    with pytest.raises(DataError, match="all images of test are corrupt"):
        prepare(tmp_path / "tree", cache, skip_corrupt=True)


# --- errors -----------------------------------------------------------------------------------------------------------


def fails(path, cache, match, **asked):
    with pytest.raises(DataError, match=match):
        prepare(path, cache, **asked)


@pytest.mark.parametrize("asked", [{"resolution": 7}, {"resolution": 1025}, {"seed": -1}])
def test_data_source_refuses_numbers_out_of_range(asked):
    with pytest.raises(DataError, match=next(iter(asked))):
        DataSource("digits", **asked)


def test_absent_data_suggest_the_digits(tmp_path, cache):
    fails(tmp_path / "nowhere", cache, "'digits'")


def test_unknown_layouts_are_refused(tmp_path, cache):
    (tmp_path / "data.zip").write_bytes(b"")
    fails(tmp_path / "data.zip", cache, "none of these")
    (tmp_path / "empty").mkdir()
    fails(tmp_path / "empty", cache, "none of these")
    (tmp_path / "flat").mkdir()
    coloured(1).save(tmp_path / "flat" / "1.png")
    fails(tmp_path / "flat", cache, "none of these")


def test_one_class_is_not_enough(tmp_path, cache):
    write_tree(tmp_path / "tree", {"cat": 10})
    fails(tmp_path / "tree", cache, "two classes")


def test_a_class_without_training_images_is_an_error(tmp_path, cache):
    write_tree(tmp_path / "tree" / "train", {"a": 10, "b": 10, "empty": 0})
    fails(tmp_path / "tree", cache, "1 of 3 have none: empty")
    write_tree(tmp_path / "tree" / "test", {"a": 1, "new": 1})
    fails(tmp_path / "tree", cache, "2 of 4 have none: empty, new")


def test_an_empty_split_is_an_error(tmp_path, cache):
    write_tree(tmp_path / "tree" / "train", {"a": 10, "b": 10})
    (tmp_path / "tree" / "test").mkdir()
    fails(tmp_path / "tree", cache, "test holds none")
    write_parquet(tmp_path / "set/train.parquet", [0, 1])
    write_parquet(tmp_path / "set/test.parquet", pa.array([], pa.int64()), encoded=pa.array([], pa.binary()))
    fails(tmp_path / "set", cache, r"test\.parquet holds none")


def test_splits_without_train_are_an_error(tmp_path, cache):
    write_tree(tmp_path / "tree" / "test", {"a": 1, "b": 1})
    fails(tmp_path / "tree", cache, "must include train")
    write_parquet(tmp_path / "set/test.parquet", [0, 1])
    fails(tmp_path / "set", cache, "must include train")


def test_parquet_files_half_named_after_splits_are_an_error(tmp_path, cache):
    write_parquet(tmp_path / "set/train.parquet", [0, 1])
    write_parquet(tmp_path / "set/more.parquet", [0, 1])
    fails(tmp_path / "set", cache, r"more\.parquet is not")


def test_parquet_that_cannot_be_read_is_an_error(tmp_path, cache):
    (tmp_path / "set.parquet").write_bytes(b"PAR1 and no more")
    fails(tmp_path / "set.parquet", cache, "readable Parquet")
    write_parquet(tmp_path / "set.parquet", [0, 1] * 10)
    content = bytearray((tmp_path / "set.parquet").read_bytes())
    content[4:400] = bytes(396)  # the pages of the images
    (tmp_path / "set.parquet").write_bytes(content)
    fails(tmp_path / "set.parquet", cache, "readable Parquet")


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"img": [b"1"], "label": [0]}, "has img, label"),
        ({"image": [b"1"]}, "has image"),
        ({"image": ["text"], "label": [0]}, "is string"),
        ({"image": [{"path": "x"}], "label": [0]}, "is struct"),
        ({"image": [b"1"], "label": [0.5]}, "is double"),
        ({"image": [b"1", b"2"], "label": [0, None]}, "1 labels in .* are null"),
        ({"image": [b"1", b"2"], "label": [0, -1]}, "negative, but one is -1"),
    ],
)
def test_parquet_columns_are_checked(tmp_path, cache, columns, match):
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    fails(tmp_path / "set.parquet", cache, match)


def test_parquet_labels_must_be_of_one_kind(tmp_path, cache):
    write_parquet(tmp_path / "set/a.parquet", [0, 1])
    write_parquet(tmp_path / "set/b.parquet", ["0", "1"])
    fails(tmp_path / "set", cache, "mix them")


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ('["a"]', r"among the 1 classes .* \[1\] are not"),
        ("[", "must be JSON"),
        ('{"1": "a", "2": "b"}', "every class index"),
        ('["a", "a"]', "different strings"),
        ("[1, 2]", "different strings"),
        ("3", "different strings"),
    ],
)
def test_classes_json_is_checked(tmp_path, cache, names, match):
    write_parquet(tmp_path / "set.parquet", [0, 1])
    (tmp_path / "classes.json").write_text(names)
    fails(tmp_path / "set.parquet", cache, match)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"val_images": 2}, "3 <= val_images <= 77"),
        ({"val_images": 78}, "3 <= val_images <= 77"),
        ({"val_images": 0}, "is 0"),
        ({"train_images": 2}, "3 <= train_images <= 64"),
        ({"train_images": 65}, "3 <= train_images <= 64"),
    ],
)
def test_sizes_must_fit_the_data(tree, cache, asked, match):
    fails(tree, cache, match, **asked)


def test_too_few_images_to_split_are_an_error(tmp_path, cache):
    write_tree(tmp_path / "tree", {"a": 1, "b": 1})
    fails(tmp_path / "tree", cache, "only 0 can be spared")


def test_images_that_exceed_the_disk_are_an_error(tree, cache, monkeypatch):
    monkeypatch.setattr(images.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    fails(tree, cache, "on disk")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_an_error(tree, cache):
    cache.write_text("a file")
    fails(tree, cache, "writing failed")


# --- real data --------------------------------------------------------------------------------------------------------


@needs_shared_data
def test_cifar10_test_images_are_split_evenly(cache):
    prepared = prepare(SHARED / "cifar10/test.parquet", cache, train_images=500)
    assert prepared.classes[0] == "airplane"
    assert (prepared.resolution, prepared.channels) == (32, 3)
    assert np.bincount(prepared.train.labels).tolist() == [50] * 10
    assert np.bincount(prepared.val.labels).tolist() == [100] * 10
    assert np.bincount(prepared.test.labels).tolist() == [200] * 10
    assert prepared.full_train.images.shape == (8000, 3, 32, 32)


@needs_shared_data
def test_imagenette_mixes_grey_and_colour(cache):
    listing = list_images(str(SHARED / "imagenette224_5k/val.parquet"))
    out = np.zeros((len(listing.labels), 3, 64, 64), dtype=np.uint8)
    is_grey, corrupt = decode_images(listing, out)
    assert corrupt == {}
    assert 0 < is_grey.mean() < 0.05
    assert survey(listing)[0] == [224] * 500
    assert listing.classes[0] == "tench"
