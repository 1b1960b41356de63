import os
import unicodedata

import pytest
from pictures import coloured, find, identities, prepare, refuses, write_tree


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


@pytest.mark.parametrize("names", [("Train", "Test"), ("Training", "Testing"), ("TRAIN", "dev")])
def test_splits_are_known_by_their_usual_names(tmp_path, names):
    for first, name in enumerate(names):
        write_tree(tmp_path / name, {"a": 2, "b": 1}, 10 * first)
    found = find(tmp_path)
    assert found.classes == ("a", "b")
    assert sorted(set(found.splits)) == sorted(("train", "val" if "dev" in names else "test"))


def test_two_folders_of_one_split_are_an_error(tmp_path):
    for name in ("train", "val", "valid"):
        write_tree(tmp_path / name, {"a": 1, "b": 1})
    refuses(tmp_path, "val and valid are the same")


@pytest.mark.parametrize("names", [("pass", "test"), ("bus", "car", "train"), ("train", "val", "van")])
def test_folders_are_classes_where_not_all_are_called_like_splits(tmp_path, names):
    write_tree(tmp_path, dict.fromkeys(names, 3))
    found = find(tmp_path)
    assert found.classes == names
    assert set(found.splits) == {"train"}
    assert "Folders are splits only if all are called so" in found.notes[0]


def test_classes_inside_of_a_class_called_like_a_split_are_an_error(tmp_path):
    write_tree(tmp_path, {"bus": 3, "car": 3, "train/steam": 2, "train/diesel": 3})
    refuses(tmp_path, r"5 images would be left out.*train would be, bus, car not.*Move them")


def test_images_deeper_than_classes_are_an_error(tmp_path):
    write_tree(tmp_path / "set", {"cat": 3, "dog": 2, "dog/poodle": 4})
    refuses(tmp_path / "set", r"4 images would be left out that lie deeper: dog/poodle/\d\.png")
    write_tree(tmp_path / "wrapped/photos", {"cat": 3, "dog": 2})
    refuses(tmp_path / "wrapped", "give the folder that holds the classes")


@pytest.mark.parametrize("suffix", [".jfif", ".JPEG", ".avif", ".jp2", ".tga", ".pbm", ".apng", ".ico", ".mpo"])
def test_all_formats_that_pillow_reads_are_images(tmp_path, cache, suffix):
    for number in range(20):
        file = tmp_path / "set" / "ab"[number % 2] / f"{number}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        coloured(number).convert("1" if suffix == ".pbm" else "RGB").save(file)
    assert find(tmp_path / "set").names[0] == f"a/0{suffix}"
    assert len(prepare(tmp_path / "set", cache).full_train) == 16


@pytest.mark.parametrize("name", ["1.heic", "1.svg", "1.eps", "photo", "1.jpg_large"])
def test_images_that_would_not_be_read_are_an_error(tmp_path, name):
    write_tree(tmp_path, {"cat": 3, "dog": 2})
    coloured(1).save(tmp_path / "cat" / name, "EPS" if name == "1.eps" else "PNG")
    refuses(tmp_path, f"1 file would be left out: cat/{name}. Convert or rename")


def test_images_are_found_among_other_files_of_their_suffix(tmp_path):
    write_tree(tmp_path, {"cat": 3, "dog": 2})
    for number in range(20):
        coloured(1).save(tmp_path / "cat" / f"photo{number}", "PNG")
    (tmp_path / "cat" / "LICENSE").write_text("free")
    refuses(tmp_path, "21 files would be left out: cat/LICENSE, cat/photo0")


def test_what_is_not_used_is_counted_in_one_line(tree):
    (tree / "1.png").symlink_to(tree / "cat" / "0.png")
    (tree / "cat" / "notes.txt").write_text("no image")
    (tree / "cat" / "boxes").mkdir()
    (tree / "cat" / "boxes" / "1.xml").write_text("<box/>")
    (tree / "dog" / "gone").symlink_to(tree / "nowhere")
    assert find(tree).notes == (
        f"not used of {tree}: 1 image outside class folders (1.png), 2 other files (.xml 1, .txt 1), "
        "1 dangling link (dog/gone), 1 folder (cat/boxes)",
    )


def test_a_folder_without_images_beside_splits_is_said(tmp_path):
    write_tree(tmp_path, {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "1.xml").write_text("<box/>")
    found = find(tmp_path)
    assert found.splits.tolist() == ["test"] * 2 + ["train"] * 4
    assert found.notes == (f"not used of {tmp_path}: 1 other file (.xml 1), 1 folder (annotations)",)


def test_a_class_behind_a_link_is_read_and_a_lost_one_is_an_error(tmp_path):
    write_tree(tmp_path / "elsewhere", {"cat": 3})
    write_tree(tmp_path / "set", {"dog": 2})
    (tmp_path / "set/cat").symlink_to(tmp_path / "elsewhere/cat")
    (tmp_path / "set/cat/up").symlink_to(tmp_path / "set")
    assert find(tmp_path / "set").classes == ("cat", "dog")
    (tmp_path / "set/eel").symlink_to(tmp_path / "elsewhere/eel")
    refuses(tmp_path / "set", r"1 link do not, which may have been classes: eel")


def test_images_that_are_no_files_are_corrupt_ones(tree, cache):
    (tree / "cat" / "gone.png").symlink_to(tree / "nowhere.png")
    os.mkfifo(tree / "cat" / "pipe.png")
    prepared = prepare(tree, cache, skip_corrupt=True)
    assert [line.partition(":")[0] for line in prepared.skipped] == ["cat/gone.png", "cat/pipe.png"]


def test_names_that_look_alike_are_one_class_in_all_splits(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    write_tree(tmp_path / "set/train", {composed: 3, "tea": 2})
    write_tree(tmp_path / "set/test", {decomposed: 1, "tea": 1})
    found = find(tmp_path / "set")
    assert found.classes == (composed, "tea")
    assert found.labels.tolist() == [0, 1, 0, 0, 0, 1, 1]
    write_tree(tmp_path / "set/test", {composed: 1})
    refuses(tmp_path / "set", r"test 'cafe\\u0301' and 'caf\\xe9' are both 'café'")


def test_a_class_whose_name_is_no_text_is_an_error(tmp_path):
    write_tree(tmp_path, {"tea": 1, "caf\udce9": 1})
    refuses(tmp_path, r"must be UTF-8, but .* has 'caf\\udce9'")


def test_a_split_without_images_is_an_error(tmp_path):
    write_tree(tmp_path / "train", {"a": 10, "b": 10})
    (tmp_path / "test").mkdir()
    refuses(tmp_path, "test holds none")
    coloured(1).save(tmp_path / "test" / "1.png")
    refuses(tmp_path, "test holds none: 1 image in it, but in no folder of a class. Put them into folders")


def test_a_folder_without_images_is_no_split(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "data-00000-of-00001.arrow").write_bytes(b"")
    refuses(tmp_path, r"none of these: it holds 1 other file \(\.arrow 1\), 1 folder \(train\)")


def test_splits_without_train_are_an_error(tmp_path):
    write_tree(tmp_path / "test", {"a": 1, "b": 1})
    refuses(tmp_path, "must include train")
