import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import fails, identities, prepare, write_parquet, write_tree

from paretonas.data.source import DataSource, pick, split_images
from paretonas.errors import DataError


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
    parts = split_images(labels, splits, "abcde", DataSource("set"))
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


def test_data_source_is_plain_data():
    source = DataSource("digits", resolution=16, seed=3)
    assert DataSource(**json.loads(json.dumps(asdict(source)))) == source


@pytest.mark.parametrize("asked", [{"resolution": 7}, {"resolution": 1025}, {"seed": -1}])
def test_data_source_refuses_numbers_out_of_range(asked):
    with pytest.raises(DataError, match=next(iter(asked))):
        DataSource("digits", **asked)


def test_one_class_is_not_enough(tmp_path, cache):
    write_tree(tmp_path / "tree", {"cat": 10})
    fails(tmp_path / "tree", cache, "two classes")


def test_a_class_without_training_images_is_an_error(tmp_path, cache):
    write_tree(tmp_path / "tree" / "train", {"a": 10, "b": 10, "empty": 0})
    fails(tmp_path / "tree", cache, "1 of 3 have none: empty")
    write_tree(tmp_path / "tree" / "test", {"a": 1, "new": 1})
    fails(tmp_path / "tree", cache, "2 of 4 have none: empty, new")


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


def test_cifar10_test_images_are_split_evenly(cache, real_data):
    prepared = prepare(real_data / "cifar10/test.parquet", cache, train_images=500)
    assert prepared.classes[0] == "airplane"
    assert (prepared.resolution, prepared.channels) == (32, 3)
    assert np.bincount(prepared.train.labels).tolist() == [50] * 10
    assert np.bincount(prepared.val.labels).tolist() == [100] * 10
    assert np.bincount(prepared.test.labels).tolist() == [200] * 10
    assert prepared.full_train.images.shape == (8000, 3, 32, 32)


@pytest.mark.parametrize("path", ["", "  ", "s3://bucket/cats", "https://example.com/cats.zip"])
def test_data_source_refuses_what_is_no_path(path):
    with pytest.raises(DataError, match="a file or a folder of this machine"):
        DataSource(path)
