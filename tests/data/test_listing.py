import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import coloured, encode, fails, identities, prepare, write_parquet, write_tree


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
