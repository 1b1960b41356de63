import sys

import pytest
from boxed import write

from paretonas.data import box_yaml
from paretonas.data.box_yaml import read_description
from paretonas.errors import DataError, MissingPackageError


def describe(tmp_path, text):
    write(tmp_path / "data.yaml", text)
    return read_description(tmp_path / "data.yaml")


@pytest.mark.parametrize(
    "names", ["[cat, dog]", "{0: cat, 1: dog}", "\n  - cat\n  - dog", "\n  1: dog\n  0: cat", '{"0": cat, "1": dog}']
)
@pytest.mark.parametrize("nc", ["", "nc: 2"])
def test_names_are_a_list_or_by_number(tmp_path, names, nc):
    found = describe(tmp_path, f"train: [a, b.txt]\nvalid: c\ntest: ''\n{nc}\nnames: {names}\n")
    assert list(found.names.items()) == [(0, "cat"), (1, "dog")]
    assert found.splits == {"train": ["a", "b.txt"], "val": ["c"]}
    assert (found.root, found.has_key_points) == (tmp_path, False)


def test_numbers_may_have_gaps_and_be_names(tmp_path):
    assert describe(tmp_path, "train: a\nnames: {7: 1, 3: 2}").names == {3: "2", 7: "1"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "must be YAML with `train` and `names`, but is None"),
        ("- a", "but is \\['a'\\]"),
        ("a: [", "must be YAML without objects"),
        ("a: 2020-99-99", "must be YAML without objects"),
        ("[" * 500, "must be YAML without objects"),
        ("? [a]\n: b", "must be YAML without objects"),
        (b"names: [caf\xe9]", "UTF-8"),
        ("train: a", "`names` must name the classes, .* is None"),
        ("train: a\nnames: cat", "is 'cat'"),
        ("train: a\nnames: []", "`names` must name"),
        ("train: a\nnames: {a: 0}", "`names` must name"),
        ("train: a\nnames: {'0': cat, 0: dog}", "`names` must name"),
        ("train: a\nnames: {'" + "9" * 20 + "': cat}", "`names` must name"),
        ("train: a\nnames: [cat, no]", "that of 1 is False. Quote it"),
        ("train: a\nnames: [cat, [dog]]", "must be text"),
        ("train: a\nnames: [cat, ' ']", "must be text"),
        ("train: a\nnames: [0x" + "f" * 5000 + "]", "is a number too long to show"),
        ("train: a\nnames: {-1: cat}", "`names` must name"),
        ("train: a\nnames: [cat, cat]", "names several cat"),
        ("train: a\nnames: [caf\u00e9, cafe\u0301]", "differ to the eye"),
        ("train: a\nnc: 3\nnames: [cat, dog]", "`nc` must be .* it is 3, and 2 are named"),
        ("train: a\nnc: two\nnames: [cat, dog]", "it is 'two'"),
        ("names: [cat]", "must include train"),
        ("val: a\nnames: [cat]", "must include train"),
        ("train: 3\nnames: [cat]", "`train` must be a folder"),
        ("train: [a, 3]\nnames: [cat]", "`train` must be a folder"),
        ("train: a\nval: a\nvalid: b\nnames: [cat]", "names val twice"),
        ("train: a\npath: [b]\nnames: [cat]", "`path` must be a folder's name"),
    ],
)
def test_what_is_no_description_is_an_error(tmp_path, text, match):
    with pytest.raises(DataError, match=match):
        describe(tmp_path, text)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir ['made']", "!!python/name:os.mkdir", "!other {}"])
def test_objects_are_never_made(tmp_path, monkeypatch, tag):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="without objects to be made"):
        describe(tmp_path, f"train: a\nnames: {tag}")
    assert not (tmp_path / "made").exists()


def test_aliases_that_multiply_are_not_written_out(tmp_path):
    lines = ["a0: &a0 [cat, cat]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    with pytest.raises(DataError, match="must be text") as caught:
        describe(tmp_path, "\n".join([*lines, "train: a", "names: *a29"]))
    assert len(str(caught.value)) < 1000


def test_a_large_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(box_yaml, "LARGEST", 5)
    with pytest.raises(DataError, match="5 bytes at most"):
        describe(tmp_path, "train: a")


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingPackageError, match="pip install pyyaml"):
        describe(tmp_path, "train: a")
