import pytest
from pictures import find, identities, prepare, refuses, write_parquet


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


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train-00000-of-00001", "test-00000-of-00001"),
        ("data/train-00000-of-00001-0123abc", "data/test-00000-of-00001-0123abc"),
        ("train/0000", "test/0000"),
        ("plain_text/train/0000", "plain_text/test/0000"),
        ("plain_text/train-00000-of-00001", "plain_text/test-00000-of-00001"),
        ("mnist_train", "mnist_test"),
        ("Training/part", "Testing/part"),
    ],
)
def test_layouts_of_splits_are_known(tmp_path, train, test):
    write_parquet(tmp_path / f"{train}.parquet", [0, 1] * 2)
    write_parquet(tmp_path / f"{test}.parquet", [0, 1])
    found = find(tmp_path)
    assert sorted(found.splits) == ["test"] * 2 + ["train"] * 4
    assert f"{test}.parquet row 1" in found.names


def test_names_that_only_contain_the_letters_of_a_split_name_none(tmp_path):
    for name in ("contest", "latest", "device"):
        write_parquet(tmp_path / f"{name}.parquet", [0, 1])
    assert set(find(tmp_path).splits) == {"train"}


def test_files_of_several_data_sets_are_an_error(tmp_path):
    for name in ("en/train", "de/train"):
        write_parquet(tmp_path / f"{name}.parquet", [0, 1])
    refuses(tmp_path, "lie in 2 folders: de, en")


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002"],
        ["train-00001-of-00002", "test-00000-of-00001"],
        ["train-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"],
        ["train-00000-of-00002", "train-00002-of-00002", "train-00001-of-00002"],
    ],
)
def test_a_set_of_files_that_is_not_whole_is_an_error(tmp_path, names):
    for name in names:
        write_parquet(tmp_path / f"{name}.parquet", [0, 1])
    refuses(tmp_path, r"train-…-of-0000\d in .* of 2 are|train-…-of-00002 .* 3 of 2")


def test_one_file_of_a_set_may_be_named_and_the_rest_is_said(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00002.parquet", [0, 1])
    (note,) = find(tmp_path / "train-00000-of-00002.parquet").notes
    assert note == "train-00000-of-00002.parquet is one of 2 files of a set; the others are not used"


def test_files_half_named_after_splits_are_an_error(tmp_path):
    write_parquet(tmp_path / "train.parquet", [0, 1])
    write_parquet(tmp_path / "more.parquet", [0, 1])
    refuses(tmp_path, r"more\.parquet is not")


def test_splits_without_train_are_an_error(tmp_path):
    write_parquet(tmp_path / "test.parquet", [0, 1])
    refuses(tmp_path, "must include train")
